/*
 * PKCSReq, RenewalReq and CertPoll. A request is authorised once: what authorised it (a one-time challenge is used up by it) is committed with the
 * request before ra is asked. Whoever sends the same request again, because the answer was lost or this process died, is known by it, and ra gives
 * the same certificate to the same idempotency key. A poll is the same question once more.
 */
#include <openssl/sha.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "scep.h"

#define WAITING_RETRY_AFTER_S 3600
#define ROUNDS_MOST 1000

static Pb__EnrollRequest
enroll_input(struct conversation *c, const struct transaction *transaction, Pb__Principal *principal)
{
    Pb__EnrollRequest input = PB__ENROLL_REQUEST__INIT;

    pb__principal__init(principal);
    principal->kind = transaction->principal_kind;
    principal->id = transaction->principal_id;
    /* Below ra's bound of 240 octets, because of TRANSACTION_ID_MAX. */
    input.channel = arena_format(c->rq->arena, "scep/%s", c->profile->about->name);
    input.idempotency_key = incarnation_key(c->rq->arena, c->profile->incarnation,
                                            arena_format(c->rq->arena, "%s:%s:%d", bytes_hex(c->rq->arena, BYTES(transaction->request_sha256, 32), 0),
                                                         transaction->transaction_id, transaction->round));
    input.csr = message_data(transaction->csr);
    input.template_ = c->profile->about->template_;
    input.issuer = c->profile->about->issuer;
    input.principal = principal;
    input.client_address = c->x->peer;
    input.wants_approval = transaction->needs_approval;
    input.sha1_proof = c->profile->about->legacy && csr_is_sha1_signed(transaction->csr);
    return input;
}

static enum error
ask_ra(struct conversation *c, const struct transaction *transaction, const Pb__EnrollReply **ret_reply)
{
    Pb__Principal principal;
    Pb__EnrollRequest input = enroll_input(c, transaction, &principal);
    enum error error = RPC_CALL_GATHERED(c->scep->enrolments, c->rq, Enroll, &input, ret_reply);

    if (error != ERR_NOT_FOUND)
        return error;
    /* A template or a CA that is not there is the operator's affair: the device comes again. */
    struct failure why = c->rq->failure;
    failure_clear(c->rq);
    return fail_privately(c->rq, ERR_UNAVAILABLE, "this profile cannot issue certificates now; come again", "%s", why.message);
}

/* The same request after its certificate has ended is a new one. */
static bool
has_ended(const Pb__EnrollReply *reply)
{
    return reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED && reply->not_after_s < clock_now_s();
}

/* Intune is told before the device has the certificate, once: what it was not told, it does not manage. A refusal is told, too. */
static enum error
tell_voucher(struct conversation *c, struct transaction *transaction, const Pb__EnrollReply *reply)
{
    if (c->profile->authorization != BY_INTUNE || transaction->notified || text_equal(transaction->principal_kind, "scep-certificate"))
        return OK;
    if (reply->status != PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED || has_ended(reply))
        return OK;
    enum error error = intune_tell_success(c, reply);
    return error == OK ? store_set_notified(c->scep, c->rq, c->profile->about->name, transaction) : error;
}

static enum error
ask_and_tell(struct conversation *c, struct transaction *transaction, const Pb__EnrollReply **ret_reply)
{
    enum error error = ask_ra(c, transaction, ret_reply);

    if (error == OK)
        return tell_voucher(c, transaction, *ret_reply);
    if (c->profile->authorization == BY_INTUNE && !error_is_retriable(error) && error != ERR_INTERNAL)
        intune_tell_failure(c);
    return error;
}

