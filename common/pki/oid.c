/*
 * The object identifiers that the suite knows, as content octets, and the way between octets, names and dotted text. The octets are written
 * out, so that the table is read-only data that nobody has to initialise; the unit test holds each against its dotted form in oid.h.
 */
#include "pki/oid.h"

#include "base/text.h"

#define OID_OCTETS_MAX 128

#define OID(name, ...)                                    \
    static const uint8_t octets_##name[] = {__VA_ARGS__}; \
    const struct bytes OID_##name = {octets_##name, sizeof octets_##name}

OID(COMMON_NAME, 0x55, 0x04, 0x03);
OID(SURNAME, 0x55, 0x04, 0x04);
OID(SERIAL_NUMBER, 0x55, 0x04, 0x05);
OID(COUNTRY, 0x55, 0x04, 0x06);
OID(LOCALITY, 0x55, 0x04, 0x07);
OID(STATE, 0x55, 0x04, 0x08);
OID(STREET, 0x55, 0x04, 0x09);
OID(ORGANIZATION, 0x55, 0x04, 0x0a);
OID(ORGANIZATIONAL_UNIT, 0x55, 0x04, 0x0b);
OID(TITLE, 0x55, 0x04, 0x0c);
OID(GIVEN_NAME, 0x55, 0x04, 0x2a);
OID(DOMAIN_COMPONENT, 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x19);
OID(USER_ID, 0x09, 0x92, 0x26, 0x89, 0x93, 0xf2, 0x2c, 0x64, 0x01, 0x01);
OID(EMAIL_ADDRESS, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x01);
OID(EXTENSION_REQUEST, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x0e);
OID(CHALLENGE_PASSWORD, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x09, 0x07);
OID(SUBJECT_KEY_IDENTIFIER, 0x55, 0x1d, 0x0e);
OID(KEY_USAGE, 0x55, 0x1d, 0x0f);
OID(SUBJECT_ALT_NAME, 0x55, 0x1d, 0x11);
OID(BASIC_CONSTRAINTS, 0x55, 0x1d, 0x13);
OID(CRL_NUMBER, 0x55, 0x1d, 0x14);
OID(CRL_REASON, 0x55, 0x1d, 0x15);
OID(INVALIDITY_DATE, 0x55, 0x1d, 0x18);
OID(ISSUING_DISTRIBUTION_POINT, 0x55, 0x1d, 0x1c);
OID(NAME_CONSTRAINTS, 0x55, 0x1d, 0x1e);
OID(CRL_DISTRIBUTION_POINTS, 0x55, 0x1d, 0x1f);
OID(CERTIFICATE_POLICIES, 0x55, 0x1d, 0x20);
OID(AUTHORITY_KEY_IDENTIFIER, 0x55, 0x1d, 0x23);
OID(EXTENDED_KEY_USAGE, 0x55, 0x1d, 0x25);
OID(AUTHORITY_INFO_ACCESS, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x01);
OID(TLS_FEATURE, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x18);
OID(AD_OCSP, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01);
OID(AD_CA_ISSUERS, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x02);
OID(OCSP_BASIC, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x01);
OID(OCSP_NONCE, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x02);
OID(OCSP_NOCHECK, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x30, 0x01, 0x05);
OID(SERVER_AUTH, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x01);
OID(CLIENT_AUTH, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x02);
OID(CODE_SIGNING, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x03);
OID(EMAIL_PROTECTION, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x04);
OID(TIME_STAMPING, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x08);
OID(OCSP_SIGNING, 0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x03, 0x09);
OID(RSA_ENCRYPTION, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01);
OID(SHA256_WITH_RSA, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0b);
OID(SHA384_WITH_RSA, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0c);
OID(SHA512_WITH_RSA, 0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x0d);
OID(EC_PUBLIC_KEY, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x02, 0x01);
OID(ECDSA_WITH_SHA256, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x02);
OID(ECDSA_WITH_SHA384, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x03);
OID(ECDSA_WITH_SHA512, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x04, 0x03, 0x04);
OID(P256, 0x2a, 0x86, 0x48, 0xce, 0x3d, 0x03, 0x01, 0x07);
OID(P384, 0x2b, 0x81, 0x04, 0x00, 0x22);
OID(P521, 0x2b, 0x81, 0x04, 0x00, 0x23);
OID(ED25519, 0x2b, 0x65, 0x70);
OID(SHA1, 0x2b, 0x0e, 0x03, 0x02, 0x1a);
OID(SHA256, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x01);
OID(SHA384, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x02);
OID(SHA512, 0x60, 0x86, 0x48, 0x01, 0x65, 0x03, 0x04, 0x02, 0x03);

