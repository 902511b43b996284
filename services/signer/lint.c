/*
 * The last look before a signature: what was encoded is read back by the parser that everybody else's certificates go through, compared with the
 * plan field by field, and held against the rules of the field (RFC 5280, and the Baseline Requirements where they are rules for everybody).
 * What is found here is a mistake of ours, so it is ERR_INTERNAL, and nothing was signed.
 */
#include "signer.h"

#include <string.h>

#include "base/text.h"
#include "pki/name.h"

#define SERIAL_OCTETS_MAX 20 /* RFC 5280 §4.1.2.2 */
#define KEY_USAGE_BITS 9

struct lint {
    const struct certificate *read;
    const struct certificate_plan *plan;
    size_t extensions; /* that the plan accounts for */
};

/* Each rule: NULL, or what is wrong. */
typedef const char *lint_rule(struct request *rq, struct lint *lint);

static const struct extension *
find(struct lint *lint, struct bytes oid)
{
    const struct extension *extension = certificate_extension(lint->read, oid);

    if (extension != NULL)
        lint->extensions++;
    return extension;
}

static const char *
lint_serial(struct request *rq, struct lint *lint)
{
    struct bytes serial = lint->read->serial;

    if (!bytes_equal(serial, lint->plan->serial))
        return "the serial number is not the planned one";
    /* With a sign octet, when the first bit is set. */
    if (serial.len == 0 || serial.len + (serial.at[0] >> 7) > SERIAL_OCTETS_MAX || (serial.len == 1 && serial.at[0] == 0))
        return "the serial number is zero, or longer than 20 octets";
    return NULL;
}

static const char *
lint_names_of_parties(struct request *rq, struct lint *lint)
{
    if (!bytes_equal(lint->read->issuer, lint->plan->issuer) || name_is_empty(lint->read->issuer))
        return "the issuer is not the planned one, or empty";
    if (!bytes_equal(lint->read->subject, lint->plan->subject))
        return "the subject is not the planned one";
    if (lint->plan->is_ca && name_is_empty(lint->read->subject))
        return "a CA needs a subject (RFC 5280 §4.1.2.6)";
    return NULL;
}

static const char *
lint_validity(struct request *rq, struct lint *lint)
{
    if (lint->read->not_before_s != lint->plan->not_before_s || lint->read->not_after_s != lint->plan->not_after_s)
        return "the validity is not the planned one";
    return lint->read->not_before_s < lint->read->not_after_s ? NULL : "the validity ends before it begins";
}

static const char *
lint_key(struct request *rq, struct lint *lint)
{
    const struct public_key *key = &lint->read->key;

    if (!bytes_equal(key->spki, lint->plan->spki))
        return "the public key is not the planned one";
    if (key->type == KEY_UNKNOWN || (key->type == KEY_RSA && (key->bits < KEY_RSA_BITS_MIN || key->bits > KEY_RSA_BITS_MAX)))
        return "the public key is of no kind that is certified here";
    return lint->read->algorithm == lint->plan->algorithm && lint->read->algorithm != SIG_UNKNOWN ? NULL : "the algorithm is not the planned one";
}

static const char *
lint_key_identifiers(struct request *rq, struct lint *lint)
{
    const struct extension *authority = find(lint, OID_AUTHORITY_KEY_IDENTIFIER), *subject = find(lint, OID_SUBJECT_KEY_IDENTIFIER);
    struct bytes octets;

    if ((authority != NULL && authority->critical) || (subject != NULL && subject->critical))
        return "key identifiers must not be critical (RFC 5280 §4.2.1.1, §4.2.1.2)";
    if ((authority != NULL) != (lint->plan->authority_key_id.len > 0) || (subject != NULL) != (lint->plan->subject_key_id.len > 0))
        return "a key identifier is missing, or one too many";
    if (authority == NULL && !bytes_equal(lint->read->issuer, lint->read->subject))
        return "only a self-signed certificate may be without authorityKeyIdentifier";
    if (authority != NULL) {
        struct der outer = der_of(authority->value), inside;
        if (!der_enter(&outer, DER_SEQUENCE, &inside) || !der_take(&inside, DER_CONTEXT(0), &octets) ||
            !bytes_equal(octets, lint->plan->authority_key_id))
            return "authorityKeyIdentifier is not the planned one";
    }
    struct der in = der_of(subject != NULL ? subject->value : BYTES_NONE);
    if (subject != NULL && (!der_take(&in, DER_OCTET_STRING, &octets) || !bytes_equal(octets, lint->plan->subject_key_id)))
        return "subjectKeyIdentifier is not the planned one";
    return NULL;
}

