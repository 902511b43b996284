/*
 * From a `ready` order and a CSR to a certificate (RFC 8555 §7.4). One statement takes the order to `processing` with the CSR in it, for exactly one
 * caller, together with a lease; that caller asks ra and writes down what became of it, within the time that clients wait. Where that does not
 * come to an end, the order stays `processing` and the lease loop (here or in another replica) goes on. ra knows the order's id as idempotency key:
 * asking again gives the same certificate.
 */
#include "acme.h"

#include <openssl/sha.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"

/* ---- the request ---- */

/* Those whose check is quick are checked on the loop. */
static enum error
take_csr(struct http_exchange *x, const json_t *payload, struct csr *ret_csr, struct identifier **ret_names, size_t *ret_count)
{
    struct request *rq = &x->rq;
    const char *text = json_text(payload, "csr");
    struct bytes der;

    if (text == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the payload must have a member \"csr\"");
    if (strlen(text) > CSR_MAX * 4 / 3 + 4 || !base64url_decode_lenient(rq->arena, bytes_of_text(text), &der))
        return refuse(rq, ERR_BAD_CSR, "badCSR", "\"csr\" is not base64url, or is too long");
    enum error error = csr_parse(rq, der, ret_csr);
    if (!error && x->on_loop && ret_csr->key.type != KEY_P256 && ret_csr->key.type != KEY_ED25519)
        return http_defer(x);
    if (!error)
        error = csr_verify(rq, ret_csr);
    if (!error)
        error = csr_all_names(rq, ret_csr, ret_names, ret_count);
    return error == ERR_BAD_NAME ? fail_reason(rq, "badCSR") : error;
}

static enum error
check_csr(struct request *rq, const struct csr *csr, const struct account *account)
{
    enum error error = csr_check_wishes(rq, csr);

    if (error)
        return error;
    /* RFC 8555 §11.1: the account's key is for nothing else. */
    if (jwk_is_key(&account->jwk, &csr->key))
        return refuse(rq, ERR_BAD_CSR, "badCSR", "the key in the CSR is the account's key; a certificate must have a key of its own");
    return OK;
}

/* Nothing that the client sends makes a certificate of it: it is too early, too late, or was finalized. */
static enum error
check_is_open(struct request *rq, const struct order *order)
{
    bool waits = order->status == ORDER_PENDING || order->status == ORDER_READY;

    if (order->status == ORDER_INVALID || order->status == ORDER_CANCELED || (waits && order->expires_at_s <= clock_now_s()))
        return refuse(rq, ERR_CONFLICT, "orderNotReady", "the order is invalid, was canceled or has expired; make a new one");
    if (order->status == ORDER_PENDING)
        return refuse(rq, ERR_CONFLICT, "orderNotReady", "the order is pending: not all of its authorizations are valid");
    if (order->status == ORDER_PROCESSING || order->status == ORDER_VALID)
        return refuse(rq, ERR_CONFLICT, "orderNotReady", "the order was finalized already; fetch it");
    return OK;
}

/* RFC 8555 §7.4: that the order is not ready must be said first, whatever is wrong with the CSR. */
static enum error
refuse_csr(struct acme *acme, struct request *rq, const struct account *account, const char *id)
{
    struct failure failure = rq->failure;
    struct order order;

    if (error_is_retriable(failure.kind))
        return failure.kind;
    failure_clear(rq);
    enum error error = store_load_order(acme, rq, account->id, id, &order);
    if (!error)
        error = check_is_open(rq, &order);
    if (error)
        return error;
    rq->failure = failure;
    return failure.kind;
}

