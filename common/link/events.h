/*
 * Following facts on the stream SIGNET_EVENTS. Publishing them is the outbox's work (outbox.h).
 *
 *     events_follow(bus, rq, &(struct events_follower){
 *         .durable = "inventory", .subject = "signet.event.certificate.issued", .type = &pb__certificate_issued__descriptor,
 *         .handle = on_certificate_issued, .context = inventory, .batch = 100 });
 *
 * A durable follower sees every event at least once, in any replica, also those of its absence. The event id (header Nats-Msg-Id, given to the
 * handler) is the key that makes handling idempotent. A handler that returns an error gets the same events again after a pause; its request's
 * deadline is when they are given to another replica.
 * Events that come again are handed over one by one, so that a bad one does not hold up the others.
 * Events that were committed together may come as one message of the stream (EventBundle): its acknowledgement is that of all of them.
 * `durable` NULL follows for this process only, from now on: every replica sees every event; `missed` is called when some may have
 * been lost (once at the beginning, after a reconnect, when the handler refused one or was too slow): forget what you cached.
 * Threads: one own thread per follower.
 */
#ifndef SIGNET_LINK_EVENTS_H
#define SIGNET_LINK_EVENTS_H

#include <protobuf-c/protobuf-c.h>

#include "link/bus.h"

#define EVENTS_STREAM "SIGNET_EVENTS"
#define EVENTS_BUNDLE_PREFIX "bundle-" /* of the id of a message that is an EventBundle */

struct event {
    const char *id;                  /* unique for ever */
    const ProtobufCMessage *message; /* in rq's arena */
};

typedef enum error events_handler(void *context, struct request *rq, const struct event *events, size_t count);

struct events_follower {
    const char *durable;
    const char *subject;
    const ProtobufCMessageDescriptor *type;
    events_handler *handle;
    void *context;
    int batch;                     /* at most so many events per call, or one bundle; 0: 1 */
    void (*missed)(void *context); /* only without durable */
};

/* Starts following, now or as soon as the bus, and the consumer of `durable`, is there. The struct is copied. */
enum error events_follow(struct bus *bus, struct request *rq, const struct events_follower *follower) MUST_CHECK;

/* Creates SIGNET_EVENTS (file storage) when it is not there. For `signetctl migrate` and the outbox relay. */
enum error events_ensure_streams(struct bus *bus, struct request *rq) MUST_CHECK;

/* What a durable follower follows: remembers, for all replicas of a service, which events of this subject they have handled. For `signetctl migrate`;
 * the same again changes nothing. */
enum error events_ensure_consumer(struct bus *bus, struct request *rq, const char *durable, const char *subject) MUST_CHECK;

/* Events not yet handled by this process's durable followers; -1 when unknown. */
int64_t events_lag(void *bus);

#endif
