/*
 * Certificates, read by our own walk: chains that the signer issues under, certificates that clients present or ask about, and what the
 * inventory shows. Nothing here decides whether a certificate is trusted.
 */
#include "pki/certificate.h"

#include <openssl/sha.h>

#include "pki/oid.h"

#define VERSION_3 2

static enum error
malformed(struct request *rq, const char *part)
{
    return fail(rq, ERR_BAD_REQUEST, "the certificate is malformed: %s", part);
}

static bool
is_sequence(struct bytes whole)
{
    return whole.len > 0 && whole.at[0] == DER_SEQUENCE;
}

static bool
read_validity(struct der *tbs, struct certificate *certificate)
{
    struct der validity;

    return der_enter(tbs, DER_SEQUENCE, &validity) && der_take_time(&validity, &certificate->not_before_s) &&
           der_take_time(&validity, &certificate->not_after_s) && der_at_end(&validity);
}

/* issuerUniqueID and subjectUniqueID are passed over: nobody uses them (RFC 5280 §4.1.2.8). */
static bool
read_tail(struct der *tbs, struct certificate *certificate)
{
    struct der extensions;

    for (int number = 1; number <= 2; number++)
        if (der_peek(tbs) == DER_CONTEXT((unsigned)number) && !der_skip(tbs))
            return false;
    if (der_at_end(tbs))
        return true;
    return der_enter(tbs, DER_CONTEXT_CONSTRUCTED(3), &extensions) &&
           extensions_take(&extensions, certificate->extensions, CERTIFICATE_EXTENSIONS_MAX, &certificate->extension_count) &&
           der_at_end(&extensions) && der_at_end(tbs);
}

/* `outer_algorithm` is the one beside the signature; the one inside must be the same (RFC 5280 §4.1.1.2). */
static enum error
read_tbs(struct request *rq, struct certificate *certificate, struct bytes outer_algorithm)
{
    struct der outer = der_of(certificate->tbs), tbs, explicit_version;
    struct bytes algorithm, spki;
    int64_t version;

    if (!der_enter(&outer, DER_SEQUENCE, &tbs))
        return malformed(rq, "it is not a SEQUENCE");
    if (!der_enter(&tbs, DER_CONTEXT_CONSTRUCTED(0), &explicit_version) || !der_take_int(&explicit_version, &version) || version != VERSION_3 ||
        !der_at_end(&explicit_version))
        return fail(rq, ERR_BAD_REQUEST, "the certificate is not of version 3");
    if (!der_take_unsigned(&tbs, &certificate->serial))
        return malformed(rq, "serial number");
    if (!der_take_whole(&tbs, NULL, &algorithm) || !bytes_equal(algorithm, outer_algorithm))
        return malformed(rq, "its two signature algorithms differ");
    if (!der_take_whole(&tbs, NULL, &certificate->issuer) || !is_sequence(certificate->issuer))
        return malformed(rq, "issuer");
    if (!read_validity(&tbs, certificate))
        return malformed(rq, "validity");
    if (!der_take_whole(&tbs, NULL, &certificate->subject) || !is_sequence(certificate->subject))
        return malformed(rq, "subject");
    if (!der_take_whole(&tbs, NULL, &spki) || !is_sequence(spki))
        return malformed(rq, "public key");
    if (!read_tail(&tbs, certificate))
        return malformed(rq, "extensions (at most 64, each at most once)");
    /* A kind of key that we do not use ourselves is no reason not to know the certificate. */
    public_key_parse_any(spki, &certificate->key);
    return OK;
}

enum error
certificate_parse(struct request *rq, struct bytes der, struct certificate *ret_certificate)
{
    struct certificate certificate = {.der = der};
    struct der outer = der_of(der), parts;
    struct bytes algorithm;

    if (der.len > CERTIFICATE_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the certificate has %zu octets, at most %d are read", der.len, CERTIFICATE_MAX);
    if (!der_enter(&outer, DER_SEQUENCE, &parts) || !der_take_whole(&parts, NULL, &certificate.tbs) || !der_take_whole(&parts, NULL, &algorithm) ||
        !der_take_bits(&parts, &certificate.signature) || !der_at_end(&parts))
        return malformed(rq, "it is not a DER certificate");
    if (!der_at_end(&outer))
        return malformed(rq, "something follows it");
    enum error error = read_tbs(rq, &certificate, algorithm);
    if (error)
        return error;
    certificate.algorithm = signature_algorithm_parse(algorithm);
    *ret_certificate = certificate;
    return OK;
}

const struct extension *
certificate_extension(const struct certificate *certificate, struct bytes oid)
{
    return extension_find(certificate->extensions, certificate->extension_count, oid);
}

enum error
certificate_names(struct request *rq, const struct certificate *certificate, struct identifier **ret_names, size_t *ret_count)
{
    const struct extension *names = certificate_extension(certificate, OID_SUBJECT_ALT_NAME);

    if (names != NULL)
        return identifiers_decode(rq, names->value, ret_names, ret_count);
    *ret_names = NULL;
    *ret_count = 0;
    return OK;
}

bool
certificate_is_ca(const struct certificate *certificate, int *ret_path_length)
{
    const struct extension *constraints = certificate_extension(certificate, OID_BASIC_CONSTRAINTS);
    bool is_ca;
    int path_length;

    if (constraints == NULL || !basic_constraints_decode(constraints->value, &is_ca, &path_length) || !is_ca)
        return false;
    if (ret_path_length != NULL)
        *ret_path_length = path_length;
    return true;
}

bool
certificate_is_issued_by(const struct certificate *certificate, const struct certificate *issuer)
{
    return bytes_equal(certificate->issuer, issuer->subject) &&
           signature_verify(&issuer->key, certificate->algorithm, certificate->tbs, certificate->signature);
}

void
certificate_sha256(struct bytes der, uint8_t ret_sha256[32])
{
    SHA256(der.at, der.len, ret_sha256);
}
