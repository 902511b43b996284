/*
 * acme-gw: what ACME clients talk to (RFC 8555). It parses, authenticates, keeps accounts, orders and challenges, and has others do the rest.
 *
 * Serves:      HTTPS, routes.c; on the bus AcmeGw.RedeemNonce under the name of its nonces' prefix, and AcmeAdmin (admin.c)
 * Calls:       validator (ValidateChallenge), ra (Enroll, Revoke), its own replicas (RedeemNonce)
 * Announces:   configuration.changed, account.changed (through acme.outbox)
 * Hears:       nothing
 * Privileges:  schema acme; the view ra.issued_certificate; no key but those of its nonces, of its TLS certificate and of sealed secrets
 * On failure:  validations, finalizations and automatic renewals are leased rows: any replica finishes them when a lease runs out, in a few seconds.
 * Nonces of a process that is gone are refused with badNonce, and clients take the new one that comes with it.
 */
#include "acme.h"

#include "base/snapshot.h"
#include "link/service.h"

#define LEASE_PAUSE_MS 1000
#define SWEEP_PAUSE_MS (10 * 60 * 1000)
#define PRUNE_PAUSE_MS (60 * 1000)

static const struct setting settings[] = {
    SETTING_ADDRESS(struct acme_config, listen, "SIGNET_ACME_LISTEN", "127.0.0.1:14000", "where ACME clients are served"),
    SETTING_TEXT(struct acme_config, url, "SIGNET_ACME_URL", "",
                 "base URL as clients write it, https://host[:port]; empty: https:// and the listen address"),
    SETTING_TEXT(struct acme_config, tls_cert_file, "SIGNET_ACME_TLS_CERT_FILE", "",
                 "PEM chain of the HTTPS server; empty: plain HTTP, behind a proxy"),
    SETTING_TEXT(struct acme_config, tls_key_file, "SIGNET_ACME_TLS_KEY_FILE", "", "PEM key of the HTTPS server"),
    SETTING_TEXT(struct acme_config, nonce_key_file, "SIGNET_ACME_NONCE_KEY_FILE", NULL, "at least 32 octets, the same for all replicas"),
    SETTING_TEXT(struct acme_config, secret_key_file, "SIGNET_ACME_SECRET_KEY_FILE", NULL,
                 "at least 32 octets that seal the HMAC keys of external accounts, the same for all replicas; keep it: without it they are lost"),
    SETTING_TEXT(struct acme_config, template_name, "SIGNET_ACME_TEMPLATE", "Web Server", "template of the certificates"),
    SETTING_TEXT(struct acme_config, issuer, "SIGNET_ACME_ISSUER", "", "issuing CA; empty: the template's"),
    SETTING_NUMBER(struct acme_config, validity_days, "SIGNET_ACME_VALIDITY_DAYS", "90", 0, 3650,
                   "lifetime of the certificates; 0: as the template says"),
    SETTING_TEXT(struct acme_config, terms_url, "SIGNET_ACME_TERMS_URL", "", "terms of service; empty: a page of this server"),
    SETTING_TEXT(struct acme_config, website, "SIGNET_ACME_WEBSITE", "", "about this CA; empty: the base URL"),
    SETTING_TEXT(struct acme_config, caa_identities, "SIGNET_ACME_CAA_IDENTITIES", "",
                 "names that CAA records may use for this CA, comma-separated; empty: the domain of SIGNET_ACME_URL"),
    SETTING_TEXT(struct acme_config, challenges, "SIGNET_ACME_CHALLENGES", "", "types of challenges to offer, comma-separated; empty: all"),
    SETTING_TEXT(struct acme_config, profiles, "SIGNET_ACME_PROFILES", "",
                 "profiles of the default policy while it has none of its own, name=template:days, comma-separated; days 0: as the template says"),
    SETTING_NUMBER(struct acme_config, dns_persist_draft, "SIGNET_ACME_DNS_PERSIST_DRAFT", "2", 1, 2,
                   "dns-persist-01 as this draft (draft-ietf-acme-dns-persist-0N) has it"),
    SETTING_TEXT(struct acme_config, perspectives, "SIGNET_ACME_PERSPECTIVES", "",
                 "names of the validators that have to agree, comma-separated, the primary one first; empty: any one validator decides"),
    REQUEST_LIMIT_SETTINGS(struct acme_config, limit, "SIGNET_ACME"),
    SETTING_TEXT(struct acme_config, proxy_networks, "SIGNET_ACME_PROXY_NETWORKS", "",
                 "reverse proxies in front, comma-separated CIDR: the client is the one that their X-Forwarded-For names"),
    SETTING_NUMBER(
        struct acme_config, keep_days, "SIGNET_ACME_KEEP_DAYS", "90", 0, 36500,
        "days after which orders that expired, or whose certificates did, and authorisations and renewal windows that are left are forgotten; "
        "0: never"),
    SETTING_NUMBER(struct acme_config, loops, "SIGNET_ACME_LOOPS", "1", 1, 64, "event loops"),
    SETTING_NUMBER(struct acme_config, workers, "SIGNET_ACME_WORKERS", "32", 1, 1024, "requests worked on at once"),
    SETTING_NUMBER(struct acme_config, validations, "SIGNET_ACME_VALIDATIONS", "32", 1, 256, "validations under way at once"),
    SETTING_NUMBER(struct acme_config, finalizations, "SIGNET_ACME_FINALIZATIONS", "4", 1, 64,
                   "orders finished, and orders renewed, at once that their clients did not wait for"),
};