static enum error
answer(struct conversation *c, const Pb__EnrollReply *reply)
{
    struct bytes certificates[2] = {message_bytes(reply->certificate)};
    size_t count = 1;

    if (reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_PENDING)
        return reply_pending(c);
    request_note(c->rq, "serial", "%s", bytes_hex(c->rq->arena, message_bytes(reply->serial), 0));
    /* What was begun before a rollover is the old CA's. */
    if (c->profile->about->include_ca_in_reply) {
        const struct profile_ca *issuer = authorities_find_name(&c->ras, reply->issuer);
        certificates[count++] = issuer != NULL ? issuer->certificate.der : c->ras.issuer.der;
    }
    return reply_certificates(c, certificates, count, BYTES_NONE);
}

/* ---- a new request ---- */

static enum error
refuse_challenge(struct conversation *c)
{
    return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "challenge", "the challenge password is not known, has expired or was used before");
}

static enum error
refuse_waiting(struct conversation *c)
{
    (void)refuse(c->rq, ERR_BUSY, FAIL_BAD_REQUEST, "waiting", "as many devices wait for a person as may; come again");
    return fail_retry_after(c->rq, WAITING_RETRY_AFTER_S);
}

/* What was begun by the same request; it must have been begun by the same signer. */
static enum error
find_begun(struct conversation *c, struct transaction *transaction, bool *ret_found)
{
    uint8_t signer[sizeof transaction->signer_key_sha256];

    memcpy(signer, transaction->signer_key_sha256, sizeof signer);
    enum error error = store_find_transaction(c->scep, c->rq, c->profile->about->name, transaction, ret_found);
    if (error != OK || !*ret_found || memcmp(signer, transaction->signer_key_sha256, sizeof signer) == 0)
        return error;
    return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "signer-key", "this transaction was begun with another key");
}

/* Authorised and committed; of two that come at one moment with one challenge, one. The very same request may have been committed before. */
static enum error
accept_new(struct conversation *c, const struct csr *csr, struct transaction *transaction, bool *ret_found)
{
    struct bytes challenge = BYTES_NONE;
    bool added = false;

    enum error error = authorize(c, csr, transaction, &challenge);
    if (error == OK)
        error = store_add_transaction(c->scep, c->rq, c->profile->about->name, transaction, challenge, &added);
    if (error == ERR_CONFLICT) {
        failure_clear(c->rq);
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "profile", "this profile was deleted a moment ago");
    }
    if (error != OK || added)
        return error;
    error = find_begun(c, transaction, ret_found);
    if (error != OK || *ret_found)
        return error;
    return transaction->needs_approval ? refuse_waiting(c) : refuse_challenge(c);
}

/* Who vouches outside is asked of new requests alone. */
static bool
is_vouched_outside(const struct profile *profile)
{
    return profile->authorization == BY_WEBHOOK || profile->authorization == BY_INTUNE;
}

/* Most requests are new: what is authorised here is not looked for before. But what was authorised once stays so, whatever would be said today. */
static enum error
admit(struct conversation *c, const struct csr *csr, struct transaction *transaction, bool *ret_found)
{
    bool looks_first = is_vouched_outside(c->profile);

    enum error error = looks_first ? find_begun(c, transaction, ret_found) : OK;
    if (error != OK || *ret_found)
        return error;
    error = accept_new(c, csr, transaction, ret_found);
    if (error == OK || looks_first || *ret_found || error_is_retriable(error) || error == ERR_INTERNAL)
        return error;
    struct failure why = c->rq->failure;
    failure_clear(c->rq);
    error = find_begun(c, transaction, ret_found);
    if (error != OK || *ret_found)
        return error;
    c->rq->failure = why;
    return why.kind;
}

/* The transaction was forgotten (link/prune.h), but ra forgets nothing: it gives what this request got long ago. Authorised it is just now. */
static enum error
pass_ended(struct conversation *c, struct transaction *transaction, const Pb__EnrollReply **ret_reply)
{
    enum error error = OK;

    for (int i = 0; error == OK && i < ROUNDS_MOST && has_ended(*ret_reply); i++) {
        transaction->round++;
        error = store_next_round(c->scep, c->rq, c->profile->about->name, transaction);
        if (error == OK)
            error = ask_and_tell(c, transaction, ret_reply);
    }
    return error;
}

