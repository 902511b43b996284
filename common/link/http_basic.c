/* Strangers' octets: what comes before any client is known. */
#include "link/http_basic.h"

#include <string.h>
#include <strings.h>

#include "base/base64.h"

#define SCHEME "Basic "

bool
http_basic_read(struct arena *arena, const char *header, struct bytes *ret_user, struct bytes *ret_password)
{
    struct bytes pair;

    /* RFC 9110 §11.1: a scheme in any case. */
    if (header == NULL || strlen(header) > HTTP_BASIC_MAX || strncasecmp(header, SCHEME, strlen(SCHEME)) != 0)
        return false;
    if (!base64_decode(arena, bytes_of_text(header + strlen(SCHEME)), &pair) || pair.len == 0)
        return false;
    /* RFC 7617 §2: the user has no colon in his name. */
    const uint8_t *colon = memchr(pair.at, ':', pair.len);
    if (colon == NULL)
        return false;
    *ret_user = BYTES(pair.at, (size_t)(colon - pair.at));
    *ret_password = BYTES(colon + 1, pair.len - ret_user->len - 1);
    return true;
}
