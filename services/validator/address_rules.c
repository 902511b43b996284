/*
 * Which addresses may be asked. Consulted twice for each connection: with what DNS said, and with what is really dialled.
 *
 * A private network is not the internet: RFC 1918 and ULA addresses may be asked unless a setting denies them. Loopback, shared and documentation
 * networks may be asked when a setting allows them. Link-local and metadata addresses, and addresses that hide another one, never.
 */
#include "validator.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/config.h"

#define V4_PREFIX_BITS 96
#define PORT_HTTP 80
#define PORT_HTTPS 443

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* The first that fits decides. */
static const struct special {
    const char *network;
    bool never;
    const char *why;
} specials[] = {
    {"127.0.0.0/8", false, "loopback"},
    {"::1/128", false, "loopback"},
    {"0.0.0.0/8", true, "\"this network\""},
    {"169.254.0.0/16", true, "link-local, or cloud metadata"},
    {"fe80::/10", true, "link-local"},
    {"100.100.100.200/32", true, "cloud metadata"},
    {"168.63.129.16/32", true, "cloud metadata"},
    {"192.0.0.192/32", true, "cloud metadata"},
    {"fd00:ec2::254/128", true, "cloud metadata"},
    {"fd20:ce::254/128", true, "cloud metadata"},
    {"224.0.0.0/4", true, "multicast"},
    {"ff00::/8", true, "multicast"},
    {"240.0.0.0/4", true, "reserved"},
    {"::/96", true, "an IPv4 address in another form"},
    {"64:ff9b::/96", true, "an IPv4 address in another form"},
    {"64:ff9b:1::/48", true, "an IPv4 address in another form"},
    {"2002::/16", true, "an IPv4 address in another form"},
    {"2001::/32", true, "an IPv4 address in another form"},
    {"100::/64", true, "discarded"},
    {"100.64.0.0/10", false, "shared address space"},
    {"192.0.0.0/24", false, "reserved for protocols"},
    {"192.0.2.0/24", false, "for documentation"},
    {"198.51.100.0/24", false, "for documentation"},
    {"203.0.113.0/24", false, "for documentation"},
    {"2001:db8::/32", false, "for documentation"},
    {"3fff::/20", false, "for documentation"},
    {"198.18.0.0/15", false, "for benchmarks"},
};

bool
address_parse(const char *text, struct address *ret_address)
{
    struct address address;

    if (inet_pton(AF_INET, text, address.octets + sizeof v4_prefix) == 1)
        memcpy(address.octets, v4_prefix, sizeof v4_prefix);
    else if (inet_pton(AF_INET6, text, address.octets) != 1)
        return false;
    *ret_address = address;
    return true;
}

bool
address_is_v4(const struct address *address)
{
    return memcmp(address->octets, v4_prefix, sizeof v4_prefix) == 0;
}

void
address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX])
{
    bool v4 = address_is_v4(address);
    (void)inet_ntop(v4 ? AF_INET : AF_INET6, address->octets + (v4 ? sizeof v4_prefix : 0), ret_text, ADDRESS_TEXT_MAX);
}

bool
network_parse(const char *text, struct network *ret_network)
{
    const char *slash = strchr(text, '/');
    size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
    char host[ADDRESS_TEXT_MAX];
    struct network network;
    int64_t bits = 0;

    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (!address_parse(host, &network.address))
        return false;
    bool v4 = strchr(host, ':') == NULL;
    int most = v4 ? 32 : 128;
    if (slash != NULL && !text_parse_number(slash + 1, 0, most, &bits))
        return false;
    network.bits = (slash == NULL ? most : (int)bits) + (v4 ? V4_PREFIX_BITS : 0);
    *ret_network = network;
    return true;
}

static bool
network_has(const struct network *network, const struct address *address)
{
    size_t whole = (size_t)network->bits / 8;
    int rest = network->bits % 8;

    if (memcmp(network->address.octets, address->octets, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return ((network->address.octets[whole] ^ address->octets[whole]) & mask) == 0;
}

static bool
networks_have(const struct networks *networks, const struct address *address)
{
    for (size_t i = 0; i < networks->count; i++)
        if (network_has(&networks->at[i], address))
            return true;
    return false;
}

enum error
networks_parse(struct request *rq, const char *text, struct networks *ret_networks)
{
    size_t count;
    char **parts = text_split(rq->arena, text, ',', &count);

    if (count > NETWORKS_MAX)
        return fail(rq, ERR_TOO_LARGE, "there are %zu networks; at most %d can be given", count, NETWORKS_MAX);
    struct network *networks = arena_array(rq->arena, count, sizeof *networks);
    for (size_t i = 0; i < count; i++)
        if (!network_parse(parts[i], &networks[i]))
            return fail(rq, ERR_BAD_REQUEST, "\"%.60s\" is not a network; write 10.0.0.0/8 or fd00::/8", parts[i]);
    *ret_networks = (struct networks){networks, count};
    return OK;
}

enum error
endpoints_parse(struct request *rq, const char *text, const struct endpoint **ret_endpoints, size_t *ret_count)
{
    size_t count;
    char **parts = text_split(rq->arena, text, ',', &count);
    struct endpoint *endpoints = arena_array(rq->arena, count, sizeof *endpoints);
    char host[256];

    for (size_t i = 0; i < count; i++)
        if (!config_split_address(parts[i], host, &endpoints[i].port) || !address_parse(host, &endpoints[i].address))
            return fail(rq, ERR_BAD_REQUEST, "\"%.60s\" is not an address with a port; write 127.0.0.1:5432 or [::1]:5432", parts[i]);
    *ret_endpoints = endpoints;
    *ret_count = count;
    return OK;
}

static const struct special *
special_of(const struct address *address)
{
    struct network network;

    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
        if (network_parse(specials[i].network, &network) && network_has(&network, address))
            return &specials[i];
    return NULL;
}

static bool
is_denied_endpoint(const struct address_rules *rules, const struct address *address, int port)
{
    for (size_t i = 0; i < rules->denied_endpoint_count; i++)
        if (rules->denied_endpoints[i].port == port && memcmp(&rules->denied_endpoints[i].address, address, sizeof *address) == 0)
            return true;
    return false;
}

const char *
address_refusal(const struct address_rules *rules, const struct address *address, int port)
{
    const struct special *special = special_of(address);

    if (special != NULL && special->never)
        return special->why;
    if (is_denied_endpoint(rules, address, port))
        return "part of this service";
    if (networks_have(&rules->denied, address) || networks_have(&rules->not_to, address))
        return "in a network that is not asked";
    if (special != NULL && !networks_have(&rules->allowed, address))
        return special->why;
    if (rules->only.count > 0 && !networks_have(&rules->only, address))
        return "outside the networks that this policy asks";
    return NULL;
}

bool
port_is_allowed(const struct address_rules *rules, int port)
{
    return port == PORT_HTTP || port == PORT_HTTPS || port == rules->http01_port;
}