static enum error
begin_again(struct conversation *c, const struct csr *csr, struct transaction *transaction, const Pb__EnrollReply **ret_reply)
{
    bool found = false;

    transaction->round++;
    transaction->notified = false;
    enum error error = accept_new(c, csr, transaction, &found);
    return error == OK ? ask_and_tell(c, transaction, ret_reply) : error;
}

/* What makes a request the same again: the certification request, and the certificate that it renews, because devices keep the first request for
 * good. */
static void
digest_request(const struct conversation *c, uint8_t ret_sha256[32])
{
    struct buffer all = buffer_in(c->rq->arena);

    buffer_append(&all, c->content.at, c->content.len);
    if (authorities_have_subject(&c->ras, c->message.signer.issuer))
        buffer_append(&all, c->message.signer.der.at, c->message.signer.der.len);
    (void)SHA256(all.at, all.len, ret_sha256);
}

/* The signature first, and one word for all that is wrong until it verifies: see envelope.c. RFC 8894 wants SHA-256; what came before it signs with
 * SHA-1, its certification request too. */
static enum error
read_csr(struct conversation *c, struct csr *csr)
{
    if (!csr_is_proven(c->content))
        return refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_MESSAGE_CHECK, "envelope",
                      "the envelope does not open with our key, or holds no certification request that its own key has signed");
    enum error error = csr_parse_legacy(c->rq, c->content, csr);

    if (error == OK && csr->is_sha1_signed && !c->profile->about->legacy)
        return refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "digest",
                      "the certification request is signed with SHA-1, which is for profiles that are marked legacy");
    return error;
}

enum error
enroll_request(struct conversation *c)
{
    struct transaction transaction = {.transaction_id = c->message.transaction_id, .csr = c->content};
    struct csr *csr = arena_alloc(c->rq->arena, sizeof *csr);
    const Pb__EnrollReply *reply = NULL;
    bool found = false;

    digest_request(c, transaction.request_sha256);
    public_key_sha256(&c->message.signer.key, transaction.signer_key_sha256);
    enum error error = read_csr(c, csr);
    if (error == OK)
        error = reply_check_readable(c, csr->challenge_password);
    if (error == OK)
        error = admit(c, csr, &transaction, &found);
    if (error == OK)
        error = ask_and_tell(c, &transaction, &reply);
    if (error == OK && has_ended(reply))
        error = found ? begin_again(c, csr, &transaction, &reply) : pass_ended(c, &transaction, &reply);
    return error == OK ? answer(c, reply) : error;
}

/* ---- a poll ---- */

/* The password is that of the request which began it. */
static enum error
check_readable_poll(struct conversation *c)
{
    struct csr *csr = arena_alloc(c->rq->arena, sizeof *csr);
    enum error error = csr_parse_legacy(c->rq, c->content, csr);

    return error == OK ? reply_check_readable(c, csr->challenge_password) : error;
}

enum error
enroll_poll(struct conversation *c)
{
    struct transaction transaction = {.transaction_id = c->message.transaction_id};
    const Pb__EnrollReply *reply = NULL;
    bool found = false;

    /* What counts is the transaction, and that who polls has the key that began it. The issuer and subject that the content names are redundant (RFC
     * 8894 §3.3.3), and nothing can be concluded from them: as issuer, clients name the CA, the CA's issuer, or the RA. */
    public_key_sha256(&c->message.signer.key, transaction.signer_key_sha256);
    enum error error = store_find_polled(c->scep, c->rq, c->profile->about->name, &transaction, &found);
    if (error == OK && !found)
        error = refuse(c->rq, ERR_NOT_FOUND, FAIL_BAD_CERT_ID, "poll", "there is no such transaction of this key");
    c->content = transaction.csr;
    if (error == OK)
        error = check_readable_poll(c);
    if (error == OK)
        error = ask_and_tell(c, &transaction, &reply);
    return error == OK ? answer(c, reply) : error;
}
