/* Decodes an A-label without keeping the result: identifier.c refuses names that no resolver could show (RFC 5890 §2.3.2.1). */
#include "pki/punycode.h"

#include <stdint.h>

enum { BASE = 36, T_MIN = 1, T_MAX = 26, SKEW = 38, DAMP = 700, INITIAL_BIAS = 72, INITIAL_N = 0x80 };
#define UNICODE_MAX 0x10ffff

static int
digit_value(char digit)
{
    if (digit >= 'a' && digit <= 'z')
        return digit - 'a';
    if (digit >= '0' && digit <= '9')
        return digit - '0' + 26;
    return -1;
}

/* RFC 3492 §6.1 */
static uint32_t
adapt(uint32_t delta, uint32_t points, bool first)
{
    uint32_t k = 0;

    delta = first ? delta / DAMP : delta / 2;
    delta += delta / points;
    for (; delta > (BASE - T_MIN) * T_MAX / 2; k += BASE)
        delta /= BASE - T_MIN;
    return k + (BASE - T_MIN + 1) * delta / (delta + SKEW);
}

/* One generalised variable-length integer (§3.3). */
static bool
take_delta(const char **at, const char *end, uint32_t bias, uint32_t *ret_delta)
{
    uint32_t delta = 0, weight = 1;

    for (uint32_t k = BASE;; k += BASE) {
        int digit = *at == end ? -1 : digit_value(*(*at)++);
        uint32_t product;
        if (digit < 0 || __builtin_mul_overflow((uint32_t)digit, weight, &product) || __builtin_add_overflow(delta, product, &delta))
            return false;
        uint32_t threshold = k <= bias + T_MIN ? T_MIN : k >= bias + T_MAX ? T_MAX : k - bias;
        if ((uint32_t)digit < threshold) {
            *ret_delta = delta;
            return true;
        }
        if (__builtin_mul_overflow(weight, BASE - threshold, &weight))
            return false;
    }
}

static bool
is_character(uint32_t code_point)
{
    return code_point <= UNICODE_MAX && (code_point < 0xd800 || code_point > 0xdfff);
}

bool
punycode_is_valid(const char *encoded, size_t len)
{
    const char *at = encoded, *end = encoded + len;
    uint32_t code_point = INITIAL_N, position = 0, bias = INITIAL_BIAS, points = 0;

    /* The last hyphen divides the ASCII characters from the others. */
    for (size_t i = 0; i < len; i++) {
        if (encoded[i] == '-') {
            points = (uint32_t)i;
            at = encoded + i + 1;
        }
    }
    if (at == end || at == encoded + 1)
        return false;
    for (bool first = true; at < end; first = false) {
        uint32_t delta;
        if (!take_delta(&at, end, bias, &delta) || __builtin_add_overflow(position, delta, &position))
            return false;
        points++;
        bias = adapt(delta, points, first);
        if (__builtin_add_overflow(code_point, position / points, &code_point) || !is_character(code_point))
            return false;
        position = position % points + 1;
    }
    return true;
}
