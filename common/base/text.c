/* Small questions about texts. ASCII rules only, so that no locale ever changes an answer. */
#include "base/text.h"

#include <string.h>

static char
lower(char c)
{
    return c >= 'A' && c <= 'Z' ? (char)(c - 'A' + 'a') : c;
}

bool
text_equal(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    return strcmp(a, b) == 0;
}

bool
text_equal_nocase(const char *a, const char *b)
{
    if (a == NULL || b == NULL)
        return a == b;
    while (*a != '\0' && lower(*a) == lower(*b))
        a++, b++;
    return lower(*a) == lower(*b);
}

bool
text_is_empty(const char *text)
{
    return text == NULL || *text == '\0';
}

bool
text_starts_with(const char *text, const char *prefix)
{
    return text != NULL && prefix != NULL && strncmp(text, prefix, strlen(prefix)) == 0;
}

bool
text_ends_with(const char *text, const char *suffix)
{
    if (text == NULL || suffix == NULL)
        return false;
    size_t len = strlen(text), suffix_len = strlen(suffix);
    return len >= suffix_len && strcmp(text + len - suffix_len, suffix) == 0;
}

char *
text_lower(struct arena *arena, const char *text)
{
    char *copy = arena_text(arena, text == NULL ? "" : text);

    for (char *at = copy; *at != '\0'; at++)
        *at = lower(*at);
    return copy;
}

/* RFC 3629 §4: no overlong form, no surrogate, nothing beyond U+10FFFF. */
size_t
text_utf8_length(struct bytes text)
{
    if (text.len == 0)
        return 0;
    const uint8_t *at = text.at;
    uint8_t first = at[0];
    if (first < 0x80)
        return 1;
    size_t len = first >= 0xf0 ? 4 : first >= 0xe0 ? 3 : 2;
    if (first < 0xc2 || first > 0xf4 || text.len < len)
        return 0;
    for (size_t i = 1; i < len; i++)
        if ((at[i] & 0xc0) != 0x80)
            return 0;
    bool overlong = (first == 0xe0 && at[1] < 0xa0) || (first == 0xf0 && at[1] < 0x90);
    bool surrogate = first == 0xed && at[1] > 0x9f;
    bool beyond = first == 0xf4 && at[1] > 0x8f;
    return overlong || surrogate || beyond ? 0 : len;
}

bool
text_is_utf8(struct bytes text)
{
    for (size_t i = 0; i < text.len;) {
        size_t len = text_utf8_length(BYTES(text.at + i, text.len - i));
        if (len == 0 || text.at[i] == '\0')
            return false;
        i += len;
    }
    return true;
}

char *
text_cut(struct arena *arena, const char *text, size_t most)
{
    size_t len = strlen(text);

    if (len > most)
        for (len = most; len > 0 && ((unsigned char)text[len] & 0xc0) == 0x80;)
            len--;
    return arena_text_n(arena, text, len);
}

bool
text_is_printable_ascii(struct bytes text)
{
    for (size_t i = 0; i < text.len; i++)
        if (text.at[i] < 0x20 || text.at[i] > 0x7e)
            return false;
    return true;
}

/* Only the last '*' is ever tried again: an earlier one has already matched as little as it can, so at most pattern × text steps. */
bool
text_matches(const char *pattern, const char *text)
{
    if (pattern == NULL || text == NULL)
        return false;
    const char *after_star = NULL, *retry = NULL;

    while (*text != '\0') {
        if (*pattern == '*') {
            after_star = ++pattern;
            retry = text;
        } else if (lower(*pattern) == lower(*text)) {
            pattern++, text++;
        } else if (after_star != NULL) {
            pattern = after_star;
            text = ++retry;
        } else {
            return false;
        }
    }
    while (*pattern == '*')
        pattern++;
    return *pattern == '\0';
}

bool
text_parse_number(const char *text, int64_t least, int64_t most, int64_t *ret_number)
{
    if (text == NULL)
        return false;
    bool negative = *text == '-';
    const char *at = text + negative;
    int64_t number = 0;

    if (*at == '\0')
        return false;
    for (; *at != '\0'; at++) {
        if (*at < '0' || *at > '9')
            return false;
        int digit = *at - '0';
        if (__builtin_mul_overflow(number, 10, &number) || __builtin_add_overflow(number, negative ? -digit : digit, &number))
            return false;
    }
    if (number < least || number > most)
        return false;
    *ret_number = number;
    return true;
}

static bool
is_blank(char c)
{
    return c == ' ' || c == '\t';
}

char **
text_split(struct arena *arena, const char *text, char separator, size_t *ret_count)
{
    const char *all = text == NULL ? "" : text;
    size_t most = 1, count = 0;

    for (const char *at = all; *at != '\0'; at++)
        most += *at == separator;
    char **parts = arena_array(arena, most + 1, sizeof *parts);
    for (const char *from = all;;) {
        const char *to = from;
        while (*to != '\0' && *to != separator)
            to++;
        const char *end = to;
        while (from < end && is_blank(*from))
            from++;
        while (end > from && is_blank(end[-1]))
            end--;
        if (end > from)
            parts[count++] = arena_text_n(arena, from, (size_t)(end - from));
        if (*to == '\0')
            break;
        from = to + 1;
    }
    *ret_count = count;
    return parts;
}

uint64_t
text_hash(const char *text)
{
    return bytes_hash(bytes_of_text(text));
}
