/*
 * What becomes of an intent: planned, committed and finished (by issue.c, with others), found again by a repeat, refused for good, or left open for a
 * later attempt. If the process dies in between, the client's repeat or recover.c finishes: what is signed is fixed by the intent, so finishing is
 * repeating.
 */
#include "ra.h"

#include <assert.h>

#include "base/clock.h"
#include "link/message.h"

#define SIGNER_UNFIT_RETRY_AFTER_S 30

/* ---- the intent ---------------------------------------------------------------------------------------------------------------------------- */

static Pb__Name **
plan_names(struct request *rq, const struct application *application)
{
    Pb__Name **names = arena_array(rq->arena, application->name_count, sizeof(Pb__Name *));

    for (size_t i = 0; i < application->name_count; i++) {
        names[i] = arena_alloc(rq->arena, sizeof **names);
        pb__name__init(names[i]);
        names[i]->type = (Pb__NameType)application->names[i].type;
        names[i]->value = application->names[i].value;
    }
    return names;
}

static const char *
joined(struct arena *arena, const char *const *texts, size_t count)
{
    struct buffer list = buffer_in(arena);

    for (size_t i = 0; i < count; i++)
        buffer_append_format(&list, "%s%s", i > 0 ? " " : "", texts[i]);
    return buffer_text(&list);
}

static const char *
sponsor_of(struct arena *arena, const struct application *application)
{
    return application->sponsor_kind == NULL ? "" : arena_format(arena, "%s:%s", application->sponsor_kind, application->sponsor_id);
}

void
intent_plan(struct request *rq, const struct application *application, struct intent *ret_intent)
{
    Pb__CertificateIntent *plan = arena_alloc(rq->arena, sizeof *plan);
    struct serial *serial = arena_alloc(rq->arena, sizeof *serial);
    uint8_t *id = arena_alloc(rq->arena, INTENT_ID_LEN);

    random_bytes_by_time(id, INTENT_ID_LEN);
    *serial = serial_new(application->not_after_s);
    pb__certificate_intent__init(plan);
    plan->intent_id = message_data(BYTES(id, INTENT_ID_LEN));
    plan->issuer = application->issuer->ca->name;
    plan->template_ = application->template->name;
    plan->template_version = application->template->version;
    plan->serial = message_data(BYTES(serial->octets, SERIAL_LEN));
    plan->subject = message_data(application->subject);
    plan->names = plan_names(rq, application);
    plan->n_names = application->name_count;
    plan->not_before_s = application->not_before_s;
    plan->not_after_s = application->not_after_s;
    plan->public_key = message_data(application->csr.key.spki);
    *ret_intent = (struct intent){
        .id = BYTES(id, INTENT_ID_LEN),
        .status = application->template->requires_approval || application->request->wants_approval ? INTENT_PENDING : INTENT_OPEN,
        .channel = application->request->channel,
        .idempotency_key = application->request->idempotency_key,
        .principal_kind = application->principal_kind,
        .principal_id = application->principal_id,
        .owner = application->owner,
        .client_address = application->request->client_address,
        .preapproved = joined(rq->arena, (const char *const *)application->request->preapproved, application->request->n_preapproved),
        .on_behalf_of = sponsor_of(rq->arena, application),
        .attested = application->request->attested,
        .request_sha256 = BYTES(application->request_sha256, sizeof application->request_sha256),
        .csr = application->csr.der,
        .packed = message_pack(rq->arena, &plan->base),
        .plan = plan,
    };
}

enum error
intent_find(struct ra *ra, struct request *rq, const Pb__EnrollRequest *request, bool *ret_found, struct intent *ret_intent)
{
    struct intent intent;
    uint8_t request_sha256[32];
    enum error error = store_find_intent(ra, rq, request->channel, request->idempotency_key, ret_found, &intent);

    if (error || !*ret_found)
        return error;
    application_digest(rq, request, request_sha256);
    if (!bytes_equal(intent.request_sha256, BYTES(request_sha256, sizeof request_sha256)))
        return fail(rq, ERR_CONFLICT, "the idempotency key %s was used for another request", request->idempotency_key);
    *ret_intent = intent;
    return OK;
}

/* Nothing was stored: somebody was here before with this key, or the public key is blocked. */
static enum error
find_taken(struct ra *ra, struct request *rq, const struct application *application, struct issue *issue)
{
    struct intent found_intent;
    bool found, blocked;

    enum error error = intent_find(ra, rq, application->request, &found, &found_intent);
    if (error)
        return error;
    if (found) {
        *issue = (struct issue){.rq = rq, .intent = found_intent, .progress = ISSUE_COMMITTED, .repeated = true};
        return OK;
    }
    error = store_is_blocked(ra, rq, application->key_sha256, &blocked);
    if (error)
        return error;
    if (blocked)
        return fail(rq, ERR_BAD_CSR, "the public key is blocked, for it has revoked a certificate itself; make a new key");
    fail(rq, ERR_UNAVAILABLE, "the key was just unblocked; repeat the request"); /* between the two statements */
    return fail_retry_after(rq, 1);
}

