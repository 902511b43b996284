/* The message of a GET PKIOperation: base64 in a URL, as twenty years of devices write it. Pure functions on strangers' octets. */
#include <string.h>

#include "base/base64.h"
#include "scep.h"

#define NAME "message="

static bool
find_value(const char *query, struct bytes *ret_value)
{
    const char *at = query;

    while (*at != '\0') {
        size_t len = strcspn(at, "&");
        if (len >= strlen(NAME) && strncmp(at, NAME, strlen(NAME)) == 0) {
            *ret_value = BYTES(at + strlen(NAME), len - strlen(NAME));
            return true;
        }
        at += len;
        at += *at == '&';
    }
    return false;
}

/* Escaped ("%2B", "%2F", "%3D", "%0A" of Cisco) or raw (Apple sends '+' and '/' as they are). A blank is a '+' that somebody took for one. */
static bool
unescape(struct arena *arena, struct bytes raw, struct bytes *ret_text)
{
    struct bytes text;

    if (!http_percent_decode(arena, bytes_text(arena, raw), &text))
        return false;
    char *plain = bytes_text(arena, text);
    for (char *at = plain; *at != '\0'; at++)
        if (*at == ' ')
            *at = '+';
    *ret_text = bytes_of_text(plain);
    return true;
}

enum error
get_message_decode(struct request *rq, const char *query, struct bytes *ret_message)
{
    struct bytes raw, text, message;

    if (!find_value(query, &raw))
        return fail(rq, ERR_BAD_REQUEST, "the query has no message");
    if (!unescape(rq->arena, raw, &text) || !base64_decode(rq->arena, text, &message) || message.len == 0)
        return fail(rq, ERR_BAD_REQUEST, "the message of the query is not base64");
    *ret_message = message;
    return OK;
}
