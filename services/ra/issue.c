/*
 * From many decisions to as many certificates, in the order that no crash can break: the intents are committed; then one warrant is signed for them
 * and the signer is asked, once; then one statement stores the certificates, closes the intents, appends the audit records and the events.
 * Called by commit_queue.c with whatever came at the same moment; an intent that was committed before (a repeat, recover.c) joins at the second
 * step. What is refused to one of them stops that one alone.
 */
#include "ra.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"

/* As many as the signer takes at once; and so large that request and answer fit into a message. */
#define SIGN_MOST 50
#define SIGN_OCTETS_MOST (256 * 1024)

/* ---- errors of many ------------------------------------------------------------------------------------------------------------------------- */

static void
fail_one(struct issue *issue, const struct failure *why)
{
    issue->rq->failure = *why;
    issue->error = why->kind;
}

/* Trouble around us is everybody's. Where something was refused to a batch, one of it is at fault: the queue does it again, one by one. */
static enum error
fail_all(struct request *rq, struct issue *const *issues, size_t count)
{
    enum error error = rq->failure.kind;

    if (!error_is_retriable(error) && count > 1)
        return error;
    for (size_t i = 0; i < count; i++)
        fail_one(issues[i], &rq->failure);
    failure_clear(rq);
    return OK;
}

/* Those that have come so far, and no further. */
static size_t
gather(void *const *items, size_t count, enum issue_progress progress, struct issue **ret_issues)
{
    size_t gathered = 0;

    for (size_t i = 0; i < count; i++) {
        struct issue *issue = items[i];
        bool waits = progress == ISSUE_COMMITTED && issue->intent.status == INTENT_PENDING;
        if (issue->progress == progress && issue->error == OK && !issue->taken && !waits)
            ret_issues[gathered++] = issue;
    }
    return gathered;
}

/* ---- the signatures ---------------------------------------------------------------------------------------------------------------------------- */

static enum error
check_signed(struct request *rq, const struct intent *intent, struct bytes der, struct certificate *ret_certificate)
{
    enum error error = certificate_parse(rq, der, ret_certificate);

    if (error) {
        failure_clear(rq);
        return fail_privately(rq, ERR_INTERNAL, "internal error", "the signer's answer is no certificate");
    }
    if (!bytes_equal(ret_certificate->serial, message_bytes(intent->plan->serial)) ||
        !bytes_equal(ret_certificate->key.spki, message_bytes(intent->plan->public_key)))
        return fail_privately(rq, ERR_INTERNAL, "internal error", "the signer's certificate is not that of the intent");
    return OK;
}

/* The refusal of this one, recorded as if it had happened here. */
static enum error
fail_as_told(struct request *rq, const Pb__Signing *signing)
{
    enum error kind = error_from_name(signing->error);

    fail(rq, kind == OK ? ERR_INTERNAL : kind, "%s", signing->message);
    return fail_retry_after(rq, (int)signing->retry_after_s);
}

/* Everything of the certificate lives with its request: the batch's arena ends before. */
static void
take_signing(struct issue *issue, const Pb__Signing *signing)
{
    struct request *rq = issue->rq;
    struct certificate certificate;

    if (!text_is_empty(signing->error)) {
        issue->error = fail_as_told(rq, signing);
        return;
    }
    issue->certificate = bytes_copy(rq->arena, message_bytes(signing->certificate));
    issue->error = check_signed(rq, &issue->intent, issue->certificate, &certificate);
    if (issue->error)
        return;
    const char *not_granted = wishes_not_granted(rq->arena, issue->intent.csr, &certificate);
    if (not_granted[0] != '\0')
        request_note(rq, "not_granted", "%s", not_granted);
    issue->record = audit_issued(rq, &issue->intent, issue->certificate, not_granted);
    issue->announcement = announce_issued(rq, &issue->intent, &certificate, clock_now_s());
    issue->progress = ISSUE_SIGNED;
}

