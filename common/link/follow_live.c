/*
 * A live follower: this process alone, from now on, straight from the subject without the stream's memory. Caches follow this way: an event
 * reaches every replica in well under a millisecond, and whenever one may have been lost the cache is told to forget.
 */
#include <stdlib.h>

#include "base/bytes.h"
#include "link/follower.h"

#define FLUSH_WAIT_MS 2000
#define NEXT_WAIT_MS 2000
#define PENDING_MESSAGES_MAX 65536
#define PENDING_BYTES_MAX (64 * 1024 * 1024)

static void
tell_missed(const struct follower *follower)
{
    if (follower->about.missed != NULL)
        follower->about.missed(follower->about.context);
}

/* Handles this message and those that wait behind it, up to a batch. */
static void
handle(struct follower *follower, natsSubscription *subscription, natsMsg *first)
{
    struct request rq;
    request_begin(&rq, "event", follower->step, NULL);
    struct buffer events = buffer_in(rq.arena);
    size_t count = 0;
    bool unreadable = false;
    for (natsMsg *message = first; message != NULL;) {
        struct event *some;
        size_t some_count;
        if (follower_read(follower, &rq, message, &some, &some_count)) {
            buffer_append(&events, some, some_count * sizeof(*some));
            count += some_count;
        } else {
            unreadable = true;
        }
        natsMsg_Destroy(TAKE(message));
        if (count < (size_t)follower->about.batch)
            (void)natsSubscription_NextMsg(&message, subscription, 0);
    }
    request_note(&rq, "events", "%zu", count);
    enum error error = count == 0 ? OK : follower->about.handle(follower->about.context, &rq, (const struct event *)events.at, count);
    if (error != OK || unreadable)
        tell_missed(follower);
    request_end(&rq, error);
}

natsStatus
follow_live(struct follower *follower, natsConnection *nats)
{
    natsSubscription *subscription = NULL;
    natsStatus status = natsConnection_SubscribeSync(&subscription, nats, follower->about.subject);
    if (status == NATS_OK)
        status = natsSubscription_SetPendingLimits(subscription, PENDING_MESSAGES_MAX, PENDING_BYTES_MAX);
    /* The server must know of the subscription before the cache forgets: what is read from the database after that cannot be out of date
     * without an event that tells so. */
    if (status == NATS_OK)
        status = natsConnection_FlushTimeout(nats, FLUSH_WAIT_MS);
    if (status != NATS_OK || !follower_enter(follower, subscription)) {
        natsSubscription_Destroy(subscription);
        return status;
    }
    tell_missed(follower);
    int64_t dropped = 0;
    while (status == NATS_OK && dropped == 0 && !follower_is_stopping(follower)) {
        natsMsg *message = NULL;
        status = natsSubscription_NextMsg(&message, subscription, NEXT_WAIT_MS);
        if (message != NULL)
            handle(follower, subscription, message);
        if (status == NATS_TIMEOUT)
            status = NATS_OK;
        (void)natsSubscription_GetDropped(subscription, &dropped);
    }
    follower_leave(follower);
    return status;
}
