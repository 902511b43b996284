/*
 * The forms of otherName in subjectAltName: names of devices, which are PermanentIdentifier (RFC 4043) and HardwareModuleName (RFC 4108 §5), and the
 * user principal name of Windows. The text of devices is that of ACME (draft-ietf-acme-device-attest §3, §4): "ABCDEF123456", "ABCDEF123456/1.2.3.4".
 * Octet for octet: what makers number has its own rules.
 */
#include "pki/identifier.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "pki/oid.h"

#define DEVICE_MAX 128
#define NAMES_MAX 64 /* of somebody else's certificate */

enum { OTHER_NAME = DER_CONTEXT_CONSTRUCTED(0), OTHER_VALUE = DER_CONTEXT_CONSTRUCTED(0) };

bool
identifier_is_device(enum identifier_type type)
{
    return type == IDENTIFIER_PERMANENT || type == IDENTIFIER_HARDWARE_MODULE;
}

/* "1.2.3" as nobody could write it in another way. */
static bool
is_dotted(struct arena *arena, const char *text)
{
    struct bytes oid;

    return oid_parse_dotted(arena, text, &oid) && text_equal(oid_dotted(arena, oid), text);
}

const char *
identifier_read_device(struct arena *arena, enum identifier_type type, const char *text)
{
    size_t len = strlen(text);
    const char *slash = strchr(text, '/');

    if (len == 0 || slash == text)
        return "is empty";
    if (len > DEVICE_MAX)
        return "is too long";
    /* Lists of names have blanks between them, and patterns asterisks. */
    if (!text_is_printable_ascii(BYTES(text, len)) || strpbrk(text, " *") != NULL)
        return "has characters that are not printable ASCII, or blanks, or asterisks";
    if (slash != NULL && !is_dotted(arena, slash + 1))
        return "has something else than an object identifier (1.2.3) behind the slash";
    /* Certificates have no form for it (RFC 4108 §5: hwType is not optional). */
    if (type == IDENTIFIER_HARDWARE_MODULE && slash == NULL)
        return "does not say the type of the hardware module behind a slash (SERIAL/1.2.3)";
    return NULL;
}

static bool
is_value(struct bytes value)
{
    return value.len > 0 && value.len <= DEVICE_MAX && text_is_printable_ascii(value);
}

/* The text, or NULL: the parts of one name, whose order and optionality differ. */
static const char *
join(struct arena *arena, enum identifier_type type, struct bytes value, struct bytes oid)
{
    if (!is_value(value) || memchr(value.at, '/', value.len) != NULL)
        return NULL;
    const char *text = bytes_text(arena, value);
    if (oid.len > 0)
        text = arena_format(arena, "%s/%s", text, oid_dotted(arena, oid));
    return identifier_read_device(arena, type, text) == NULL ? text : NULL;
}

/* PermanentIdentifier ::= SEQUENCE { identifierValue UTF8String OPTIONAL, assigner OBJECT IDENTIFIER OPTIONAL }. The draft wants the first one. */
static const char *
decode_permanent(struct arena *arena, struct der *in)
{
    struct bytes value, assigner = BYTES_NONE;

    if (!der_take(in, DER_UTF8_STRING, &value) || (!der_at_end(in) && !der_take_oid(in, &assigner)) || !der_at_end(in))
        return NULL;
    return join(arena, IDENTIFIER_PERMANENT, value, assigner);
}

/* HardwareModuleName ::= SEQUENCE { hwType OBJECT IDENTIFIER, hwSerialNum OCTET STRING } */
static const char *
decode_module(struct arena *arena, struct der *in)
{
    struct bytes type, serial;

    if (!der_take_oid(in, &type) || !der_take(in, DER_OCTET_STRING, &serial) || !der_at_end(in))
        return NULL;
    return join(arena, IDENTIFIER_HARDWARE_MODULE, serial, type);
}

