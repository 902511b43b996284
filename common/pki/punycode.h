/* Punycode (RFC 3492), as far as it says whether an A-label is one. */
#ifndef SIGNET_PKI_PUNYCODE_H
#define SIGNET_PKI_PUNYCODE_H

#include <stdbool.h>
#include <stddef.h>

/* `encoded` is what follows "xn--", in lower case: decodes to Unicode with at least one character beyond ASCII. */
bool punycode_is_valid(const char *encoded, size_t len);

#endif
