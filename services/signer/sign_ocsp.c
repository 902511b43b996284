/*
 * rpc SignOcsp: called by ocsp-responder with the statuses it has read from the database. The responder key of the CA signs (responder.c); each
 * CertID must be one of that CA's, or be answered "unknown".
 */
#include "signer.h"

#include "base/clock.h"
#include "pki/ocsp.h"

#define CLOCK_LEEWAY_S 300

static enum error
check_times(struct request *rq, const Pb__SignOcspRequest *request)
{
    if (request->this_update_s > clock_now_s() + CLOCK_LEEWAY_S || request->this_update_s < 0)
        return fail(rq, ERR_BAD_REQUEST, "thisUpdate lies in the future, or before 1970");
    if (request->next_update_s <= request->this_update_s)
        return fail(rq, ERR_BAD_REQUEST, "nextUpdate is not after thisUpdate");
    if (request->nonce.len > OCSP_NONCE_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the nonce is longer than %d octets (RFC 9654)", OCSP_NONCE_MAX);
    if (request->n_statuses == 0 || request->n_statuses > OCSP_SINGLES_MAX)
        return fail(rq, ERR_BAD_REQUEST, "an OCSP response has 1 to %d answers", OCSP_SINGLES_MAX);
    return OK;
}

/* RFC 5280 §5.3.1: 7 is not used, 8 is for delta CRLs. */
static bool
is_reason(int reason)
{
    return reason >= 0 && reason <= 10 && reason != 7 && reason != 8;
}

static enum error
read_single(struct request *rq, const Pb__SingleStatus *status, const struct ocsp_issuer_hashes *issuer, struct ocsp_single *ret_single)
{
    struct ocsp_cert_id id;

    enum error error = ocsp_cert_id_parse(rq, message_bytes(status->cert_id), &id);
    if (error != OK)
        return error;
    if (status->status < PB__CERT_STATUS__CERT_STATUS_GOOD || status->status > PB__CERT_STATUS__CERT_STATUS_UNKNOWN)
        return fail(rq, ERR_BAD_REQUEST, "an answer has no status");
    /* What this CA did not issue it knows nothing about, whatever the caller thinks. */
    if (status->status != PB__CERT_STATUS__CERT_STATUS_UNKNOWN && !ocsp_cert_id_matches(&id, issuer))
        return fail(rq, ERR_BAD_REQUEST, "a CertID is not one of this CA's");
    if (status->status == PB__CERT_STATUS__CERT_STATUS_REVOKED &&
        (status->revoked_at_s <= 0 || status->revoked_at_s > DER_TIME_MAX_S || !is_reason((int)status->reason)))
        return fail(rq, ERR_BAD_REQUEST, "a revoked certificate needs a time and a reason of RFC 5280");
    *ret_single = (struct ocsp_single){
        .cert_id = id.der, .status = (enum ocsp_status)status->status, .revoked_at_s = status->revoked_at_s, .reason = (int)status->reason};
    return OK;
}

static enum error
read_singles(struct request *rq, const Pb__SignOcspRequest *request, const struct authority *authority, struct ocsp_plan *plan)
{
    struct ocsp_single *singles = arena_array(rq->arena, request->n_statuses, sizeof *singles);
    struct ocsp_issuer_hashes issuer;

    ocsp_issuer_hashes(&authority->certificate, &issuer);
    for (size_t i = 0; i < request->n_statuses; i++) {
        enum error error = read_single(rq, request->statuses[i], &issuer, &singles[i]);
        if (error != OK)
            return error;
    }
    plan->singles = singles;
    plan->single_count = request->n_statuses;
    return OK;
}

enum error
sign_ocsp(struct signer *signer, struct request *rq, const Pb__SignOcspRequest *request, Pb__SignOcspReply *ret_reply)
{
    const struct authority *authority;
    const struct delegate *responder;
    struct ocsp_plan plan = {.produced_at_s = clock_now_s(), .this_update_s = request->this_update_s, .nonce = message_bytes(request->nonce)};
    struct bytes signature;

    request_note(rq, "issuer", "%s", request->issuer);
    enum error error = check_times(rq, request);
    if (error == OK)
        error = authority_load(signer, rq, request->issuer, &authority);
    if (error == OK)
        error = read_singles(rq, request, authority, &plan);
    if (error == OK)
        error = responder_load(signer, rq, authority, &responder);
    if (error != OK)
        return error;
    /* An answer does not outlive the certificate that vouches for it. */
    plan.next_update_s = request->next_update_s < responder->certificate.not_after_s ? request->next_update_s : responder->certificate.not_after_s;
    plan.responder_key_id = BYTES(responder->key_id, sizeof responder->key_id);
    struct bytes data = ocsp_encode_response_data(rq->arena, &plan);
    error = hsm_key_sign(signer, rq, &responder->key, data, &signature);
    if (error != OK)
        return error;
    metric_add(signer->ocsp_responses, 1);
    ret_reply->response = message_data(ocsp_join(rq->arena, data, responder->key.algorithm, signature, responder->certificate.der));
    ret_reply->produced_at_s = plan.produced_at_s;
    ret_reply->responder_not_after_s = responder->certificate.not_after_s;
    return OK;
}
