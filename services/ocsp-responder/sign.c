/* Turns one OCSP request into one signed response: the status of each CertID from the database, the signature from the signer. */
#include "base/clock.h"
#include "base/text.h"
#include "link/rpc.h"
#include "ocsp_responder.h"

static ProtobufCBinaryData
data_of(struct bytes bytes)
{
    return (ProtobufCBinaryData){.data = (uint8_t *)bytes.at, .len = bytes.len};
}

/* RFC 6960 §2.2: one responder certificate signs one response, so all CertIDs must be of one CA. */
static enum error
fill(struct responder *responder, struct request *rq, const struct ocsp_request *request, Pb__SignOcspRequest *sign)
{
    size_t i;

    sign->statuses = arena_array(rq->arena, request->id_count, sizeof(*sign->statuses));
    for (i = 0; i < request->id_count; i++) {
        const struct issuer *issuer = issuers_match(responder->issuers, rq, &request->ids[i]);
        Pb__SingleStatus *single = arena_alloc(rq->arena, sizeof(*single));
        struct status status;
        enum error error;

        if (issuer == NULL || (i > 0 && !text_equal(issuer->name, sign->issuer)))
            return fail(rq, ERR_NOT_FOUND, "the certificates asked for are not all of one CA of ours");
        error = status_load(responder, rq, issuer, request->ids[i].serial, &status);
        if (error)
            return error;
        pb__single_status__init(single);
        single->cert_id = data_of(request->ids[i].der);
        single->status = (Pb__CertStatus)status.status;
        single->revoked_at_s = status.revoked_at_s;
        single->reason = (Pb__RevocationReason)status.reason;
        sign->statuses[sign->n_statuses++] = single;
        sign->issuer = issuer->name;
    }
    return OK;
}

enum error
sign_response(struct responder *responder, struct request *rq, const struct ocsp_request *request, struct signed_response *ret_response)
{
    Pb__SignOcspRequest sign = PB__SIGN_OCSP_REQUEST__INIT;
    const Pb__SignOcspReply *reply;
    enum error error;

    sign.this_update_s = clock_now_s();
    sign.next_update_s = sign.this_update_s + responder->config.validity_s;
    sign.nonce = data_of(request->nonce);
    error = fill(responder, rq, request, &sign);
    if (!error)
        error = RPC_CALL(responder->bus, rq, signer, SignOcsp, &sign, &reply);
    if (error)
        return error;
    *ret_response = (struct signed_response){
        .der = BYTES(reply->response.data, reply->response.len),
        .produced_s = reply->produced_at_s,
        .this_update_s = sign.this_update_s,
        /* An answer does not outlive the certificate that vouches for it. */
        .next_update_s = reply->responder_not_after_s < sign.next_update_s ? reply->responder_not_after_s : sign.next_update_s,
    };
    return OK;
}
