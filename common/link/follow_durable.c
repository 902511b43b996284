/*
 * A durable follower: all replicas of a service share one consumer on the stream, which remembers what was acknowledged. The thread of events.c
 * comes here with a connection; the handler is called with a batch; the acknowledgement follows its success. Services do not make their consumers
 * (`signetctl migrate` does): who may make one may have it deliver every event.
 *
 * Whatever dies on the way (this process, the server, the connection) leaves events unacknowledged: they come again after ACK_WAIT_MS.
 */
#include <stdlib.h>

#include "base/clock.h"
#include "link/follower.h"

#define ACK_WAIT_MS 30000
#define API_WAIT_MS 2000
#define LOAD_FROM 4
#define LOAD_PAUSE_MS 60
#define FETCH_WAIT_MS 2000

/* A refused event comes again after 1 s, 2 s, 4 s, … */
#define AGAIN_FIRST_MS 1000
#define AGAIN_MOST_MS 30000

/* A message of the stream: an event, or a bundle of them. */
struct heard {
    natsMsg *message;
    struct event *events;
    size_t count;
};

struct fetched {
    struct heard *heard;
    size_t count;            /* messages */
    size_t events;           /* in all of them */
    int64_t deliveries_most; /* of any of them */
};

static natsStatus
open_context(natsConnection *nats, jsCtx **ret_js)
{
    jsOptions options;
    jsOptions_Init(&options);
    options.Wait = API_WAIT_MS;
    return natsConnection_JetStream(ret_js, nats, &options);
}

static natsStatus
ensure_consumer(natsConnection *nats, const char *durable, const char *subject, jsErrCode *ret_code)
{
    AUTO(jsCtx, js) = NULL;
    natsStatus status = open_context(nats, &js);
    if (status != NATS_OK)
        return status;
    jsConsumerConfig config;
    jsConsumerConfig_Init(&config);
    config.Durable = durable;
    config.FilterSubject = subject;
    config.DeliverPolicy = js_DeliverAll;
    config.AckPolicy = js_AckExplicit;
    config.AckWait = ACK_WAIT_MS * INT64_C(1000000);
    return js_AddConsumer(NULL, js, EVENTS_STREAM, &config, NULL, ret_code);
}

enum error
events_ensure_consumer(struct bus *bus, struct request *rq, const char *durable, const char *subject)
{
    AUTO_STRUCT(bus_link, link) = bus_hold_streams(bus);
    enum error error = bus_link_check(link, rq);
    if (error)
        return error;
    jsErrCode code = 0;
    natsStatus status = ensure_consumer(link->nats, durable, subject, &code);
    if (status == NATS_OK)
        return OK;
    return fail_privately(rq, ERR_UNAVAILABLE, "a consumer of the event stream cannot be made: has nats-server the configuration of this version?",
                          "%s: %s (JetStream %d)", durable, natsStatus_GetText(status), (int)code);
}