enum error
intent_commit(struct ra *ra, struct request *rq, const struct application *application, struct issue *issue)
{
    issue->key_sha256 = BYTES(application->key_sha256, sizeof application->key_sha256);
    /* Before the signature, and best before the intent: a certificate that exists must have a place to be stored. */
    enum error error = store_ensure_partition(ra, rq, serial_month_of(issue->intent.plan->not_after_s));
    if (error)
        return error;
    if (issue->intent.status == INTENT_PENDING)
        issue->record = audit_pending(rq, &issue->intent);
    issue_run(ra, issue);
    if (issue->progress != ISSUE_PLANNED)
        return OK;
    return issue->taken ? find_taken(ra, rq, application, issue) : issue->error;
}

/* ---- the end ---------------------------------------------------------------------------------------------------------------------------------- */

/* The signer will not sign this intent, now or later: the CA or the template is gone, or its own limits forbid it. */
static bool
is_final(enum error error)
{
    switch (error) {
    case ERR_BAD_REQUEST:
    case ERR_BAD_CSR:
    case ERR_BAD_NAME:
    case ERR_DENIED:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_TOO_LARGE:
        return true;
    case OK:
    case ERR_UNAUTHENTICATED: /* our warrant key is not known there: an operator's matter */
    case ERR_RATE_LIMITED:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_INTERNAL:
    case ERR_COUNT:
        return false;
    }
    return false;
}

/* Of a closed intent. */
static enum error
outcome(struct ra *ra, struct request *rq, const struct intent *intent, struct bytes *ret_certificate)
{
    if (intent->status == INTENT_REFUSED)
        return fail(rq, error_from_name(intent->refusal_kind), "%s", intent->refusal);
    assert(intent->status == INTENT_ISSUED);
    return store_load_certificate(ra, rq, serial_month_of(intent->plan->not_after_s), message_bytes(intent->plan->serial), ret_certificate);
}

enum error
intent_refuse(struct ra *ra, struct request *rq, const struct intent *intent, struct bytes *ret_certificate)
{
    struct failure why = rq->failure;
    const char *record = audit_intent_refused(rq, intent);
    struct intent closed;
    bool refused;

    failure_clear(rq);
    enum error error = store_refuse_intent(ra, rq, intent->id, &why, record, &refused);
    if (error)
        return error;
    if (refused) {
        rq->failure = why;
        return why.kind;
    }
    error = store_load_intent(ra, rq, intent->id, &closed);
    return error ? error : outcome(ra, rq, &closed, ret_certificate);
}

static enum error
fail_unsigned(struct ra *ra, struct request *rq, const struct intent *intent, enum error error, struct bytes *ret_certificate)
{
    if (is_final(error))
        return intent_refuse(ra, rq, intent, ret_certificate);
    if (error != ERR_UNAUTHENTICATED)
        return error;
    struct failure said = rq->failure;
    failure_clear(rq);
    fail_privately(rq, ERR_UNAVAILABLE, "certificates cannot be signed now; repeat the request later", "the signer refused our warrant: %s",
                   said.message);
    return fail_retry_after(rq, SIGNER_UNFIT_RETRY_AFTER_S);
}

/* The one row that the tables can refuse is one without a partition: somebody detached a month in which certificates still expire. */
static enum error
fail_without_partition(struct ra *ra, struct request *rq, const struct intent *intent)
{
    struct failure said = rq->failure;

    atomic_store(&ra->known_months[serial_month_of(intent->plan->not_after_s)], false);
    failure_clear(rq);
    fail_privately(rq, ERR_UNAVAILABLE, "the certificate cannot be stored now; repeat the request later", "%s", said.detail);
    return fail_retry_after(rq, 1);
}

/* What issue.c left unfinished. */
static enum error
fail_unfinished(struct ra *ra, struct request *rq, const struct issue *issue, struct bytes *ret_certificate)
{
    if (issue->progress == ISSUE_COMMITTED)
        return fail_unsigned(ra, rq, &issue->intent, issue->error, ret_certificate);
    if (issue->error == ERR_CONFLICT)
        return fail_without_partition(ra, rq, &issue->intent);
    return issue->error;
}

enum error
intent_finish(struct ra *ra, struct request *rq, struct issue *issue, struct bytes *ret_certificate)
{
    const struct intent *intent = &issue->intent;
    struct intent closed;

    assert(intent->status != INTENT_PENDING);
    request_note(rq, "intent", "%s", bytes_hex(rq->arena, intent->id, 0));
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, message_bytes(intent->plan->serial), 0));
    request_note(rq, "issuer", "%s", intent->plan->issuer);
    if (intent->status != INTENT_OPEN)
        return outcome(ra, rq, intent, ret_certificate);
    if (issue->progress == ISSUE_COMMITTED && issue->error == OK) {
        enum error error = store_ensure_partition(ra, rq, serial_month_of(intent->plan->not_after_s));
        if (error)
            return error;
        issue_run(ra, issue);
    }
    if (issue->error)
        return fail_unfinished(ra, rq, issue, ret_certificate);
    if (issue->taken) {
        enum error error = store_load_intent(ra, rq, intent->id, &closed);
        return error ? error : outcome(ra, rq, &closed, ret_certificate);
    }
    figures_issued(intent->plan->template_);
    *ret_certificate = issue->certificate;
    return OK;
}
