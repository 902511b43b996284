/*
 * Which route a request is for, and what is inside its path and query. Paths are matched raw: "%2F" is not a slash, so that base64 in an OCSP
 * GET and identifiers of strangers stay one segment (h2o's own matching decodes first and matches prefixes). Pure functions on strangers' bytes.
 */
#include <assert.h>
#include <string.h>

#include "http_internal.h"

/* One segment in braces, from '{' to behind '}'; `ret_rest` for "{name*}". NULL when the pattern has no segment here. */
static const char *
skip_name(const char *pattern, bool *ret_rest)
{
    if (*pattern != '{')
        return NULL;
    const char *end = strchr(pattern, '}');
    assert(end != NULL);
    *ret_rest = end[-1] == '*';
    return end + 1;
}

static size_t
segment_length(struct bytes path)
{
    const uint8_t *slash = memchr(path.at, '/', path.len);
    return slash == NULL ? path.len : (size_t)(slash - path.at);
}

bool
http_path_matches(const char *pattern, struct bytes path, struct bytes ret_params[HTTP_PARAMS_MAX], size_t *ret_param_count)
{
    size_t count = 0;
    bool rest = false;

    while (*pattern != '\0') {
        const char *behind = skip_name(pattern, &rest);
        if (behind == NULL) {
            if (path.len == 0 || (char)path.at[0] != *pattern)
                return false;
            pattern++;
            path = BYTES(path.at + 1, path.len - 1);
            continue;
        }
        size_t len = rest ? path.len : segment_length(path);
        if (len == 0 && !rest)
            return false;
        assert(count < HTTP_PARAMS_MAX);
        ret_params[count++] = BYTES(path.at, len);
        path = BYTES(path.at + len, path.len - len);
        pattern = behind;
    }
    if (path.len != 0)
        return false;
    *ret_param_count = count;
    return true;
}

void
http_target_split(struct bytes target, struct bytes *ret_path, struct bytes *ret_query)
{
    static const char *const schemes[] = {"http://", "https://"};

    /* RFC 9112 §3.2.2: a server accepts the absolute form too. */
    bool is_path = target.len > 0 && target.at[0] == '/';
    for (size_t i = 0; !is_path && i < 2; i++) {
        size_t len = strlen(schemes[i]);
        if (target.len < len || strncasecmp((const char *)target.at, schemes[i], len) != 0)
            continue;
        struct bytes behind = BYTES(target.at + len, target.len - len);
        size_t authority = segment_length(behind);
        target = authority == behind.len ? BYTES("/", 1) : BYTES(behind.at + authority, behind.len - authority);
        break;
    }
    const uint8_t *mark = target.len == 0 ? NULL : memchr(target.at, '?', target.len);
    size_t path_len = mark == NULL ? target.len : (size_t)(mark - target.at);
    *ret_path = BYTES(target.at, path_len);
    *ret_query = mark == NULL ? BYTES("", 0) : BYTES(mark + 1, target.len - path_len - 1);
}

static bool
decode(struct arena *arena, struct bytes raw, bool plus_is_blank, struct bytes *ret_bytes)
{
    uint8_t *to = arena_alloc(arena, raw.len + 1); /* with a NUL behind, so that it may be read as a text */
    size_t len = 0;

    for (size_t i = 0; i < raw.len; i++) {
        int octet = raw.at[i];
        if (octet == '+' && plus_is_blank)
            octet = ' ';
        if (octet == '%') {
            int high = i + 2 < raw.len ? bytes_hex_digit((char)raw.at[i + 1]) : -1;
            int low = i + 2 < raw.len ? bytes_hex_digit((char)raw.at[i + 2]) : -1;
            if (high < 0 || low < 0)
                return false;
            octet = high * 16 + low;
            i += 2;
        }
        if (octet == 0)
            return false;
        to[len++] = (uint8_t)octet;
    }
    *ret_bytes = BYTES(to, len);
    return true;
}

bool
http_percent_decode(struct arena *arena, const char *raw, struct bytes *ret_bytes)
{
    return decode(arena, bytes_of_text(raw), false, ret_bytes);
}

const char *
http_query(struct http_exchange *x, const char *name)
{
    struct bytes wanted = bytes_of_text(name);
    const char *at = x->query;

    while (*at != '\0') {
        size_t len = strcspn(at, "&");
        const char *equals = memchr(at, '=', len);
        size_t name_len = equals == NULL ? len : (size_t)(equals - at);
        struct bytes found, value = BYTES("", 0);
        if (equals != NULL)
            value = BYTES(equals + 1, len - name_len - 1);
        if (decode(x->rq.arena, BYTES(at, name_len), true, &found) && bytes_equal(found, wanted))
            return decode(x->rq.arena, value, true, &value) ? (const char *)value.at : NULL;
        at += len;
        at += *at == '&';
    }
    return NULL;
}
