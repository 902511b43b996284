/*
 * What rpc, events and outbox share of the bus beyond bus.h: the nats.c connection itself. Nobody else includes this.
 *
 *     AUTO_STRUCT(bus_link, link) = bus_hold(bus);
 *     if (!bus_link_is_up(link))
 *         return fail(rq, ERR_UNAVAILABLE, …);
 *     natsConnection_Publish(link->nats, …);
 *
 * nats.c closes a connection for good when the server refuses its credentials twice; the bus then opens another. Whoever uses
 * a connection therefore holds it for as long as the call takes, and never keeps the pointer.
 *
 * What needs the stream's disk (JetStream: the outbox, durable followers) has a connection of its own, opened at its first use: the server stops
 * reading from a connection whose events it has no room for, and calls must go on meanwhile.
 */
#ifndef SIGNET_LINK_BUS_NATS_H
#define SIGNET_LINK_BUS_NATS_H

#include <stdbool.h>
#include <stdint.h>

#include <nats/nats.h>

#include "link/bus.h"

struct bus_link {
    natsConnection *nats;
    struct bus *bus;
    int holds; /* guarded by the bus */
};

/* NULL while not even a first attempt could be made. */
struct bus_link *bus_hold(struct bus *bus);         /* for calls and whatever else lives in memory */
struct bus_link *bus_hold_streams(struct bus *bus); /* for JetStream; the first use waits for the first attempt */
void bus_link_release(struct bus_link *link);
DEFINE_AUTO_STRUCT(bus_link, bus_link_release);

/* False for NULL, and while disconnected. */
bool bus_link_is_up(const struct bus_link *link);
enum error bus_link_check(const struct bus_link *link, struct request *rq) MUST_CHECK; /* ERR_UNAVAILABLE with the reason */

/* The bus user's name; his inboxes begin with "_INBOX.<name>.". */
const char *bus_name(const struct bus *bus);
char *bus_new_inbox(const struct bus *bus, struct arena *arena);

/* bus_bin.c. Takes a message that is no longer needed, and destroys it in good company. */
struct bus_bin *bus_bin_new(void);
void bus_bin_free(struct bus_bin *bin);
void bus_bin_take(struct bus_bin *bin, natsMsg *message);
/* The bus's own. */
struct bus_bin *bus_bin(const struct bus *bus);

/* Something that lives on the bus until bus_close: a table of handlers, a follower. Members may be NULL. attach, reconnected and lag are called
 * under the bus's lock: they must not wait, nor call the bus. bus_close stops all parts, newest first, and then frees them: a part that
 * ends early may still be touched by the handlers of another. */
struct bus_part {
    void (*attach)(void *context, natsConnection *nats); /* subscribe: called at once, and again for each new natsConnection */
    void (*reconnected)(void *context);                  /* the connection was lost and is back, or is a new one */
    void (*stop)(void *context, int most_ms);            /* finish what was begun; nothing is called afterwards but free */
    void (*free)(void *context);
    int64_t (*lag)(void *context); /* not yet handled; -1: unknown */
    void *context;
    bool on_streams; /* its connection is that of bus_hold_streams */
};
void bus_add_part(struct bus *bus, const struct bus_part *part);

/* The sum of the parts' lags; -1 when one is unknown. */
int64_t bus_lag(struct bus *bus);

/* Everything but the functions to call back: bus_options.c, for bus.c. */
natsStatus bus_make_options(struct request *rq, const struct bus_options *from, natsOptions **ret_options);

DEFINE_AUTO(natsMsg, natsMsg_Destroy);
DEFINE_AUTO(natsOptions, natsOptions_Destroy);
DEFINE_AUTO(natsSubscription, natsSubscription_Destroy);
DEFINE_AUTO(jsCtx, jsCtx_Destroy);

#endif
