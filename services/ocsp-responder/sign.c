/* Asks the signer for one response: the CertIDs as they were asked, with what the database says of each. */
#include "base/clock.h"
#include "link/rpc.h"
#include "ocsp_responder.h"

static void
fill(struct request *rq, const struct ocsp_request *request, const struct status *statuses, Pb__SignOcspRequest *sign)
{
    size_t i;

    sign->statuses = arena_array(rq->arena, request->id_count, sizeof(*sign->statuses));
    for (i = 0; i < request->id_count; i++) {
        Pb__SingleStatus *single = arena_alloc(rq->arena, sizeof(*single));

        pb__single_status__init(single);
        single->cert_id = message_data(request->ids[i].der);
        single->status = (Pb__CertStatus)statuses[i].status;
        single->revoked_at_s = statuses[i].revoked_at_s;
        single->reason = (Pb__RevocationReason)statuses[i].reason;
        sign->statuses[sign->n_statuses++] = single;
    }
}

enum error
sign_response(struct responder *responder, struct request *rq, const struct issuer *issuer, const struct ocsp_request *request,
              const struct status *statuses, struct signed_response *ret_response)
{
    Pb__SignOcspRequest sign = PB__SIGN_OCSP_REQUEST__INIT;
    const Pb__SignOcspReply *reply;
    enum error error;

    sign.issuer = issuer->name;
    sign.this_update_s = clock_now_s();
    sign.next_update_s = sign.this_update_s + responder->config.validity_s;
    sign.nonce = message_data(request->nonce);
    fill(rq, request, statuses, &sign);
    error = RPC_CALL(responder->bus, rq, signer, SignOcsp, &sign, &reply);
    if (error)
        return error;
    *ret_response = (struct signed_response){
        .der = message_bytes(reply->response),
        .this_update_s = sign.this_update_s,
        /* An answer does not outlive the certificate that vouches for it. */
        .next_update_s = reply->responder_not_after_s < sign.next_update_s ? reply->responder_not_after_s : sign.next_update_s,
    };
    return OK;
}
