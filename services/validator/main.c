/*
 * validator: fetches what clients say they have put up (RFC 8555 §8), and tells what was found there. It decides nothing.
 *
 * Serves:      Validator.ValidateChallenge
 * Calls:       nobody on the bus; DNS, and HTTP where strangers point it
 * Announces:   nothing
 * Hears:       nothing
 * Privileges:  none but its bus user: no database, no key
 * On failure:  asks leave no trace; whoever asked asks again
 */
#include "validator.h"

#include "link/service.h"

static const struct setting settings[] = {
    SETTING_TEXT(struct validator_config, dns_address, "SIGNET_DNS_ADDR", "", "resolver as host:port; empty: the system's"),
    SETTING_NUMBER(struct validator_config, http01_port, "SIGNET_HTTP01_PORT", "80", 1, 65535, "where http-01 is fetched"),
    SETTING_TEXT(struct validator_config, allow_networks, "SIGNET_VALIDATOR_ALLOW_NETWORKS", "",
                 "networks that are asked although they are loopback, shared or for documentation, comma-separated; private ones need not be named"),
    SETTING_TEXT(struct validator_config, deny_networks, "SIGNET_VALIDATOR_DENY_NETWORKS", "", "networks that are never asked, comma-separated"),
    SETTING_TEXT(struct validator_config, deny_addresses, "SIGNET_VALIDATOR_DENY_ADDRESSES", "",
                 "address:port of the suite's own database, bus and admin listeners, comma-separated: never asked"),
    SETTING_TEXT(struct validator_config, perspective, "SIGNET_VALIDATOR_PERSPECTIVE", "default", "name of this vantage point, for answers and logs"),
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

static void
read_rules(struct service *service, struct request *rq, struct validator *validator)
{
    const struct validator_config *config = &validator->config;
    struct address_rules *rules = &validator->rules;

    rules->http01_port = config->http01_port;
    service_must(service, rq, networks_parse(rq, config->allow_networks, &rules->allowed));
    service_must(service, rq, networks_parse(rq, config->deny_networks, &rules->denied));
    service_must(service, rq, endpoints_parse(rq, config->deny_addresses, &rules->denied_endpoints, &rules->denied_endpoint_count));
}

static void
close_resolver(void *context)
{
    resolver_close(context);
}

int
main(int argc, char **argv)
{
    static Pb__Validator_Service table = PB__VALIDATOR__INIT(serve_);
    struct validator validator = {0};
    struct service *service = service_start(argc, argv, &about, &validator.config);
    AUTO_STRUCT(request, rq) = request_new();

    read_rules(service, rq, &validator);
    service_must(service, rq, resolver_open(rq, validator.config.dns_address, &validator.resolver));
    service_at_drain(service, close_resolver, validator.resolver);
    struct bus *bus = service_bus(service);
    struct rpc_options options = {.threads = validator.config.workers, .queue_limit = validator.config.workers, .subject_suffix = ""};
    service_must(service, rq, rpc_serve(bus, rq, &table.base, &validator, &options));
    return service_run(service);
}
