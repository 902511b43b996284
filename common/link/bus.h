/*
 * One connection to NATS per process (nats.c), and a second one if it publishes to the stream or follows it: TLS with a client certificate,
 * SendAsap, reconnect for ever.
 *
 * Services use rpc.h and events.h; only those two and the outbox relay see the connection itself (bus_nats.h). Requests come back to
 * inboxes under _INBOX.<name>., so that the server's permissions can keep users apart.
 * Threads: any. The library calls back on its own threads; nothing of ours runs there but a hand-off to workers.
 */
#ifndef SIGNET_LINK_BUS_H
#define SIGNET_LINK_BUS_H

#include "base/auto.h"
#include "base/request.h"

struct bus;

struct bus_options {
    const char *name;    /* the service's name, shown by the server's monitoring */
    const char *url;     /* tls://host:port[,tls://host:port…] */
    const char *ca_file; /* "" for plain TCP in tests */
    const char *cert_file;
    const char *key_file;
};

/* Returns at once with a bus that connects in the background and for ever; ERR_INTERNAL only when the options are unusable. */
enum error bus_open(struct request *rq, const struct bus_options *options, struct bus **ret_bus) MUST_CHECK;

/* Unsubscribes, finishes what was begun (bounded by `most_ms`), closes. */
void bus_close(struct bus *bus, int most_ms);

/* Readiness: OK, or ERR_UNAVAILABLE with the reason. Of the connection for calls: how the stream is, the lag tells. */
enum error bus_check(void *bus, struct request *rq);

#endif
