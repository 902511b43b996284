/*
 * Certification requests: the door through which every protocol brings a stranger's key and wishes. What leaves csr_parse is canonical and
 * bounded; csr_verify proves that the sender has the private key and that the key is worth certifying. Nothing here decides who may have what.
 */
#include "pki/csr.h"

#include <openssl/err.h>

#include "pki/certificate.h"
#include "pki/name.h"
#include "pki/oid.h"

#define ATTRIBUTES_MAX 32
#define TLS_FEATURE_STATUS_REQUEST 5 /* RFC 7633 §6 */
#define TLS_FEATURE_STATUS_REQUEST_V2 17

static enum error
malformed(struct request *rq, const char *part)
{
    return fail(rq, ERR_BAD_CSR, "the certification request is malformed: %s", part);
}

static enum error
read_extended_key_usage(struct request *rq, struct bytes value, struct csr *csr)
{
    struct der outer = der_of(value), purposes;
    struct bytes content, oid;

    if (!der_take(&outer, DER_SEQUENCE, &content) || !der_at_end(&outer) || content.len == 0)
        return malformed(rq, "extKeyUsage");
    purposes = der_of(content);
    while (!der_at_end(&purposes))
        if (!der_take_oid(&purposes, &oid))
            return malformed(rq, "extKeyUsage");
    csr->extended_key_usage = content;
    return OK;
}

static enum error
read_tls_feature(struct request *rq, struct bytes value, struct csr *csr)
{
    struct der outer = der_of(value), features;
    int64_t feature;

    if (!der_enter(&outer, DER_SEQUENCE, &features) || !der_at_end(&outer))
        return malformed(rq, "tlsFeature");
    while (!der_at_end(&features)) {
        if (!der_take_int(&features, &feature))
            return malformed(rq, "tlsFeature");
        csr->must_staple |= feature == TLS_FEATURE_STATUS_REQUEST || feature == TLS_FEATURE_STATUS_REQUEST_V2;
    }
    return OK;
}

static enum error
read_extension(struct request *rq, const struct extension *extension, struct csr *csr)
{
    int path_length;

    if (oid_is(extension->oid, OID_SUBJECT_ALT_NAME))
        return identifiers_decode(rq, extension->value, &csr->names, &csr->name_count);
    if (oid_is(extension->oid, OID_EXTENDED_KEY_USAGE))
        return read_extended_key_usage(rq, extension->value, csr);
    if (oid_is(extension->oid, OID_TLS_FEATURE))
        return read_tls_feature(rq, extension->value, csr);
    if (oid_is(extension->oid, OID_KEY_USAGE) && !key_usage_decode(extension->value, &csr->key_usage))
        return malformed(rq, "keyUsage");
    if (oid_is(extension->oid, OID_BASIC_CONSTRAINTS) && !basic_constraints_decode(extension->value, &csr->asks_ca, &path_length))
        return malformed(rq, "basicConstraints");
    return OK;
}

/* RFC 2985 §5.4.2: one value, SEQUENCE OF Extension. Extensions that nobody here understands are wishes that are not granted. */
static enum error
read_extension_request(struct request *rq, struct der values, struct csr *csr)
{
    struct extension extensions[CSR_EXTENSIONS_MAX];
    size_t count;

    csr->extensions = BYTES(values.at, values.len);
    if (!extensions_take(&values, extensions, CSR_EXTENSIONS_MAX, &count) || !der_at_end(&values))
        return malformed(rq, "extensionRequest (one list of at most 32 extensions, each at most once)");
    for (size_t i = 0; i < count; i++) {
        enum error error = read_extension(rq, &extensions[i], csr);
        if (error)
            return error;
    }
    return OK;
}

/* RFC 2985 §5.4.1: one DirectoryString. SCEP carries its one-time password here. */
static enum error
read_challenge_password(struct request *rq, struct der values, struct csr *csr)
{
    unsigned tag = der_peek(&values);

    if ((tag != DER_UTF8_STRING && tag != DER_PRINTABLE_STRING && tag != DER_IA5_STRING) || !der_take(&values, tag, &csr->challenge_password) ||
        !der_at_end(&values))
        return malformed(rq, "challengePassword");
    return OK;
}

static enum error
read_attributes(struct request *rq, struct der attributes, struct csr *csr)
{
    struct bytes seen[ATTRIBUTES_MAX];

    for (size_t count = 0; !der_at_end(&attributes); count++) {
        struct der attribute, values;
        struct bytes type;
        if (count == ATTRIBUTES_MAX || !der_enter(&attributes, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &type) ||
            !der_enter(&attribute, DER_SET, &values) || !der_at_end(&attribute))
            return malformed(rq, "attributes");
        for (size_t i = 0; i < count; i++)
            if (oid_is(seen[i], type))
                return malformed(rq, "an attribute comes twice");
        seen[count] = type;
        enum error error = OK;
        if (oid_is(type, OID_EXTENSION_REQUEST))
            error = read_extension_request(rq, values, csr);
        else if (oid_is(type, OID_CHALLENGE_PASSWORD))
            error = read_challenge_password(rq, values, csr);
        if (error)
            return error;
    }
    return OK;
}

