/* Networks in CIDR notation: which clients a profile is for. */
#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"
#include "scep.h"

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
    size_t len = strcspn(text, "/");
    char host[INET6_ADDRSTRLEN];
    struct network network;
    int64_t bits = 0;

    if (len >= sizeof host)
        return false;
    memcpy(host, text, len);
    host[len] = '\0';
    bool is_v4 = strchr(host, ':') == NULL;
    int most = is_v4 ? 32 : 128;
    if (!read_address(host, network.octets) || (text[len] == '/' && !text_parse_number(text + len + 1, 0, most, &bits)))
        return false;
    network.bits = (text[len] == '/' ? (int)bits : most) + (is_v4 ? V4_PREFIX_BITS : 0);
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
    return rest == 0 || ((network->octets[whole] ^ octets[whole]) & (uint8_t)(0xff << (8 - rest))) == 0;
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
