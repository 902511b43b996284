/*
 * rpc SignScepReply: a CertRep of RFC 8894 §3.3.2. The signed attributes are made here, field by field; of the caller's own octets only the envelope
 * and the nonce go in, in their places.
 */
#include "signer.h"

#include <openssl/evp.h>

#include "base/clock.h"
#include "base/text.h"

#define TRANSACTION_ID_MAX 256
#define NONCE_MAX 64
#define NONCE_LEN 16
#define CONTENT_MAX (512 * 1024)
#define FAIL_INFO_MAX 4
#define CERT_REP "3"

struct digest {
    const struct bytes *oid;
    const EVP_MD *(*md)(void);
    enum signature_algorithm algorithm; /* SIG_UNKNOWN: SHA-1 */
};

static const struct digest digests[] = {
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA256] = {&OID_SHA256, EVP_sha256, SIG_RSA_SHA256},
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA384] = {&OID_SHA384, EVP_sha384, SIG_RSA_SHA384},
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA512] = {&OID_SHA512, EVP_sha512, SIG_RSA_SHA512},
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA1] = {&OID_SHA1, EVP_sha1, SIG_UNKNOWN},
};

static enum error
check_request(struct request *rq, const Pb__SignScepReplyRequest *request)
{
    struct bytes transaction_id = bytes_of_text(request->transaction_id);
    bool is_success = request->status == PB__SCEP_STATUS__SCEP_STATUS_SUCCESS;

    if (!is_success && request->status != PB__SCEP_STATUS__SCEP_STATUS_FAILURE && request->status != PB__SCEP_STATUS__SCEP_STATUS_PENDING)
        return fail(rq, ERR_BAD_REQUEST, "the status is not known");
    if (transaction_id.len == 0 || transaction_id.len > TRANSACTION_ID_MAX || !text_is_printable_ascii(transaction_id))
        return fail(rq, ERR_BAD_REQUEST, "a transaction id has 1 to %d printable characters", TRANSACTION_ID_MAX);
    if (request->fail_info > FAIL_INFO_MAX || request->recipient_nonce.len > NONCE_MAX || request->content.len > CONTENT_MAX)
        return fail(rq, ERR_BAD_REQUEST, "failInfo, nonce or content are out of their bounds");
    if (is_success != (request->content.len > 0) || (is_success && !der_is_one_value(message_bytes(request->content))))
        return fail(rq, ERR_BAD_REQUEST, "exactly a success has a content, and it is DER");
    if (request->digest <= PB__SCEP_DIGEST__SCEP_DIGEST_UNSPECIFIED || request->digest > PB__SCEP_DIGEST__SCEP_DIGEST_SHA1)
        return fail(rq, ERR_BAD_REQUEST, "the digest is not known");
    return OK;
}

/* ---- attributes ---- */

static struct bytes
status_text(struct arena *arena, Pb__ScepStatus status)
{
    return bytes_of_text(arena_format(arena, "%d", (int)status - 1));
}

static struct cms_attributes
attributes_of(struct request *rq, const Pb__SignScepReplyRequest *request, const struct digest *digest)
{
    struct cms_attributes all = cms_attributes_of(rq->arena, message_bytes(request->content), digest->md());
    uint8_t *nonce = arena_alloc(rq->arena, NONCE_LEN);

    random_bytes(nonce, NONCE_LEN);
    cms_add(&all, OID_SCEP_TRANSACTION_ID, DER_PRINTABLE_STRING, bytes_of_text(request->transaction_id));
    cms_add(&all, OID_SCEP_MESSAGE_TYPE, DER_PRINTABLE_STRING, bytes_of_text(CERT_REP));
    cms_add(&all, OID_SCEP_PKI_STATUS, DER_PRINTABLE_STRING, status_text(rq->arena, request->status));
    cms_add(&all, OID_SCEP_SENDER_NONCE, DER_OCTET_STRING, BYTES(nonce, NONCE_LEN));
    if (request->recipient_nonce.len > 0)
        cms_add(&all, OID_SCEP_RECIPIENT_NONCE, DER_OCTET_STRING, message_bytes(request->recipient_nonce));
    if (request->status == PB__SCEP_STATUS__SCEP_STATUS_FAILURE)
        cms_add(&all, OID_SCEP_FAIL_INFO, DER_PRINTABLE_STRING, bytes_of_text(arena_format(rq->arena, "%u", request->fail_info)));
    return all;
}

static enum error
sign(struct signer *signer, struct request *rq, const struct delegate *ra, const struct digest *digest, const struct cms_attributes *attributes,
     struct bytes *ret_signature)
{
    struct bytes message = cms_to_sign(attributes);
    struct token_key key = ra->key;

    if (digest->algorithm == SIG_UNKNOWN)
        return hsm_key_sign_sha1(signer, rq, &key, message, ret_signature);
    key.algorithm = digest->algorithm;
    return hsm_key_sign(signer, rq, &key, message, ret_signature);
}

enum error
sign_scep_reply(struct signer *signer, struct request *rq, const Pb__SignScepReplyRequest *request, Pb__SignScepReplyReply *ret_reply)
{
    const struct delegate *ra;
    struct bytes signature;

    enum error error = check_request(rq, request);
    if (error == OK)
        error = scep_ra_of(signer, rq, request->profile, request->issuer, &ra);
    if (error != OK)
        return error;
    request_note(rq, "transaction", "%s", request->transaction_id);
    const struct digest *digest = &digests[request->digest];
    struct cms_attributes attributes = attributes_of(rq, request, digest);
    error = sign(signer, rq, ra, digest, &attributes, &signature);
    if (error != OK)
        return error;
    struct cms_plan plan = {
        .content = message_bytes(request->content), .certificate = &ra->certificate, .digest = *digest->oid, .attributes = &attributes};
    ret_reply->message = message_data(cms_join(rq->arena, &plan, signature));
    metric_add(signer->scep_replies, 1);
    return OK;
}
