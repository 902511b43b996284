/*
 * device-attest-01 from the object to the verdict: read it, find whose word it is, what it proves, and whether that is about the device that was
 * ordered. The digest of the attested key goes back with the verdict: nothing else may be certified (the draft's §9).
 */
#include "attestation.h"

#include <openssl/sha.h>
#include <string.h>

#include "pki/oid.h"

static const struct format {
    const char *name;
    verify_statement *verify;
} formats[] = {{"apple", attestation_apple}, {"step", attestation_step}, {"tpm", attestation_tpm}};

void
attested_add(struct attested *attested, enum identifier_type type, const char *value)
{
    if (attested->name_count < ATTESTED_NAMES_MAX)
        attested->names[attested->name_count++] = (struct identifier){type, value};
}

void
attested_add_text(struct arena *arena, struct attested *attested, struct bytes text)
{
    struct identifier name;

    /* No slash: the maker's number is not to say who assigned it. */
    if (!text_is_printable_ascii(text) || memchr(text.at, '/', text.len) != NULL)
        return;
    if (identifier_read(arena, IDENTIFIER_PERMANENT, bytes_text(arena, text), &name) == NULL)
        attested_add(attested, name.type, name.value);
}

void
attested_add_names_of(struct arena *arena, struct attested *attested, const struct certificate *certificate)
{
    const struct extension *extension = certificate_extension(certificate, OID_SUBJECT_ALT_NAME);
    struct identifier *names;
    size_t count;

    if (extension == NULL || !identifiers_find_devices(arena, extension->value, &names, &count))
        return;
    for (size_t i = 0; i < count; i++)
        attested_add(attested, names[i].type, names[i].value);
}

static const struct format *
find_format(struct bytes name)
{
    for (size_t i = 0; i < sizeof formats / sizeof formats[0]; i++)
        if (bytes_equal(name, bytes_of_text(formats[i].name)))
            return &formats[i];
    return NULL;
}

static const char *
find_roots(const struct proof *proof, const struct format *format)
{
    for (size_t i = 0; format != NULL && i < proof->attestation_root_count; i++)
        if (text_equal(proof->attestation_roots[i]->format, format->name))
            return proof->attestation_roots[i]->pem;
    return NULL;
}

static enum error
refuse_format(struct request *rq, const struct proof *proof, struct bytes name)
{
    struct buffer taken = buffer_in(rq->arena);

    for (size_t i = 0; i < proof->attestation_root_count; i++)
        buffer_append_format(&taken, "%s%s", i > 0 ? ", " : "", proof->attestation_roots[i]->format);
    return found(rq, "badAttestationStatement", "attestations of the format \"%s\" are not taken; these are: %s", harmless(rq->arena, name),
                 buffer_text(&taken));
}

static const char *
names_text(struct arena *arena, const struct attested *attested)
{
    struct buffer text = buffer_in(arena);

    for (size_t i = 0; i < attested->name_count; i++)
        buffer_append_format(&text, "%s%s %s", i > 0 ? ", " : "", identifier_type_name(attested->names[i].type), attested->names[i].value);
    return attested->name_count == 0 ? "no device by a number" : buffer_text(&text);
}

static bool
is_about(const struct attested *attested, const struct identifier *name)
{
    for (size_t i = 0; i < attested->name_count; i++)
        if (identifier_equal(&attested->names[i], name))
            return true;
    return false;
}

enum error
device_attest_01(struct resolver *resolver, struct request *rq, struct proof *proof)
{
    struct attested attested = {.name_count = 0};
    struct statement statement;
    struct certificate leaf;
    const char *root = "";

    (void)resolver;
    enum error error = statement_decode(rq, proof->attestation, &statement);
    if (error)
        return error;
    const struct format *format = find_format(statement.format);
    const char *roots = find_roots(proof, format);
    if (roots == NULL)
        return refuse_format(rq, proof, statement.format);
    error = attestation_chain_check(rq, &statement, roots, &leaf, &root);
    if (!error)
        error = format->verify(rq, &statement, &leaf, proof, &attested);
    if (error)
        return error;
    if (!is_about(&attested, &proof->name))
        return found(rq, "badAttestationStatement", "the attestation is about %s, not about %s %s", names_text(rq->arena, &attested),
                     identifier_type_name(proof->name.type), proof->name.value);
    (void)SHA256(attested.spki.at, attested.spki.len, proof->attested_key);
    proof->attestation_text = arena_format(rq->arena, "%s: %s; root %s", format->name, names_text(rq->arena, &attested), root);
    return OK;
}
