/*
 * Called when a gateway asks for a certificate. Reads and judges the request, commits the intent, has it finished (intent.c), answers.
 * If this process dies after the intent was committed, the client's repeat or recover.c finishes.
 */
#include "ra.h"

#include "base/text.h"

/* What policy says, as a refusal by the first layer that does not pass. */
static enum error
judge(struct ra *ra, struct request *rq, const struct application *application)
{
    const struct policy *policy;
    struct verdict verdicts[LAYER_COUNT];
    enum error error = policy_hold(ra, rq, &policy);

    if (error)
        return error;
    layers_judge(rq->arena, policy, application, verdicts);
    for (enum layer layer = LAYER_IDENTITY; layer < LAYER_COUNT; layer++) {
        if (verdicts[layer].passed)
            continue;
        fail(rq, ERR_DENIED, "%s", verdicts[layer].message);
        if (verdicts[layer].reason != NULL)
            fail_reason(rq, verdicts[layer].reason);
        return fail_layer(rq, layer_code(layer));
    }
    return OK;
}

/* Every refusal is on record before the client hears it. Trouble around us is none. */
static enum error
record_refusal(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request)
{
    enum error kind = rq->failure.kind;

    if (error_is_retriable(kind) || kind == ERR_INTERNAL)
        return kind;
    return store_refusal(ra, rq, audit_enroll_refused(rq, request));
}

/* A repeat gets what was decided the first time, even when policy, template or key would be refused today. */
static enum error
find_decided(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, struct intent *ret_intent)
{
    struct failure why = rq->failure;
    bool found;

    if (error_is_retriable(why.kind) || why.kind == ERR_INTERNAL)
        return why.kind;
    failure_clear(rq);
    enum error error = intent_find(ra, rq, request, &found, ret_intent);
    if (error || found)
        return error;
    rq->failure = why;
    return why.kind;
}

/* The committed intent of this request: a new one, finished as far as it came, or that of the first call with this key. */
static enum error
decide(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, struct issue *issue)
{
    struct application application;
    enum error error = application_read(ra, rq, request, &application);

    if (!error)
        error = judge(ra, rq, &application);
    if (error) {
        issue->progress = ISSUE_COMMITTED;
        issue->repeated = true;
        return find_decided(ra, rq, request, &issue->intent);
    }
    intent_plan(rq, &application, &issue->intent);
    return intent_commit(ra, rq, &application, issue);
}

static enum error
answer(struct ra *ra, struct request *rq, const struct intent *intent, struct bytes certificate, Pb__EnrollReply *ret_reply)
{
    const struct issuer *issuer;
    uint8_t *sha256 = arena_alloc(rq->arena, 32);
    enum error error = directory_find_issuer(ra, rq, intent->plan->issuer, &issuer);

    if (error)
        return error;
    certificate_sha256(certificate, sha256);
    ret_reply->status = PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED;
    ret_reply->intent_id = message_data(intent->id);
    ret_reply->serial = intent->plan->serial;
    ret_reply->certificate = message_data(certificate);
    ret_reply->issuer = intent->plan->issuer;
    ret_reply->not_before_s = intent->plan->not_before_s;
    ret_reply->not_after_s = intent->plan->not_after_s;
    ret_reply->certificate_sha256 = message_data(BYTES(sha256, 32));
    ret_reply->n_chain = issuer->chain_count;
    ret_reply->chain = arena_array(rq->arena, issuer->chain_count, sizeof *ret_reply->chain);
    for (size_t i = 0; i < issuer->chain_count; i++)
        ret_reply->chain[i] = message_data(issuer->chain[i]);
    ret_reply->alternates = issuer->alternates;
    ret_reply->n_alternates = issuer->alternate_count;
    return OK;
}

static enum error
answer_pending(const struct intent *intent, Pb__EnrollReply *ret_reply)
{
    ret_reply->status = PB__ENROLL_STATUS__ENROLL_STATUS_PENDING;
    ret_reply->intent_id = message_data(intent->id);
    ret_reply->issuer = intent->plan->issuer;
    return OK;
}

enum error
enroll(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, Pb__EnrollReply *ret_reply)
{
    struct issue issue = {.rq = rq};
    struct bytes certificate = BYTES_NONE;
    enum error error = application_check(rq, request);
    if (error)
        return error;
    request_note(rq, "channel", "%s", request->channel);
    request_note(rq, "template", "%s", request->template_);
    request_note(rq, "principal", "%s:%s", request->principal->kind, request->principal->id);

    error = caller_check_enroll(rq, request->channel, request->principal, request->on_behalf_of);
    if (!error)
        error = decide(ra, rq, request, &issue);
    if (error) {
        figures_refused(error);
        return record_refusal(ra, rq, request);
    }
    ret_reply->repeated = issue.repeated;
    if (issue.intent.status == INTENT_PENDING)
        return answer_pending(&issue.intent, ret_reply);
    error = intent_finish(ra, rq, &issue, &certificate);
    if (error) {
        figures_refused(error);
        return error;
    }
    return answer(ra, rq, &issue.intent, certificate, ret_reply);
}
