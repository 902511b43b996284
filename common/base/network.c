/* Addresses and networks: the inside of every list of networks in settings, profiles and policies, and of what the validator may dial. */
#include "base/network.h"

#include <arpa/inet.h>
#include <string.h>

#include "base/text.h"

#define V4_PREFIX_BITS (ADDRESS_V4_AT * 8)

static const uint8_t v4_prefix[ADDRESS_V4_AT] = {[10] = 0xff, [11] = 0xff};

bool
address_parse(const char *text, struct address *ret_address)
{
    struct address address;

    if (inet_pton(AF_INET, text, address.octets + ADDRESS_V4_AT) == 1)
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
    (void)inet_ntop(v4 ? AF_INET : AF_INET6, address->octets + (v4 ? ADDRESS_V4_AT : 0), ret_text, ADDRESS_TEXT_MAX);
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
covers(const struct network *network, const struct address *address)
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

bool
networks_cover(const struct network *networks, size_t count, const struct address *address)
{
    for (size_t i = 0; i < count; i++)
        if (covers(&networks[i], address))
            return true;
    return false;
}

bool
networks_cover_text(const struct network *networks, size_t count, const char *address)
{
    struct address parsed;

    return address_parse(address, &parsed) && networks_cover(networks, count, &parsed);
}
