/* CertRep (RFC 8894 §3.3.2): success, pending, failure. The signer encodes and signs; here the envelope is sealed and the refusal is told to the log.
 */
#include "scep.h"

static enum error
send_reply(struct conversation *c, Pb__ScepStatus status, enum fail_info info, struct bytes content)
{
    Pb__SignScepReplyRequest input = PB__SIGN_SCEP_REPLY_REQUEST__INIT;
    const Pb__SignScepReplyReply *reply;

    input.profile = c->profile->ra;
    input.issuer = c->profile->about->issuer;
    input.transaction_id = c->message.transaction_id;
    input.status = status;
    input.fail_info = (uint32_t)info;
    input.recipient_nonce = message_data(c->message.sender_nonce);
    input.content = message_data(content);
    input.digest = c->message.digest;
    if (input.digest == PB__SCEP_DIGEST__SCEP_DIGEST_SHA1 && !c->profile->about->legacy)
        input.digest = PB__SCEP_DIGEST__SCEP_DIGEST_SHA256; /* only to say that SHA-1 is not allowed */
    enum error error = RPC_CALL_GATHERED(c->scep->replies, c->rq, SignScepReply, &input, &reply);
    return error == OK ? http_answer(c->x, 200, "application/x-pki-message", message_bytes(reply->message)) : error;
}

/* RFC 8894 §3.1: what cannot be encrypted for the key is encrypted under the challengePassword, also where that authorises nothing (RenewalReq).
 * Asked before anything is issued: nobody could read the answer. */
enum error
reply_check_readable(struct conversation *c, struct bytes password)
{
    if (c->message.signer.key.type != KEY_RSA && password.len == 0)
        return refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "key",
                      "nothing can be encrypted for the signer's key: the certification request needs a challengePassword, under which it is "
                      "answered, or the message the signature of an RSA key made for it");
    c->password = password;
    return OK;
}

enum error
reply_certificates(struct conversation *c, const struct bytes *certificates, size_t count, struct bytes crl)
{
    struct bytes envelope;

    enum error error =
        envelope_seal(c->rq, &c->message.signer, c->password, c->cipher, cms_certs_only(c->rq->arena, certificates, count, crl), &envelope);
    if (error != OK)
        return error;
    request_note(c->rq, "pki_status", "success");
    return send_reply(c, PB__SCEP_STATUS__SCEP_STATUS_SUCCESS, FAIL_BAD_REQUEST, envelope);
}

enum error
reply_pending(struct conversation *c)
{
    request_note(c->rq, "pki_status", "pending");
    return send_reply(c, PB__SCEP_STATUS__SCEP_STATUS_PENDING, FAIL_BAD_REQUEST, BYTES_NONE);
}

enum error
reply_failure(struct conversation *c)
{
    struct failure why = c->rq->failure;

    /* The device would take a failure for final: what passes by itself is an HTTP status, after which it asks again. */
    if (error_is_retriable(why.kind) || why.kind == ERR_INTERNAL)
        return why.kind;
    enum fail_info info = fail_info_of(&why);
    failure_clear(c->rq);
    request_note(c->rq, "pki_status", "failure");
    request_note(c->rq, "fail_info", "%d", (int)info);
    request_note(c->rq, "rule", "%s", fail_info_rule(&why));
    request_note(c->rq, "refused", "%s", why.message);
    return send_reply(c, PB__SCEP_STATUS__SCEP_STATUS_FAILURE, info, BYTES_NONE);
}