struct known {
    const uint8_t *octets;
    size_t len;
    const char *name;
};

#define KNOWN(name, dotted, text) {octets_##name, sizeof octets_##name, text},
static const struct known known_oids[] = {OID_LIST(KNOWN)};
#undef KNOWN
#define KNOWN_COUNT (sizeof known_oids / sizeof known_oids[0])

bool
oid_is(struct bytes oid, struct bytes known)
{
    return bytes_equal(oid, known);
}

/* Base 128, most significant first, the high bit says that more follows (X.690 §8.19). */
static bool
take_arc(struct bytes *oid, uint64_t *ret_arc)
{
    uint64_t arc = 0;

    for (size_t i = 0; i < oid->len; i++) {
        if (arc >> 57 != 0)
            return false;
        arc = arc << 7 | (oid->at[i] & 0x7f);
        if ((oid->at[i] & 0x80) != 0)
            continue;
        *oid = BYTES(oid->at + i + 1, oid->len - i - 1);
        *ret_arc = arc;
        return true;
    }
    return false;
}

/* An OID with arcs that no number holds (2.25 with a UUID) is shown by its octets. */
static const char *
format_dotted(struct arena *arena, struct bytes oid)
{
    struct bytes rest = oid;
    struct buffer text = buffer_in(arena);
    uint64_t arc;

    if (!take_arc(&rest, &arc))
        return arena_format(arena, "oid:%s", bytes_hex(arena, oid, 0));
    uint64_t first = arc < 80 ? arc / 40 : 2;
    buffer_append_format(&text, "%llu.%llu", (unsigned long long)first, (unsigned long long)(arc - first * 40));
    while (rest.len > 0) {
        if (!take_arc(&rest, &arc))
            return arena_format(arena, "oid:%s", bytes_hex(arena, oid, 0));
        buffer_append_format(&text, ".%llu", (unsigned long long)arc);
    }
    return buffer_text(&text);
}

const char *
oid_name(struct arena *arena, struct bytes oid)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++)
        if (oid_is(oid, BYTES(known_oids[i].octets, known_oids[i].len)))
            return known_oids[i].name;
    return format_dotted(arena, oid);
}

static void
put_arc(struct buffer *octets, uint64_t arc)
{
    uint8_t digits[10];
    size_t first = sizeof digits - 1;

    digits[first] = arc & 0x7f;
    while ((arc >>= 7) != 0)
        digits[--first] = (uint8_t)(0x80 | (arc & 0x7f));
    buffer_append(octets, digits + first, sizeof digits - first);
}

/* One decimal number without leading zeros, and the dot behind it if there is one. */
static bool
parse_arc(const char **at, uint64_t *ret_arc)
{
    const char *start = *at;
    uint64_t arc = 0;

    for (; **at >= '0' && **at <= '9'; (*at)++) {
        if (arc > UINT32_MAX)
            return false;
        arc = arc * 10 + (uint64_t)(**at - '0');
    }
    if (*at == start || (*start == '0' && *at > start + 1))
        return false;
    if (**at == '.') {
        (*at)++;
        if (**at == '\0')
            return false;
    }
    *ret_arc = arc;
    return **at == '\0' || (*at)[-1] == '.';
}

static bool
parse_dotted(struct arena *arena, const char *text, struct bytes *ret_oid)
{
    struct buffer octets = buffer_in(arena);
    uint64_t first, second, arc;

    if (!parse_arc(&text, &first) || *text == '\0' || !parse_arc(&text, &second) || first > 2 || (first < 2 && second > 39))
        return false;
    put_arc(&octets, first * 40 + second);
    while (*text != '\0') {
        if (!parse_arc(&text, &arc) || octets.len > OID_OCTETS_MAX)
            return false;
        put_arc(&octets, arc);
    }
    *ret_oid = buffer_bytes(&octets);
    return true;
}

bool
oid_parse(struct arena *arena, const char *name, struct bytes *ret_oid)
{
    for (size_t i = 0; i < KNOWN_COUNT; i++) {
        if (text_equal_nocase(known_oids[i].name, name)) {
            *ret_oid = BYTES(known_oids[i].octets, known_oids[i].len);
            return true;
        }
    }
    return parse_dotted(arena, name, ret_oid);
}
