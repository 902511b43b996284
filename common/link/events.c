/*
 * Hearing facts: what outbox.c publishes arrives here, in whatever service follows it. This file has the life of a follower and the stream
 * itself; follow_durable.c and follow_live.c have the two ways of following.
 */
#include "link/events.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"
#include "link/follower.h"
#include "link/message.h"
#include "signet/v1/event.pb-c.h"

#define SESSION_PAUSE_MS 250
#define SUBJECTS "signet.event.>"

/* How long an absent follower may stay away, and how much may pile up for him. */
#define STREAM_AGE_NS (INT64_C(14) * 24 * 3600 * 1000000000)
#define STREAM_BYTES (INT64_C(4) << 30)
#define DUPLICATES_NS (INT64_C(10) * 60 * 1000000000)
#define STREAM_WAIT_MS 3000
#define RETRY_AFTER_S 2

/* ---- the session's subscription ---- */

bool
follower_enter(struct follower *follower, natsSubscription *subscription)
{
    AUTO_LOCK(&follower->mutex);
    if (follower->stopping)
        return false;
    follower->subscription = subscription;
    return true;
}

void
follower_leave(struct follower *follower)
{
    pthread_mutex_lock(&follower->mutex);
    natsSubscription *subscription = TAKE(follower->subscription);
    pthread_mutex_unlock(&follower->mutex);
    natsSubscription_Destroy(subscription);
}

bool
follower_is_stopping(struct follower *follower)
{
    AUTO_LOCK(&follower->mutex);
    return follower->stopping;
}

/* Makes the wait in the subscription return. */
static void
end_session(void *context)
{
    struct follower *follower = context;
    AUTO_LOCK(&follower->mutex);
    if (follower->subscription != NULL)
        (void)natsSubscription_Unsubscribe(follower->subscription);
}

/* ---- a follower's life ---- */

static bool
read_event(const struct follower *follower, struct request *rq, const char *id, struct bytes body, struct event *ret_event)
{
    const ProtobufCMessage *read = message_unpack(rq->arena, follower->about.type, body);
    if (read == NULL)
        return false;
    *ret_event = (struct event){.id = arena_text(rq->arena, id), .message = read};
    return true;
}

static bool
read_bundle(const struct follower *follower, struct request *rq, struct bytes body, struct event **ret_events, size_t *ret_count)
{
    const Pb__EventBundle *bundle = (const Pb__EventBundle *)message_unpack(rq->arena, &pb__event_bundle__descriptor, body);
    if (bundle == NULL)
        return false;
    struct event *events = arena_array(rq->arena, bundle->n_events, sizeof(*events));
    for (size_t i = 0; i < bundle->n_events; i++) {
        const Pb__BundledEvent *one = bundle->events[i];
        if (text_is_empty(one->id) || !read_event(follower, rq, one->id, message_bytes(one->body), &events[i]))
            return false;
    }
    *ret_events = events;
    *ret_count = bundle->n_events;
    return true;
}

bool
follower_read(const struct follower *follower, struct request *rq, natsMsg *message, struct event **ret_events, size_t *ret_count)
{
    const char *id = NULL;
    if (natsMsgHeader_Get(message, "Nats-Msg-Id", &id) != NATS_OK || text_is_empty(id))
        return false;
    struct bytes body = BYTES(natsMsg_GetData(message), (size_t)natsMsg_GetDataLength(message));
    if (text_starts_with(id, EVENTS_BUNDLE_PREFIX))
        return read_bundle(follower, rq, body, ret_events, ret_count);
    struct event *event = arena_alloc(rq->arena, sizeof(*event));
    if (!read_event(follower, rq, id, body, event))
        return false;
    *ret_events = event;
    *ret_count = 1;
    return true;
}

static void
pause_between_sessions(struct follower *follower)
{
    AUTO_LOCK(&follower->mutex);
    if (!follower->stopping)
        (void)clock_wait(&follower->woken, &follower->mutex, clock_monotonic_ms() + SESSION_PAUSE_MS);
}

static natsStatus
hold_session(struct follower *follower)
{
    bool durable = follower->about.durable != NULL;
    AUTO_STRUCT(bus_link, link) = durable ? bus_hold_streams(follower->bus) : bus_hold(follower->bus);
    if (!bus_link_is_up(link))
        return NATS_NOT_YET_CONNECTED;
    return durable ? follow_durable(follower, link->nats) : follow_live(follower, link->nats);
}

/* What ends sessions in ordinary life: a reconnect or a stop ended the wait, or the bus is away and says so itself. */
static bool
is_ordinary_end(natsStatus status)
{
    return status == NATS_OK || status == NATS_INVALID_SUBSCRIPTION || status == NATS_NOT_YET_CONNECTED || status == NATS_CONNECTION_DISCONNECTED ||
           status == NATS_CONNECTION_CLOSED;
}

