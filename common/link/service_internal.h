/*
 * What the files of the process skeleton share; nobody else includes it.
 *
 *   service.c            command line, settings, signals, run and drain
 *   service_loop.c       background loops
 *   service_metrics.c    what /metrics says of any process and any request
 *   service_bus.c        service_bus: a program that never calls it need not link nats
 *   service_database.c   service_database: a program that never calls it need not link libpq
 *   readiness.c          asks the checks, remembers the verdict
 *   admin.c              /metrics, /healthz, /readyz
 *   health.c             the same verdict, asked for over the bus
 */
#ifndef SIGNET_LINK_SERVICE_INTERNAL_H
#define SIGNET_LINK_SERVICE_INTERNAL_H

#include <pthread.h>
#include <stdatomic.h>

#include "link/http_server.h"
#include "link/service.h"

struct service_common {
    const char *admin_listen;
    const char *log_level;
    const char *instance;
    int drain_ms;
};

struct service_bus_settings {
    const char *url;
    const char *ca_file;
    const char *cert_file;
    const char *key_file;
};

struct service_database_settings {
    const char *url;
    const char *password_file;
    int connections;
};

struct service_drain {
    void (*stop)(void *context);
    void *context;
};

#define SERVICE_DRAINS_MAX 64
#define SERVICE_REASON_ROOM 1100 /* the name of a check and a whole failure message: nothing is cut within a character */

struct readiness;

struct service {
    const struct service_about *about;
    struct service_common common;
    struct service_bus_settings bus_settings;
    struct service_database_settings database_settings;
    struct request *rq; /* for start and drain, on the main thread */
    char instance[80];
    char admin_address[80];
    int64_t started_ms; /* monotonic */
    struct bus *bus;
    struct db *database;
    struct http_server *admin;
    struct readiness *readiness;
    struct service_drain drains[SERVICE_DRAINS_MAX];
    size_t drain_count;
    int64_t (*lag)(void *context);
    void *lag_context;
    void (*close_database)(struct service *service); /* NULL: has none. A pointer, so that only its users link libpq */
    atomic_bool draining;
};

/* Milliseconds that one part may take in the drain. */
int service_drain_part_ms(const struct service *service);

/* readiness.c */
struct readiness *readiness_new(const struct service *service);
void readiness_add(struct readiness *readiness, const char *what, enum error (*check)(void *context, struct request *rq), void *context);
void readiness_start(struct readiness *readiness);
/* Afterwards no check is called any more, unless one does not return. */
void readiness_stop(struct readiness *readiness);
/* The last verdict; the reason is "" when ready. */
bool readiness_verdict(struct readiness *readiness, char ret_reason[SERVICE_REASON_ROOM]);
/* As JSON, in the arena. */
char *readiness_json(struct readiness *readiness, struct arena *arena, bool *ret_ready);

/* admin.c */
enum error admin_open(struct service *service, struct request *rq) MUST_CHECK;

/* service_metrics.c */
void service_metrics_open(struct service *service);
/* Brings the figures of the process up to date. */
void service_metrics_refresh(struct service *service);

/* health.c */
void health_serve(struct service *service, struct bus *bus);

#endif