static const char *
lint_basic_constraints(struct request *rq, struct lint *lint)
{
    const struct extension *extension = find(lint, OID_BASIC_CONSTRAINTS);
    int path_length = -1;
    bool is_ca = certificate_is_ca(lint->read, &path_length);

    if (is_ca != lint->plan->is_ca)
        return "basicConstraints says the wrong thing about being a CA";
    if ((extension != NULL) != (lint->plan->is_ca || lint->plan->with_basic_constraints))
        return "basicConstraints is missing, or one too many";
    if (extension != NULL && !extension->critical)
        return "basicConstraints must be critical";
    return !is_ca || path_length == (lint->plan->path_length < 0 ? -1 : lint->plan->path_length) ? NULL : "the path length is not the planned one";
}

static bool
read_usage(struct bytes value, unsigned *ret_bits)
{
    struct der in = der_of(value);
    struct bytes content;
    unsigned bits = 0;

    if (!der_take(&in, DER_BIT_STRING, &content) || !der_at_end(&in) || content.len < 2 || content.len > 3)
        return false;
    for (unsigned i = 0; i < (content.len - 1) * 8 && i < KEY_USAGE_BITS; i++)
        if (content.at[1 + i / 8] & 0x80 >> i % 8)
            bits |= 1u << i;
    *ret_bits = bits;
    return true;
}

static const char *
lint_key_usage(struct request *rq, struct lint *lint)
{
    const struct extension *extension = find(lint, OID_KEY_USAGE);
    unsigned bits = 0, ca_bits = 1u << key_usage_bit("keyCertSign") | 1u << key_usage_bit("cRLSign");

    if (extension == NULL || !extension->critical)
        return "keyUsage must be there, and critical";
    if (!read_usage(extension->value, &bits) || bits != lint->plan->key_usage || bits == 0)
        return "keyUsage is not the planned one";
    if (lint->plan->is_ca != ((bits & 1u << key_usage_bit("keyCertSign")) != 0) || (!lint->plan->is_ca && bits & ca_bits))
        return "keyCertSign and cRLSign are for CAs only (RFC 5280 §4.2.1.3)";
    return NULL;
}

static const char *
lint_extended_key_usage(struct request *rq, struct lint *lint)
{
    const struct extension *extension = find(lint, OID_EXTENDED_KEY_USAGE);
    struct der outer = der_of(extension != NULL ? extension->value : BYTES_NONE), inside;
    size_t count = 0;

    if (extension == NULL)
        return lint->plan->extended_key_usage_count == 0 ? NULL : "extKeyUsage is missing";
    if (!der_enter(&outer, DER_SEQUENCE, &inside) || !der_at_end(&outer))
        return "extKeyUsage is malformed";
    for (struct bytes purpose; !der_at_end(&inside); count++)
        if (!der_take(&inside, DER_OID, &purpose) || count >= lint->plan->extended_key_usage_count ||
            !bytes_equal(purpose, lint->plan->extended_key_usage[count]))
            return "extKeyUsage is not the planned one";
    return count == lint->plan->extended_key_usage_count && count > 0 ? NULL : "extKeyUsage is not the planned one";
}

