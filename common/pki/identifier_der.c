/* subjectAltName between DER and canonical identifiers: read from CSRs and certificates, written into what we sign. */
#include "pki/identifier.h"

#include <arpa/inet.h>
#include <assert.h>
#include <string.h>

#include "base/text.h"

#define IPV4_LEN 4
#define IPV6_LEN 16

/* GeneralName (RFC 5280 §4.2.1.6). */
enum {
    OTHER_NAME = DER_CONTEXT_CONSTRUCTED(0),
    RFC822_NAME = DER_CONTEXT(1),
    DNS_NAME = DER_CONTEXT(2),
    URI_NAME = DER_CONTEXT(6),
    IP_ADDRESS = DER_CONTEXT(7)
};

static enum error
decode_text(struct request *rq, enum identifier_type type, struct bytes content, struct identifier *ret_identifier)
{
    /* A NUL inside would end the text early and certify another name than the one that was checked. */
    if (!text_is_printable_ascii(content))
        return fail(rq, ERR_BAD_NAME, "a %s name in subjectAltName has characters that are not printable ASCII", identifier_type_name(type));
    return identifier_parse(rq, type, bytes_text(rq->arena, content), ret_identifier);
}

static enum error
decode_ip(struct request *rq, struct bytes content, struct identifier *ret_identifier)
{
    char text[INET6_ADDRSTRLEN];

    if (content.len != IPV4_LEN && content.len != IPV6_LEN)
        return fail(rq, ERR_BAD_NAME, "an IP address in subjectAltName has %zu octets instead of 4 or 16", content.len);
    inet_ntop(content.len == IPV4_LEN ? AF_INET : AF_INET6, content.at, text, sizeof text);
    return identifier_parse(rq, IDENTIFIER_IP, text, ret_identifier);
}

static enum error
decode_one(struct request *rq, struct der *names, struct identifier *ret_identifier)
{
    static const char *const other_forms[] = {[3] = "x400Address", [4] = "directoryName", [5] = "ediPartyName", [8] = "registeredID"};
    unsigned tag = der_peek(names), number = tag & 0x1f;
    struct bytes content;

    if (!der_take(names, tag, &content))
        return fail(rq, ERR_BAD_NAME, "subjectAltName is malformed");
    switch (tag) {
    case RFC822_NAME:
        return decode_text(rq, IDENTIFIER_EMAIL, content, ret_identifier);
    case DNS_NAME:
        return decode_text(rq, IDENTIFIER_DNS, content, ret_identifier);
    case URI_NAME:
        return decode_text(rq, IDENTIFIER_URI, content, ret_identifier);
    case IP_ADDRESS:
        return decode_ip(rq, content, ret_identifier);
    case OTHER_NAME:
        if (identifier_decode_other(rq->arena, content, ret_identifier))
            return OK;
        return fail(
            rq, ERR_BAD_NAME,
            "subjectAltName has an otherName that is no user principal name, permanentIdentifier or hardwareModuleName in printable characters");
    default:
        return fail(rq, ERR_BAD_NAME, "subjectAltName has a name of the form %s, only dns, ip, email, uri, upn and names of devices are certified",
                    number < sizeof other_forms / sizeof other_forms[0] && other_forms[number] != NULL ? other_forms[number] : "unknown");
    }
}

static bool
is_among(const struct identifier *identifiers, size_t count, const struct identifier *wanted)
{
    for (size_t i = 0; i < count; i++)
        if (identifier_equal(&identifiers[i], wanted))
            return true;
    return false;
}

enum error
identifiers_decode(struct request *rq, struct bytes general_names, struct identifier **ret_identifiers, size_t *ret_count)
{
    struct identifier *identifiers = arena_array(rq->arena, IDENTIFIERS_MAX, sizeof *identifiers);
    struct der outer = der_of(general_names), names;
    size_t count = 0;

    if (!der_enter(&outer, DER_SEQUENCE, &names) || !der_at_end(&outer))
        return fail(rq, ERR_BAD_NAME, "subjectAltName is malformed");
    if (der_at_end(&names))
        return fail(rq, ERR_BAD_NAME, "subjectAltName is empty");
    while (!der_at_end(&names)) {
        struct identifier identifier;
        enum error error = decode_one(rq, &names, &identifier);
        if (error)
            return error;
        if (is_among(identifiers, count, &identifier))
            continue;
        if (count == IDENTIFIERS_MAX)
            return fail(rq, ERR_BAD_NAME, "subjectAltName has more than %d names", IDENTIFIERS_MAX);
        identifiers[count++] = identifier;
    }
    *ret_identifiers = identifiers;
    *ret_count = count;
    return OK;
}

static void
put_ip(struct buffer *out, const char *text)
{
    uint8_t octets[IPV6_LEN];
    bool is_v4 = strchr(text, ':') == NULL;
    int valid = inet_pton(is_v4 ? AF_INET : AF_INET6, text, octets);

    assert(valid == 1);
    der_put(out, IP_ADDRESS, BYTES(octets, is_v4 ? IPV4_LEN : IPV6_LEN));
}

struct bytes
identifiers_encode(struct arena *arena, const struct identifier *identifiers, size_t count)
{
    struct buffer out = buffer_in(arena);
    size_t names = der_open(&out, DER_SEQUENCE);

    for (size_t i = 0; i < count; i++) {
        switch (identifiers[i].type) {
        case IDENTIFIER_DNS:
            der_put(&out, DNS_NAME, bytes_of_text(identifiers[i].value));
            break;
        case IDENTIFIER_IP:
            put_ip(&out, identifiers[i].value);
            break;
        case IDENTIFIER_EMAIL:
            der_put(&out, RFC822_NAME, bytes_of_text(identifiers[i].value));
            break;
        case IDENTIFIER_URI:
            der_put(&out, URI_NAME, bytes_of_text(identifiers[i].value));
            break;
        case IDENTIFIER_PERMANENT:
        case IDENTIFIER_HARDWARE_MODULE:
        case IDENTIFIER_UPN:
            identifier_encode_other(&out, &identifiers[i]);
            break;
        }
    }
    der_close(&out, names);
    return buffer_bytes(&out);
}
