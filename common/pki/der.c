/*
 * The reading half of DER: everything from outside (CSRs, certificates, OCSP requests) is walked with these. They move forward only,
 * look at nothing beyond the span they were given, and either take a whole well-formed value or leave the place untouched.
 */
#include "pki/der.h"

#include <assert.h>

#include "base/clock.h"

#define LENGTH_OCTETS_MAX 4
#define HIGH_TAG_NUMBER 0x1f
#define CONSTRUCTED 0x20

/* Where the content of the next value begins and ends. */
struct header {
    unsigned tag;
    size_t content_at, content_len;
};

static bool
read_length(const struct der *in, struct header *header)
{
    uint8_t first = in->at[1];

    if (first < 0x80) {
        header->content_at = 2;
        header->content_len = first;
        return true;
    }
    /* 0x80 is the indefinite form. */
    size_t octets = first & 0x7f;
    if (octets == 0 || octets > LENGTH_OCTETS_MAX || in->len < 2 + octets || in->at[2] == 0)
        return false;
    size_t len = 0;
    for (size_t i = 0; i < octets; i++)
        len = len << 8 | in->at[2 + i];
    if (len < 0x80)
        return false;
    header->content_at = 2 + octets;
    header->content_len = len;
    return true;
}

static bool
read_header(const struct der *in, struct header *ret_header)
{
    struct header header;

    if (in->len < 2 || in->at[0] == 0 || (in->at[0] & HIGH_TAG_NUMBER) == HIGH_TAG_NUMBER)
        return false;
    header.tag = in->at[0];
    if (!read_length(in, &header) || in->len - header.content_at < header.content_len)
        return false;
    *ret_header = header;
    return true;
}

static void
advance(struct der *in, const struct header *over)
{
    in->at += over->content_at + over->content_len;
    in->len -= over->content_at + over->content_len;
}

struct der
der_of(struct bytes from)
{
    return (struct der){from.at, from.len};
}

bool
der_at_end(const struct der *in)
{
    return in->len == 0;
}

unsigned
der_peek(const struct der *in)
{
    return in->len == 0 ? 0 : in->at[0];
}

bool
der_take(struct der *in, unsigned tag, struct bytes *ret_content)
{
    struct header header;

    if (!read_header(in, &header) || header.tag != tag)
        return false;
    *ret_content = BYTES(in->at + header.content_at, header.content_len);
    advance(in, &header);
    return true;
}

bool
der_enter(struct der *in, unsigned tag, struct der *ret_inside)
{
    struct bytes content;

    assert(tag & CONSTRUCTED);
    if (!der_take(in, tag, &content))
        return false;
    *ret_inside = der_of(content);
    return true;
}

bool
der_take_whole(struct der *in, unsigned *ret_tag, struct bytes *ret_whole)
{
    struct header header;

    if (!read_header(in, &header))
        return false;
    if (ret_tag != NULL)
        *ret_tag = header.tag;
    *ret_whole = BYTES(in->at, header.content_at + header.content_len);
    advance(in, &header);
    return true;
}

bool
der_skip(struct der *in)
{
    struct bytes whole;

    return der_take_whole(in, NULL, &whole);
}

/* X.690 §11.1: TRUE is all ones. */
bool
der_take_bool(struct der *in, bool *ret_value)
{
    struct der rest = *in;
    struct bytes content;

    if (!der_take(&rest, DER_BOOLEAN, &content) || content.len != 1 || (content.at[0] != 0 && content.at[0] != 0xff))
        return false;
    *ret_value = content.at[0] != 0;
    *in = rest;
    return true;
}

/* X.690 §8.3.2: the first nine bits are neither all zeros nor all ones. */
static bool
take_minimal_integer(struct der *in, struct bytes *ret_content)
{
    struct bytes content;

    if (!der_take(in, DER_INTEGER, &content) || content.len == 0)
        return false;
    if (content.len > 1 && ((content.at[0] == 0 && content.at[1] < 0x80) || (content.at[0] == 0xff && content.at[1] >= 0x80)))
        return false;
    *ret_content = content;
    return true;
}

bool
der_take_int(struct der *in, int64_t *ret_value)
{
    struct der rest = *in;
    struct bytes content;

    if (!take_minimal_integer(&rest, &content) || content.len > sizeof *ret_value)
        return false;
    uint64_t value = content.at[0] >= 0x80 ? UINT64_MAX : 0;
    for (size_t i = 0; i < content.len; i++)
        value = value << 8 | content.at[i];
    *ret_value = (int64_t)value;
    *in = rest;
    return true;
}

bool
der_take_unsigned(struct der *in, struct bytes *ret_magnitude)
{
    struct der rest = *in;
    struct bytes content;

    if (!take_minimal_integer(&rest, &content) || content.at[0] >= 0x80)
        return false;
    size_t sign_octet = content.len > 1 && content.at[0] == 0 ? 1 : 0;
    *ret_magnitude = BYTES(content.at + sign_octet, content.len - sign_octet);
    *in = rest;
    return true;
}

static bool
take_digits(const uint8_t **at, int count, int *ret_number)
{
    int number = 0;

    for (; count > 0; count--, (*at)++) {
        if (**at < '0' || **at > '9')
            return false;
        number = number * 10 + (**at - '0');
    }
    *ret_number = number;
    return true;
}

static bool
read_time(struct bytes text, int year_digits, int64_t *ret_unix_s)
{
    const uint8_t *at = text.at;
    struct clock_date date;

    if (text.len != (size_t)year_digits + 11)
        return false;
    if (!take_digits(&at, year_digits, &date.year) || !take_digits(&at, 2, &date.month) || !take_digits(&at, 2, &date.day) ||
        !take_digits(&at, 2, &date.hour) || !take_digits(&at, 2, &date.minute) || !take_digits(&at, 2, &date.second) || *at != 'Z')
        return false;
    /* RFC 5280 §4.1.2.5.1: two digits below 50 are of this century. */
    if (year_digits == 2)
        date.year += date.year >= 50 ? 1900 : 2000;
    return date.year >= 1 && clock_of_date(&date, ret_unix_s);
}

bool
der_take_time(struct der *in, int64_t *ret_unix_s)
{
    struct der rest = *in;
    struct bytes text;
    int year_digits = der_peek(in) == DER_UTC_TIME ? 2 : 4;

    if (!der_take(&rest, year_digits == 2 ? DER_UTC_TIME : DER_GENERALIZED_TIME, &text) || !read_time(text, year_digits, ret_unix_s))
        return false;
    *in = rest;
    return true;
}

bool
der_take_bits(struct der *in, struct bytes *ret_octets)
{
    struct der rest = *in;
    struct bytes content;

    if (!der_take(&rest, DER_BIT_STRING, &content) || content.len == 0 || content.at[0] != 0)
        return false;
    *ret_octets = BYTES(content.at + 1, content.len - 1);
    *in = rest;
    return true;
}

bool
der_take_oid(struct der *in, struct bytes *ret_oid)
{
    struct der rest = *in;
    struct bytes oid;

    if (!der_take(&rest, DER_OID, &oid) || oid.len == 0 || oid.at[oid.len - 1] >= 0x80)
        return false;
    for (size_t i = 0; i < oid.len; i++)
        if (oid.at[i] == 0x80 && (i == 0 || oid.at[i - 1] < 0x80))
            return false;
    *ret_oid = oid;
    *in = rest;
    return true;
}

bool
der_is_one_value(struct bytes whole)
{
    struct der in = der_of(whole);

    return der_skip(&in) && der_at_end(&in);
}
