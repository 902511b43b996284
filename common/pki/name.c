/*
 * Distinguished names from outside: checked before they are stored, spelled as certificates want them, and shown as text. name_encode.c makes the
 * names that we choose ourselves.
 */
#include "pki/name.h"

#include <string.h>

#include "base/text.h"
#include "pki/oid.h"

enum { NUMERIC_STRING = 0x12, T61_STRING = 0x14, UNIVERSAL_STRING = 0x1c, BMP_STRING = 0x1e };

struct attribute {
    struct bytes type;
    unsigned string;    /* tag of the value */
    struct bytes value; /* content octets */
    struct bytes whole; /* tag, length and content */
    bool begins_rdn;    /* the first of its RelativeDistinguishedName */
};

/* RFC 5280, appendix A.1 upper bounds, in characters. */
static const struct {
    const struct bytes *type;
    size_t least, most;
} bounds[] = {
    {&OID_COMMON_NAME, 1, 64},  {&OID_SERIAL_NUMBER, 1, 64},       {&OID_COUNTRY, 2, 2}, {&OID_LOCALITY, 1, 128},      {&OID_STATE, 1, 128},
    {&OID_ORGANIZATION, 1, 64}, {&OID_ORGANIZATIONAL_UNIT, 1, 64}, {&OID_TITLE, 1, 64},  {&OID_EMAIL_ADDRESS, 1, 255},
};

/* RelativeDistinguishedName ::= SET SIZE (1..MAX) OF SEQUENCE { type, value } */
static bool
take_attribute(struct der *rdn, struct attribute *ret_attribute)
{
    struct attribute attribute = {.begins_rdn = false};
    struct der inside, value;

    if (!der_enter(rdn, DER_SEQUENCE, &inside) || !der_take_oid(&inside, &attribute.type) ||
        !der_take_whole(&inside, &attribute.string, &attribute.whole) || !der_at_end(&inside))
        return false;
    value = der_of(attribute.whole);
    if (!der_take(&value, attribute.string, &attribute.value))
        return false;
    *ret_attribute = attribute;
    return true;
}

static bool
read_attributes(struct bytes der, struct attribute room[NAME_ATTRIBUTES_MAX], size_t *ret_count)
{
    struct der outer = der_of(der), rdns, rdn;
    size_t count = 0;

    if (!der_enter(&outer, DER_SEQUENCE, &rdns) || !der_at_end(&outer))
        return false;
    while (!der_at_end(&rdns)) {
        if (!der_enter(&rdns, DER_SET, &rdn) || der_at_end(&rdn))
            return false;
        for (bool first = true; !der_at_end(&rdn); first = false) {
            if (count == NAME_ATTRIBUTES_MAX || !take_attribute(&rdn, &room[count]))
                return false;
            room[count++].begins_rdn = first;
        }
    }
    *ret_count = count;
    return true;
}

static void
append_utf8(struct buffer *to, unsigned code_point)
{
    uint8_t octets[3];
    size_t len = 0;

    if (code_point < 0x80) {
        octets[len++] = (uint8_t)code_point;
    } else if (code_point < 0x800) {
        octets[len++] = (uint8_t)(0xc0 | code_point >> 6);
        octets[len++] = (uint8_t)(0x80 | (code_point & 0x3f));
    } else {
        octets[len++] = (uint8_t)(0xe0 | code_point >> 12);
        octets[len++] = (uint8_t)(0x80 | (code_point >> 6 & 0x3f));
        octets[len++] = (uint8_t)(0x80 | (code_point & 0x3f));
    }
    buffer_append(to, octets, len);
}

/* UCS-2, big-endian. */
static const char *
read_bmp(struct arena *arena, struct bytes value, char **ret_text)
{
    struct buffer text = buffer_in(arena);

    if (value.len % 2 != 0)
        return "is half a character too long";
    for (size_t i = 0; i < value.len; i += 2) {
        unsigned code_point = (unsigned)value.at[i] << 8 | value.at[i + 1];
        if (code_point == 0 || (code_point >= 0xd800 && code_point <= 0xdfff))
            return "has a character that BMPString does not have";
        append_utf8(&text, code_point);
    }
    *ret_text = arena_text(arena, buffer_text(&text));
    return NULL;
}

