/*
 * simpleenroll (RFC 7030 §4.2.1): the certificate for a CSR, by the same call to ra as every protocol. simplereenroll is in reenroll.c. A repetition
 * gets the same certificate, and a device whose CSR never changes a new one the next time: the next generation of its request. Kept here are only
 * generations of those that came again, and who waits for a person.
 */
#include "est.h"

#include <string.h>

#include <openssl/sha.h>

#include "base/clock.h"

#define DAY_S INT64_C(86400)
#define ASKS_MOST 14 /* the first, the last that is known, the next; and those that were forgotten, or that others have asked for meanwhile */

enum error
enroll_read_csr(struct request *rq, struct bytes body, struct csr *ret_csr)
{
    struct bytes der;
    enum error error = body_decode(rq, body, &der);

    if (!error)
        error = csr_parse(rq, der, ret_csr);
    if (error == ERR_BAD_CSR || error == ERR_BAD_NAME)
        request_note(rq, "rule", "certification request");
    return error;
}

void
enroll_put_asker(struct buffer *all, const struct profile *profile, const struct client *client)
{
    buffer_append(all, profile->incarnation, strlen(profile->incarnation));
    buffer_append(all, profile->settings->name, strlen(profile->settings->name) + 1);
    buffer_append(all, client->kind, strlen(client->kind) + 1);
    buffer_append(all, client->id, strlen(client->id) + 1);
    if (client->certificate != NULL)
        buffer_append(all, client->certificate->der.at, client->certificate->der.len);
}

static struct bytes
request_digest(struct arena *arena, const struct profile *profile, const struct client *client, struct bytes csr)
{
    struct buffer all = buffer_in(arena);
    uint8_t *sha256 = arena_alloc(arena, SHA256_DIGEST_LENGTH);

    enroll_put_asker(&all, profile, client);
    buffer_append(&all, csr.at, csr.len);
    (void)SHA256(all.at, all.len, sha256);
    return BYTES(sha256, SHA256_DIGEST_LENGTH);
}

static enum error
call_ra(struct est *est, const struct http_exchange *x, struct request *rq, const struct profile *profile, const struct client *client,
        struct bytes csr, const char *key, const Pb__EnrollReply **ret_reply)
{
    const Pb__EstProfile *settings = profile->settings;
    Pb__EnrollRequest input = PB__ENROLL_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;

    principal.kind = client->kind;
    principal.id = client->id;
    input.channel = profile_channel(rq->arena, profile);
    input.idempotency_key = incarnation_key(rq->arena, profile->incarnation, key);
    input.csr = message_data(csr);
    input.template_ = settings->template_;
    input.issuer = settings->issuer;
    input.principal = &principal;
    input.owner = client->user;
    input.client_address = x->peer;
    input.wants_approval = settings->approval;
    input.change_names = client->renews;
    if (settings->validity_days > 0)
        input.not_after_s = clock_now_s() + settings->validity_days * DAY_S;
    return RPC_CALL_GATHERED(est->enrolments, rq, Enroll, &input, ret_reply);
}

static bool
is_pending(const Pb__EnrollReply *reply)
{
    return reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_PENDING;
}

/* ra's word for this generation. What ra gave so long ago that it keeps it no more is no reply, but no error either. */
static enum error
ask_for(struct est *est, const struct http_exchange *x, struct request *rq, const struct profile *profile, const struct client *client,
        struct bytes csr, const struct delivery *delivery, const Pb__EnrollReply **ret_reply)
{
    const char *key = arena_format(rq->arena, "%s.%d", bytes_hex(rq->arena, delivery->request_sha256, 0), delivery->generation);

    *ret_reply = NULL;
    enum error error = call_ra(est, x, rq, profile, client, csr, key, ret_reply);
    if (error != ERR_NOT_FOUND)
        return error;
    if (!text_equal(rq->failure.reason, "archived"))
        return fail_reason(rq, "configuration"); /* a template or a CA that is not there is the operator's affair, not the device's */
    failure_clear(rq);
    return OK;
}

/* ra has decided this one before. False in ret_good: what it gave then is not for now; `delivery` becomes the generation to ask for instead. */
static enum error
check_repeated(struct est *est, struct request *rq, const Pb__EnrollReply *reply, struct delivery *delivery, bool *ret_good)
{
    struct past past;

    enum error error = store_find_past(est, rq, delivery, reply == NULL ? BYTES_NONE : message_bytes(reply->serial), &past);
    if (error)
        return error;
    *ret_good = past.generation <= delivery->generation && past.is_good;
    delivery->waited = past.generation == delivery->generation && past.waits;
    if (*ret_good)
        return OK;
    if (past.generation > delivery->generation) {
        delivery->generation = past.generation;
        return OK;
    }
    /* Many may have been given and forgotten since: each step is twice the last. */
    delivery->generation += delivery->step;
    delivery->step *= 2;
    return OK;
}