/* UTF8String, although Windows compares without case. */
static bool
decode_upn(struct arena *arena, struct der *wrapped, struct identifier *ret_identifier)
{
    struct bytes text;

    return der_take(wrapped, DER_UTF8_STRING, &text) && der_at_end(wrapped) && text_is_printable_ascii(text) &&
           identifier_read(arena, IDENTIFIER_UPN, bytes_text(arena, text), ret_identifier) == NULL;
}

bool
identifier_decode_other(struct arena *arena, struct bytes other_name, struct identifier *ret_identifier)
{
    struct der outer = der_of(other_name), wrapped, in;
    struct identifier identifier = {.value = NULL};
    struct bytes type;

    if (!der_take_oid(&outer, &type) || !der_enter(&outer, OTHER_VALUE, &wrapped) || !der_at_end(&outer))
        return false;
    if (oid_is(type, OID_USER_PRINCIPAL_NAME))
        return decode_upn(arena, &wrapped, ret_identifier);
    if (!der_enter(&wrapped, DER_SEQUENCE, &in) || !der_at_end(&wrapped))
        return false;
    if (oid_is(type, OID_PERMANENT_IDENTIFIER))
        identifier = (struct identifier){IDENTIFIER_PERMANENT, decode_permanent(arena, &in)};
    else if (oid_is(type, OID_HARDWARE_MODULE_NAME))
        identifier = (struct identifier){IDENTIFIER_HARDWARE_MODULE, decode_module(arena, &in)};
    if (identifier.value == NULL)
        return false;
    *ret_identifier = identifier;
    return true;
}

static void
encode_upn(struct buffer *out, const char *value)
{
    size_t name = der_open(out, OTHER_NAME);

    der_put_oid(out, OID_USER_PRINCIPAL_NAME);
    size_t wrapped = der_open(out, OTHER_VALUE);
    der_put(out, DER_UTF8_STRING, bytes_of_text(value));
    der_close(out, wrapped);
    der_close(out, name);
}

static void
encode_device(struct buffer *out, const struct identifier *identifier)
{
    bool is_module = identifier->type == IDENTIFIER_HARDWARE_MODULE;
    const char *slash = strchr(identifier->value, '/');
    size_t len = slash == NULL ? strlen(identifier->value) : (size_t)(slash - identifier->value);
    struct bytes value = BYTES(identifier->value, len), oid = BYTES_NONE;

    assert(identifier_is_device(identifier->type) && (slash == NULL || oid_parse_dotted(out->arena, slash + 1, &oid)));
    size_t name = der_open(out, OTHER_NAME);
    der_put_oid(out, is_module ? OID_HARDWARE_MODULE_NAME : OID_PERMANENT_IDENTIFIER);
    size_t wrapped = der_open(out, OTHER_VALUE), inside = der_open(out, DER_SEQUENCE);
    if (is_module)
        der_put_oid(out, oid);
    der_put(out, is_module ? DER_OCTET_STRING : DER_UTF8_STRING, value);
    if (!is_module && slash != NULL)
        der_put_oid(out, oid);
    der_close(out, inside);
    der_close(out, wrapped);
    der_close(out, name);
}

void
identifier_encode_other(struct buffer *out, const struct identifier *identifier)
{
    if (identifier->type == IDENTIFIER_UPN)
        encode_upn(out, identifier->value);
    else
        encode_device(out, identifier);
}

bool
identifiers_find_devices(struct arena *arena, struct bytes general_names, struct identifier **ret_identifiers, size_t *ret_count)
{
    struct identifier *found = arena_array(arena, NAMES_MAX, sizeof *found);
    struct der outer = der_of(general_names), names;
    struct bytes content;
    size_t count = 0, seen = 0;

    if (!der_enter(&outer, DER_SEQUENCE, &names) || !der_at_end(&outer))
        return false;
    for (; !der_at_end(&names); seen++) {
        unsigned tag = der_peek(&names);
        if (seen == NAMES_MAX || !der_take(&names, tag, &content))
            return false;
        if (tag == OTHER_NAME && identifier_decode_other(arena, content, &found[count]) && identifier_is_device(found[count].type))
            count++;
    }
    *ret_identifiers = found;
    *ret_count = count;
    return true;
}