static const struct service_about about = {
    .name = "acme-gw",
    .summary = "Serves ACME (RFC 8555): accounts, orders, authorisations, certificates.",
    .uses = USES_BUS | USES_DATABASE,
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

RPC_HANDLER(AcmeGw, RedeemNonce, redeem_nonce)

static void
open_nonces(struct service *service, struct request *rq, struct acme *acme)
{
    AUTO_STRUCT(secret, key) = NULL;
    enum error error = config_read_secret(rq, acme->config.nonce_key_file, &key);
    if (error == OK && key->len < 32)
        error =
            fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_NONCE_KEY_FILE: %s has %zu octets, at least 32 are needed", acme->config.nonce_key_file, key->len);
    service_must(service, rq, error);
    acme->nonces = nonces_new(BYTES(key->at, key->len));
}

static void
open_profiles(struct service *service, struct request *rq, struct acme *acme)
{
    struct profile *profiles = NULL;
    char **texts = text_split(rq->arena, acme->config.profiles, ',', &acme->profile_count);

    service_must(service, rq, profiles_parse(rq, "SIGNET_ACME_PROFILES", texts, acme->profile_count, &profiles));
    acme->profiles = profiles;
}

static void
open_secrets(struct service *service, struct request *rq, struct acme *acme)
{
    AUTO_STRUCT(secret, key) = NULL;
    enum error error = config_read_secret(rq, acme->config.secret_key_file, &key);
    if (error == OK && key->len < 32)
        error = fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_SECRET_KEY_FILE: %s has %zu octets, at least 32 are needed", acme->config.secret_key_file,
                     key->len);
    service_must(service, rq, error);
    acme->secrets = secret_box_new(BYTES(key->at, key->len));
}

static void
serve_replicas(struct service *service, struct request *rq, struct acme *acme)
{
    static Pb__AcmeGw_Service table = PB__ACME_GW__INIT(serve_);
    struct rpc_options options = {.threads = 2, .queue_limit = 256, .subject_suffix = arena_format(rq->arena, ".%s", nonces_prefix(acme->nonces))};
    service_must(service, rq, rpc_serve(acme->bus, rq, &table.base, acme, &options));
}

static void
open_sweepers(struct service *service, struct request *rq, struct acme *acme)
{
    const struct acme_config *config = &acme->config;

    service_must(service, rq, request_limit_new(rq, &config->limit, "SIGNET_ACME_UNLIMITED_NETWORKS", &acme->limit));
    (void)service_every(service, "acme.limits", SWEEP_PAUSE_MS, limits_sweep, acme);
    if (config->keep_days > 0)
        (void)service_every(service, "acme.prune", PRUNE_PAUSE_MS, prune_turn, acme);
}

static void
serve_operators(struct service *service, struct request *rq, struct acme *acme)
{
    struct rpc_options options = {.threads = 2, .queue_limit = 64};
    service_must(service, rq, rpc_serve(acme->bus, rq, acme_admin_handlers(), acme, &options));
}

static void
finish_validations(void *context)
{
    workers_free(context);
}

