/* Where a name is: its addresses as DNS has them, and of these the ones that may be asked. For http-01 and tls-alpn-01. */
#include "validator.h"

#include <arpa/inet.h>

#define V4_LEN 4
#define V6_LEN 16

static void
take_addresses(const struct lookup *lookup, struct addresses *addresses)
{
    for (size_t i = 0; i < lookup->count && addresses->count < RESOLVED_MAX; i++) {
        struct bytes octets = lookup->records[i];
        char text[ADDRESS_TEXT_MAX];
        struct address address;
        if (octets.len != V4_LEN && octets.len != V6_LEN)
            continue;
        if (inet_ntop(octets.len == V4_LEN ? AF_INET : AF_INET6, octets.at, text, sizeof text) != NULL && address_parse(text, &address))
            addresses->at[addresses->count++] = address;
    }
}

enum error
resolve(struct resolver *resolver, struct request *rq, const char *host, struct addresses *ret_addresses)
{
    struct lookup lookups[] = {{.name = host, .type = RRTYPE_AAAA}, {.name = host, .type = RRTYPE_A}};
    struct addresses addresses = {.count = 0};

    look_up(resolver, rq, lookups, 2);
    take_addresses(&lookups[0], &addresses);
    take_addresses(&lookups[1], &addresses);
    const char *why = lookups[1].why != NULL ? lookups[1].why : lookups[0].why;
    if (addresses.count == 0)
        return found(rq, "dns", "looking up %.253s: %s", host, why != NULL ? why : "it has neither an A nor an AAAA record");
    *ret_addresses = addresses;
    return OK;
}

static enum error
addresses_of(struct resolver *resolver, struct request *rq, const char *host, struct addresses *ret_addresses)
{
    struct addresses literal = {.count = 1};

    if (!address_parse(host, &literal.at[0]))
        return resolve(resolver, rq, host, ret_addresses);
    *ret_addresses = literal;
    return OK;
}

enum error
choose_addresses(struct resolver *resolver, struct request *rq, const struct address_rules *rules, const char *host, int port,
                 struct addresses *ret_chosen)
{
    struct addresses all = {.count = 0}, chosen = {.count = 0};
    char refused[ADDRESS_TEXT_MAX] = "";
    const char *why = "";
    bool has_v6 = false, has_v4 = false;

    enum error error = addresses_of(resolver, rq, host, &all);
    if (error)
        return error;
    for (size_t i = 0; i < all.count; i++) {
        const char *refusal = address_refusal(rules, &all.at[i], port);
        bool *has = address_is_v4(&all.at[i]) ? &has_v4 : &has_v6;
        if (refusal != NULL) {
            address_format(&all.at[i], refused);
            why = refusal;
        } else if (!*has) {
            *has = true;
            chosen.at[chosen.count++] = all.at[i];
        }
    }
    if (chosen.count == 0)
        return found(rq, "connection", "%.253s has the address %s, which is not asked: it is %s", host, refused, why);
    *ret_chosen = chosen;
    return OK;
}