static enum error
ask_signer(struct ra *ra, struct request *rq, struct issue *const *issues, size_t count)
{
    Pb__SignCertificatesRequest request = PB__SIGN_CERTIFICATES_REQUEST__INIT;
    const Pb__SignCertificatesReply *reply;
    struct bytes intents[SIGN_MOST];
    ProtobufCBinaryData packed[SIGN_MOST];
    uint8_t warrant[WARRANT_LEN];
    int64_t began_us = clock_monotonic_us();

    assert(count <= SIGN_MOST);
    for (size_t i = 0; i < count; i++) {
        intents[i] = issues[i]->intent.packed;
        packed[i] = message_data(intents[i]);
    }
    warrant_sign(rq, ra->warrant_key, intents, count, warrant);
    request.intents = packed;
    request.n_intents = count;
    request.warrant = message_data(BYTES(warrant, sizeof warrant));
    enum error error = RPC_CALL(ra->bus, rq, signer, SignCertificates, &request, &reply);
    if (error)
        return error;
    if (reply->n_signings != count)
        return fail_privately(rq, ERR_INTERNAL, "internal error", "the signer answered %zu of %zu intents", reply->n_signings, count);
    figures_signed(clock_monotonic_us() - began_us);
    for (size_t i = 0; i < count; i++)
        take_signing(issues[i], reply->signings[i]);
    return OK;
}

static void
sign_some(struct ra *ra, struct request *rq, struct issue *const *issues, size_t count)
{
    if (ask_signer(ra, rq, issues, count) == OK)
        return;
    if (fail_all(rq, issues, count) == OK)
        return;
    /* The call itself was refused: who is at fault is found by asking for each alone. */
    failure_clear(rq);
    for (size_t i = 0; i < count; i++)
        sign_some(ra, rq, &issues[i], 1);
}

static void
sign_all(struct ra *ra, struct request *rq, struct issue *const *issues, size_t count)
{
    for (size_t from = 0, to; from < count; from = to) {
        size_t octets = issues[from]->intent.packed.len;
        for (to = from + 1; to < count && to - from < SIGN_MOST; to++) {
            octets += issues[to]->intent.packed.len;
            if (octets > SIGN_OCTETS_MOST)
                break;
        }
        sign_some(ra, rq, issues + from, to - from);
    }
}

/* ---- the batch ----------------------------------------------------------------------------------------------------------------------------------
 */

/* The signer's line has the trace of the first; the lines of the others name it. */
static void
share_trace(struct request *rq, void *const *items, size_t count)
{
    const struct issue *first = items[0];

    memcpy(rq->trace_id, first->rq->trace_id, sizeof rq->trace_id);
    for (size_t i = 1; i < count; i++)
        request_note(((struct issue *)items[i])->rq, "batch", "%s", rq->trace_id);
}

enum error
issue_batch(void *context, struct request *rq, void *const *items, size_t count)
{
    struct issue *issues[COMMIT_BATCH_MAX];
    struct ra *ra = context;

    share_trace(rq, items, count);
    size_t some = gather(items, count, ISSUE_PLANNED, issues);
    if (some > 0 && store_intents(ra, rq, issues, some) != OK && fail_all(rq, issues, some) != OK)
        return rq->failure.kind;
    some = gather(items, count, ISSUE_COMMITTED, issues);
    commit_queue_step_aside(ra->commits);
    if (some > 0)
        sign_all(ra, rq, issues, some);
    commit_queue_step_back(ra->commits);
    some = gather(items, count, ISSUE_SIGNED, issues);
    if (some == 0)
        return OK;
    if (store_certificates(ra, rq, issues, some) == OK)
        outbox_wake_soon(ra->outbox);
    else if (fail_all(rq, issues, some) != OK)
        return rq->failure.kind;
    return OK;
}

void
issue_run(struct ra *ra, struct issue *issue)
{
    enum error error = commit_queue_run(ra->commits, issue->rq, issue);

    assert(error == OK); /* of a batch that was refused each was done again, and what failed alone is told in the issue */
}
