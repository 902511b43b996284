/*
 * The life of a process: settings, log, admin listener, readiness, SIGTERM, drain.
 *
 *     int main(int argc, char **argv)
 *     {
 *         struct inventory inventory = {0};
 *         struct service *service = service_start(argc, argv, &about, &inventory.config);
 *         AUTO_STRUCT(request, rq) = request_new();
 *         inventory.db = service_database(service);
 *         inventory.bus = service_bus(service);
 *         service_must(service, rq, rpc_serve(inventory.bus, rq, inventory_handlers(), &inventory, &options));
 *         service_must(service, rq, events_follow(…));
 *         return service_run(service);
 *     }
 *
 * service_start parses --help, --version and --check (these exit), loads the settings (the service's own and the common ones:
 * admin address, log level, instance name, drain bound), opens the log and the admin listener with /metrics, /healthz, /readyz.
 * The process is ready when the database, the bus and every service_ready_when check say so. service_run blocks until SIGTERM
 * or SIGINT, then drains in reverse order of opening: unready, stop accepting, finish what was begun, close; returns 0.
 * A second signal, or the drain bound, ends it at once with exit code 1.
 *
 * Errors at start: one line on stderr that says what is wrong and which setting mends it, exit code 2. A database or bus that is
 * away at start is not an error: the process waits, unready with the reason.
 */
#ifndef SIGNET_LINK_SERVICE_H
#define SIGNET_LINK_SERVICE_H

#include "base/config.h"

struct service;
struct bus;
struct db;

enum service_uses { USES_BUS = 1, USES_DATABASE = 2 };

struct service_about {
    const char *name;    /* "acme-gw": folder, binary, log field, bus user; with '_' the database role and schema */
    const char *summary; /* one sentence for --help */
    unsigned uses;       /* enum service_uses: adds the bus and database settings to --help and --check */
    const struct setting *settings;
    size_t setting_count;
};

struct service *service_start(int argc, char **argv, const struct service_about *about, void *ret_config);

/* Connects by SIGNET_NATS_URL, SIGNET_NATS_CA_FILE, SIGNET_NATS_CERT_FILE, SIGNET_NATS_KEY_FILE; reconnects for ever. */
struct bus *service_bus(struct service *service);

/* By SIGNET_DATABASE_URL, SIGNET_DATABASE_PASSWORD_FILE, SIGNET_DATABASE_CONNECTIONS; a pool that heals itself. */
struct db *service_database(struct service *service);

/* Opens an HTTP server that the drain closes, with half of the drain bound for what was begun. Ends the process when it cannot listen. */
struct http_server;
struct http_server_options;
struct http_server *service_http(struct service *service, const struct http_server_options *options);

/* A further readiness check, asked once a second, four times a second while the process is unready. It returns OK or records the reason in `rq`. */
void service_ready_when(struct service *service, const char *what, enum error (*check)(void *context, struct request *rq), void *context);

/* A figure for the "lag" column of `signetctl status` (rows not yet sent); -1: not known. The events not yet handled by followers are added to it. */
void service_lag_from(struct service *service, int64_t (*lag)(void *context), void *context);

/* Called in the drain, newest first. */
void service_at_drain(struct service *service, void (*stop)(void *context), void *context);

/* A background loop on a thread of its own: called again and again until the drain; `pause_ms` between calls, cut short by service_wake. */
struct service_loop;
struct service_loop *service_every(struct service *service, const char *name, int pause_ms, void (*turn)(void *context, struct request *rq),
                                   void *context);
void service_wake(struct service_loop *loop);

int service_run(struct service *service);

/* Stops the process at start-up with one clear line and exit code 2. */
void service_must(struct service *service, struct request *rq, enum error result);

const char *service_instance(const struct service *service);
/* Of who must never be led to them: the setting as it is, and "host:port" where the admin listener really is. */
const char *service_bus_url(const struct service *service);
const char *service_admin_address(const struct service *service);
const char *service_version(void);

#endif
