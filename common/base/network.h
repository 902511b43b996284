/*
 * IP addresses and networks in CIDR notation (RFC 4632 §3.1, RFC 4291 §2.3), for rules about who may come and where one may go.
 *
 *     if (!network_parse("10.0.0.0/8", &network))
 *         return fail(rq, ERR_BAD_REQUEST, "not a network");
 *     if (networks_cover_text(&network, 1, peer))
 *
 * IPv4 is kept as IPv4-mapped IPv6 (RFC 4291 §2.5.5.2): one kind of address, so that no rule can be passed by the other spelling. So ::/0 covers
 * IPv4 too, and 0.0.0.0/0 covers no other IPv6.
 *
 * Errors: false, and the result untouched. Names, zones ("fe80::1%lo"), blanks and short forms ("10.1", "010.0.0.1") are not read.
 * Threads: any; everything here is a pure function.
 */
#ifndef SIGNET_BASE_NETWORK_H
#define SIGNET_BASE_NETWORK_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define ADDRESS_TEXT_MAX 46 /* with its NUL */
#define ADDRESS_V4_AT 12    /* where the four octets of IPv4 begin */

struct address {
    uint8_t octets[16];
};

struct network {
    struct address address;
    int bits; /* of all 128 */
};

bool address_parse(const char *text, struct address *ret_address);
bool address_is_v4(const struct address *address);
/* The shortest form; IPv4 as a.b.c.d. */
void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);

/* "10.0.0.0/8", "fd00::/8", or one address. Bits beyond the prefix may be set ("10.1.2.3/8") and mean nothing. After a mapped address the prefix
 * counts all 128 bits: ::ffff:10.0.0.0/104 is 10.0.0.0/8. */
bool network_parse(const char *text, struct network *ret_network);
/* Whether one of them has the address. */
bool networks_cover(const struct network *networks, size_t count, const struct address *address);
/* The same of a text; what is no address is nowhere. */
bool networks_cover_text(const struct network *networks, size_t count, const char *address);

#endif
