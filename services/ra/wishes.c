/*
 * What a CSR asks for that its certificate does not have: the template decides on usages and extensions, and whoever asked for others should find
 * that said. Called by issue.c for the audit record and the log; a CSR that asks for what somebody would rely on blindly was refused before (csr.h).
 */
#include "ra.h"

#include "pki/oid.h"

#define TEXT_MAX 280

/* Bit n of KeyUsage (RFC 5280 §4.2.1.3). */
static const char *const key_usages[] = {"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
                                         "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly"};

static size_t
take_wishes(struct bytes der, struct extension *room)
{
    struct der outer = der_of(der), request, values;
    struct csr csr = {.der = der};
    size_t count;

    if (!der_enter(&outer, DER_SEQUENCE, &request) || !der_take_whole(&request, NULL, &csr.info) ||
        !csr_attribute(&csr, OID_EXTENSION_REQUEST, &values) || !extensions_take(&values, room, CSR_EXTENSIONS_MAX, &count))
        return 0;
    return count;
}

/* "keyUsage keyEncipherment keyCertSign" */
static void
say_one(struct buffer *text, const char *extension, const char *what, bool *said)
{
    if (!*said)
        buffer_append_format(text, "%s%s", text->len > 0 ? ", " : "", extension);
    buffer_append_format(text, " %s", what);
    *said = true;
}

static void
compare_key_usage(struct bytes asked, const struct extension *granted, struct buffer *text)
{
    unsigned wanted = 0, has = 0;
    bool said = false;

    if (!key_usage_decode(asked, &wanted) || (granted != NULL && !key_usage_decode(granted->value, &has)))
        return;
    for (size_t bit = 0; bit < sizeof key_usages / sizeof key_usages[0]; bit++)
        if ((wanted & ~has & 1u << bit) != 0)
            say_one(text, "keyUsage", key_usages[bit], &said);
}

static bool
has_purpose(const struct extension *granted, struct bytes purpose)
{
    struct der outer, purposes;
    struct bytes one;

    if (granted == NULL)
        return false;
    outer = der_of(granted->value);
    if (!der_enter(&outer, DER_SEQUENCE, &purposes))
        return false;
    while (!der_at_end(&purposes) && der_take_oid(&purposes, &one))
        if (oid_is(one, purpose))
            return true;
    return false;
}

static void
compare_purposes(struct arena *arena, struct bytes asked, const struct extension *granted, struct buffer *text)
{
    struct der outer = der_of(asked), purposes;
    struct bytes purpose;
    bool said = false;

    if (!der_enter(&outer, DER_SEQUENCE, &purposes))
        return;
    while (!der_at_end(&purposes) && der_take_oid(&purposes, &purpose))
        if (!has_purpose(granted, purpose))
            say_one(text, "extKeyUsage", oid_name(arena, purpose), &said);
}

static void
compare(struct arena *arena, const struct extension *wish, const struct certificate *certificate, struct buffer *text)
{
    const struct extension *granted = certificate_extension(certificate, wish->oid);

    /* Each certificate has its own; CA:TRUE was refused. */
    if (oid_is(wish->oid, OID_SUBJECT_KEY_IDENTIFIER) || oid_is(wish->oid, OID_BASIC_CONSTRAINTS))
        return;
    if (oid_is(wish->oid, OID_KEY_USAGE)) {
        compare_key_usage(wish->value, granted, text);
        return;
    }
    if (oid_is(wish->oid, OID_EXTENDED_KEY_USAGE)) {
        compare_purposes(arena, wish->value, granted, text);
        return;
    }
    /* All of its names, or none where the template has no such extension: others were refused. */
    bool is_there = granted != NULL && (oid_is(wish->oid, OID_SUBJECT_ALT_NAME) || bytes_equal(granted->value, wish->value));
    if (!is_there)
        buffer_append_format(text, "%s%s", text->len > 0 ? ", " : "", oid_name(arena, wish->oid));
}

const char *
wishes_not_granted(struct arena *arena, struct bytes csr, const struct certificate *certificate)
{
    struct extension wishes[CSR_EXTENSIONS_MAX];
    struct buffer text = buffer_in(arena);
    size_t count = take_wishes(csr, wishes);

    for (size_t i = 0; i < count; i++)
        compare(arena, &wishes[i], certificate, &text);
    if (text.len == 0)
        return "";
    return text.len <= TEXT_MAX ? buffer_text(&text) : arena_format(arena, "%.*s...", TEXT_MAX, buffer_text(&text));
}