/* The generation that holds now. One that ra decides for the first time does. */
static enum error
ask_for_the_last(struct est *est, const struct http_exchange *x, struct request *rq, const struct profile *profile, const struct client *client,
                 struct bytes csr, struct delivery *delivery, const Pb__EnrollReply **ret_reply)
{
    for (int i = 0; i < ASKS_MOST; i++) {
        const Pb__EnrollReply *reply = NULL;
        bool good = true;
        enum error error = ask_for(est, x, rq, profile, client, csr, delivery, &reply);
        if (!error && (reply == NULL || (reply->repeated && !is_pending(reply))))
            error = check_repeated(est, rq, reply, delivery, &good);
        if (error)
            return error;
        if (good) {
            *ret_reply = reply;
            return OK;
        }
    }
    fail_privately(rq, ERR_UNAVAILABLE, "the same request came too often at once; repeat it later", "no generation of %d held", ASKS_MOST);
    return fail_retry_after(rq, 1);
}

/* What a person has refused waits no more: later, the same key may be asked for anew. */
static enum error
end_waiting(struct est *est, struct request *rq, const struct delivery *delivery)
{
    struct failure why = rq->failure;

    failure_clear(rq);
    enum error error = store_end_waiting(est, rq, delivery);
    if (error)
        return error;
    rq->failure = why;
    return ERR_DENIED;
}

enum error
enroll_ask(struct est *est, struct http_exchange *x, const struct profile *profile, const struct client *client, struct bytes csr,
           const Pb__EnrollReply **ret_reply)
{
    struct request *rq = &x->rq;
    const Pb__EnrollReply *reply = NULL;
    struct waiting waiting;

    enum error error = waiting_find(est, rq, profile, client, csr, &waiting);
    if (error)
        return error;
    struct delivery delivery = {.request_sha256 = request_digest(rq->arena, profile, client, waiting.csr), .step = 1};
    error = ask_for_the_last(est, x, rq, profile, client, waiting.csr, &delivery, &reply);
    if (error)
        return error == ERR_DENIED && waiting.likeness_sha256.len > 0 ? end_waiting(est, rq, &delivery) : error;
    if (!is_pending(reply))
        request_note(rq, "serial", "%s", bytes_hex(rq->arena, message_bytes(reply->serial), 0));
    /* Of the first certificate of a request its own date tells whether it was given lately, unless it waited for a person. */
    if (is_pending(reply) || delivery.waited || delivery.generation > 0)
        error = store_record_delivery(est, rq, &delivery, &waiting, is_pending(reply));
    if (!error)
        *ret_reply = reply;
    return error;
}

/* RFC 7030 §4.2.3. Clients that read only an integer are the reason for not giving a date. */
static enum error
answer_pending(struct http_exchange *x, const struct profile *profile)
{
    unsigned seconds = profile->settings->retry_after_s == 0 ? EST_RETRY_AFTER_S : profile->settings->retry_after_s;

    request_note(&x->rq, "waits", "for an approval");
    http_header_out(x, "Retry-After", "%u", seconds);
    return http_answer_text(x, 202, "text/plain; charset=utf-8", "the request waits for an approval: send it again later, unchanged\n");
}

enum error
enroll_answer(struct http_exchange *x, const struct profile *profile, const Pb__EnrollReply *reply)
{
    struct bytes certificate = message_bytes(reply->certificate);

    if (reply->status != PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED)
        return answer_pending(x, profile);
    /* RFC 7030 §4.2.3: the certificate alone; its issuers are at cacerts. */
    return body_answer(x, 200, "application/pkcs7-mime; smime-type=certs-only", cms_certs_only(x->rq.arena, &certificate, 1, BYTES_NONE));
}

enum error
simple_enroll(void *context, struct http_exchange *x)
{
    struct est *est = context;
    struct request *rq = &x->rq;
    const struct profile *profile;
    const Pb__EnrollReply *reply;
    struct client client;
    struct csr csr = {0};

    enum error error = profile_find(est, x, &profile);
    if (!error)
        error = authenticate(est, x, profile, false, &client);
    if (!error)
        error = body_check_type(x, "application/pkcs10");
    if (!error)
        error = enroll_read_csr(rq, x->body, &csr);
    if (!error)
        error = names_check_csr(rq, profile, &client, &csr);
    if (!error)
        error = proof_check(x, rq, profile, &csr);
    if (!error)
        error = enroll_ask(est, x, profile, &client, csr.der, &reply);
    return error ? error : enroll_answer(x, profile, reply);
}
