/*
 * ocsp-responder: answers RFC 6960 over HTTP, in the profile of RFC 9919.
 *
 * Serves:     HTTP /ocsp, GET and POST
 * Calls:      signer (sign_ocsp, list_cas)
 * Announces:  nothing
 * Hears:      certificate.revoked, ca.created (every replica, live: they empty its cache)
 * Privileges: one view of ra's certificates, read only; no key
 * On failure: without the bus what is cached is checked against the database before it is given; without the database what is cached is given
 *             until it expires; without both and for what is not cached: 503 with Retry-After
 */
#include <stdlib.h>

#include "base/config.h"
#include "link/service.h"
#include "ocsp_responder.h"

static const struct setting settings[] = {
    SETTING_ADDRESS(struct responder_config, listen, "SIGNET_OCSP_LISTEN", "127.0.0.1:14080", "HTTP address"),
    SETTING_NUMBER(struct responder_config, loops, "SIGNET_OCSP_LOOPS", "2", 1, 64, "event loops"),
    SETTING_NUMBER(struct responder_config, workers, "SIGNET_OCSP_WORKERS", "8", 1, 256, "answers that are made (not cached) at once"),
    SETTING_NUMBER(struct responder_config, validity_s, "SIGNET_OCSP_VALIDITY_S", "14400", 60, 604800, "thisUpdate to nextUpdate, seconds"),
    SETTING_NUMBER(struct responder_config, max_age_s, "SIGNET_OCSP_MAX_AGE_S", "300", 0, 86400,
                   "how long caches between us and the client may keep an answer, seconds"),
    SETTING_NUMBER(struct responder_config, cache_entries, "SIGNET_OCSP_CACHE_ENTRIES", "100000", 100, 10000000, "answers kept in memory"),
    SETTING_NUMBER(struct responder_config, unshared_per_minute, "SIGNET_OCSP_UNSHARED_PER_MINUTE", "3000", 0, 10000000,
                   "signatures at this replica that cannot be kept for others: as many for serial numbers that are unknown, which have to be asked "
                   "for later then, as for nonces, which are then left out; 0: as many as are asked for"),
    SETTING_NUMBER(struct responder_config, unshared_burst, "SIGNET_OCSP_UNSHARED_BURST", "500", 1, 10000000, "how many of each may be made at once"),
};

static const struct service_about about = {
    .name = "ocsp-responder",
    .summary = "Answers OCSP requests (RFC 6960, RFC 9919) from a cache that a revocation empties.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof(settings) / sizeof(settings[0]),
};

static void follow(struct service *service, struct request *rq, struct responder *responder, const char *subject,
                   const ProtobufCMessageDescriptor *type, events_handler *handle);
static void watch_the_bus(void *context, struct request *rq);
static void refresh_issuers(void *context, struct request *rq);
static struct recent **recents_for(int loops);

int
main(int argc, char **argv)
{
    struct responder responder = {0};
    struct service *service = service_start(argc, argv, &about, &responder.config);
    AUTO_STRUCT(request, rq) = request_new();

    responder.hits = metric_counter("signet_ocsp_answers_total", "OCSP answers", "from", "cache");
    responder.misses = metric_counter("signet_ocsp_answers_total", "OCSP answers", "from", "signer");
    responder.rechecks = metric_counter("signet_ocsp_answers_total", "OCSP answers", "from", "cache, checked against the database");
    responder.refusals =
        metric_counter("signet_ocsp_unshared_refused_total", "signatures that one client alone had use for, and did not get", NULL, NULL);
    responder.unshared = rate_limiter_new(responder.config.unshared_per_minute, responder.config.unshared_burst);
    responder.issuers = issuers_new();
    responder.cache = cache_new(responder.config.cache_entries);
    responder.recents = recents_for(responder.config.loops);
    responder.db = service_database(service);
    responder.bus = service_bus(service);
    service_ready_when(service, "issuers", issuers_check, &responder);

    follow(service, rq, &responder, "signet.event.certificate.revoked", &pb__certificate_revoked__descriptor, on_certificate_revoked);
    follow(service, rq, &responder, "signet.event.ca.created", &pb__ca_created__descriptor, on_ca_created);
    service_every(service, "bus watch", 250, watch_the_bus, &responder);
    service_every(service, "issuers", 5000, refresh_issuers, &responder);

    service_http(service, &(struct http_server_options){.name = "ocsp",
                                                        .listen = responder.config.listen,
                                                        .routes = responder_routes,
                                                        .route_count = responder_route_count,
                                                        .context = &responder,
                                                        .render_failure = render_failure,
                                                        .loops = responder.config.loops,
                                                        .workers = responder.config.workers,
                                                        .body_max = OCSP_REQUEST_MAX,
                                                        .quiet = true});
    int code = service_run(service);
    for (int i = 0; i < responder.config.loops; i++)
        recent_free(responder.recents[i]);
    free(responder.recents);
    rate_limiter_free(responder.unshared);
    cache_free(responder.cache);
    issuers_free(responder.issuers);
    return code;
}

static struct recent **
recents_for(int loops)
{
    struct recent **recents = calloc((size_t)loops, sizeof(struct recent *));
    int i;

    if (recents == NULL)
        abort();
    for (i = 0; i < loops; i++)
        recents[i] = recent_new();
    return recents;
}

static void
forget_everything(void *context)
{
    struct responder *responder = context;

    cache_clear(responder->cache);
}

static void
follow(struct service *service, struct request *rq, struct responder *responder, const char *subject, const ProtobufCMessageDescriptor *type,
       events_handler *handle)
{
    service_must(
        service, rq,
        events_follow(responder->bus, rq,
                      &(struct events_follower){
                          .subject = subject, .type = type, .handle = handle, .context = responder, .batch = 100, .missed = forget_everything}));
}

/* Readiness tells that the bus is away; here its absence is no failure, or the loop would look less often. */
static void
watch_the_bus(void *context, struct request *rq)
{
    struct responder *responder = context;
    bool there = bus_check(responder->bus, rq) == OK;

    failure_clear(rq);
    /* The followers forget too, but only once they are subscribed again: until then nothing of before may be given unasked. */
    if (there && !atomic_load(&responder->live))
        cache_clear(responder->cache);
    atomic_store(&responder->live, there);
}

static void
refresh_issuers(void *context, struct request *rq)
{
    /* What went wrong is in rq and is logged by the loop; issuers_check tells readiness. */
    if (issuers_refresh(context, rq) != OK)
        return;
}
