/* A client ends the automatic renewal of its order (RFC 8739 §3.1.2): instead of revoking, it waits for the last certificate to expire. */
#include "acme.h"

enum error
cancel_order(struct acme *acme, struct http_exchange *x, const struct signed_request *signed_)
{
    struct request *rq = &x->rq;
    const char *account_id = signed_->account->id;
    bool canceled = false;
    struct order found;

    if (!text_equal(json_text(signed_->payload, "status"), "canceled"))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the only change that a client may make to an order is \"status\": \"canceled\"");
    enum error error = store_cancel_order(acme, rq, account_id, x->params[0], &canceled);
    if (!error)
        error = store_load_order(acme, rq, account_id, x->params[0], &found);
    if (error)
        return error;
    if (!canceled)
        return refuse(rq, ERR_BAD_REQUEST, "autoRenewalCancellationInvalid",
                      "the order is not valid, or is not renewed automatically: there is nothing to cancel");
    return order_answer(acme, x, 200, &found);
}
