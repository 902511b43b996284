/*
 * rpc Approve: an operator lets a pending enrolment go on, or refuses it for good. Approved, the intent is open and due: recover.c has it signed
 * within a second or so, and whoever asks for it again meanwhile does the same.
 */
#include "ra.h"

#include <openssl/sha.h>

#include "base/text.h"

#define REASON_MAX 300

static enum error
check_request(struct request *rq, const Pb__ApproveRequest *request)
{
    const struct text_bound bounds[] = {
        {"the operator's name", request->operator_, 1, PRINCIPAL_ID_MAX},
        {"the reason", request->reason, 0, REASON_MAX},
    };

    if (request->intent_id.len != INTENT_ID_LEN)
        return fail(rq, ERR_BAD_REQUEST, "an intent is named by %d octets", INTENT_ID_LEN);
    return check_text_bounds(rq, bounds, sizeof bounds / sizeof bounds[0]);
}

/* Nothing was changed. Only what waits can be decided, and only once. */
static enum error
refuse(struct ra *ra, struct request *rq, const struct intent *intent, const uint8_t key_sha256[32])
{
    bool blocked;

    switch (intent->status) {
    case INTENT_OPEN:
        return fail(rq, ERR_CONFLICT, "the enrolment waits for nobody: it is being signed");
    case INTENT_ISSUED:
        return fail(rq, ERR_CONFLICT, "the certificate was issued before");
    case INTENT_REFUSED:
        return fail(rq, ERR_CONFLICT, "the enrolment was refused before");
    case INTENT_PENDING:
        break;
    }
    enum error error = store_is_blocked(ra, rq, key_sha256, &blocked);
    if (error)
        return error;
    if (blocked)
        return fail(rq, ERR_DENIED, "the public key was blocked while the enrolment waited: deny it, and have a new key made");
    return fail(rq, ERR_CONFLICT, "somebody else has decided at the same moment");
}

/* What the template is now counts, and not what it was when the enrolment came. Who has just disabled it must not wait until we have heard. */
static enum error
check_template(struct ra *ra, struct request *rq, const struct intent *intent)
{
    const Pb__Template *template;
    enum error error = directory_refresh(ra, rq);

    if (!error)
        error = directory_find_template(ra, rq, intent->plan->template_, &template);
    if (error || template->enabled)
        return error;
    return fail(rq, ERR_DENIED, "the template %s was disabled while the enrolment waited: deny it, or enable the template", template->name);
}

/* The refusal of an approval is on record, and the enrolment waits on. */
static enum error
record_refusal(struct ra *ra, struct request *rq, const struct intent *intent, const Pb__ApproveRequest *request)
{
    if (rq->failure.kind != ERR_DENIED)
        return rq->failure.kind;
    return store_refusal(ra, rq, audit_approval_refused(rq, intent, request));
}

enum error
approve(struct ra *ra, struct request *rq, const Pb__ApproveRequest *request, Pb__ApproveReply *ret_reply)
{
    struct bytes id = message_bytes(request->intent_id);
    uint8_t key_sha256[SHA256_DIGEST_LENGTH];
    bool found, changed = false;
    struct intent intent;
    enum error error = check_request(rq, request);

    if (!error)
        error = store_find_intent_by_id(ra, rq, id, &found);
    if (!error && !found)
        error = fail(rq, ERR_NOT_FOUND, "there is no such enrolment: see signetctl cert pending");
    if (!error)
        error = store_load_intent(ra, rq, id, &intent);
    if (error)
        return error;
    request_note(rq, "intent", "%s", bytes_hex(rq->arena, id, 0));
    request_note(rq, "decision", "%s by %s", request->deny ? "denied" : "approved", request->operator_);
    if (!request->deny && intent.status == INTENT_PENDING && check_template(ra, rq, &intent) != OK)
        return record_refusal(ra, rq, &intent, request);
    const char *reason = !text_is_empty(request->reason) ? request->reason : "an operator has refused the enrolment";
    const char *record = audit_decided(rq, &intent, request);
    (void)SHA256(intent.plan->public_key.data, intent.plan->public_key.len, key_sha256);
    error = request->deny ? store_deny_intent(ra, rq, id, reason, record, &changed) : store_approve_intent(ra, rq, id, key_sha256, record, &changed);
    if (error)
        return error;
    ret_reply->approved = !request->deny;
    if (changed)
        return OK;
    (void)refuse(ra, rq, &intent, key_sha256);
    return record_refusal(ra, rq, &intent, request);
}
