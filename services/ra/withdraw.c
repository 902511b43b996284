/*
 * rpc Withdraw: a gateway takes an enrolment back, for its client has lost the account that it came from. What nobody has signed is refused for good,
 * and on record. A certificate that is there stays, and the gateway is told: whoever revokes what the account has must find it.
 */
#include "ra.h"

#include "base/text.h"

#define REASON_MAX 300

static enum error
check_request(struct request *rq, const Pb__WithdrawRequest *request)
{
    if (request->principal == NULL)
        return fail(rq, ERR_BAD_REQUEST, "principal is missing");
    const struct text_bound bounds[] = {
        {"channel", request->channel, 1, CHANNEL_MAX},
        {"idempotency_key", request->idempotency_key, 1, IDEMPOTENCY_KEY_MAX},
        {"principal.kind", request->principal->kind, 1, PRINCIPAL_KIND_MAX},
        {"principal.id", request->principal->id, 1, PRINCIPAL_ID_MAX},
        {"the reason", request->reason, 1, REASON_MAX},
    };
    return check_text_bounds(rq, bounds, sizeof bounds / sizeof bounds[0]);
}

static bool
is_of(const struct intent *intent, const Pb__Principal *principal)
{
    return text_equal(intent->principal_kind, principal->kind) && text_equal(intent->principal_id, principal->id);
}

static enum error
end_intent(struct ra *ra, struct request *rq, const struct intent *intent, const char *reason)
{
    bool changed;
    enum error error = store_withdraw_intent(ra, rq, intent->id, reason, audit_withdrawn(rq, intent, reason), &changed);

    if (error || changed)
        return error;
    return fail(rq, ERR_BUSY, "the enrolment is being signed at this moment");
}

enum error
withdraw(struct ra *ra, struct request *rq, const Pb__WithdrawRequest *request, Pb__WithdrawReply *ret_reply)
{
    struct intent intent;
    bool found = false;
    enum error error = check_request(rq, request);

    if (!error)
        error = caller_check_enroll(rq, request->channel, request->principal, NULL);
    if (!error)
        error = store_find_intent(ra, rq, request->channel, request->idempotency_key, &found, &intent);
    if (error || !found)
        return error;
    request_note(rq, "intent", "%s", bytes_hex(rq->arena, intent.id, 0));
    if (!is_of(&intent, request->principal))
        return fail(rq, ERR_DENIED, "the enrolment is not one of %s:%s", request->principal->kind, request->principal->id);
    switch (intent.status) {
    case INTENT_OPEN:
    case INTENT_PENDING:
        return end_intent(ra, rq, &intent, request->reason);
    case INTENT_ISSUED:
        ret_reply->issued = true;
        return OK;
    case INTENT_REFUSED:
        return OK;
    }
    return OK;
}
