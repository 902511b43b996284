/* Networks in CIDR notation, of policies: which clients a policy is for, and which addresses it approves beforehand. */
#include "acme.h"

#include <arpa/inet.h>
#include <string.h>

#define V4_PREFIX_BITS 96

static const uint8_t v4_prefix[12] = {[10] = 0xff, [11] = 0xff};

/* IPv4 as IPv6 (RFC 4291 §2.5.5.2), so that there is one form. */
static bool
read_address(const char *text, uint8_t ret_octets[16])
{
    if (inet_pton(AF_INET6, text, ret_octets) == 1)
        return true;
    memcpy(ret_octets, v4_prefix, sizeof v4_prefix);
    return inet_pton(AF_INET, text, ret_octets + sizeof v4_prefix) == 1;
}

bool
network_read(const char *text, struct network *ret_network)
{
    const char *slash = strchr(text, '/');
    size_t len = slash == NULL ? strlen(text) : (size_t)(slash - text);
    char host[INET6_ADDRSTRLEN];
    struct network network;
    int64_t bits = 0;

    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    if (!read_address(host, network.octets))
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
covers(const struct network *network, const uint8_t octets[16])
{
    size_t whole = (size_t)network->bits / 8;
    int rest = network->bits % 8;

    if (memcmp(network->octets, octets, whole) != 0)
        return false;
    if (rest == 0)
        return true;
    uint8_t mask = (uint8_t)(0xff << (8 - rest));
    return ((network->octets[whole] ^ octets[whole]) & mask) == 0;
}

bool
networks_cover(const struct network *networks, size_t count, const char *address)
{
    uint8_t octets[16];

    if (!read_address(address, octets))
        return false;
    for (size_t i = 0; i < count; i++)
        if (covers(&networks[i], octets))
            return true;
    return false;
}

bool
network_is_v4(const struct network *network)
{
    return network->bits >= V4_PREFIX_BITS && memcmp(network->octets, v4_prefix, sizeof v4_prefix) == 0;
}

const char *
network_text(struct arena *arena, const char *address)
{
    struct network network;

    if (!network_read(address, &network) || network_is_v4(&network))
        return address;
    return arena_format(arena, "%s/64", bytes_hex(arena, BYTES(network.octets, 8), 0));
}
