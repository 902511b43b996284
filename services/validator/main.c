/*
 * validator: fetches what clients say they have put up (RFC 8555 §8), and tells what was found there. It decides nothing.
 *
 * Serves:      Validator.ValidateChallenge, Validator.CheckCaa: under the name of its perspective, and as one of all
 * Calls:       nobody on the bus; DNS, and HTTP and TLS where strangers point it
 * Announces:   nothing
 * Hears:       nothing
 * Privileges:  none but its bus user: no database, no key
 * On failure:  asks leave no trace; whoever asked asks again
 */
#include "validator.h"

#include <string.h>

#include "link/service.h"

#define PERSPECTIVE_MAX 32

static const struct setting settings[] = {
    SETTING_TEXT(struct validator_config, dns_address, "SIGNET_DNS_ADDR", "", "resolver as host:port; empty: the system's"),
    SETTING_TEXT(struct validator_config, trust_anchor_file, "SIGNET_DNS_TRUST_ANCHOR_FILE", "",
                 "DS or DNSKEY records as in a zone file: answers below them must be validated by DNSSEC; empty: no validation"),
    SETTING_TEXT(struct validator_config, insecure_domains, "SIGNET_DNS_INSECURE_DOMAINS", "",
                 "domains below the trust anchor that are not signed, comma-separated"),
    SETTING_NUMBER(struct validator_config, http01_port, "SIGNET_HTTP01_PORT", "80", 1, 65535, "where http-01 is fetched"),
    SETTING_NUMBER(struct validator_config, tls_alpn01_port, "SIGNET_TLSALPN01_PORT", "443", 1, 65535, "where tls-alpn-01 connects"),
    SETTING_TEXT(struct validator_config, allow_networks, "SIGNET_VALIDATOR_ALLOW_NETWORKS", "",
                 "networks that are asked although they are loopback, shared or for documentation, comma-separated; private ones need not be named"),
    SETTING_TEXT(struct validator_config, deny_networks, "SIGNET_VALIDATOR_DENY_NETWORKS", "", "networks that are never asked, comma-separated"),
    SETTING_TEXT(struct validator_config, deny_addresses, "SIGNET_VALIDATOR_DENY_ADDRESSES", "*:5432",
                 "address:port of the suite's database and of all its admin listeners, comma-separated, * or a name for any address: never asked; "
                 "the bus and this process's own listener are known"),
    SETTING_TEXT(struct validator_config, perspective, "SIGNET_VALIDATOR_PERSPECTIVE", "default",
                 "name of this vantage point: the part of the subject that calls it alone"),
    SETTING_NUMBER(struct validator_config, workers, "SIGNET_VALIDATOR_WORKERS", "64", 1, 256, "validations at once"),
};

static const struct service_about about = {
    .name = "validator",
    .summary = "Looks at what ACME clients have put up to prove that a name is theirs.",
    .uses = USES_BUS,
    .settings = settings,
    .setting_count = sizeof settings / sizeof settings[0],
};

RPC_HANDLER(Validator, ValidateChallenge, validate_challenge)
RPC_HANDLER(Validator, CheckCaa, check_caa)

static void
read_rules(struct service *service, struct request *rq, struct validator *validator)
{
    const struct validator_config *config = &validator->config;
    struct address_rules *rules = &validator->rules;

    rules->http01_port = config->http01_port;
    rules->tls_alpn01_port = config->tls_alpn01_port;
    service_must(service, rq, networks_parse(rq, config->allow_networks, &rules->allowed));
    service_must(service, rq, networks_parse(rq, config->deny_networks, &rules->denied));
    service_must(service, rq, endpoints_add_bus(rq, service_bus_url(service), &rules->own));
    service_must(service, rq, endpoints_add(rq, service_admin_address(service), &rules->own));
    service_must(service, rq, endpoints_add(rq, config->deny_addresses, &rules->own));
    service_must(service, rq, endpoints_check(rq, &rules->own, "SIGNET_HTTP01_PORT", config->http01_port));
    service_must(service, rq, endpoints_check(rq, &rules->own, "SIGNET_TLSALPN01_PORT", config->tls_alpn01_port));
}

/* One token of a subject. */
static enum error
check_perspective(struct request *rq, const char *name)
{
    static const char alphabet[] = "abcdefghijklmnopqrstuvwxyz0123456789-";

    if (name[0] == '\0' || strlen(name) > PERSPECTIVE_MAX || strspn(name, alphabet) != strlen(name))
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_VALIDATOR_PERSPECTIVE: \"%.60s\" is not a name of small letters, digits and '-'", name);
    return OK;
}

static void
open_resolver(struct service *service, struct request *rq, struct validator *validator)
{
    struct resolver_options options = {.dns_address = validator->config.dns_address,
                                       .trust_anchor_file = validator->config.trust_anchor_file,
                                       .insecure_domains = validator->config.insecure_domains};
    service_must(service, rq, resolver_open(rq, &options, &validator->resolver));
}

static void
serve(struct service *service, struct request *rq, struct bus *bus, struct validator *validator, const char *suffix)
{
    static Pb__Validator_Service table = PB__VALIDATOR__INIT(serve_);
    struct rpc_options options = {.threads = validator->config.workers, .queue_limit = validator->config.workers, .subject_suffix = suffix};
    service_must(service, rq, rpc_serve(bus, rq, &table.base, validator, &options));
}

static void
close_resolver(void *context)
{
    resolver_close(context);
}

int
main(int argc, char **argv)
{
    struct validator validator = {0};
    struct service *service = service_start(argc, argv, &about, &validator.config);
    AUTO_STRUCT(request, rq) = request_new();

    read_rules(service, rq, &validator);
    service_must(service, rq, check_perspective(rq, validator.config.perspective));
    open_resolver(service, rq, &validator);
    service_at_drain(service, close_resolver, validator.resolver);
    struct bus *bus = service_bus(service);
    serve(service, rq, bus, &validator, "");
    serve(service, rq, bus, &validator, arena_format(rq->arena, ".%s", validator.config.perspective));
    return service_run(service);
}