static natsStatus
subscribe(const struct follower *follower, jsCtx *js, natsSubscription **ret_subscription)
{
    jsErrCode code = 0;
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

/* Takes the message, or puts it off when this build cannot read it: a later one may. */
static void
take(struct follower *follower, struct request *rq, natsMsg *message, struct fetched *fetched)
{
    struct heard heard = {.message = message};
    int64_t deliveries = 1, pending = 0;
    read_metadata(message, &deliveries, &pending);
    follower->lag = pending + 1;
    if (!follower_read(follower, rq, message, &heard.events, &heard.count)) {
        (void)natsMsg_NakWithDelay(message, AGAIN_MOST_MS, NULL);
        natsMsg_Destroy(message);
        request_note(rq, "unreadable", "%s", follower->about.type->name);
        return;
    }
    fetched->heard[fetched->count++] = heard;
    fetched->events += heard.count;
    if (deliveries > fetched->deliveries_most)
        fetched->deliveries_most = deliveries;
}

static void
settle(const struct fetched *fetched, size_t from, size_t count, enum error error)
{
    for (size_t i = from; i < from + count; i++) {
        natsMsg *message = fetched->heard[i].message;
        if (error == OK)
            (void)natsMsg_Ack(message, NULL);
        else
            (void)natsMsg_NakWithDelay(message, again_after_ms(fetched->deliveries_most), NULL);
        natsMsg_Destroy(message);
    }
}

/* These messages in one call. */
static enum error
handle_together(struct follower *follower, struct request *rq, const struct fetched *fetched, size_t from, size_t count)
{
    struct event *events = arena_array(rq->arena, fetched->events, sizeof(*events));
    size_t gathered = 0;
    for (size_t i = from; i < from + count; i++)
        for (size_t k = 0; k < fetched->heard[i].count; k++)
            events[gathered++] = fetched->heard[i].events[k];
    enum error error = follower->about.handle(follower->about.context, rq, events, gathered);
    settle(fetched, from, count, error);
    return error;
}

/* The events of this message one by one; the first failure is left in rq. */
static enum error
handle_alone(struct follower *follower, struct request *rq, const struct fetched *fetched, size_t number)
{
    const struct heard *heard = &fetched->heard[number];
    struct failure failure = {0};
    for (size_t i = 0; i < heard->count; i++) {
        if (follower->about.handle(follower->about.context, rq, &heard->events[i], 1) == OK)
            continue;
        if (failure.kind == OK)
            failure = rq->failure;
        failure_clear(rq);
    }
    rq->failure = failure;
    settle(fetched, number, 1, failure.kind);
    return failure.kind;
}

/* The next messages whose events fit into one call. */
static size_t
count_together(const struct follower *follower, const struct fetched *fetched, size_t from)
{
    size_t events = fetched->heard[from].count, count = 1;
    while (from + count < fetched->count && events + fetched->heard[from + count].count <= (size_t)follower->about.batch)
        events += fetched->heard[from + count++].count;
    return count;
}

/* Events that come again are handled one by one: the bad one among them must not hold up its neighbours for ever. Returns how many there were. */
static size_t
handle(struct follower *follower, natsMsgList *list)
{
    struct request rq;
    request_begin(&rq, "event", follower->step, NULL);
    /* Then they are given to another replica. */
    rq.deadline_ms = clock_monotonic_ms() + ACK_WAIT_MS;
    struct fetched fetched = {.heard = arena_array(rq.arena, (size_t)list->Count, sizeof(struct heard))};
    for (int i = 0; i < list->Count; i++)
        take(follower, &rq, TAKE(list->Msgs[i]), &fetched);
    natsMsgList_Destroy(list);
    request_note(&rq, "events", "%zu", fetched.events);
    bool again = fetched.deliveries_most > 1;
    enum error result = OK;
    struct failure failure = {0};
    for (size_t i = 0, count; i < fetched.count; i += count) {
        count = again ? 1 : count_together(follower, &fetched, i);
        enum error error = again ? handle_alone(follower, &rq, &fetched, i) : handle_together(follower, &rq, &fetched, i, count);
        if (error == OK)
            continue;
        result = error;
        failure = rq.failure;
        failure_clear(&rq);
    }
    rq.failure = failure;
    request_end(&rq, result);
    return fetched.events;
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
    AUTO(jsCtx, js) = NULL;
    natsSubscription *subscription = NULL;
    natsStatus status = open_context(nats, &js);
    if (status == NATS_OK)
        status = subscribe(follower, js, &subscription);
    if (status == NATS_OK && !follower_enter(follower, subscription))
        natsSubscription_Destroy(subscription);
    while (status == NATS_OK && !follower_is_stopping(follower)) {
        /* Returns as soon as there is one event, with as many as there are. */
        natsMsgList list = {0};
        jsErrCode code = 0;
        status = natsSubscription_Fetch(&list, subscription, follower->about.batch, FETCH_WAIT_MS, &code);
        size_t events = list.Count > 0 ? handle(follower, &list) : 0;
        /* Several at once say that more are coming: what is followed by the batch is worth a moment's wait. */
        if (events >= LOAD_FROM && events < (size_t)follower->about.batch)
            clock_sleep_ms(LOAD_PAUSE_MS);
        if (status == NATS_TIMEOUT)
            status = ask_lag(follower, js);
    }
    follower_leave(follower);
    return status;
}
