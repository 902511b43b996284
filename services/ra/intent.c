/*
 * From the decision to the certificate, in the order that no crash can break: the intent is committed, then the warrant is signed and the signer
 * asked, then one statement stores the certificate, closes the intent, appends the audit record and the event. If the process dies in between, the
 * client's repeat or recover.c finishes: what is signed is fixed by the intent, so finishing is repeating.
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

    random_bytes(id, INTENT_ID_LEN);
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

enum error
intent_commit(struct ra *ra, struct request *rq, const struct application *application, struct intent *intent)
{
    struct intent_item item = {.intent = intent, .key_sha256 = BYTES(application->key_sha256, sizeof application->key_sha256)};
    bool found, blocked;

    if (intent->status == INTENT_PENDING)
        item.record = audit_pending(rq, intent);
    enum error error = commit_queue_run(ra->commits, rq, &(struct commit_item){.intent = &item});
    if (error || item.stored)
        return error;
    error = intent_find(ra, rq, application->request, &found, intent);
    if (error || found)
        return error;
    error = store_is_blocked(ra, rq, application->key_sha256, &blocked);
    if (error)
        return error;
    if (blocked)
        return fail(rq, ERR_BAD_CSR, "the public key is blocked, because others know its private key; make a new key");
    fail(rq, ERR_UNAVAILABLE, "the key was just unblocked; repeat the request"); /* between the two statements */
    return fail_retry_after(rq, 1);
}

/* ---- the signature --------------------------------------------------------------------------------------------------------------------------- */

static enum error
sign(struct ra *ra, struct request *rq, const struct intent *intent, struct bytes *ret_certificate)
{
    Pb__SignCertificateRequest request = PB__SIGN_CERTIFICATE_REQUEST__INIT;
    const Pb__SignCertificateReply *reply;
    uint8_t warrant[WARRANT_LEN];
    int64_t began_us = clock_monotonic_us();

    warrant_sign(rq, ra->warrant_key, intent->packed, warrant);
    request.intent = message_data(intent->packed);
    request.warrant = message_data(BYTES(warrant, sizeof warrant));
    enum error error = RPC_CALL(ra->bus, rq, signer, SignCertificate, &request, &reply);
    if (error)
        return error;
    figures_signed(clock_monotonic_us() - began_us);
    *ret_certificate = message_bytes(reply->certificate);
    return OK;
}

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

/* ---- the end ---------------------------------------------------------------------------------------------------------------------------------- */

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

static enum error
close_intent(struct ra *ra, struct request *rq, const struct intent *intent, struct bytes der, struct bytes *ret_certificate)
{
    struct certificate certificate;
    struct intent closed;
    enum error error = check_signed(rq, intent, der, &certificate);
    if (error)
        return error;
    struct closing_item item = {
        .intent = intent,
        .certificate = der,
        .record = audit_issued(rq, intent, der),
        .announcement = announce_issued(rq, intent, &certificate, clock_now_s()),
    };
    error = commit_queue_run(ra->commits, rq, &(struct commit_item){.closing = &item});
    if (error == ERR_CONFLICT)
        return fail_without_partition(ra, rq, intent);
    if (error)
        return error;
    if (item.stored) {
        outbox_wake(ra->outbox);
        figures_issued(intent->plan->template_);
        *ret_certificate = der;
        return OK;
    }
    error = store_load_intent(ra, rq, intent->id, &closed);
    return error ? error : outcome(ra, rq, &closed, ret_certificate);
}

enum error
intent_finish(struct ra *ra, struct request *rq, const struct intent *intent, struct bytes *ret_certificate)
{
    struct bytes der;

    assert(intent->status != INTENT_PENDING);
    request_note(rq, "intent", "%s", bytes_hex(rq->arena, intent->id, 0));
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, message_bytes(intent->plan->serial), 0));
    request_note(rq, "issuer", "%s", intent->plan->issuer);
    if (intent->status != INTENT_OPEN)
        return outcome(ra, rq, intent, ret_certificate);
    /* Before the signature: a certificate that exists must have a place to be stored. */
    enum error error = store_ensure_partition(ra, rq, serial_month_of(intent->plan->not_after_s));
    if (error)
        return error;
    error = sign(ra, rq, intent, &der);
    if (error)
        return fail_unsigned(ra, rq, intent, error, ret_certificate);
    return close_intent(ra, rq, intent, der, ret_certificate);
}
