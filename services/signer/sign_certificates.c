/*
 * rpc SignCertificates: called by ra for intents that it has committed. The warrant is over all of them; then each goes its own way: intent, CA and
 * template, limits, encoding, lint, signature. A few at a time share a message to the HSM, and a thread of the crew. What is refused hurts no other.
 * Nothing is stored here: when the answer is lost, ra asks again, and gets the same to-be-signed octets signed again.
 */
#include "signer.h"

#include <semaphore.h>
#include <string.h>

#define INTENT_MAX (64 * 1024)
#define INTENTS_MAX 50 /* whose serial numbers fit into one value of the log */
#define SHARE_MOST 8

/* One intent on its way. */
struct signing {
    struct bytes packed;
    const Pb__CertificateIntent *about; /* NULL: it could not be read */
    const struct authority *authority;
    struct bytes tbs; /* none: refused */
    Pb__Signing *reply;
};

/* Intents that one thread works on, in an arena of its own. */
struct share {
    struct signer *signer;
    struct request rq;
    struct signing *signings;
    size_t count;
    struct shares *all;
};

struct shares {
    atomic_size_t open;
    sem_t done;
};

/* ---- one intent ---- */

/* Each refusal has its line here, as the caller's request has only one. */
static void
refuse(struct share *share, struct signing *signing, enum error error)
{
    struct request *rq = &share->rq;

    rq->note_count = 0;
    if (signing->about != NULL) {
        request_note(rq, "intent", "%s", bytes_hex(rq->arena, message_bytes(signing->about->intent_id), 0));
        request_note(rq, "serial", "%s", bytes_hex(rq->arena, message_bytes(signing->about->serial), 0));
        request_note(rq, "issuer", "%s", signing->about->issuer);
        request_note(rq, "template", "%s v%u", signing->about->template_, signing->about->template_version);
    }
    signing->tbs = BYTES_NONE;
    signing->reply->error = error_name(error);
    signing->reply->message = arena_text(rq->arena, rq->failure.message);
    signing->reply->retry_after_s = (uint32_t)rq->failure.retry_after_s;
    request_end_in(rq, error, false);
    failure_clear(rq);
}

