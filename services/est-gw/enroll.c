/*
 * simpleenroll (RFC 7030 §4.2.1): the certificate for a CSR, by the same call to ra as every protocol. simplereenroll is in reenroll.c. Nothing is
 * kept here but which generation of a request was delivered, so that a repetition gets the same certificate, and a device whose CSR never changes a
 * new one the next time.
 */
#include "est.h"

#include <string.h>

#include <openssl/sha.h>

#include "base/clock.h"
#include "pki/serial.h"

#define DAY_S INT64_C(86400)

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

static struct bytes
request_digest(struct arena *arena, const struct profile *profile, const struct client *client, struct bytes csr)
{
    struct buffer all = buffer_in(arena);
    uint8_t *sha256 = arena_alloc(arena, SHA256_DIGEST_LENGTH);

    buffer_append(&all, profile->settings->name, strlen(profile->settings->name) + 1);
    buffer_append(&all, client->kind, strlen(client->kind) + 1);
    buffer_append(&all, client->id, strlen(client->id) + 1);
    if (client->certificate != NULL)
        buffer_append(&all, client->certificate->der.at, client->certificate->der.len);
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
    input.idempotency_key = key;
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
    enum error error = RPC_CALL(est->bus, rq, ra, Enroll, &input, ret_reply);
    /* A template or a CA that is not there is the operator's affair, not the device's. */
    return error == ERR_NOT_FOUND ? fail_reason(rq, "configuration") : error;
}

/* A delivery that is not known (any more), and a certificate as old as what is forgotten: the request came once, long ago. */
static bool
was_forgotten(const struct est *est, const Pb__EnrollReply *reply)
{
    return reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED && reply->not_before_s < clock_now_s() - est->config.keep_days * DAY_S;
}

enum error
enroll_ask(struct est *est, struct http_exchange *x, const struct profile *profile, const struct client *client, struct bytes csr,
           const Pb__EnrollReply **ret_reply)
{
    struct request *rq = &x->rq;
    struct delivery delivery = {.request_sha256 = request_digest(rq->arena, profile, client, csr)};
    const char *digest = bytes_hex(rq->arena, delivery.request_sha256, 0);
    const Pb__EnrollReply *reply = NULL;
    bool known = false;

    enum error error = store_find_generation(est, rq, delivery.request_sha256, &delivery.generation, &known);
    if (!error)
        error = call_ra(est, x, rq, profile, client, csr, arena_format(rq->arena, "%s.%d", digest, delivery.generation), &reply);
    if (!error && !known && was_forgotten(est, reply)) {
        delivery.generation++;
        error = call_ra(est, x, rq, profile, client, csr, arena_format(rq->arena, "%s.%d", digest, delivery.generation), &reply);
    }
    if (error)
        return error;
    if (reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED) {
        request_note(rq, "serial", "%s", bytes_hex(rq->arena, message_bytes(reply->serial), 0));
        delivery.serial = message_bytes(reply->serial);
        if (!serial_parse(delivery.serial, &delivery.expiry_month))
            return fail_privately(rq, ERR_INTERNAL, "the certificate was issued, but cannot be delivered", "ra: serial number of another form");
        error = commit_queue_run(est->deliveries, rq, &delivery);
    }
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
    return body_answer(x, "application/pkcs7-mime; smime-type=certs-only", cms_certs_only(x->rq.arena, &certificate, 1, BYTES_NONE));
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
