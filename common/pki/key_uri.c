/* Key URIs come from operators (`signetctl ca create --key …`) and from the signer's table of keys; they say where a private key is, never its PIN.
 */
#include "pki/key_uri.h"

#include <ctype.h>
#include <string.h>

#include "base/text.h"

#define URI_MAX 1024
#define LABEL_MAX 128 /* CKA_LABEL and CKA_ID of any token we know are shorter */
#define PKCS11 "pkcs11:"
#define MANAGED "managed:"

/* RFC 7512 §2.3: everything else than these is percent-encoded. */
static bool
is_plain(char c)
{
    return isalnum((unsigned char)c) || (c != '\0' && strchr("-._~:[]@!$'()*+,=&", c) != NULL);
}

static bool
percent_decode(struct arena *arena, const char *text, struct bytes *ret_octets)
{
    uint8_t *octets = arena_alloc(arena, strlen(text) + 1);
    size_t len = 0;

    while (*text != '\0') {
        if (*text != '%') {
            if (!is_plain(*text))
                return false;
            octets[len++] = (uint8_t)*text++;
            continue;
        }
        int high = bytes_hex_digit(text[1]), low = high < 0 ? -1 : bytes_hex_digit(text[2]);
        if (low < 0)
            return false;
        octets[len++] = (uint8_t)(high << 4 | low);
        text += 3;
    }
    *ret_octets = BYTES(octets, len);
    return len <= LABEL_MAX;
}

static bool
decode_label(struct arena *arena, const char *text, const char **ret_label)
{
    struct bytes label;

    if (!percent_decode(arena, text, &label) || !text_is_utf8(label))
        return false;
    *ret_label = bytes_text(arena, label);
    return true;
}

/* Each attribute comes at most once (RFC 7512 §2.3). `seen` has a bit for each. */
struct attribute {
    const char *name;
    const char **label; /* where the value goes; NULL: checked and not kept */
    bool is_octets;
    bool seen;
};

static enum error
read_attribute(struct request *rq, char *text, struct attribute *attributes, struct bytes *id)
{
    struct attribute *attribute = attributes;
    const char *dropped;
    char *value = strchr(text, '=');

    if (value == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the key URI has a part without '='");
    *value++ = '\0';
    if (text_equal(text, "pin-value") || text_equal(text, "pin-source"))
        return fail(rq, ERR_BAD_REQUEST, "a key URI never has %s: the PIN comes from the file that the signer's settings name", text);
    while (attribute->name != NULL && !text_equal(attribute->name, text))
        attribute++;
    if (attribute->name == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the key URI has an unknown attribute \"%.40s\"", text);
    /* RFC 7512 §2.3: an attribute comes at most once. */
    if (attribute->seen)
        return fail(rq, ERR_BAD_REQUEST, "the key URI has the attribute %s twice", text);
    attribute->seen = true;
    if (attribute->is_octets ? !percent_decode(rq->arena, value, id)
                             : !decode_label(rq->arena, value, attribute->label == NULL ? &dropped : attribute->label))
        return fail(rq, ERR_BAD_REQUEST, "the value of %s in the key URI is too long or not percent-encoded UTF-8", text);
    if (text_equal(text, "type") && !text_equal(value, "private"))
        return fail(rq, ERR_BAD_REQUEST, "the key URI names an object of type \"%.20s\", not a private key", value);
    return OK;
}

static enum error
parse_pkcs11(struct request *rq, const char *path, struct key_uri *ret_uri)
{
    struct key_uri uri = {.place = KEY_IN_TOKEN, .token = "", .object = ""};
    struct attribute attributes[] = {{"token", &uri.token}, {"object", &uri.object}, {"id", NULL, true}, {"type", NULL},
                                     {"serial", NULL},      {"manufacturer", NULL},  {"slot-id", NULL},  {NULL}};
    char *rest = arena_text(rq->arena, path), *part;

    if (strchr(path, '?') != NULL)
        return fail(rq, ERR_BAD_REQUEST, "a key URI never has a query part: PIN and module come from the signer's settings");
    while ((part = strsep(&rest, ";")) != NULL) {
        if (*part == '\0')
            continue;
        enum error error = read_attribute(rq, part, attributes, &uri.id);
        if (error)
            return error;
    }
    if (uri.object[0] == '\0' && uri.id.len == 0)
        return fail(rq, ERR_BAD_REQUEST, "the key URI names no key: give object or id");
    *ret_uri = uri;
    return OK;
}

static enum error
parse_managed(struct request *rq, const char *name, struct key_uri *ret_uri)
{
    struct key_uri uri = {.place = KEY_MANAGED, .token = ""};

    if (!decode_label(rq->arena, name, &uri.object) || uri.object[0] == '\0')
        return fail(rq, ERR_BAD_REQUEST, "the name of the managed key is empty, too long or not percent-encoded UTF-8");
    *ret_uri = uri;
    return OK;
}

enum error
key_uri_parse(struct request *rq, const char *text, struct key_uri *ret_uri)
{
    if (strlen(text) > URI_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the key URI has more than %d characters", URI_MAX);
    if (text_starts_with(text, PKCS11))
        return parse_pkcs11(rq, text + strlen(PKCS11), ret_uri);
    if (text_starts_with(text, MANAGED))
        return parse_managed(rq, text + strlen(MANAGED), ret_uri);
    return fail(rq, ERR_BAD_REQUEST, "the key URI begins with neither " PKCS11 " nor " MANAGED);
}

static void
append_encoded(struct buffer *to, struct bytes octets, bool all)
{
    for (size_t i = 0; i < octets.len; i++) {
        char c = (char)octets.at[i];
        if (!all && is_plain(c))
            buffer_append(to, &c, 1);
        else
            buffer_append_format(to, "%%%02X", octets.at[i]);
    }
}

static void
append_attribute(struct buffer *to, const char *name, struct bytes value, bool all)
{
    if (value.len == 0)
        return;
    buffer_append_format(to, "%s%s=", to->len > strlen(PKCS11) ? ";" : "", name);
    append_encoded(to, value, all);
}

char *
key_uri_format(struct arena *arena, const struct key_uri *uri)
{
    struct buffer text = buffer_in(arena);

    switch (uri->place) {
    case KEY_IN_TOKEN:
        buffer_append_text(&text, PKCS11);
        append_attribute(&text, "token", bytes_of_text(uri->token), false);
        append_attribute(&text, "object", bytes_of_text(uri->object), false);
        /* RFC 7512 §2.3: the whole of id should be percent-encoded. */
        append_attribute(&text, "id", uri->id, true);
        break;
    case KEY_MANAGED:
        buffer_append_text(&text, MANAGED);
        append_encoded(&text, bytes_of_text(uri->object), false);
        break;
    }
    return arena_text(arena, buffer_text(&text));
}
