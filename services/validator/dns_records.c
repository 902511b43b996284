/* What strangers wrote into their DNS records: the inside of TXT (RFC 1035 §3.3.14) and CAA (RFC 8659 §4.1). Pure functions on their octets. */
#include "validator.h"

#include <ctype.h>

#define SHOWN_MAX 100

const char *
harmless(struct arena *arena, struct bytes from)
{
    char *shown = bytes_text(arena, BYTES(from.at, from.len < SHOWN_MAX ? from.len : SHOWN_MAX));

    for (size_t i = 0; i < from.len && i < SHOWN_MAX; i++)
        if (from.at[i] < 0x20 || from.at[i] > 0x7e)
            shown[i] = '?';
    return shown;
}

const char *
shown_text(struct arena *arena, const struct lookup *lookup, struct bytes text)
{
    return lookup->aliased ? "something that is not shown, for an alias led there" : arena_format(arena, "\"%s\"", harmless(arena, text));
}

bool
txt_decode(struct arena *arena, struct bytes data, struct bytes *ret_text)
{
    struct buffer text = buffer_in(arena);

    for (size_t i = 0; i < data.len; i += 1 + (size_t)data.at[i]) {
        size_t len = data.at[i];
        if (len > data.len - i - 1 || text.len + len > TXT_MAX)
            return false;
        buffer_append(&text, data.at + i + 1, len);
    }
    *ret_text = buffer_bytes(&text);
    return data.len > 0;
}

bool
caa_decode(struct bytes data, struct caa *ret_caa)
{
    if (data.len < 2 || data.at[1] == 0 || data.at[1] > data.len - 2)
        return false;
    struct caa caa = {.flags = data.at[0], .tag = BYTES(data.at + 2, data.at[1])};
    for (size_t i = 0; i < caa.tag.len; i++)
        if (caa.tag.at[i] > 0x7e || !isalnum(caa.tag.at[i]))
            return false;
    caa.value = BYTES(caa.tag.at + caa.tag.len, data.len - 2 - caa.tag.len);
    *ret_caa = caa;
    return true;
}
