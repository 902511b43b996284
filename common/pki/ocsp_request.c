/* OCSP requests (RFC 6960 §4.1), as strangers send them by GET and POST. Read before the cache is asked, so this is quick and bounded. */
#include "pki/ocsp.h"

#include "pki/oid.h"

#define REQUEST_EXTENSIONS_MAX 16
#define SHA1_LEN 20
#define SHA256_LEN 32

static enum error
malformed(struct request *rq, const char *part)
{
    return fail(rq, ERR_BAD_REQUEST, "the OCSP request is malformed: %s", part);
}

/* SHA-1 and SHA-256 come with NULL or with nothing (RFC 4055 §2.1). */
static bool
has_no_parameters(struct der *algorithm)
{
    struct bytes null;

    return der_at_end(algorithm) || (der_take(algorithm, DER_NULL, &null) && null.len == 0 && der_at_end(algorithm));
}

/* CertID ::= SEQUENCE { hashAlgorithm, issuerNameHash, issuerKeyHash, serialNumber } */
static bool
read_cert_id(struct der *request, struct ocsp_cert_id *ret_id)
{
    struct ocsp_cert_id id = {.sha256 = false};
    struct der whole, inside, algorithm;
    struct bytes oid, name_hash, key_hash;

    if (!der_take_whole(request, NULL, &id.der))
        return false;
    whole = der_of(id.der);
    if (!der_enter(&whole, DER_SEQUENCE, &inside) || !der_enter(&inside, DER_SEQUENCE, &algorithm) || !der_take_oid(&algorithm, &oid))
        return false;
    if (!der_take(&inside, DER_OCTET_STRING, &name_hash) || !der_take(&inside, DER_OCTET_STRING, &key_hash) ||
        !der_take_unsigned(&inside, &id.serial) || !der_at_end(&inside))
        return false;
    bool sha1 = oid_is(oid, OID_SHA1);
    id.sha256 = oid_is(oid, OID_SHA256);
    if (sha1 || id.sha256) {
        size_t len = sha1 ? SHA1_LEN : SHA256_LEN;
        if (name_hash.len != len || key_hash.len != len || !has_no_parameters(&algorithm))
            return false;
        id.issuer_name_hash = name_hash;
        id.issuer_key_hash = key_hash;
    }
    *ret_id = id;
    return true;
}

enum error
ocsp_cert_id_parse(struct request *rq, struct bytes der, struct ocsp_cert_id *ret_id)
{
    struct der in = der_of(der);
    struct ocsp_cert_id id;

    if (!read_cert_id(&in, &id) || !der_at_end(&in))
        return malformed(rq, "CertID");
    *ret_id = id;
    return OK;
}

/* Critical extensions that we do not know make the request one that we do not understand. */
static enum error
check_single_extensions(struct request *rq, struct der *request)
{
    struct extension extensions[REQUEST_EXTENSIONS_MAX];
    struct der explicit;
    size_t count = 0;

    if (der_at_end(request))
        return OK;
    if (!der_enter(request, DER_CONTEXT_CONSTRUCTED(0), &explicit) || !extensions_take(&explicit, extensions, REQUEST_EXTENSIONS_MAX, &count) ||
        !der_at_end(&explicit) || !der_at_end(request))
        return malformed(rq, "extensions of one certificate");
    for (size_t i = 0; i < count; i++)
        if (extensions[i].critical)
            return malformed(rq, "an unknown extension of one certificate is critical");
    return OK;
}

static enum error
read_list(struct request *rq, struct der list, struct ocsp_request *request)
{
    for (; !der_at_end(&list); request->id_count++) {
        struct der single;
        if (request->id_count == OCSP_SINGLES_MAX)
            return fail(rq, ERR_BAD_REQUEST, "the OCSP request asks about more than %d certificates", OCSP_SINGLES_MAX);
        if (!der_enter(&list, DER_SEQUENCE, &single) || !read_cert_id(&single, &request->ids[request->id_count]))
            return malformed(rq, "CertID");
        enum error error = check_single_extensions(rq, &single);
        if (error)
            return error;
    }
    return request->id_count == 0 ? malformed(rq, "it asks about no certificate") : OK;
}

static enum error
read_nonce(struct request *rq, struct bytes value, struct ocsp_request *request)
{
    struct der in = der_of(value);
    struct bytes nonce;

    if (!der_take(&in, DER_OCTET_STRING, &nonce) || !der_at_end(&in))
        return malformed(rq, "nonce");
    /* RFC 9654 §2.1: a nonce without octets or with more than 128 is malformedRequest. */
    if (nonce.len == 0 || nonce.len > OCSP_NONCE_MAX)
        return malformed(rq, "the nonce is empty or longer than 128 octets");
    request->nonce = nonce;
    return OK;
}

static enum error
read_extensions(struct request *rq, struct der *tbs, struct ocsp_request *request)
{
    struct extension extensions[REQUEST_EXTENSIONS_MAX];
    struct der explicit;
    size_t count = 0;

    if (der_at_end(tbs))
        return OK;
    if (!der_enter(tbs, DER_CONTEXT_CONSTRUCTED(2), &explicit) || !extensions_take(&explicit, extensions, REQUEST_EXTENSIONS_MAX, &count) ||
        !der_at_end(&explicit) || !der_at_end(tbs))
        return malformed(rq, "extensions");
    for (size_t i = 0; i < count; i++) {
        if (oid_is(extensions[i].oid, OID_OCSP_NONCE)) {
            enum error error = read_nonce(rq, extensions[i].value, request);
            if (error)
                return error;
        } else if (extensions[i].critical) {
            return malformed(rq, "an unknown extension is critical");
        }
    }
    return OK;
}

/* version [0] DEFAULT v1 and requestorName [1]; who asks does not matter, every answer is public. */
static bool
skip_front(struct der *tbs)
{
    struct der explicit;
    int64_t version;

    if (der_peek(tbs) == DER_CONTEXT_CONSTRUCTED(0) &&
        (!der_enter(tbs, DER_CONTEXT_CONSTRUCTED(0), &explicit) || !der_take_int(&explicit, &version) || version != 0 || !der_at_end(&explicit)))
        return false;
    return der_peek(tbs) != DER_CONTEXT_CONSTRUCTED(1) || der_skip(tbs);
}

enum error
ocsp_request_parse(struct request *rq, struct bytes der, struct ocsp_request *ret_request)
{
    struct ocsp_request request = {.id_count = 0};
    struct der outer = der_of(der), message, tbs, list;

    if (der.len > OCSP_REQUEST_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the OCSP request has %zu octets, at most %d are read", der.len, OCSP_REQUEST_MAX);
    if (!der_enter(&outer, DER_SEQUENCE, &message) || !der_at_end(&outer) || !der_enter(&message, DER_SEQUENCE, &tbs))
        return malformed(rq, "it is not a DER SEQUENCE");
    /* A signature [0] is allowed and not looked at (RFC 6960 §4.1.2). */
    if (!der_at_end(&message) && (der_peek(&message) != DER_CONTEXT_CONSTRUCTED(0) || !der_skip(&message) || !der_at_end(&message)))
        return malformed(rq, "something follows it");
    if (!skip_front(&tbs) || !der_enter(&tbs, DER_SEQUENCE, &list))
        return malformed(rq, "list of certificates");
    enum error error = read_list(rq, list, &request);
    if (!error)
        error = read_extensions(rq, &tbs, &request);
    if (!error)
        *ret_request = request;
    return error;
}
