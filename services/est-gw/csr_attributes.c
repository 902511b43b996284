/*
 * What a profile wants to see in CSRs, encoded for csrattrs: as the list of RFC 8951 §3.5 (OIDs and attributes with values), and, where the profile
 * wants it, also as the template of RFC 9908 §3.4, which can say what the older form cannot: subjects, and names that the client is to fill in.
 */
#include "est.h"

#include <string.h>

#include "pki/oid.h"

struct key_form {
    const char *name;
    const struct bytes *algorithm, *curve, *signature;
    int bits; /* RSA */
};

static const struct key_form key_forms[] = {
    {"rsa-2048", &OID_RSA_ENCRYPTION, NULL, &OID_SHA256_WITH_RSA, 2048},
    {"rsa-3072", &OID_RSA_ENCRYPTION, NULL, &OID_SHA256_WITH_RSA, 3072},
    {"rsa-4096", &OID_RSA_ENCRYPTION, NULL, &OID_SHA256_WITH_RSA, 4096},
    {"p256", &OID_EC_PUBLIC_KEY, &OID_P256, &OID_ECDSA_WITH_SHA256, 0},
    {"p384", &OID_EC_PUBLIC_KEY, &OID_P384, &OID_ECDSA_WITH_SHA384, 0},
    {"p521", &OID_EC_PUBLIC_KEY, &OID_P521, &OID_ECDSA_WITH_SHA512, 0},
    {"ed25519", &OID_ED25519, NULL, NULL, 0},
};

static const struct key_form *
find_key_form(const char *name)
{
    for (size_t i = 0; i < sizeof key_forms / sizeof key_forms[0]; i++)
        if (text_equal(key_forms[i].name, name))
            return &key_forms[i];
    return NULL;
}

/* What the texts of a profile mean. */
struct wishes {
    struct bytes *oids; /* attributes that are named only */
    size_t oid_count;
    const struct key_form *key;
    struct name_wish {
        struct bytes type;
        const char *value; /* NULL: the client fills it in */
    } * subject;
    size_t subject_count;
    struct identifier *names; /* given ones */
    size_t name_count;
    bool names_wanted; /* to be filled in */
    struct bytes *purposes;
    size_t purpose_count;
};

/* ---- reading ---- */

static enum error
read_oids(struct request *rq, const char *field, char *const *texts, size_t count, struct bytes **ret_oids)
{
    struct bytes *oids = arena_array(rq->arena, count, sizeof *oids);

    if (count > PATTERNS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "%s: more than %d", field, PATTERNS_MAX);
    for (size_t i = 0; i < count; i++)
        if (!oid_parse(rq->arena, texts[i], &oids[i]))
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.60s\" is no object identifier", field, texts[i]);
    *ret_oids = oids;
    return OK;
}

static enum error
read_subject(struct request *rq, char *const *texts, size_t count, struct name_wish **ret_subject)
{
    struct name_wish *subject = arena_array(rq->arena, count, sizeof *subject);

    if (count > PATTERNS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "csr_subject: more than %d", PATTERNS_MAX);
    for (size_t i = 0; i < count; i++) {
        const char *equals = strchr(texts[i], '=');
        size_t len = equals == NULL ? strlen(texts[i]) : (size_t)(equals - texts[i]);
        subject[i].value = equals == NULL ? NULL : equals + 1;
        if (!oid_parse(rq->arena, arena_text_n(rq->arena, texts[i], len), &subject[i].type) || (equals != NULL && equals[1] == '\0'))
            return fail(rq, ERR_BAD_REQUEST, "csr_subject: \"%.60s\" is neither an attribute (CN) nor one with a value (O=Example)", texts[i]);
    }
    *ret_subject = subject;
    return OK;
}

static enum error
read_name(struct request *rq, const char *text, struct wishes *wishes)
{
    for (enum identifier_type type = IDENTIFIER_DNS; type <= IDENTIFIER_URI; type++) {
        const char *name = identifier_type_name(type);
        size_t len = strlen(name);
        if (strncmp(text, name, len) != 0 || (text[len] != '\0' && text[len] != ':'))
            continue;
        if (text[len] == '\0') {
            wishes->names_wanted = true;
            return OK;
        }
        const char *fault = identifier_read(rq->arena, type, text + len + 1, &wishes->names[wishes->name_count]);
        if (fault != NULL)
            return fail(rq, ERR_BAD_REQUEST, "csr_names: \"%.60s\" %s", text, fault);
        wishes->name_count++;
        return OK;
    }
    return fail(rq, ERR_BAD_REQUEST, "csr_names: \"%.60s\" is neither a form (dns, ip, email, uri) nor a name (dns:host.example)", text);
}

