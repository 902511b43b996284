/*
 * fullcmc (RFC 7030 §4.3) for a simple request: SignedData over PKIData with one PKCS#10 request and no controls. There is nothing to report but the
 * certificate, so the answer is the simple PKI response; what fails is reported in CMC (cmc_response.c). Who may have it is decided by the
 * connection, as for simpleenroll; the message must be signed by that device, or by the key that is to be certified.
 */
#include "est.h"

#include "pki/oid.h"

DEFINE_AUTO(BIO, BIO_free_all);
DEFINE_AUTO(CMS_ContentInfo, CMS_ContentInfo_free);

static enum error
not_signed_data(struct request *rq)
{
    (void)refuse(rq, ERR_BAD_REQUEST, "full CMC", "the body is no signed CMC message, or its signature does not verify");
    return fail_reason(rq, "badMessageCheck");
}

static void
free_certificates(STACK_OF(X509) * *certificates)
{
    sk_X509_pop_free(*certificates, X509_free);
}

static void
free_list(STACK_OF(X509) * *certificates)
{
    sk_X509_free(*certificates);
}

/* The signature alone: whose key it is, is asked by check_signer. */
static enum error
open_message(struct request *rq, struct bytes der, struct bytes client_cert, CMS_ContentInfo **ret_cms, struct bytes *ret_content)
{
    const unsigned char *at = der.at, *client_at = client_cert.at;
    AUTO(CMS_ContentInfo, cms) = d2i_CMS_ContentInfo(NULL, &at, (long)der.len);
    AUTO(BIO, out) = BIO_new(BIO_s_mem());
    __attribute__((cleanup(free_certificates))) STACK_OF(X509) *known = sk_X509_new_null();
    X509 *client = client_cert.len == 0 ? NULL : d2i_X509(NULL, &client_at, (long)client_cert.len);
    char type[40];
    char *content;

    if (client != NULL && !sk_X509_push(known, client))
        abort();
    if (cms == NULL || out == NULL || OBJ_obj2nid(CMS_get0_type(cms)) != NID_pkcs7_signed ||
        OBJ_obj2txt(type, sizeof type, CMS_get0_eContentType(cms), 1) <= 0 || !text_equal(type, "1.3.6.1.5.5.7.12.2") ||
        CMS_verify(cms, known, NULL, NULL, out, CMS_NO_SIGNER_CERT_VERIFY | CMS_BINARY) != 1)
        return not_signed_data(rq);
    long len = BIO_get_mem_data(out, &content);
    *ret_content = bytes_copy(rq->arena, BYTES(content, len));
    *ret_cms = TAKE(cms);
    return OK;
}

static bool
is_signer(X509 *signer, struct bytes client_cert, const struct csr *csr)
{
    unsigned char *der = NULL, *spki = NULL;
    int der_len = i2d_X509(signer, &der), spki_len = i2d_X509_PUBKEY(X509_get_X509_PUBKEY(signer), &spki);
    bool is = (der_len > 0 && client_cert.len > 0 && bytes_equal(BYTES(der, der_len), client_cert)) ||
              (spki_len > 0 && bytes_equal(BYTES(spki, spki_len), csr->key.spki));

    OPENSSL_free(der);
    OPENSSL_free(spki);
    return is;
}

static enum error
check_signer(struct request *rq, CMS_ContentInfo *cms, struct bytes client_cert, const struct csr *csr)
{
    __attribute__((cleanup(free_list))) STACK_OF(X509) *signers = CMS_get0_signers(cms);

    if (sk_X509_num(signers) == 1 && is_signer(sk_X509_value(signers, 0), client_cert, csr))
        return OK;
    (void)refuse(rq, ERR_BAD_REQUEST, "full CMC",
                 "the message must be signed by the client certificate of this connection, or by the key in the request");
    return fail_reason(rq, "badMessageCheck");
}

static enum error
read_request(struct http_exchange *x, struct bytes *ret_pki_data, struct csr *ret_csr)
{
    struct request *rq = &x->rq;
    AUTO(CMS_ContentInfo, cms) = NULL;
    struct bytes der, csr_der = BYTES_NONE;

    enum error error = body_decode(rq, x->body, &der);
    if (!error)
        error = open_message(rq, der, x->client_cert, &cms, ret_pki_data);
    if (!error)
        error = pki_data_read(rq, *ret_pki_data, &csr_der);
    if (!error)
        error = csr_parse(rq, csr_der, ret_csr);
    return error ? error : check_signer(rq, cms, x->client_cert, ret_csr);
}

static enum error
prove(const struct http_exchange *x, struct request *rq, const struct profile *profile, const struct csr *csr)
{
    enum error error = proof_check(x, rq, profile, csr);
    return error ? fail_reason(rq, "popFailed") : OK;
}

enum error
full_cmc(void *context, struct http_exchange *x)
{
    struct est *est = context;
    struct request *rq = &x->rq;
    const struct profile *profile;
    const Pb__EnrollReply *reply;
    struct client client;
    struct bytes pki_data = BYTES_NONE;
    struct csr csr = {0};

    enum error error = profile_find(est, x, &profile);
    if (!error)
        error = authenticate(est, x, profile, false, &client);
    if (!error)
        error = body_check_type(x, "application/pkcs7-mime");
    if (error)
        return error;
    error = read_request(x, &pki_data, &csr);
    if (!error)
        error = names_check_csr(rq, profile, &client, &csr);
    if (!error)
        error = prove(x, rq, profile, &csr);
    if (!error)
        error = enroll_ask(est, x, profile, &client, csr.der, &reply);
    if (!error)
        return enroll_answer(x, profile, reply);
    cmc_response_keep(est, x, pki_data);
    return error;
}