/* The value as UTF-8 text, or why it is none. */
static const char *
read_value(struct arena *arena, const struct attribute *attribute, char **ret_text)
{
    if (attribute->value.len > 2 * NAME_VALUE_MAX)
        return "is too long";
    switch (attribute->string) {
    case DER_UTF8_STRING:
        if (!text_is_utf8(attribute->value))
            return "is not valid UTF-8";
        break;
    case DER_PRINTABLE_STRING:
    case DER_IA5_STRING:
    case NUMERIC_STRING:
        /* Looser than PrintableString, whose alphabet lacks the '@', '*' and '_' that clients write into it. */
        if (!text_is_printable_ascii(attribute->value))
            return "is not ASCII";
        break;
    case BMP_STRING:
        return read_bmp(arena, attribute->value, ret_text);
    case T61_STRING:
        return "is a T61String, whose characters are not well defined; send it as UTF8String";
    case UNIVERSAL_STRING:
        return "is a UniversalString; send it as UTF8String";
    default:
        return "is not a text";
    }
    *ret_text = bytes_text(arena, attribute->value);
    return NULL;
}

static size_t
count_characters(const char *text)
{
    size_t count = 0;

    for (; *text != '\0'; text++)
        count += ((unsigned char)*text & 0xc0) != 0x80;
    return count;
}

static const char *
check_text(struct bytes type, const char *text)
{
    size_t characters = count_characters(text), least = 1, most = NAME_VALUE_MAX;

    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++) {
        if (oid_is(type, *bounds[i].type)) {
            least = bounds[i].least;
            most = bounds[i].most;
        }
    }
    if (characters == 0)
        return "is empty";
    if (characters < least)
        return "is too short";
    if (characters > most || strlen(text) > NAME_VALUE_MAX)
        return "is too long";
    for (const char *c = text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            return "has a control character";
    return NULL;
}

const char *
name_find_fault(struct arena *arena, struct bytes der)
{
    struct attribute attributes[NAME_ATTRIBUTES_MAX];
    size_t count;

    if (!read_attributes(der, attributes, &count))
        return arena_format(arena, "it is malformed or has more than %d attributes", NAME_ATTRIBUTES_MAX);
    for (size_t i = 0; i < count; i++) {
        char *text = NULL;
        const char *wrong = read_value(arena, &attributes[i], &text);
        if (wrong == NULL)
            wrong = check_text(attributes[i].type, text);
        if (wrong != NULL)
            return arena_format(arena, "%s %s", oid_name(arena, attributes[i].type), wrong);
    }
    return NULL;
}

enum error
name_check(struct request *rq, struct bytes der)
{
    const char *wrong = name_find_fault(rq->arena, der);

    return wrong == NULL ? OK : fail(rq, ERR_BAD_REQUEST, "the distinguished name is not acceptable: %s", wrong);
}

/* ---- in the spelling of certificates ---- */

/* X.680 §41.4 */
static bool
is_printable_string(const char *text)
{
    return text[strspn(text, "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789 '()+,-./:=?")] == '\0';
}

static bool
has_known_syntax(struct bytes type)
{
    for (size_t i = 0; i < sizeof bounds / sizeof bounds[0]; i++)
        if (oid_is(type, *bounds[i].type))
            return true;
    return false;
}

/* RFC 5280 §4.1.2.4 and appendix A.1. What has no right form, as a serialNumber with an '_', keeps its own. */
static unsigned
right_string(const struct attribute *attribute, const char *text)
{
    unsigned usual = name_string_type(attribute->type);

    if (!has_known_syntax(attribute->type))
        return attribute->string;
    if (usual == DER_PRINTABLE_STRING)
        return is_printable_string(text) ? usual : attribute->string;
    if (usual == DER_IA5_STRING)
        return text_is_printable_ascii(bytes_of_text(text)) ? usual : attribute->string;
    return attribute->string == DER_PRINTABLE_STRING && is_printable_string(text) ? attribute->string : usual;
}

