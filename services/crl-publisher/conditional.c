/* What a client says that it has already: If-None-Match and If-Modified-Since. Called from answer.c; texts of strangers, read in place. */
#include <string.h>
#include <time.h>

#include "base/text.h"
#include "crl_publisher.h"

static const char *
skip_to_tag(const char *at)
{
    at += strspn(at, " \t,");
    /* RFC 9110 §13.1.2: the weak comparison. */
    return text_starts_with(at, "W/") ? at + 2 : at;
}

bool
etag_list_has(const char *if_none_match, const char *etag)
{
    size_t len = strlen(etag);
    const char *at = skip_to_tag(if_none_match);

    if (text_equal(if_none_match, "*"))
        return true;
    while (*at == '"') {
        const char *end = strchr(at + 1, '"');
        if (end == NULL)
            return false;
        if ((size_t)(end + 1 - at) == len && memcmp(at, etag, len) == 0)
            return true;
        at = skip_to_tag(end + 1);
    }
    return false;
}

bool
http_date_parse(const char *text, int64_t *ret_unix_s)
{
    static const char *const forms[] = {"%a, %d %b %Y %H:%M:%S GMT", "%A, %d-%b-%y %H:%M:%S GMT", "%a %b %e %H:%M:%S %Y"};
    size_t i;

    for (i = 0; i < sizeof(forms) / sizeof(forms[0]); i++) {
        struct tm tm = {0};
        const char *end = strptime(text, forms[i], &tm);
        if (end == NULL || *end != '\0')
            continue;
        *ret_unix_s = (int64_t)timegm(&tm);
        return true;
    }
    return false;
}
