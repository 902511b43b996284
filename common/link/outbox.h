/*
 * From a committed row to a published event, at least once, in milliseconds.
 *
 * A service that announces facts has a table <schema>.outbox (id bigserial, event_id text, subject text, body bytea, created_at) and inserts
 * into it in the transaction of the fact (outbox_step gives the step for db_atomic). After the commit it calls outbox_wake. The relay publishes
 * to JetStream with Nats-Msg-Id = event id (so that a repeat is stored once), waits for the acknowledgements of the batch, deletes the rows.
 * Rows of a process that died are taken by any replica's relay within a second. Rows are taken with FOR UPDATE SKIP LOCKED.
 * When the bus closes, what was committed until then is published first.
 */
#ifndef SIGNET_LINK_OUTBOX_H
#define SIGNET_LINK_OUTBOX_H

#include <protobuf-c/protobuf-c.h>

#include "link/bus.h"
#include "link/db.h"
#include "link/service.h"

struct outbox;

/* Starts the relay of this schema's outbox. */
enum error outbox_open(struct service *service, struct request *rq, struct bus *bus, struct db *db, const char *schema, struct outbox **ret_outbox)
    MUST_CHECK;

/* The event, packed in rq's arena, as a step of db_atomic. `event_id` is stored and published as given. */
struct db_step outbox_step(struct outbox *outbox, struct request *rq, const char *event_id, const char *subject, const ProtobufCMessage *event);

/* An event as a part of an EventBundle, for services that commit many together: the parts behind each other are the body of one row, whose event_id
 * is EVENTS_BUNDLE_PREFIX with something unique. A bundle has at most OUTBOX_BUNDLE_MAX octets. */
#define OUTBOX_BUNDLE_MAX (256 * 1024)
struct bytes outbox_bundle_part(struct arena *arena, const char *event_id, const ProtobufCMessage *event);

/* Call after the commit. */
void outbox_wake(struct outbox *outbox);
/* The same for events that nobody waits for: when others left a moment ago, these leave with what else is committed in the next fifth of a second. */
void outbox_wake_soon(struct outbox *outbox);

/* Rows not yet published. */
int64_t outbox_lag(void *outbox);

#endif
