/* The text of a stranger's web server against the text that was to be there (RFC 8555 §8.3). What is shown of it to the client is made harmless. */
#include "validator.h"

#include <string.h>

static struct bytes
without_trailing_space(struct bytes text)
{
    while (text.len > 0 && strchr(" \t\r\n", text.at[text.len - 1]) != NULL && text.at[text.len - 1] != '\0')
        text.len--;
    return text;
}

enum error
http_01_body_check(struct request *rq, const char *where, struct bytes body, bool truncated, const char *key_authorization)
{
    struct bytes text = without_trailing_space(body);

    if (truncated || text.len > BODY_MAX)
        return found(rq, "incorrectResponse", "%s: the text there is longer than %d octets; it begins with \"%s\"", where, BODY_MAX,
                     harmless(rq->arena, text));
    if (!bytes_equal(text, bytes_of_text(key_authorization)))
        return found(rq, "incorrectResponse", "%s: the key authorization \"%s\" was expected, \"%s\" was found", where, key_authorization,
                     harmless(rq->arena, text));
    return OK;
}