static enum error
read_names(struct request *rq, char *const *texts, size_t count, struct wishes *wishes)
{
    if (count > IDENTIFIERS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "csr_names: more than %d", IDENTIFIERS_MAX);
    wishes->names = arena_array(rq->arena, count, sizeof *wishes->names);
    for (size_t i = 0; i < count; i++) {
        enum error error = read_name(rq, texts[i], wishes);
        if (error)
            return error;
    }
    /* RFC 9908 §3.4: an extension has its value, or leaves it to the client. */
    if (wishes->names_wanted && wishes->name_count > 0)
        return fail(rq, ERR_BAD_REQUEST, "csr_names: either names (dns:host.example), or forms that the client fills in (dns)");
    return OK;
}

static enum error
read_wishes(struct request *rq, const Pb__EstProfile *settings, struct wishes *wishes)
{
    wishes->oid_count = settings->n_csr_attributes;
    wishes->subject_count = settings->n_csr_subject;
    wishes->purpose_count = settings->n_csr_extended_key_usage;
    wishes->key = find_key_form(settings->csr_key_type);
    enum error error = read_oids(rq, "csr_attributes", (char *const *)settings->csr_attributes, wishes->oid_count, &wishes->oids);
    if (!error)
        error = read_oids(rq, "csr_extended_key_usage", (char *const *)settings->csr_extended_key_usage, wishes->purpose_count, &wishes->purposes);
    if (!error)
        error = read_subject(rq, (char *const *)settings->csr_subject, wishes->subject_count, &wishes->subject);
    return error ? error : read_names(rq, (char *const *)settings->csr_names, settings->n_csr_names, wishes);
}

/* ---- writing ---- */

/* Attribute with one value, or none. */
static void
put_attribute(struct buffer *out, struct bytes type, struct bytes value)
{
    size_t attribute = der_open(out, DER_SEQUENCE);

    der_put_oid(out, type);
    der_put(out, DER_SET, value);
    der_close(out, attribute);
}

/* A value of an extension, or its absence, which only a template can have. */
static void
put_extension(struct buffer *out, struct bytes oid, struct bytes value)
{
    size_t extension = der_open(out, DER_SEQUENCE);

    der_put_oid(out, oid);
    if (value.len > 0)
        der_put(out, DER_OCTET_STRING, value);
    der_close(out, extension);
}

/* SEQUENCE OF Extension; none when there is nothing to ask for. */
static struct bytes
encode_extensions(struct arena *arena, const struct wishes *wishes, bool with_blanks)
{
    struct buffer out = buffer_in(arena), purposes = buffer_in(arena);
    bool blank = with_blanks && wishes->names_wanted;
    size_t list = der_open(&out, DER_SEQUENCE);

    if (wishes->name_count > 0 || blank)
        put_extension(&out, OID_SUBJECT_ALT_NAME, blank ? BYTES_NONE : identifiers_encode(arena, wishes->names, wishes->name_count));
    if (wishes->purpose_count > 0) {
        size_t sequence = der_open(&purposes, DER_SEQUENCE);
        for (size_t i = 0; i < wishes->purpose_count; i++)
            der_put_oid(&purposes, wishes->purposes[i]);
        der_close(&purposes, sequence);
        put_extension(&out, OID_EXTENDED_KEY_USAGE, buffer_bytes(&purposes));
    }
    der_close(&out, list);
    return wishes->name_count > 0 || blank || wishes->purpose_count > 0 ? buffer_bytes(&out) : BYTES_NONE;
}

/* RFC 9908 §3.2: ecPublicKey with its curve, rsaEncryption with its size; and the algorithm that the CSR is to be signed with. */
static void
put_key(struct arena *arena, struct buffer *out, const struct key_form *key)
{
    struct buffer value = buffer_in(arena);

    if (key->curve != NULL)
        der_put_oid(&value, *key->curve);
    if (key->bits > 0)
        der_put_int(&value, key->bits);
    if (value.len > 0)
        put_attribute(out, *key->algorithm, buffer_bytes(&value));
    else
        der_put_oid(out, *key->algorithm);
    if (key->signature != NULL)
        der_put_oid(out, *key->signature);
}

