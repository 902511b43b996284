/*
 * est-gw: what EST clients talk to (RFC 7030, RFC 8951, RFC 9908): cacerts, csrattrs, enrolment and renewal over TLS, by client certificate or
 * password.
 *
 * Serves:      HTTPS, routes.c; on the bus the profiles and the CRLs of makers, for signetctl
 * Calls:       ra (Enroll), signer (ListCas, ListTemplates: what cacerts shows)
 * Announces:   configuration.changed (through est.outbox)
 * Hears:       NOTIFY est_profile, est_user
 * Privileges:  schema est; the view ra.enrolled_certificate; no key but that of its TLS certificate
 * On failure:  a request that was not answered is repeated by the client, and gets the certificate that it would have got: nothing is owed here
 */
#include "est.h"

static const struct setting settings[] = {
    SETTING_ADDRESS(struct est_config, listen, "SIGNET_EST_LISTEN", "127.0.0.1:14083", "where EST clients are served"),
    SETTING_TEXT(struct est_config, tls_cert_file, "SIGNET_EST_TLS_CERT_FILE", NULL, "PEM chain of the HTTPS server"),
    SETTING_TEXT(struct est_config, tls_key_file, "SIGNET_EST_TLS_KEY_FILE", NULL, "PEM key of the HTTPS server"),
    SETTING_TEXT(struct est_config, proxy_networks, "SIGNET_EST_PROXY_NETWORKS", "",
                 "reverse proxies in front that end TLS, comma-separated CIDR: the client is the one that their X-Forwarded-For names, and has no "
                 "client certificate"),
    REQUEST_LIMIT_SETTINGS(struct est_config, limit, "SIGNET_EST"),
    FAILURE_LIMIT_SETTINGS(struct est_config, limit, "SIGNET_EST", "wrong passwords of one user of a profile, from one address"),
    SETTING_NUMBER(struct est_config, loops, "SIGNET_EST_LOOPS", "1", 1, 64, "event loops"),
    SETTING_NUMBER(struct est_config, workers, "SIGNET_EST_WORKERS", "128", 1, 1024, "requests worked on at once"),
    SETTING_NUMBER(struct est_config, keep_days, "SIGNET_EST_KEEP_DAYS", "30", 1, 3650, "days until it is forgotten what a device was given"),
    SETTING_NUMBER(struct est_config, refresh_s, "SIGNET_EST_REFRESH", "5", 1, 3600, "seconds between two readings of CAs and templates"),
};

static const struct service_about about = {
    .name = "est-gw",
    .summary = "Serves EST (RFC 7030): enrolment and renewal of devices over TLS.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

static enum error
admit(void *context, struct http_exchange *x)
{
    struct est *est = context;

    return request_limit_admit(est->limit, x);
}

static void
listen_for_devices(struct est *est)
{
    struct http_server_options options = {.name = "est",
                                          .listen = est->config.listen,
                                          .routes = est_routes,
                                          .route_count = est_route_count,
                                          .context = est,
                                          .render_failure = problem_render,
                                          .admit = admit,
                                          .proxies = est->proxies,
                                          .loops = est->config.loops,
                                          .workers = est->config.workers,
                                          .body_max = EST_BODY_MAX,
                                          .tls_cert_file = est->config.tls_cert_file,
                                          .tls_key_file = est->config.tls_key_file,
                                          .tls_client_asked = true};
    est->http = service_http(est->service, &options);
}

int
main(int argc, char **argv)
{
    struct est est = {0};
    struct service *service = service_start(argc, argv, &about, &est.config);
    AUTO_STRUCT(request, rq) = request_new();

    est.service = service;
    service_must(service, rq, proxies_parse(rq, "SIGNET_EST_PROXY_NETWORKS", est.config.proxy_networks, &est.proxies));
    service_must(service, rq, request_limit_new(rq, &est.config.limit, "SIGNET_EST_UNLIMITED_NETWORKS", &est.limit));
    est.db = service_database(service);
    est.bus = service_bus(service);
    service_must(service, rq, outbox_open(service, rq, est.bus, est.db, "est", &est.outbox));
    est.profiles = snapshot_slot_new();
    est.authorities = snapshot_slot_new();
    est.client_crls = snapshot_slot_new();
    est.trust = trust_new();
    est.logins = logins_new(&est);
    est.enrolments = rpc_gather_new(est.bus, &pb__ra__descriptor, "Enroll");
    listen_for_devices(&est);
    service_at_drain(service, trust_stop, &est);
    service_must(service, rq, rpc_serve(est.bus, rq, est_handlers(), &est, &(struct rpc_options){.threads = 2, .queue_limit = 64}));
    service_must(service, rq, profiles_follow(&est, rq));
    service_must(service, rq, logins_follow(&est, rq));
    authorities_follow(&est);
    est.prune = (struct prune){.db = est.db, .forget = &store_forget_deliveries, .keep_days = est.config.keep_days};
    prune_every_hour(service, "est.forget", &est.prune);
    service_ready_when(service, "profiles", profiles_ready, &est);
    service_ready_when(service, "authorities", authorities_ready, &est);
    int status = service_run(service);
    rpc_gather_free(est.enrolments);
    logins_free(est.logins);
    trust_free(est.trust);
    snapshot_slot_free(est.profiles);
    snapshot_slot_free(est.authorities);
    snapshot_slot_free(est.client_crls);
    request_limit_free(est.limit);
    return status;
}
