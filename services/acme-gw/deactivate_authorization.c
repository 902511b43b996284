/* An account gives up an authorisation (RFC 8555 §7.5.2), and with it the orders that were built on it and are not finalized yet. */
#include "acme.h"

enum error
deactivate_authorization(struct acme *acme, struct http_exchange *x, const struct signed_request *signed_)
{
    struct request *rq = &x->rq;
    struct authorization found;

    if (!text_equal(json_text(signed_->payload, "status"), "deactivated"))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the only change that a client may make to an authorization is \"status\": \"deactivated\"");
    (void)authorization_cache_take(acme->authorizations, rq->arena, signed_->account->id, x->params[0], &found);
    const char *problem = problem_format(rq->arena, "unauthorized", "an authorization of this order was deactivated");
    enum error error = store_deactivate_authorization(acme, rq, signed_->account->id, x->params[0], problem);
    if (!error)
        error = store_load_authorization(acme, rq, signed_->account->id, x->params[0], &found);
    if (error)
        return error;
    if (found.status != AUTHORIZATION_DEACTIVATED)
        return refuse(rq, ERR_CONFLICT, "malformed", "the authorization is neither pending nor valid: there is nothing to deactivate");
    return authorization_answer(acme, x, 200, &found);
}