/* RFC 8555 §7.4: the CSR names exactly the order's identifiers. The comparison itself is part of the claim; this says what differs. */
static enum error
refuse_unclaimed(struct acme *acme, struct request *rq, const struct order *order, const struct claim *claim)
{
    const char **names = names_to_columns(rq->arena, order->names, order->name_count);
    const char *const *asked = claim->names;
    bool other_key = false;
    size_t i = 0;

    enum error error = check_is_open(rq, order);
    if (error)
        return error;
    while (names[i] != NULL && text_equal(names[i], asked[i]))
        i++;
    if (names[i] == NULL && asked[i] == NULL) {
        error = store_other_key_is_attested(acme, rq, order, claim->key_sha256, &other_key);
        if (error)
            return error;
    }
    /* draft-ietf-acme-device-attest §9: the attested key is the one in the CSR. */
    if (other_key)
        return refuse(rq, ERR_BAD_CSR, "badCSR", "the key in the CSR is not the one that the device has attested");
    if (names[i] == NULL && asked[i] == NULL)
        error = limit_refuse_claim(acme, rq, order, claim);
    if (error)
        return error;
    /* The last validation ended between the claim and the look at the order. */
    if (names[i] == NULL && asked[i] == NULL)
        return refuse(rq, ERR_CONFLICT, "orderNotReady", "the order was not ready yet, and is now: finalize it again");
    return refuse(rq, ERR_BAD_CSR, "badCSR", "the CSR must name exactly the order's identifiers; the first difference: the order has %s, the CSR %s",
                  names[i] == NULL ? "no more" : names[i], asked[i] == NULL ? "no more" : asked[i]);
}

/* ---- its order ---- */

static enum error
finish(struct acme *acme, struct http_exchange *x, struct finalization *claimed)
{
    enum error error = finalize_go_on(acme, &x->rq, claimed);

    lease_let_go(acme->finalizations, &claimed->kept);
    /* The CSR is recorded: the order will be finished, and the client may poll. */
    if (error && error_is_retriable(error)) {
        request_note(&x->rq, "left", "to the lease: %s", x->rq.failure.detail);
        failure_clear(&x->rq);
        error = OK;
    }
    return error ? error : order_answer(acme, x, 200, &claimed->order);
}

/* Not from everywhere, and not under a policy that an operator has disabled; the order waits for what may change. */
static enum error
check_client(struct acme *acme, struct http_exchange *x, const struct account *account)
{
    const struct policy *policy;

    enum error error = policy_load(acme, &x->rq, account->policy, &policy);
    return error ? error : policy_check_client(x, policy);
}

/* A request with its CSR, from the claim to the answer. */
struct finalizing {
    struct acme *acme;
    struct http_exchange *x;
    struct identifier *names;
    size_t name_count;
    uint8_t key_sha256[SHA256_DIGEST_LENGTH];
    struct claim claim;
    struct finalization finalization;
    enum error error; /* of the claim */
};

static void
make_claim(struct arena *arena, const struct csr *csr, struct finalizing *finalizing)
{
    names_sort(finalizing->names, &finalizing->name_count);
    public_key_sha256(&csr->key, finalizing->key_sha256);
    finalizing->claim = (struct claim){.names = names_to_columns(arena, finalizing->names, finalizing->name_count),
                                       .name_count = finalizing->name_count,
                                       .csr = csr->der,
                                       .key_sha256 = BYTES(finalizing->key_sha256, sizeof finalizing->key_sha256)};
}

/* Who has not got the order learns what it is instead. */
static enum error
load_unclaimed(struct acme *acme, struct finalization *finalization)
{
    return store_load_order(acme, finalization->rq, finalization->account_id, finalization->order_id, &finalization->order);
}

/* Again under the names of the order, where the CSR leaves out nothing but devices. */
static enum error
claim_with_devices(struct finalizing *finalizing)
{
    struct acme *acme = finalizing->acme;
    struct finalization *finalization = &finalizing->finalization;
    struct claim *claim = &finalizing->claim;
    const struct order *order = &finalization->order;

    if (order->status != ORDER_READY || order->name_count == claim->name_count ||
        !names_equal_but_devices(order, finalizing->names, claim->name_count))
        return OK;
    claim->name_count = order->name_count;
    claim->names = names_to_columns(finalization->rq->arena, order->names, order->name_count);
    enum error error = limit_claim(acme, finalization->rq, order->policy, order->names, order->name_count, claim);
    if (!error)
        error = commit_queue_run(acme->finalizing, finalization->rq, finalization);
    return error || finalization->claimed ? error : load_unclaimed(acme, finalization);
}

