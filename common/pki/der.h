/*
 * A bounded DER reader and a DER writer (X.690), for the shapes that PKI uses: definite lengths, one-octet tags.
 *
 * The reader walks a span and never copies. It refuses indefinite and non-minimal lengths, so what it accepts has one encoding.
 *
 *     struct der tbs, serial;
 *     if (!der_enter(&certificate, DER_SEQUENCE, &tbs) || !der_take(&tbs, DER_INTEGER, &serial)) return malformed(rq);
 *
 * The writer appends to a buffer in an arena; a constructed value is opened and closed, its length is put in on closing.
 *
 *     size_t mark = der_open(out, DER_SEQUENCE);
 *     der_put_oid(out, OID_COMMON_NAME);
 *     der_put(out, DER_UTF8_STRING, bytes_of_text(name));
 *     der_close(out, mark);
 */
#ifndef SIGNET_PKI_DER_H
#define SIGNET_PKI_DER_H

#include <stdbool.h>

#include "base/bytes.h"

enum {
    DER_BOOLEAN = 0x01,
    DER_INTEGER = 0x02,
    DER_BIT_STRING = 0x03,
    DER_OCTET_STRING = 0x04,
    DER_NULL = 0x05,
    DER_OID = 0x06,
    DER_ENUMERATED = 0x0a,
    DER_UTF8_STRING = 0x0c,
    DER_SEQUENCE = 0x30,
    DER_SET = 0x31,
    DER_PRINTABLE_STRING = 0x13,
    DER_IA5_STRING = 0x16,
    DER_UTC_TIME = 0x17,
    DER_GENERALIZED_TIME = 0x18,
};
#define DER_CONTEXT(n) (0x80 | (n))             /* [n] IMPLICIT primitive */
#define DER_CONTEXT_CONSTRUCTED(n) (0xa0 | (n)) /* [n] EXPLICIT, or IMPLICIT constructed */

/* A place in a DER text: what is left to read. */
struct der {
    const uint8_t *at;
    size_t len;
};

struct der der_of(struct bytes from);
bool der_at_end(const struct der *in);
/* The next tag, or 0 at the end. */
unsigned der_peek(const struct der *in);
/* Takes one value with this tag; the content. */
bool der_take(struct der *in, unsigned tag, struct bytes *ret_content);
/* The same, to be walked. */
bool der_enter(struct der *in, unsigned tag, struct der *ret_inside);
/* Takes one value of any tag, whole (tag, length and content). `ret_tag` may be NULL. */
bool der_take_whole(struct der *in, unsigned *ret_tag, struct bytes *ret_whole);
bool der_skip(struct der *in);
/* BOOLEAN, small INTEGER, and times; false when malformed or out of range. */
bool der_take_bool(struct der *in, bool *ret_value);
bool der_take_int(struct der *in, int64_t *ret_value);
/* INTEGER without sign octet, as for serial numbers; false when negative. */
bool der_take_unsigned(struct der *in, struct bytes *ret_magnitude);
/* UTCTime or GeneralizedTime in the forms that RFC 5280 §4.1.2.5 allows. */
bool der_take_time(struct der *in, int64_t *ret_unix_s);
/* BIT STRING of whole octets. */
bool der_take_bits(struct der *in, struct bytes *ret_octets);
/* OBJECT IDENTIFIER: its content octets, which are not empty and whose arcs are whole and minimal (X.690 §8.19.2). */
bool der_take_oid(struct der *in, struct bytes *ret_oid);
/* True when exactly one well-formed value fills `whole` to the last octet. */
bool der_is_one_value(struct bytes whole);

size_t der_open(struct buffer *out, unsigned tag);
void der_close(struct buffer *out, size_t mark);
void der_put(struct buffer *out, unsigned tag, struct bytes content);
/* Something that is DER already. */
void der_put_whole(struct buffer *out, struct bytes whole);
/* The elements of a SET OF, which are DER already, in their order (X.690 §11.6); sorts `elements`. */
void der_put_sorted(struct buffer *out, struct bytes *elements, size_t count);
void der_put_bool(struct buffer *out, bool value);
void der_put_int(struct buffer *out, int64_t value);
/* A magnitude, big-endian; the sign octet is added where it is needed. */
void der_put_unsigned(struct buffer *out, struct bytes magnitude);
/* Whole octets. */
void der_put_bits(struct buffer *out, struct bytes octets);
/* A named-bit list (KeyUsage): bit 0 is the most significant of the first octet; trailing zero bits are cut (X.690 §11.2.2). */
void der_put_named_bits(struct buffer *out, unsigned bits, int count);
/* Both: of the years 1950 to 9999; whoever takes times from others looks at that first. */
#define DER_TIME_MAX_S INT64_C(253402300799)
/* UTCTime until 2049, GeneralizedTime from 2050 (RFC 5280 §4.1.2.5). */
void der_put_time(struct buffer *out, int64_t unix_s);
/* Always GeneralizedTime (OCSP). */
void der_put_generalized_time(struct buffer *out, int64_t unix_s);
/* OID content octets, from oid.h. */
void der_put_oid(struct buffer *out, struct bytes oid);

#endif