static void *
follow(void *context)
{
    struct follower *follower = context;
    natsStatus told = NATS_OK;
    while (!follower_is_stopping(follower)) {
        natsStatus status = hold_session(follower);
        follower->lag = -1;
        const char *why = status == NATS_NOT_FOUND ? "its consumer is not there: signetctl migrate makes it" : nats_GetLastError(NULL);
        if (!is_ordinary_end(status) && status != told)
            log_line(LOG_LEVEL_WARNING, "events.not_followed", "subject", follower->about.subject, "status", natsStatus_GetText(status), "detail",
                     why == NULL ? "" : why, NULL);
        told = status;
        if (status != NATS_OK && status != NATS_INVALID_SUBSCRIPTION)
            pause_between_sessions(follower);
    }
    nats_ReleaseThreadMemory();
    return NULL;
}

static void
stop(void *context, int most_ms)
{
    struct follower *follower = context;
    pthread_mutex_lock(&follower->mutex);
    follower->stopping = true;
    pthread_cond_broadcast(&follower->woken);
    pthread_mutex_unlock(&follower->mutex);
    end_session(follower);
    pthread_join(follower->thread, NULL);
}

static void
free_follower(void *context)
{
    struct follower *follower = context;
    pthread_cond_destroy(&follower->woken);
    pthread_mutex_destroy(&follower->mutex);
    arena_free(follower->arena);
}

static int64_t
lag(void *context)
{
    return ((struct follower *)context)->lag;
}

enum error
events_follow(struct bus *bus, struct request *rq, const struct events_follower *about)
{
    assert(about->durable == NULL || (about->missed == NULL && strchr(about->durable, '.') == NULL));
    struct arena *arena = arena_new();
    struct follower *follower = arena_alloc(arena, sizeof(*follower));
    follower->arena = arena;
    follower->bus = bus;
    follower->about = *about;
    follower->about.durable = about->durable == NULL ? NULL : arena_text(arena, about->durable);
    follower->about.subject = arena_text(arena, about->subject);
    follower->about.batch = about->batch > 0 ? about->batch : 1;
    follower->step = arena_format(arena, "hear %s", about->subject);
    follower->lag = about->durable == NULL ? 0 : -1;
    pthread_mutex_init(&follower->mutex, NULL);
    pthread_cond_init(&follower->woken, NULL);
    if (pthread_create(&follower->thread, NULL, follow, follower) != 0)
        abort();
    bool durable = about->durable != NULL;
    bus_add_part(bus, &(struct bus_part){.reconnected = end_session,
                                         .stop = stop,
                                         .free = free_follower,
                                         .lag = durable ? lag : NULL,
                                         .context = follower,
                                         .on_streams = durable});
    return OK;
}

int64_t
events_lag(void *bus)
{
    return bus_lag(bus);
}

/* ---- the stream ---- */

static natsStatus
ensure_stream(natsConnection *nats, jsErrCode *ret_code)
{
    jsOptions options;
    jsOptions_Init(&options);
    options.Wait = STREAM_WAIT_MS;
    AUTO(jsCtx, js) = NULL;
    natsStatus status = natsConnection_JetStream(&js, nats, &options);
    jsStreamInfo *info = NULL;
    if (status == NATS_OK)
        status = js_GetStreamInfo(&info, js, EVENTS_STREAM, NULL, ret_code);
    jsStreamInfo_Destroy(info);
    if (status != NATS_NOT_FOUND)
        return status;

    const char *subjects[] = {SUBJECTS};
    jsStreamConfig config;
    jsStreamConfig_Init(&config);
    config.Name = EVENTS_STREAM;
    config.Subjects = subjects;
    config.SubjectsLen = 1;
    config.Retention = js_LimitsPolicy;
    config.Storage = js_FileStorage;
    config.Discard = js_DiscardOld;
    config.MaxAge = STREAM_AGE_NS;
    config.MaxBytes = STREAM_BYTES;
    config.Duplicates = DUPLICATES_NS;
    return js_AddStream(NULL, js, &config, NULL, ret_code);
}

enum error
events_ensure_streams(struct bus *bus, struct request *rq)
{
    AUTO_STRUCT(bus_link, link) = bus_hold_streams(bus);
    enum error error = bus_link_check(link, rq);
    if (error)
        return error;
    jsErrCode code = 0;
    natsStatus status = ensure_stream(link->nats, &code);
    if (status == NATS_OK || code == JSStreamNameExistErr)
        return OK;
    (void)fail_privately(rq, ERR_UNAVAILABLE, "the event stream cannot be made now", "%s: %s (JetStream %d)", EVENTS_STREAM,
                         natsStatus_GetText(status), (int)code);
    return fail_retry_after(rq, RETRY_AFTER_S);
}
