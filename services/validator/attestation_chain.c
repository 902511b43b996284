/*
 * Whose word an attestation is: from its leaf over what it brings along to a root that the policy names. OpenSSL builds the path and applies RFC
 * 5280; what counts as a CA is said more strictly here.
 */
#include "attestation.h"

#include <openssl/x509_vfy.h>

#include "base/clock.h"
#include "pki/name.h"
#include "pki/pem.h"

#define ROOTS_MAX 128
#define SECURITY_LEVEL 2 /* OpenSSL's: 112 bits, and no SHA-1 */

DEFINE_AUTO(X509, X509_free);
DEFINE_AUTO(X509_STORE, X509_STORE_free);
DEFINE_AUTO(X509_STORE_CTX, X509_STORE_CTX_free);

static void
free_stack(STACK_OF(X509) * *stack)
{
    sk_X509_pop_free(*stack, X509_free);
}

static X509 *
read_whole(struct bytes der)
{
    const unsigned char *at = der.at;
    AUTO(X509, certificate) = d2i_X509(NULL, &at, (long)der.len);

    return certificate != NULL && at == der.at + der.len ? TAKE(certificate) : NULL;
}

/* A policy that holds something else is our trouble, not the client's. */
static enum error
read_roots(struct request *rq, const char *pem, X509_STORE *store)
{
    struct bytes *roots;
    size_t count;

    enum error error = pem_all(rq, pem, "CERTIFICATE", ROOTS_MAX, &roots, &count);
    for (size_t i = 0; error == OK && i < count; i++) {
        AUTO(X509, root) = read_whole(roots[i]);
        if (root == NULL || X509_STORE_add_cert(store, root) != 1)
            error = fail(rq, ERR_BAD_REQUEST, "one of the roots for attestations is not a certificate");
    }
    return error;
}

static enum error
parse(struct request *rq, struct bytes der, size_t place, struct certificate *ret_certificate)
{
    if (certificate_parse(rq, der, ret_certificate) == OK)
        return OK;
    const char *why = arena_text(rq->arena, rq->failure.message);
    failure_clear(rq);
    return found(rq, "badAttestationStatement", "certificate %zu of the attestation (x5c) cannot be read: %s", place + 1, why);
}

/* Older rules let other certificates pass for CAs; here only basicConstraints does (RFC 5280 §6.1.4 (k)). */
static enum error
read_issuers(struct request *rq, const struct statement *statement, STACK_OF(X509) * issuers)
{
    for (size_t i = 1; i < statement->certificate_count; i++) {
        struct certificate certificate;
        enum error error = parse(rq, statement->certificates[i], i, &certificate);
        if (error)
            return error;
        AUTO(X509, issuer) = certificate_is_ca(&certificate, NULL) ? read_whole(certificate.der) : NULL;
        if (issuer != NULL && sk_X509_push(issuers, issuer) > 0)
            (void)TAKE(issuer);
    }
    return OK;
}

static const char *
subject_of(struct arena *arena, X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509_NAME(X509_get_subject_name(certificate), &der);
    const char *text = len <= 0 ? "" : name_format(arena, BYTES(der, (size_t)len));

    OPENSSL_free(der);
    return text;
}

static struct bytes
der_of_x509(struct arena *arena, X509 *certificate)
{
    unsigned char *der = NULL;
    int len = i2d_X509(certificate, &der);
    struct bytes copy = bytes_copy(arena, BYTES(der, len > 0 ? (size_t)len : 0));

    OPENSSL_free(der);
    return copy;
}

static enum error
check_revocation(struct request *rq, const char *roots_pem, STACK_OF(X509) * path)
{
    size_t count = (size_t)sk_X509_num(path);
    struct certificate *chain = arena_array(rq->arena, count, sizeof *chain);

    for (size_t i = 0; i < count; i++) {
        enum error error = certificate_parse(rq, der_of_x509(rq->arena, sk_X509_value(path, (int)i)), &chain[i]);
        if (error)
            return error;
    }
    return attestation_revocation_check(rq, roots_pem, chain, count);
}

static enum error
verify(struct request *rq, const char *roots_pem, X509_STORE *store, X509 *leaf, STACK_OF(X509) * issuers, const char **ret_root)
{
    AUTO(X509_STORE_CTX, context) = X509_STORE_CTX_new();

    if (context == NULL || X509_STORE_CTX_init(context, store, leaf, issuers) != 1)
        abort();
    X509_VERIFY_PARAM *rules = X509_STORE_CTX_get0_param(context);
    X509_VERIFY_PARAM_set_auth_level(rules, SECURITY_LEVEL);
    X509_VERIFY_PARAM_set_time(rules, clock_now_s());
    (void)X509_VERIFY_PARAM_set_flags(rules, X509_V_FLAG_PARTIAL_CHAIN);
    if (X509_verify_cert(context) != 1)
        return found(rq, "badAttestationStatement", "the attestation's certificate does not lead to a root that the policy names for this format: %s",
                     X509_verify_cert_error_string(X509_STORE_CTX_get_error(context)));
    STACK_OF(X509) *path = X509_STORE_CTX_get0_chain(context);
    enum error error = check_revocation(rq, roots_pem, path);
    if (!error)
        *ret_root = subject_of(rq->arena, sk_X509_value(path, sk_X509_num(path) - 1));
    return error;
}

enum error
attestation_chain_check(struct request *rq, const struct statement *statement, const char *roots_pem, struct certificate *ret_leaf,
                        const char **ret_root)
{
    AUTO(X509_STORE, store) = X509_STORE_new();
    __attribute__((cleanup(free_stack))) STACK_OF(X509) *issuers = sk_X509_new_null();
    struct certificate leaf;

    if (store == NULL || issuers == NULL)
        abort();
    enum error error = read_roots(rq, roots_pem, store);
    if (!error)
        error = parse(rq, statement->certificates[0], 0, &leaf);
    if (!error)
        error = read_issuers(rq, statement, issuers);
    if (error)
        return error;
    AUTO(X509, own) = read_whole(leaf.der);
    if (own == NULL)
        return found(rq, "badAttestationStatement", "certificate 1 of the attestation (x5c) cannot be read");
    error = verify(rq, roots_pem, store, own, issuers, ret_root);
    if (!error)
        *ret_leaf = leaf;
    return error;
}
