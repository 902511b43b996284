/*
 * One follower of events: its thread, and what its two kinds share. events.c makes and stops it, follow_durable.c and follow_live.c are what
 * the thread does.
 *
 * A session is a subscription on one connection. The thread works in it until something is wrong or the bus reconnected, then opens another.
 */
#ifndef SIGNET_LINK_FOLLOWER_H
#define SIGNET_LINK_FOLLOWER_H

#include <stdatomic.h>

#include "link/bus_nats.h"
#include "link/events.h"

struct follower {
    struct arena *arena;
    struct bus *bus;
    struct events_follower about;
    const char *step; /* for the log */
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t woken;
    natsSubscription *subscription; /* of the session; NULL between sessions */
    bool stopping;
    _Atomic int64_t lag;
};

/* One message of the wire as its event or events, in rq's arena; false when one of them is none of this follower's. */
bool follower_read(const struct follower *follower, struct request *rq, natsMsg *message, struct event **ret_events, size_t *ret_count);

/* Publishes the session's subscription, so that a stop or a reconnect can end the wait in it. False when the follower is stopping: then the
 * caller keeps the subscription. */
bool follower_enter(struct follower *follower, natsSubscription *subscription);
void follower_leave(struct follower *follower);

bool follower_is_stopping(struct follower *follower);

/* One session; returns why it ended. */
natsStatus follow_durable(struct follower *follower, natsConnection *nats);
natsStatus follow_live(struct follower *follower, natsConnection *nats);

#endif