static struct bytes
respelled(struct arena *arena, const struct attribute *attribute)
{
    struct buffer out = buffer_in(arena);
    size_t sequence = der_open(&out, DER_SEQUENCE);
    char *text = NULL;
    bool is_text = read_value(arena, attribute, &text) == NULL;

    der_put_oid(&out, attribute->type);
    if (is_text && right_string(attribute, text) != attribute->string)
        der_put(&out, right_string(attribute, text), bytes_of_text(text));
    else
        der_put_whole(&out, attribute->whole);
    der_close(&out, sequence);
    return buffer_bytes(&out);
}

struct bytes
name_respell(struct arena *arena, struct bytes der)
{
    struct attribute attributes[NAME_ATTRIBUTES_MAX];
    struct bytes encoded[NAME_ATTRIBUTES_MAX];
    struct buffer out = buffer_in(arena);
    size_t count = 0, name = der_open(&out, DER_SEQUENCE);

    if (!read_attributes(der, attributes, &count))
        return der;
    for (size_t begin = 0, end; begin < count; begin = end) {
        for (end = begin; end < count && (end == begin || !attributes[end].begins_rdn); end++)
            encoded[end] = respelled(arena, &attributes[end]);
        size_t rdn = der_open(&out, DER_SET);
        der_put_sorted(&out, encoded + begin, end - begin);
        der_close(&out, rdn);
    }
    der_close(&out, name);
    return buffer_bytes(&out);
}

/* ---- as text ---- */

/* RFC 4514 §2.4 */
static void
append_escaped(struct buffer *to, const char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len; i++) {
        unsigned char c = (unsigned char)text[i];
        bool at_edge = (i == 0 && (c == ' ' || c == '#')) || (i == len - 1 && c == ' ');
        if (c < 0x20 || c == 0x7f) {
            buffer_append_format(to, "\\%02X", c);
            continue;
        }
        if (at_edge || strchr("\"+,;<>\\", c) != NULL)
            buffer_append(to, "\\", 1);
        buffer_append(to, &c, 1);
    }
}

static void
append_attribute(struct arena *arena, struct buffer *to, const struct attribute *attribute)
{
    const char *type = oid_name(arena, attribute->type);
    char *text;

    buffer_append_format(to, "%s=", type);
    /* A type in dotted form has its value in hexadecimal, since nobody knows its syntax. */
    if (strpbrk(type, ".:") != NULL || read_value(arena, attribute, &text) != NULL)
        buffer_append_format(to, "#%s", bytes_hex(arena, attribute->whole, 0));
    else
        append_escaped(to, text);
}

char *
name_format(struct arena *arena, struct bytes der)
{
    struct attribute attributes[NAME_ATTRIBUTES_MAX];
    struct buffer text = buffer_in(arena);
    size_t end;

    if (!read_attributes(der, attributes, &end))
        return arena_format(arena, "#%s", bytes_hex(arena, der, 0));
    while (end > 0) {
        size_t begin = end - 1;
        while (!attributes[begin].begins_rdn)
            begin--;
        for (size_t i = begin; i < end; i++) {
            if (text.len > 0)
                buffer_append_text(&text, i == begin ? "," : "+");
            append_attribute(arena, &text, &attributes[i]);
        }
        end = begin;
    }
    return arena_text(arena, buffer_text(&text));
}

char **
name_values(struct arena *arena, struct bytes der, struct bytes type, size_t *ret_count)
{
    struct attribute attributes[NAME_ATTRIBUTES_MAX];
    char **values = arena_array(arena, NAME_ATTRIBUTES_MAX, sizeof *values);
    size_t attribute_count = 0, count = 0;

    if (!read_attributes(der, attributes, &attribute_count))
        attribute_count = 0;
    for (size_t i = 0; i < attribute_count; i++)
        if (oid_is(attributes[i].type, type) && read_value(arena, &attributes[i], &values[count]) == NULL)
            count++;
    *ret_count = count;
    return values;
}

char *
name_common_name(struct arena *arena, struct bytes der)
{
    size_t count;
    char **values = name_values(arena, der, OID_COMMON_NAME, &count);

    return count == 0 ? NULL : values[0];
}

bool
name_is_empty(struct bytes der)
{
    return der.len == 0 || bytes_equal(der, BYTES("\x30\x00", 2));
}
