/*
 * Which addresses may be asked. Consulted twice for each connection: with what DNS said, and with what is really dialled.
 *
 * A private network is not the internet: RFC 1918 and ULA addresses may be asked unless a setting denies them. Loopback, shared and documentation
 * networks may be asked when a setting allows them. Link-local and metadata addresses, addresses that hide another one, and where this suite itself
 * listens (own_endpoints.c), never.
 */
#include "validator.h"

#define PORT_HTTP 80
#define PORT_HTTPS 443

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
    {"::ffff:0:0:0/96", true, "an IPv4 address in another form"}, /* RFC 2765: translated, not mapped */
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

static const struct special *
special_of(const struct address *address)
{
    struct network network;

    for (size_t i = 0; i < sizeof specials / sizeof specials[0]; i++)
        if (network_parse(specials[i].network, &network) && networks_cover(&network, 1, address))
            return &specials[i];
    return NULL;
}

static bool
is_in(const struct networks *networks, const struct address *address)
{
    return networks_cover(networks->at, networks->count, address);
}

const char *
address_refusal(const struct address_rules *rules, const struct address *address, int port)
{
    const struct special *special = special_of(address);

    if (special != NULL && special->never)
        return special->why;
    if (endpoints_have(&rules->own, address, port))
        return "part of this service";
    if (is_in(&rules->denied, address) || is_in(&rules->not_to, address))
        return "in a network that is not asked";
    if (special != NULL && !is_in(&rules->allowed, address))
        return special->why;
    if (rules->only.count > 0 && !is_in(&rules->only, address))
        return "outside the networks that this policy asks";
    return NULL;
}

bool
port_is_allowed(const struct address_rules *rules, int port)
{
    return port == PORT_HTTP || port == PORT_HTTPS || port == rules->http01_port;
}