/* CertificationRequestInfo (RFC 2986 §4.1). */
static enum error
read_info(struct request *rq, struct csr *csr)
{
    struct der outer = der_of(csr->info), info, attributes = {NULL, 0};
    struct bytes spki;
    int64_t version;

    if (!der_enter(&outer, DER_SEQUENCE, &info) || !der_take_int(&info, &version) || version != 0)
        return malformed(rq, "version");
    if (!der_take_whole(&info, NULL, &csr->subject))
        return malformed(rq, "subject");
    const char *fault = name_find_fault(rq->arena, csr->subject);
    if (fault != NULL)
        return fail(rq, ERR_BAD_CSR, "the subject of the certification request is not acceptable: %s", fault);
    if (!der_take_whole(&info, NULL, &spki))
        return malformed(rq, "public key");
    enum error error = public_key_parse(rq, spki, &csr->key);
    if (error)
        return error;
    /* Some old clients leave out attributes that they have none of. */
    if (!der_at_end(&info) && (!der_enter(&info, DER_CONTEXT_CONSTRUCTED(0), &attributes) || !der_at_end(&info)))
        return malformed(rq, "attributes");
    return read_attributes(rq, attributes, csr);
}

static bool
is_sha1_with_rsa(struct bytes algorithm)
{
    struct der in = der_of(algorithm), inside;
    struct bytes oid;

    return der_enter(&in, DER_SEQUENCE, &inside) && der_take_oid(&inside, &oid) && oid_is(oid, OID_SHA1_WITH_RSA);
}

bool
csr_is_sha1_signed(struct bytes der)
{
    struct der outer = der_of(der), request;
    struct bytes algorithm;

    return der_enter(&outer, DER_SEQUENCE, &request) && der_skip(&request) && der_take_whole(&request, NULL, &algorithm) &&
           is_sha1_with_rsa(algorithm);
}

static enum error
parse(struct request *rq, struct bytes der, bool sha1_passes, struct csr *ret_csr)
{
    struct csr csr = {.der = der};
    struct der outer = der_of(der), request;
    struct bytes algorithm;

    if (der.len > CSR_MAX)
        return fail(rq, ERR_BAD_CSR, "the certification request has %zu octets, at most %d are read", der.len, CSR_MAX);
    if (!der_enter(&outer, DER_SEQUENCE, &request))
        return malformed(rq, "it is not a DER SEQUENCE");
    if (!der_at_end(&outer))
        return malformed(rq, "something follows it");
    if (!der_take_whole(&request, NULL, &csr.info) || !der_take_whole(&request, NULL, &algorithm) || !der_take_bits(&request, &csr.signature) ||
        !der_at_end(&request))
        return malformed(rq, "it is not a PKCS#10 request");
    enum error error = read_info(rq, &csr);
    if (error)
        return error;
    csr.algorithm = signature_algorithm_parse(algorithm);
    csr.is_sha1_signed = sha1_passes && csr.key.type == KEY_RSA && is_sha1_with_rsa(algorithm);
    if (!csr.is_sha1_signed && !signature_algorithm_fits(csr.algorithm, csr.key.type))
        return fail(rq, ERR_BAD_CSR,
                    "the signature algorithm of the certification request is not accepted for its key (SHA-256, SHA-384 or SHA-512 "
                    "with RSA or ECDSA; Ed25519)");
    *ret_csr = csr;
    return OK;
}

enum error
csr_parse(struct request *rq, struct bytes der, struct csr *ret_csr)
{
    return parse(rq, der, false, ret_csr);
}

enum error
csr_parse_legacy(struct request *rq, struct bytes der, struct csr *ret_csr)
{
    return parse(rq, der, true, ret_csr);
}

/* Not among the signature algorithms: nothing else here is to be signed with it. */
static bool
verify_sha1(EVP_PKEY *key, struct bytes message, struct bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestVerifyInit(context, NULL, EVP_sha1(), NULL, key) == 1 &&
                EVP_DigestVerify(context, signature.at, signature.len, message.at, message.len) == 1;

    EVP_MD_CTX_free(context);
    if (!good)
        ERR_clear_error();
    return good;
}

bool
csr_is_proven(struct bytes der)
{
    struct der outer = der_of(der), request, around, info;
    struct bytes algorithm, spki;
    struct csr csr;

    if (!der_enter(&outer, DER_SEQUENCE, &request) || !der_take_whole(&request, NULL, &csr.info) || !der_take_whole(&request, NULL, &algorithm) ||
        !der_take_bits(&request, &csr.signature))
        return false;
    around = der_of(csr.info);
    if (!der_enter(&around, DER_SEQUENCE, &info) || !der_skip(&info) || !der_skip(&info) || !der_take_whole(&info, NULL, &spki))
        return false;
    public_key_parse_any(spki, &csr.key);
    AUTO(EVP_PKEY, key) = public_key_try_import(&csr.key);
    if (key == NULL)
        return false;
    if (csr.key.type == KEY_RSA && is_sha1_with_rsa(algorithm))
        return verify_sha1(key, csr.info, csr.signature);
    csr.algorithm = signature_algorithm_parse(algorithm);
    return signature_algorithm_fits(csr.algorithm, csr.key.type) && signature_verify_with(key, csr.algorithm, csr.info, csr.signature);
}

enum error
csr_verify(struct request *rq, const struct csr *csr)
{
    AUTO(EVP_PKEY, key) = NULL;
    enum error error = public_key_check_import(rq, &csr->key, &key);

    if (error)
        return error;
    if (!(csr->is_sha1_signed ? verify_sha1(key, csr->info, csr->signature) : signature_verify_with(key, csr->algorithm, csr->info, csr->signature)))
        return fail(rq, ERR_BAD_CSR, "the signature of the certification request does not verify");
    return OK;
}

enum error
csr_check_wishes(struct request *rq, const struct csr *csr)
{
    if (csr->asks_ca)
        return fail(rq, ERR_BAD_CSR, "the certification request asks for a CA certificate (basicConstraints with CA:TRUE)");
    if (csr->must_staple)
        return fail(
            rq, ERR_BAD_CSR,
            "the certification request asks for OCSP must-staple (TLS feature status_request, RFC 7633), which certificates of this CA do not "
            "have: make it without");
    return OK;
}
