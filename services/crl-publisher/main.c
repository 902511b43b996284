/*
 * crl-publisher: makes CRLs when they are due, and serves them and the CA certificates over HTTP.
 *
 * Serves:     HTTP /crl/<ca>.crl, /ca/<ca>.crt, /ca/<ca>.pem; signet.crl-publisher.publish_crl
 * Calls:      signer (sign_crl, list_cas)
 * Announces:  nothing
 * Hears:      certificate.revoked, ca.created (durable: a revocation that came while it was away is made up for)
 * Privileges: the schema crl, the view ca.signed_crl; no key, no view of certificates: what is revoked is read by the signer
 * On failure: the last good CRL is served from memory; whoever makes the next one is decided by a leased row and tries again with back-off
 */
#include "base/config.h"
#include "crl_publisher.h"
#include "link/rpc.h"

static const struct setting settings[] = {
    SETTING_ADDRESS(struct publisher_config, listen, "SIGNET_CRL_LISTEN", "127.0.0.1:14081", "HTTP address"),
    SETTING_NUMBER(struct publisher_config, loops, "SIGNET_CRL_LOOPS", "1", 1, 64, "event loops"),
    SETTING_NUMBER(struct publisher_config, workers, "SIGNET_CRL_WORKERS", "4", 1, 64, "CRLs made at once"),
    SETTING_NUMBER(struct publisher_config, validity_s, "SIGNET_CRL_VALIDITY_S", "604800", 60, 31622400, "thisUpdate to nextUpdate, seconds"),
    SETTING_NUMBER(struct publisher_config, interval_s, "SIGNET_CRL_INTERVAL_S", "86400", 10, 31622400,
                   "a new CRL after so long although nothing was revoked, seconds"),
    SETTING_NUMBER(struct publisher_config, max_age_s, "SIGNET_CRL_MAX_AGE_S", "300", 0, 604800,
                   "how long caches between us and the client may keep a CRL, seconds"),
    SETTING_NUMBER(struct publisher_config, delay_ms, "SIGNET_CRL_DELAY_MS", "200", 0, 5000,
                   "after a revocation, wait so long for others that the same CRL can tell"),
};

static const struct service_about about = {
    .name = "crl-publisher",
    .summary = "Publishes CRLs and CA certificates: on schedule, and soon after a revocation.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
};

static enum error check_times(struct request *rq, const struct publisher_config *config);
static void open_shelf(struct publisher *publisher, struct service *service, struct request *rq);
static void follow(struct publisher *publisher, struct service *service, struct request *rq, const struct events_follower *what);
static void take_authorities(void *context, struct request *rq);

int
main(int argc, char **argv)
{
    struct publisher publisher = {.listing = PTHREAD_MUTEX_INITIALIZER};
    struct service *service = service_start(argc, argv, &about, &publisher.config);
    AUTO_STRUCT(request, rq) = request_new();

    service_must(service, rq, check_times(rq, &publisher.config));
    publisher.db = service_database(service);
    publisher.bus = service_bus(service);
    open_shelf(&publisher, service, rq);
    schedule_open(&publisher, service, rq);
    service_every(service, "authorities", 5000, take_authorities, &publisher);
    follow(&publisher, service, rq,
           &(struct events_follower){.durable = "crl-publisher-certificate-revoked",
                                     .subject = "signet.event.certificate.revoked",
                                     .type = &pb__certificate_revoked__descriptor,
                                     .handle = on_certificate_revoked,
                                     .batch = 200});
    follow(&publisher, service, rq,
           &(struct events_follower){.durable = "crl-publisher-ca-created",
                                     .subject = "signet.event.ca.created",
                                     .type = &pb__ca_created__descriptor,
                                     .handle = on_ca_created,
                                     .batch = 50});
    service_must(service, rq, rpc_serve(publisher.bus, rq, publisher_handlers(), &publisher, &(struct rpc_options){.threads = 2, .queue_limit = 16}));
    service_http(service, &(struct http_server_options){.name = "crl",
                                                        .listen = publisher.config.listen,
                                                        .routes = publisher_routes,
                                                        .route_count = publisher_route_count,
                                                        .context = &publisher,
                                                        .render_failure = render_failure,
                                                        .loops = publisher.config.loops,
                                                        .quiet = true});
    int code = service_run(service);
    shelf_free(publisher.shelf);
    return code;
}

/* Between the day on which a CRL is due and the day on which the last one ends there must be time for repairs. */
static enum error
check_times(struct request *rq, const struct publisher_config *config)
{
    if (config->interval_s > config->validity_s / 4 * 3)
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_CRL_INTERVAL_S (%d) must be at most three quarters of SIGNET_CRL_VALIDITY_S (%d)",
                    config->interval_s, config->validity_s);
    return OK;
}

static void
refresh_shelf(void *context, struct request *rq)
{
    struct publisher *publisher = context;

    shelf_measure(publisher->shelf);
    /* What went wrong is in rq and is logged by the loop; what is in memory is served on. */
    if (shelf_refresh(publisher, rq) != OK)
        return;
}

static void
on_notify(void *context, const char *payload)
{
    service_wake(context);
}

static void
open_shelf(struct publisher *publisher, struct service *service, struct request *rq)
{
    publisher->shelf = shelf_new();
    struct service_loop *loop = service_every(service, "shelf", 1000, refresh_shelf, publisher);
    service_must(service, rq, db_listen(publisher->db, rq, STORE_CHANNEL, on_notify, loop));
    service_ready_when(service, "crls", shelf_check, publisher);
}

static void
follow(struct publisher *publisher, struct service *service, struct request *rq, const struct events_follower *what)
{
    struct events_follower follower = *what;

    follower.context = publisher;
    service_must(service, rq, events_follow(publisher->bus, rq, &follower));
}

static void
take_authorities(void *context, struct request *rq)
{
    /* As above; the list of before stands. */
    if (authorities_refresh(context, rq) != OK)
        return;
}