static enum error
read_intent(struct request *rq, struct bytes packed, struct intent *ret_intent)
{
    if (packed.len == 0 || packed.len > INTENT_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the intent is empty, or longer than %d octets", INTENT_MAX);
    return intent_read(rq, packed, ret_intent);
}

/* Everything before the signature. */
static enum error
prepare(struct signer *signer, struct request *rq, struct signing *signing)
{
    const struct template *template;
    struct intent intent;

    enum error error = read_intent(rq, signing->packed, &intent);
    if (error != OK)
        return error;
    signing->about = intent.about;
    error = authority_load(signer, rq, intent.about->issuer, &signing->authority);
    if (error == OK)
        error = template_load(signer, rq, intent.about->template_, intent.about->template_version, &template);
    if (error == OK)
        error = template_check_use(signer, rq, intent.about->template_);
    if (error == OK)
        error = intent_check(rq, &intent, template, signing->authority);
    if (error != OK)
        return error;
    struct certificate_plan plan = encode_plan(rq, &intent, template, signing->authority);
    return issue_encode(signer, rq, &plan, &signing->tbs);
}

/* ---- a share ---- */

/* Those of one CA, so far as they got: one key, few messages to the HSM. When the HSM refuses them together, the one at fault fails alone. */
static void
sign_together(struct share *share, struct signing *const *signings, size_t count)
{
    const struct token_key *key = &signings[0]->authority->key;
    struct bytes messages[SHARE_MOST] = {BYTES_NONE}, signatures[SHARE_MOST];
    struct request *rq = &share->rq;

    for (size_t i = 0; i < count; i++)
        messages[i] = signings[i]->tbs;
    enum error error = hsm_key_sign_all(share->signer, rq, key, messages, count, signatures);
    if (error == ERR_INTERNAL && count > 1) {
        failure_clear(rq);
        for (size_t i = 0; i < count; i++)
            sign_together(share, &signings[i], 1);
        return;
    }
    struct failure why = rq->failure;
    for (size_t i = 0; i < count; i++) {
        if (error == OK) {
            signings[i]->reply->certificate = message_data(issue_join(share->signer, rq, signings[i]->tbs, key, signatures[i]));
            continue;
        }
        rq->failure = why;
        refuse(share, signings[i], error);
    }
}

static void
sign_share(struct share *share)
{
    struct signing *together[SHARE_MOST];

    for (size_t i = 0; i < share->count; i++) {
        enum error error = prepare(share->signer, &share->rq, &share->signings[i]);
        if (error != OK)
            refuse(share, &share->signings[i], error);
    }
    for (size_t i = 0, count; i < share->count; i++) {
        struct signing *first = &share->signings[i];
        if (first->tbs.len == 0 || first->reply->certificate.len > 0)
            continue;
        together[0] = first;
        count = 1;
        for (size_t k = i + 1; k < share->count; k++)
            if (share->signings[k].tbs.len > 0 && share->signings[k].authority == first->authority)
                together[count++] = &share->signings[k];
        sign_together(share, together, count);
    }
}

static void
run_share(void *context)
{
    struct share *share = context;
    struct shares *all = share->all;

    sign_share(share);
    if (atomic_fetch_sub(&all->open, 1) == 1)
        sem_post(&all->done);
}

static void
free_arena(void *arena)
{
    arena_free(arena);
}

/* What is signed lives in the share's arena, which lives as long as the caller's. */
static void
begin_share(struct request *rq, struct share *share)
{
    struct arena *arena = arena_new();

    arena_defer(rq->arena, free_arena, arena);
    request_begin_in(&share->rq, arena, rq->kind, rq->step, request_traceparent(rq));
    share->rq.deadline_ms = rq->deadline_ms;
    share->rq.caller = rq->caller;
}

/* As many shares as keep every worker of the HSM busy, and no more; each worker gets as many as the others, or one would wait for the last. */
static size_t
count_shares(const struct signer *signer, size_t count)
{
    size_t workers = signer->config.hsm_workers > 0 ? (size_t)signer->config.hsm_workers : 1, at_once = workers * SHARE_MOST;
    size_t turns = (count + at_once - 1) / at_once, shares = workers * (turns > 2 ? turns : 2);

    return shares < count ? shares : count;
}

/* The crew takes what it can; the rest, and always the last, is done here. */
static void
sign_in_shares(struct signer *signer, struct request *rq, struct signing *signings, size_t count)
{
    size_t share_count = count_shares(signer, count);
    struct share *shares = arena_array(rq->arena, share_count, sizeof *shares);
    struct shares all;

    atomic_init(&all.open, share_count);
    sem_init(&all.done, 0, 0);
    for (size_t i = 0; i < share_count; i++) {
        size_t from = count * i / share_count, to = count * (i + 1) / share_count;
        shares[i] = (struct share){.signer = signer, .signings = signings + from, .count = to - from, .all = &all};
        begin_share(rq, &shares[i]);
        if (i + 1 == share_count || !workers_try(signer->crew, run_share, &shares[i]))
            run_share(&shares[i]);
    }
    while (sem_wait(&all.done) != 0)
        continue; /* a signal */
    sem_destroy(&all.done);
    for (size_t i = 0; i < share_count; i++)
        rq->sql_round_trips += shares[i].rq.sql_round_trips;
}

/* ---- the call ---- */

static enum error
check_request(struct signer *signer, struct request *rq, const Pb__SignCertificatesRequest *request)
{
    struct bytes intents[INTENTS_MAX];

    if (request->n_intents == 0 || request->n_intents > INTENTS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "%zu intents; 1 to %d are signed at once", request->n_intents, INTENTS_MAX);
    for (size_t i = 0; i < request->n_intents; i++)
        intents[i] = message_bytes(request->intents[i]);
    /* Before a single octet of them is read. */
    return warrant_check(signer, rq, intents, request->n_intents, message_bytes(request->warrant));
}

/* The proof of the log: what was signed had its intent. */
static void
note_signed(struct request *rq, const struct signing *signings, size_t count)
{
    struct buffer serials = buffer_in(rq->arena);
    size_t signed_count = 0;

    for (size_t i = 0; i < count; i++) {
        if (signings[i].tbs.len == 0)
            continue;
        buffer_append_text(&serials, signed_count++ > 0 ? " " : "");
        buffer_append_text(&serials, bytes_hex(rq->arena, message_bytes(signings[i].about->serial), 0));
    }
    request_note(rq, "intents", "%zu", count);
    request_note(rq, "signed", "%zu", signed_count);
    request_note(rq, "serials", "%s", buffer_text(&serials));
}

enum error
sign_certificates(struct signer *signer, struct request *rq, const Pb__SignCertificatesRequest *request, Pb__SignCertificatesReply *ret_reply)
{
    enum error error = check_request(signer, rq, request);
    if (error != OK)
        return error;

    size_t count = request->n_intents;
    struct signing *signings = arena_array(rq->arena, count, sizeof *signings);
    ret_reply->signings = arena_array(rq->arena, count, sizeof(Pb__Signing *));
    ret_reply->n_signings = count;
    for (size_t i = 0; i < count; i++) {
        signings[i].packed = message_bytes(request->intents[i]);
        signings[i].reply = ret_reply->signings[i] = arena_alloc(rq->arena, sizeof(Pb__Signing));
        pb__signing__init(signings[i].reply);
    }
    sign_in_shares(signer, rq, signings, count);
    note_signed(rq, signings, count);
    return OK;
}