/* RFC 9908 §3.4: RDNSequenceTemplate. */
static void
put_subject_template(struct buffer *out, const struct wishes *wishes)
{
    size_t name = der_open(out, DER_SEQUENCE);

    for (size_t i = 0; i < wishes->subject_count; i++) {
        const struct name_wish *wish = &wishes->subject[i];
        size_t rdn = der_open(out, DER_SET), attribute = der_open(out, DER_SEQUENCE);
        der_put_oid(out, wish->type);
        if (wish->value != NULL)
            der_put(out, oid_is(wish->type, OID_COUNTRY) || oid_is(wish->type, OID_SERIAL_NUMBER) ? DER_PRINTABLE_STRING : DER_UTF8_STRING,
                    bytes_of_text(wish->value));
        der_close(out, attribute);
        der_close(out, rdn);
    }
    der_close(out, name);
}

/* The size of an RSA key is said by a key of that size, which is nobody's. */
static void
put_rsa_placeholder(struct arena *arena, struct buffer *out, int bits)
{
    struct buffer key = buffer_in(arena);
    uint8_t *modulus = arena_alloc(arena, (size_t)bits / 8);
    size_t sequence = der_open(&key, DER_SEQUENCE);

    modulus[0] = 0x80;
    der_put_unsigned(&key, BYTES(modulus, (size_t)bits / 8));
    der_put_int(&key, 65537);
    der_close(&key, sequence);
    der_put_bits(out, buffer_bytes(&key));
}

static void
put_key_template(struct arena *arena, struct buffer *out, const struct key_form *key)
{
    size_t info = der_open(out, DER_CONTEXT_CONSTRUCTED(0)), algorithm = der_open(out, DER_SEQUENCE);

    der_put_oid(out, *key->algorithm);
    if (key->curve != NULL)
        der_put_oid(out, *key->curve);
    if (key->bits > 0)
        der_put(out, DER_NULL, BYTES_NONE);
    der_close(out, algorithm);
    if (key->bits > 0)
        put_rsa_placeholder(arena, out, key->bits);
    der_close(out, info);
}

static struct bytes
encode_template(struct arena *arena, const struct wishes *wishes)
{
    struct buffer out = buffer_in(arena);
    struct bytes extensions = encode_extensions(arena, wishes, true);
    size_t info = der_open(&out, DER_SEQUENCE);

    der_put_int(&out, 0);
    if (wishes->subject_count > 0)
        put_subject_template(&out, wishes);
    if (wishes->key != NULL)
        put_key_template(arena, &out, wishes->key);
    size_t attributes = der_open(&out, DER_CONTEXT_CONSTRUCTED(1));
    if (extensions.len > 0)
        put_attribute(&out, wishes->names_wanted ? OID_EXTENSION_REQUEST_TEMPLATE : OID_EXTENSION_REQUEST, extensions);
    der_close(&out, attributes);
    der_close(&out, info);
    return buffer_bytes(&out);
}

static void
put_oid_once(struct buffer *out, const struct wishes *wishes, struct bytes oid)
{
    for (size_t i = 0; i < wishes->oid_count; i++)
        if (bytes_equal(wishes->oids[i], oid))
            return;
    der_put_oid(out, oid);
}

enum error
csr_attributes_encode(struct request *rq, const Pb__EstProfile *settings, struct bytes *ret_der)
{
    struct wishes wishes = {.oids = NULL};
    struct buffer out = buffer_in(rq->arena);
    size_t list = der_open(&out, DER_SEQUENCE), empty = out.len;

    enum error error = read_wishes(rq, settings, &wishes);
    if (error)
        return error;
    for (size_t i = 0; i < wishes.oid_count; i++)
        der_put_oid(&out, wishes.oids[i]);
    /* RFC 7030 §4.5.2, RFC 7894 §3.3: how a client learns that its CSR must be linked with the connection. */
    if (settings->proof_required) {
        put_oid_once(&out, &wishes, OID_CHALLENGE_PASSWORD);
        put_oid_once(&out, &wishes, OID_EST_IDENTITY_LINKING);
    }
    if (wishes.key != NULL)
        put_key(rq->arena, &out, wishes.key);
    struct bytes extensions = encode_extensions(rq->arena, &wishes, false);
    if (extensions.len > 0)
        put_attribute(&out, OID_EXTENSION_REQUEST, extensions);
    if (wishes.names_wanted)
        put_oid_once(&out, &wishes, OID_SUBJECT_ALT_NAME);
    if (settings->csr_template)
        put_attribute(&out, OID_CSR_INFO_TEMPLATE, encode_template(rq->arena, &wishes));
    bool nothing = out.len == empty;
    der_close(&out, list);
    *ret_der = nothing ? BYTES_NONE : buffer_bytes(&out);
    return OK;
}
