/*
 * A durable follower: all replicas of a service share one consumer on the stream, which remembers what was acknowledged. The thread of events.c
 * comes here with a connection; the handler is called with a batch; the acknowledgement follows its success.
 *
 * Whatever dies on the way (this process, the server, the connection) leaves events unacknowledged: they come again after ACK_WAIT_MS.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "link/follower.h"

#define ACK_WAIT_MS 30000
#define API_WAIT_MS 2000
#define LOAD_FROM 4
#define LOAD_PAUSE_MS 20
#define FETCH_WAIT_MS 2000

/* A refused event comes again after 1 s, 2 s, 4 s, … */
#define AGAIN_FIRST_MS 1000
#define AGAIN_MOST_MS 30000

struct fetched {
    natsMsg **messages;
    struct event *events;
    size_t count;
    int64_t deliveries_most; /* of any of them */
};

static natsStatus
ensure_consumer(const struct follower *follower, jsCtx *js, jsErrCode *ret_code)
{
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.Durable = follower->about.durable;
    config.FilterSubject = follower->about.subject;
    config.DeliverPolicy = js_DeliverAll;
    config.AckPolicy = js_AckExplicit;
    config.AckWait = ACK_WAIT_MS * INT64_C(1000000);
    return js_AddConsumer(NULL, js, EVENTS_STREAM, &config, NULL, ret_code);
}

static natsStatus
subscribe(const struct follower *follower, jsCtx *js, natsSubscription **ret_subscription)
{
    jsErrCode code = 0;
    natsStatus status = ensure_consumer(follower, js, &code);
    if (status != NATS_OK)
        return status;
    /* Bound to the consumer: the library must not delete it when the subscription ends. */
    jsSubOptions options;
    jsSubOptions_Init(&options);
    options.Stream = EVENTS_STREAM;
    options.Consumer = follower->about.durable;
    return js_PullSubscribe(ret_subscription, js, follower->about.subject, follower->about.durable, NULL, &options, &code);
}

static int64_t
again_after_ms(int64_t deliveries)
{
    int64_t wait_ms = AGAIN_FIRST_MS;
    for (int64_t i = 1; i < deliveries && wait_ms < AGAIN_MOST_MS; i++)
        wait_ms *= 2;
    return wait_ms < AGAIN_MOST_MS ? wait_ms : AGAIN_MOST_MS;
}

/* How often it was delivered, and how many wait behind it. */
static void
read_metadata(natsMsg *message, int64_t *ret_deliveries, int64_t *ret_pending)
{
    jsMsgMetaData *about = NULL;
    if (natsMsg_GetMetaData(&about, message) != NATS_OK)
        return;
    *ret_deliveries = (int64_t)about->NumDelivered;
    *ret_pending = (int64_t)about->NumPending;
    jsMsgMetaData_Destroy(about);
}

/* Takes the event, or puts it off when this build cannot read it: a later one may. */
static void
take(struct follower *follower, struct request *rq, natsMsg *message, struct fetched *fetched)
{
    int64_t deliveries = 1, pending = 0;
    read_metadata(message, &deliveries, &pending);
    follower->lag = pending + 1;
    if (!follower_read(follower, rq, message, &fetched->events[fetched->count])) {
        (void)natsMsg_NakWithDelay(message, AGAIN_MOST_MS, NULL);
        natsMsg_Destroy(message);
        request_note(rq, "unreadable", "%s", follower->about.type->name);
        return;
    }
    fetched->messages[fetched->count++] = message;
    if (deliveries > fetched->deliveries_most)
        fetched->deliveries_most = deliveries;
}

static enum error
handle_some(struct follower *follower, struct request *rq, const struct fetched *fetched, size_t from, size_t count)
{
    enum error error = follower->about.handle(follower->about.context, rq, fetched->events + from, count);
    for (size_t i = from; i < from + count; i++) {
        if (error == OK)
            (void)natsMsg_Ack(fetched->messages[i], NULL);
        else
            (void)natsMsg_NakWithDelay(fetched->messages[i], again_after_ms(fetched->deliveries_most), NULL);
        natsMsg_Destroy(fetched->messages[i]);
    }
    return error;
}

/* Events that come again are handled one by one: the bad one among them must not hold up its neighbours for ever. */
static void
handle(struct follower *follower, natsMsgList *list)
{
    struct request rq;
    request_begin(&rq, "event", follower->step, NULL);
    /* Then they are given to another replica. */
    rq.deadline_ms = clock_monotonic_ms() + ACK_WAIT_MS;
    size_t room = (size_t)list->Count;
    struct fetched fetched = {.messages = arena_array(rq.arena, room, sizeof(natsMsg *)),
                              .events = arena_array(rq.arena, room, sizeof(struct event))};
    for (int i = 0; i < list->Count; i++)
        take(follower, &rq, TAKE(list->Msgs[i]), &fetched);
    natsMsgList_Destroy(list);
    request_note(&rq, "events", "%zu", fetched.count);
    size_t at_once = fetched.deliveries_most > 1 ? 1 : fetched.count;
    enum error result = OK;
    struct failure failure = {0};
    for (size_t i = 0; i < fetched.count; i += at_once) {
        enum error error = handle_some(follower, &rq, &fetched, i, at_once);
        if (error == OK)
            continue;
        result = error;
        failure = rq.failure;
        failure_clear(&rq);
    }
    rq.failure = failure;
    request_end(&rq, result);
}

/* In a quiet moment: what waits, and what was refused or is in another replica's hands. */
static natsStatus
ask_lag(struct follower *follower, jsCtx *js)
{
    jsConsumerInfo *info = NULL;
    natsStatus status = js_GetConsumerInfo(&info, js, EVENTS_STREAM, follower->about.durable, NULL, NULL);
    if (status != NATS_OK)
        return status;
    follower->lag = (int64_t)info->NumPending + info->NumAckPending;
    jsConsumerInfo_Destroy(info);
    return NATS_OK;
}

natsStatus
follow_durable(struct follower *follower, natsConnection *nats)
{
    jsOptions options;
    jsOptions_Init(&options);
    options.Wait = API_WAIT_MS;
    AUTO(jsCtx, js) = NULL;
    natsSubscription *subscription = NULL;
    natsStatus status = natsConnection_JetStream(&js, nats, &options);
    if (status == NATS_OK)
        status = subscribe(follower, js, &subscription);
    if (status == NATS_OK && !follower_enter(follower, subscription))
        natsSubscription_Destroy(subscription);
    while (status == NATS_OK && !follower_is_stopping(follower)) {
        /* Returns as soon as there is one event, with as many as there are. */
        natsMsgList list = {0};
        jsErrCode code = 0;
        status = natsSubscription_Fetch(&list, subscription, follower->about.batch, FETCH_WAIT_MS, &code);
        int count = list.Count;
        if (count > 0)
            handle(follower, &list);
        /* Several at once say that more are coming: what is followed by the batch is worth a moment's wait. */
        if (count >= LOAD_FROM && count < follower->about.batch)
            clock_sleep_ms(LOAD_PAUSE_MS);
        if (status == NATS_TIMEOUT)
            status = ask_lag(follower, js);
    }
    follower_leave(follower);
    return status;
}