static const char *
lint_names(struct request *rq, struct lint *lint)
{
    const struct extension *extension = find(lint, OID_SUBJECT_ALT_NAME);
    struct identifier *names;
    size_t count;

    if (extension == NULL)
        return lint->plan->name_count == 0 ? NULL : "subjectAltName is missing";
    if (extension->critical != name_is_empty(lint->read->subject))
        return "subjectAltName is critical exactly when the subject is empty (RFC 5280 §4.2.1.6)";
    if (identifiers_decode(rq, extension->value, &names, &count) != OK || count != lint->plan->name_count)
        return "subjectAltName is not the planned one";
    for (size_t i = 0; i < count; i++)
        if (!identifier_equal(&names[i], &lint->plan->names[i]))
            return "subjectAltName is not the planned one";
    return NULL;
}

static const char *
lint_identity(struct request *rq, struct lint *lint)
{
    return name_is_empty(lint->read->subject) && lint->plan->name_count == 0 ? "the certificate names nobody" : NULL;
}

static const char *
lint_addresses(struct request *rq, struct lint *lint)
{
    const struct certificate_plan *plan = lint->plan;
    const struct extension *access = find(lint, OID_AUTHORITY_INFO_ACCESS), *points = find(lint, OID_CRL_DISTRIBUTION_POINTS);

    if ((access != NULL) != (!text_is_empty(plan->ocsp_url) || !text_is_empty(plan->ca_issuers_url)))
        return "authorityInfoAccess is missing, or one too many";
    if ((points != NULL) != !text_is_empty(plan->crl_url))
        return "cRLDistributionPoints is missing, or one too many";
    if ((access != NULL && access->critical) || (points != NULL && points->critical))
        return "addresses must not be critical (RFC 5280 §4.2.1.13, §4.2.2.1)";
    return NULL;
}

static const char *
lint_ocsp_nocheck(struct request *rq, struct lint *lint)
{
    const struct extension *extension = find(lint, OID_OCSP_NOCHECK);
    bool is_responder = lint->plan->extended_key_usage_count == 1 && oid_is(lint->plan->extended_key_usage[0], OID_OCSP_SIGNING);

    if ((extension != NULL) != lint->plan->ocsp_nocheck)
        return "id-pkix-ocsp-nocheck is missing, or one too many";
    return is_responder == lint->plan->ocsp_nocheck ? NULL : "id-pkix-ocsp-nocheck and OCSPSigning go together";
}

static const char *
lint_extension_count(struct request *rq, struct lint *lint)
{
    return lint->extensions == lint->read->extension_count ? NULL : "there is an extension that nobody planned";
}

enum error
lint_check(struct request *rq, struct bytes tbs, const struct certificate_plan *plan)
{
    static lint_rule *const rules[] = {
        lint_serial,          lint_names_of_parties,   lint_validity, lint_key,      lint_key_identifiers, lint_basic_constraints,
        lint_key_usage,       lint_extended_key_usage, lint_names,    lint_identity, lint_addresses,       lint_ocsp_nocheck,
        lint_extension_count,
    };
    static const uint8_t no_signature_yet[64];
    struct certificate read;
    struct lint lint = {.read = &read, .plan = plan};

    struct bytes whole = signed_join(rq->arena, tbs, plan->algorithm, BYTES(no_signature_yet, sizeof no_signature_yet));
    if (certificate_parse(rq, whole, &read) != OK) {
        struct failure said = rq->failure;
        failure_clear(rq);
        return fail_privately(rq, ERR_INTERNAL, "internal error", "lint: our own encoding cannot be read: %s", said.message);
    }
    for (size_t i = 0; i < sizeof rules / sizeof rules[0]; i++) {
        const char *wrong = rules[i](rq, &lint);
        if (wrong == NULL)
            continue;
        failure_clear(rq);
        return fail_privately(rq, ERR_INTERNAL, "internal error", "lint: %s", wrong);
    }
    return OK;
}
