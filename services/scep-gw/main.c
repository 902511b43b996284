/*
 * scep-gw: what devices talk to that enrol by SCEP (RFC 8894), and the challenge page of Windows' NDES.
 *
 * Serves:     HTTP, routes.c; signet.scep-gw.save_scep_profile, .list_scep_profiles, .delete_scep_profile, .rotate_scep_secret
 * Calls:      ra (enroll, revoke); signer (get_scep_ra, open_scep_envelope, sign_scep_reply, sign_scep_next_ca, destroy_scep_ra)
 * Announces:  configuration.changed (through scep.outbox)
 * Hears:      nothing; NOTIFY scep_profile of its own schema
 * Privileges: schema scep; the views ra.enrolled_certificate and crl.current_crl; no key: the RA's is in the HSM
 * On failure: a request is committed before ra is asked, and ra answers a repeat with the same certificate; a device that asks again, or polls, gets
 * its one certificate. What passes by itself is an HTTP status, never a SCEP failure, which devices take for final.
 */
#include "link/rpc.h"
#include "scep.h"

static const struct setting settings[] = {
    SETTING_ADDRESS(struct scep_config, listen, "SIGNET_SCEP_LISTEN", "127.0.0.1:14082", "where devices are served, plain HTTP as SCEP wants it"),
    SETTING_TEXT(struct scep_config, tls_listen, "SIGNET_SCEP_TLS_LISTEN", "",
                 "the same by HTTPS, for administrators who read the challenge page; empty: not"),
    SETTING_TEXT(struct scep_config, tls_cert_file, "SIGNET_SCEP_TLS_CERT_FILE", "", "PEM chain of the HTTPS server"),
    SETTING_TEXT(struct scep_config, tls_key_file, "SIGNET_SCEP_TLS_KEY_FILE", "", "PEM key of the HTTPS server"),
    SETTING_TEXT(struct scep_config, proxy_networks, "SIGNET_SCEP_PROXY_NETWORKS", "",
                 "reverse proxies in front, comma-separated CIDR: the client is the one that their X-Forwarded-For names"),
    REQUEST_LIMIT_SETTINGS(struct scep_config, limit, "SIGNET_SCEP"),
    FAILURE_LIMIT_SETTINGS(struct scep_config, limit, "SIGNET_SCEP", "requests to a profile that come to nothing, from one address"),
    SETTING_NUMBER(struct scep_config, loops, "SIGNET_SCEP_LOOPS", "1", 1, 64, "event loops"),
    SETTING_TEXT(struct scep_config, http_ca_file, "SIGNET_SCEP_HTTP_CA_FILE", "",
                 "PEM file that webhooks and Intune are checked with; empty: the system's"),
    SETTING_TEXT(struct scep_config, secrets, "SIGNET_SCEP_SECRETS", "/etc/signet/scep-secrets",
                 "directory of the files that profiles may name as secrets of webhooks and Intune"),
    SETTING_NUMBER(struct scep_config, keep_days, "SIGNET_SCEP_KEEP_DAYS", "30", 1, 3650, "days until it is forgotten what a device has asked for"),
    SETTING_NUMBER(struct scep_config, workers, "SIGNET_SCEP_WORKERS", "128", 1, 1024, "requests worked on at once"),
};

static const struct service_about about = {
    .name = "scep-gw",
    .summary = "Serves SCEP (RFC 8894) and the challenge page of NDES.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

static enum error
admit(void *context, struct http_exchange *x)
{
    struct scep *scep = context;
    enum error error = request_limit_admit(scep->limit, x);

    if (error)
        note_client(x);
    return error;
}

static void
listen_for_devices(struct service *service, struct scep *scep)
{
    struct http_server_options options = {.name = "scep",
                                          .listen = scep->config.listen,
                                          .routes = scep_routes,
                                          .route_count = scep_route_count,
                                          .context = scep,
                                          .render_failure = scep_render_failure,
                                          .admit = admit,
                                          .proxies = scep->proxies,
                                          .loops = scep->config.loops,
                                          .workers = scep->config.workers,
                                          .body_max = SCEP_BODY_MAX};

    (void)service_http(service, &options);
    if (scep->config.tls_listen[0] == '\0')
        return;
    /* No certificate of the client is ever asked for: macOS and WinHTTP fail over it. */
    options.name = "scep-tls";
    options.listen = scep->config.tls_listen;
    options.tls_cert_file = scep->config.tls_cert_file;
    options.tls_key_file = scep->config.tls_key_file;
    (void)service_http(service, &options);
}

int
main(int argc, char **argv)
{
    struct scep scep = {0};
    struct service *service = service_start(argc, argv, &about, &scep.config);
    AUTO_STRUCT(request, rq) = request_new();

    service_must(service, rq, proxies_parse(rq, "SIGNET_SCEP_PROXY_NETWORKS", scep.config.proxy_networks, &scep.proxies));
    service_must(service, rq, request_limit_new(rq, &scep.config.limit, "SIGNET_SCEP_UNLIMITED_NETWORKS", &scep.limit));
    scep.profiles = snapshot_slot_new();
    scep.ras = ra_cache_new();
    scep.intune = intune_cache_new();
    scep.admissions = commit_queue_new(store_add_transactions, &scep);
    scep.db = service_database(service);
    scep.bus = service_bus(service);
    scep.enrolments = rpc_gather_new(scep.bus, &pb__ra__descriptor, "Enroll");
    scep.openings = rpc_gather_new(scep.bus, &pb__signer__descriptor, "OpenScepEnvelope");
    scep.replies = rpc_gather_new(scep.bus, &pb__signer__descriptor, "SignScepReply");
    service_must(service, rq, outbox_open(service, rq, scep.bus, scep.db, "scep", &scep.outbox));
    service_must(service, rq, profiles_follow(service, &scep, rq));
    service_must(service, rq, rpc_serve(scep.bus, rq, scep_handlers(), &scep, &(struct rpc_options){.threads = 2, .queue_limit = 16}));
    scep.prune = (struct prune){.db = scep.db, .forget = &store_forget_transactions, .keep_days = scep.config.keep_days};
    prune_every_hour(service, "scep.forget", &scep.prune);
    service_must(service, rq, intune_pull(service, rq, &scep));
    service_must(service, rq, retire_ras(service, rq, &scep));
    listen_for_devices(service, &scep);
    int status = service_run(service);
    rpc_gather_free(scep.replies);
    rpc_gather_free(scep.openings);
    rpc_gather_free(scep.enrolments);
    commit_queue_free(scep.admissions);
    intune_cache_free(scep.intune);
    ra_cache_free(scep.ras);
    snapshot_slot_free(scep.profiles);
    request_limit_free(scep.limit);
    return status;
}
