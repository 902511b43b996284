/* Base64 in its two alphabets. The strict form is for JOSE, where one value must have one spelling; the others for what people and old clients send.
 */
#include "base/base64.h"

#include <assert.h>

static const char standard_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
static const char url_digits[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum accepts { STANDARD_ALPHABET = 1, URL_ALPHABET = 2, PADDING = 4, WHITE_SPACE = 8 };

static char *
encode(struct arena *arena, struct bytes from, const char *digits, bool padded)
{
    assert(from.len < SIZE_MAX / 2);
    char *text = arena_alloc(arena, (from.len + 2) / 3 * 4 + 1);
    char *to = text;
    size_t i = 0;

    for (; from.len - i >= 3; i += 3) {
        uint32_t group = (uint32_t)from.at[i] << 16 | (uint32_t)from.at[i + 1] << 8 | from.at[i + 2];
        *to++ = digits[group >> 18];
        *to++ = digits[group >> 12 & 63];
        *to++ = digits[group >> 6 & 63];
        *to++ = digits[group & 63];
    }
    size_t left = from.len - i;
    if (left == 0)
        return text;
    uint32_t group = (uint32_t)from.at[i] << 16 | (left == 2 ? (uint32_t)from.at[i + 1] << 8 : 0);
    *to++ = digits[group >> 18];
    *to++ = digits[group >> 12 & 63];
    if (left == 2)
        *to++ = digits[group >> 6 & 63];
    for (size_t pads = left; padded && pads < 3; pads++)
        *to++ = '=';
    return text;
}

/* One more than the value of a digit of either alphabet. */
/* clang-format off */
static const uint8_t digit_values[256] = {
    ['A'] = 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24, 25, 26,
    ['a'] = 27, 28, 29, 30, 31, 32, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 49, 50, 51, 52,
    ['0'] = 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
    ['+'] = 63, ['/'] = 64, ['-'] = 63, ['_'] = 64,
};
/* clang-format on */

/* By a table: what strangers send is as good as random to a chain of comparisons, which then costs three times as much. */
static int
digit_value(uint8_t digit, unsigned accepts)
{
    int value = digit_values[digit] - 1;

    if (value < 62)
        return value;
    bool is_standard = digit == '+' || digit == '/';
    return (accepts & (is_standard ? STANDARD_ALPHABET : URL_ALPHABET)) != 0 ? value : -1;
}

static bool
is_white_space(uint8_t character)
{
    return character == ' ' || character == '\t' || character == '\r' || character == '\n';
}

static bool
decode(struct arena *arena, struct bytes text, unsigned accepts, struct bytes *ret_bytes)
{
    uint8_t *octets = arena_alloc(arena, text.len / 4 * 3 + 3);
    size_t len = 0, digits = 0, pads = 0;
    uint32_t bits = 0;

    for (size_t i = 0; i < text.len; i++) {
        uint8_t at = text.at[i];
        if ((accepts & WHITE_SPACE) && is_white_space(at))
            continue;
        if ((accepts & PADDING) && at == '=') {
            pads++;
            continue;
        }
        int value = digit_value(at, accepts);
        if (value < 0 || pads > 0)
            return false;
        bits = bits << 6 | (uint32_t)value;
        digits++;
        if (digits % 4 != 1)
            octets[len++] = (uint8_t)(bits >> (2 * (3 - (digits + 3) % 4)));
    }
    /* Padding, where there is some, fills the last group; a single digit left over holds no octet; bits that nobody reads are zero. */
    size_t over = digits % 4;
    if (over == 1 || (pads > 0 && (over == 0 || over + pads != 4)))
        return false;
    if ((over == 2 && (bits & 15) != 0) || (over == 3 && (bits & 3) != 0))
        return false;
    *ret_bytes = BYTES(octets, len);
    return true;
}

char *
base64_encode(struct arena *arena, struct bytes from)
{
    return encode(arena, from, standard_digits, true);
}

bool
base64_decode(struct arena *arena, struct bytes text, struct bytes *ret_bytes)
{
    return decode(arena, text, STANDARD_ALPHABET | PADDING | WHITE_SPACE, ret_bytes);
}

char *
base64url_encode(struct arena *arena, struct bytes from)
{
    return encode(arena, from, url_digits, false);
}

bool
base64url_decode(struct arena *arena, struct bytes text, struct bytes *ret_bytes)
{
    return decode(arena, text, URL_ALPHABET, ret_bytes);
}

bool
base64url_decode_lenient(struct arena *arena, struct bytes text, struct bytes *ret_bytes)
{
    return decode(arena, text, URL_ALPHABET | STANDARD_ALPHABET | PADDING, ret_bytes);
}
