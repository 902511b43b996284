/*
 * The writing half of DER: whatever the suite signs is put together with these. A constructed value gets one octet for its length when it is
 * opened; closing it writes the length there, and moves the content up where one octet is not enough.
 */
#include "pki/der.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SHORT_LENGTH_MAX 0x7f
#define UNTIL_2049_S INT64_C(2524607999) /* 2049-12-31T23:59:59Z */
#define FROM_1950_S INT64_C(-631152000)  /* 1950-01-01T00:00:00Z */

static size_t
octets_of_length(size_t len)
{
    size_t octets = 0;

    for (; len > 0; len >>= 8)
        octets++;
    return octets;
}

static void
put_header(struct buffer *out, unsigned tag, size_t len)
{
    uint8_t header[2 + sizeof len] = {(uint8_t)tag, (uint8_t)len};

    assert(tag > 0 && tag <= UINT8_MAX);
    if (len <= SHORT_LENGTH_MAX) {
        buffer_append(out, header, 2);
        return;
    }
    size_t octets = octets_of_length(len);
    header[1] = (uint8_t)(0x80 | octets);
    for (size_t i = 0; i < octets; i++)
        header[2 + i] = (uint8_t)(len >> 8 * (octets - 1 - i));
    buffer_append(out, header, 2 + octets);
}

size_t
der_open(struct buffer *out, unsigned tag)
{
    put_header(out, tag, 0);
    return out->len;
}

void
der_close(struct buffer *out, size_t mark)
{
    assert(mark >= 2 && mark <= out->len);
    size_t len = out->len - mark;

    if (len <= SHORT_LENGTH_MAX) {
        out->at[mark - 1] = (uint8_t)len;
        return;
    }
    static const uint8_t room[sizeof len];
    size_t octets = octets_of_length(len);
    buffer_append(out, room, octets);
    memmove(out->at + mark + octets, out->at + mark, len);
    out->at[mark - 1] = (uint8_t)(0x80 | octets);
    for (size_t i = 0; i < octets; i++)
        out->at[mark + i] = (uint8_t)(len >> 8 * (octets - 1 - i));
}

void
der_put(struct buffer *out, unsigned tag, struct bytes content)
{
    put_header(out, tag, content.len);
    buffer_append(out, content.at, content.len);
}

void
der_put_whole(struct buffer *out, struct bytes whole)
{
    assert(der_is_one_value(whole));
    buffer_append(out, whole.at, whole.len);
}

static int
compare_octets(const void *one, const void *other)
{
    const struct bytes *a = one, *b = other;
    int order = memcmp(a->at, b->at, a->len < b->len ? a->len : b->len);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

void
der_put_sorted(struct buffer *out, struct bytes *elements, size_t count)
{
    qsort(elements, count, sizeof elements[0], compare_octets);
    for (size_t i = 0; i < count; i++)
        der_put_whole(out, elements[i]);
}

void
der_put_bool(struct buffer *out, bool value)
{
    uint8_t octet = value ? 0xff : 0;

    der_put(out, DER_BOOLEAN, BYTES(&octet, 1));
}

void
der_put_int(struct buffer *out, int64_t value)
{
    uint8_t octets[sizeof value];
    size_t first = 0;

    for (size_t i = 0; i < sizeof octets; i++)
        octets[i] = (uint8_t)((uint64_t)value >> 8 * (sizeof octets - 1 - i));
    while (first < sizeof octets - 1 && ((octets[first] == 0 && octets[first + 1] < 0x80) || (octets[first] == 0xff && octets[first + 1] >= 0x80)))
        first++;
    der_put(out, DER_INTEGER, BYTES(octets + first, sizeof octets - first));
}

void
der_put_unsigned(struct buffer *out, struct bytes magnitude)
{
    static const uint8_t zero = 0;

    while (magnitude.len > 0 && magnitude.at[0] == 0)
        magnitude = BYTES(magnitude.at + 1, magnitude.len - 1);
    bool sign_octet = magnitude.len == 0 || magnitude.at[0] >= 0x80;
    put_header(out, DER_INTEGER, magnitude.len + sign_octet);
    buffer_append(out, &zero, sign_octet);
    buffer_append(out, magnitude.at, magnitude.len);
}

void
der_put_bits(struct buffer *out, struct bytes octets)
{
    static const uint8_t unused_bits = 0;

    put_header(out, DER_BIT_STRING, octets.len + 1);
    buffer_append(out, &unused_bits, 1);
    buffer_append(out, octets.at, octets.len);
}

void
der_put_named_bits(struct buffer *out, unsigned bits, int count)
{
    uint8_t content[1 + sizeof bits] = {0};
    size_t len = 1;

    assert(count > 0 && (size_t)count <= 8 * sizeof bits);
    for (int bit = 0; bit < count; bit++) {
        if ((bits >> bit & 1) == 0)
            continue;
        content[1 + bit / 8] |= (uint8_t)(0x80 >> bit % 8);
        len = 2 + (size_t)bit / 8;
        content[0] = (uint8_t)(7 - bit % 8);
    }
    der_put(out, DER_BIT_STRING, BYTES(content, len));
}

/* "YYYYMMDDHHMMSSZ" */
static void
write_time(int64_t unix_s, char to[15])
{
    assert(unix_s <= DER_TIME_MAX_S && unix_s >= FROM_1950_S);
    struct clock_date date = clock_date_of(unix_s);
    int parts[] = {date.year / 100, date.year % 100, date.month, date.day, date.hour, date.minute, date.second};

    for (size_t i = 0; i < 7; i++) {
        to[2 * i] = (char)('0' + parts[i] / 10);
        to[2 * i + 1] = (char)('0' + parts[i] % 10);
    }
    to[14] = 'Z';
}

void
der_put_time(struct buffer *out, int64_t unix_s)
{
    char text[15];

    write_time(unix_s, text);
    if (unix_s <= UNTIL_2049_S)
        der_put(out, DER_UTC_TIME, BYTES(text + 2, 13));
    else
        der_put(out, DER_GENERALIZED_TIME, BYTES(text, 15));
}

void
der_put_generalized_time(struct buffer *out, int64_t unix_s)
{
    char text[15];

    write_time(unix_s, text);
    der_put(out, DER_GENERALIZED_TIME, BYTES(text, 15));
}

void
der_put_oid(struct buffer *out, struct bytes oid)
{
    der_put(out, DER_OID, oid);
}