static void
open_leases(struct service *service, struct request *rq, struct acme *acme)
{
    struct lease_about validations = {.name = "acme.validation",
                                      .take = &store_take_validations,
                                      .leave = &store_leave_validations,
                                      .renew = &store_renew_validations,
                                      .seconds = LEASE_S,
                                      .work_seconds = VALIDATION_WORK_S,
                                      .threads = acme->config.validations,
                                      .pause_ms = LEASE_PAUSE_MS,
                                      .work = validation_work,
                                      .context = acme};
    struct lease_about finalizations = {.name = "acme.finalization",
                                        .take = &store_take_finalizations,
                                        .leave = &store_leave_finalizations,
                                        .renew = &store_renew_finalizations,
                                        .seconds = LEASE_S,
                                        .work_seconds = FINALIZATION_WORK_S,
                                        .threads = acme->config.finalizations,
                                        .pause_ms = LEASE_PAUSE_MS,
                                        .work = finalize_work,
                                        .context = acme};
    struct lease_about stars = {.name = "acme.star",
                                .take = &store_take_stars,
                                .leave = &store_leave_stars,
                                .renew = &store_renew_stars,
                                .seconds = LEASE_S,
                                .work_seconds = STAR_WORK_S,
                                .threads = acme->config.finalizations,
                                .pause_ms = LEASE_PAUSE_MS,
                                .work = renew_star_work,
                                .context = acme};
    /* No queue: what waited behind slow web servers here would spend its lease, while the lease's own threads are idle. */
    acme->validators = workers_new("validation", acme->config.validations, 0, NULL);
    acme->onlookers = workers_new("perspective", acme->config.validations, 0, NULL);
    service_at_drain(service, finish_validations, acme->onlookers);
    service_at_drain(service, finish_validations, acme->validators);
    service_must(service, rq, lease_open(service, rq, acme->db, &validations, &acme->validations));
    service_must(service, rq, lease_open(service, rq, acme->db, &finalizations, &acme->finalizations));
    service_must(service, rq, lease_open(service, rq, acme->db, &stars, &acme->stars));
}

static void
listen_for_clients(struct service *service, struct acme *acme)
{
    struct http_server_options options = {.name = "acme",
                                          .listen = acme->config.listen,
                                          .routes = acme_routes,
                                          .route_count = acme_route_count,
                                          .context = acme,
                                          .render_failure = problem_render,
                                          .decorate = acme_decorate,
                                          .admit = limit_request,
                                          .proxies = acme->proxies,
                                          .loops = acme->config.loops,
                                          .workers = acme->config.workers,
                                          .body_max = ACME_BODY_MAX,
                                          .tls_cert_file = acme->config.tls_cert_file,
                                          .tls_key_file = acme->config.tls_key_file};
    (void)service_http(service, &options);
}

int
main(int argc, char **argv)
{
    struct acme acme = {0};
    struct service *service = service_start(argc, argv, &about, &acme.config);
    AUTO_STRUCT(request, rq) = request_new();

    service_must(service, rq, acme_check_urls(rq, &acme.config));
    service_must(service, rq, challenge_types_check(rq, &acme.config));
    service_must(service, rq, perspectives_check(rq, acme.config.perspectives));
    service_must(service, rq, proxies_parse(rq, "SIGNET_ACME_PROXY_NETWORKS", acme.config.proxy_networks, &acme.proxies));
    open_nonces(service, rq, &acme);
    open_secrets(service, rq, &acme);
    open_profiles(service, rq, &acme);
    acme_name_urls(&acme, rq->arena);
    acme.new_orders = commit_queue_new_in_turn(store_insert_orders, &acme);
    acme.finalizing = commit_queue_new(finalize_together, &acme);
    acme.moves = commit_queue_new_in_turn(store_move_batch, &acme);
    acme.leaders = workers_new("together", 2 * COMMIT_LEADERS, 2 * COMMIT_LEADERS, NULL);
    commit_queue_lead_on(acme.new_orders, acme.leaders);
    commit_queue_lead_on(acme.finalizing, acme.leaders);
    acme.accounts = account_cache_new();
    acme.certificates = certificate_cache_new();
    acme.stored_chains = stored_chains_new();
    acme.authorizations = authorization_cache_new();
    acme.policies = snapshot_slot_new();
    acme.db = service_database(service);
    acme.bus = service_bus(service);
    service_must(service, rq, outbox_open(service, rq, acme.bus, acme.db, "acme", &acme.outbox));
    service_must(service, rq, policies_follow(&acme, service, rq));
    service_must(service, rq, accounts_follow(&acme, rq));
    open_sweepers(service, rq, &acme);
    serve_replicas(service, rq, &acme);
    serve_operators(service, rq, &acme);
    open_leases(service, rq, &acme);
    listen_for_clients(service, &acme);
    int status = service_run(service);
    workers_free(acme.leaders);
    snapshot_slot_free(acme.policies);
    stored_chains_free(acme.stored_chains);
    certificate_cache_free(acme.certificates);
    authorization_cache_free(acme.authorizations);
    account_cache_free(acme.accounts);
    commit_queue_free(acme.new_orders);
    commit_queue_free(acme.finalizing);
    commit_queue_free(acme.moves);
    nonces_free(acme.nonces);
    secret_box_free(acme.secrets);
    request_limit_free(acme.limit);
    return status;
}