/* After the first attempt at the claim. */
static enum error
answer_claim(void *context)
{
    struct finalizing *finalizing = context;
    struct acme *acme = finalizing->acme;
    struct finalization *finalization = &finalizing->finalization;
    enum error error = finalizing->error;

    if (!error && !finalization->claimed)
        error = load_unclaimed(acme, finalization);
    if (!error && !finalization->claimed)
        error = claim_with_devices(finalizing);
    if (error)
        return leave_unwritten(acme, finalization->order_id, error);
    if (finalization->claimed)
        return finish(acme, finalizing->x, finalization);
    /* A repetition, or the loser of two: the order is in work or done. RFC 8555 §7.4 has an error for that, but who repeats what he sent because the
     * answer was lost is to find his order, not to give it up. */
    const struct order *order = &finalization->order;
    if (order->status == ORDER_PROCESSING || order->status == ORDER_VALID)
        return order_answer(acme, finalizing->x, 200, order);
    return refuse_unclaimed(acme, finalization->rq, order, &finalizing->claim);
}

static enum error
claim_alone(struct finalizing *finalizing)
{
    finalizing->error = commit_queue_run(finalizing->acme->finalizing, finalizing->finalization.rq, &finalizing->finalization);
    return answer_claim(finalizing);
}

/* No thread is free to go on: a claimed order is for whoever gets its lease next. */
static enum error
leave_claim(struct finalizing *finalizing)
{
    struct acme *acme = finalizing->acme;
    struct finalization *finalization = &finalizing->finalization;
    struct request *rq = finalization->rq;

    if (!finalization->claimed) {
        (void)fail(rq, ERR_BUSY, "all workers are busy and the queue before them is full");
        return fail_retry_after(rq, 1);
    }
    lease_let_go(acme->finalizations, &finalization->kept);
    lease_leave(acme->finalizations, finalization->order_id);
    request_note(rq, "left", "to the lease: all workers are busy");
    failure_clear(rq);
    return order_answer(acme, finalizing->x, 200, &finalization->order);
}

/* What has come to its end with the batch, or to nothing, is answered at once; everything else may have to wait for somebody. */
static void
claimed_together(void *item, enum error error)
{
    struct finalization *finalization = item;
    struct finalizing *finalizing = finalization->whose;
    struct http_exchange *x = finalizing->x;
    bool is_valid = finalization->claimed && finalization->order.status == ORDER_VALID;

    finalizing->error = error;
    if (error || is_valid)
        http_finish(x, answer_claim(finalizing));
    else if (!http_go_on(x, answer_claim, finalizing))
        http_finish(x, leave_claim(finalizing));
}

enum error
finalize(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct csr csr = {0};
    struct finalizing *finalizing = arena_alloc(rq->arena, sizeof *finalizing);

    request_note(rq, "order", "%s", x->params[0]);
    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (!error && x->on_loop && !policies_are_known(acme, rq))
        return http_defer(x);
    if (!error)
        error = check_client(acme, x, signed_.account);
    if (error)
        return error;
    *finalizing = (struct finalizing){.acme = acme, .x = x};
    finalizing->finalization = (struct finalization){
        .rq = rq, .account_id = signed_.account->id, .order_id = x->params[0], .claim = &finalizing->claim, .whose = finalizing};
    error = take_csr(x, signed_.payload, &csr, &finalizing->names, &finalizing->name_count);
    if (!error)
        error = check_csr(rq, &csr, signed_.account);
    if (error && x->on_loop)
        return http_defer(x);
    if (error)
        return refuse_csr(acme, rq, signed_.account, x->params[0]);
    make_claim(rq->arena, &csr, finalizing);
    error = limit_claim(acme, rq, signed_.account->policy, finalizing->names, finalizing->name_count, &finalizing->claim);
    if (error)
        return leave_unwritten(acme, x->params[0], error);
    if (!x->on_loop)
        return claim_alone(finalizing);
    http_leave(x);
    commit_queue_post(acme->finalizing, rq, &finalizing->finalization, claimed_together);
    return OK;
}
