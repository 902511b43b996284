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
#include "pki/serial.h"

#define RA_DEADLINE_MS 10000 /* ra.proto */
#define APPROVAL_PAUSE_S 30
#define ATTEMPTS_MAX 120 /* about an hour in which ra cannot decide; then the client is told */

/* ---- the request ---- */

static enum error
take_csr(struct request *rq, const json_t *payload, struct csr *ret_csr, struct identifier **ret_names, size_t *ret_count)
{
    const char *text = json_text(payload, "csr");
    struct bytes der;

    if (text == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the payload must have a member \"csr\"");
    if (strlen(text) > CSR_MAX * 4 / 3 + 4 || !base64url_decode_lenient(rq->arena, bytes_of_text(text), &der))
        return refuse(rq, ERR_BAD_CSR, "badCSR", "\"csr\" is not base64url, or is too long");
    enum error error = csr_parse(rq, der, ret_csr);
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

/* ---- one turn at an order that is ours by lease ---- */

/* With the trace, by which the logs of ra, signer and validator tell what they keep to themselves. */
const char *
trouble_of_failure(struct request *rq)
{
    (void)request_traceparent(rq);
    return arena_format(rq->arena, "%s: %s%s%s (trace %s)", error_name(rq->failure.kind), rq->failure.message,
                        rq->failure.detail[0] != '\0' ? "; " : "", rq->failure.detail, rq->trace_id);
}

static enum error
postpone(struct acme *acme, struct request *rq, const struct order *order)
{
    int seconds = pause_after(order->attempts);

    const char *trouble = trouble_of_failure(rq);
    request_note(rq, "postponed", "%d s: %s", seconds, rq->failure.message);
    failure_clear(rq);
    return store_postpone_order(acme, rq, order->id, seconds, trouble);
}

/* What another attempt can change is ra's trouble (a CA that is not there yet, too), not the client's. */
static bool
may_pass(enum error kind)
{
    return error_is_retriable(kind) || kind == ERR_INTERNAL || kind == ERR_NOT_FOUND;
}

/* ra has refused for good: the order is invalid, and whoever asks is told why. */
static enum error
record_refusal(struct acme *acme, struct request *rq, const struct order *order)
{
    if (may_pass(rq->failure.kind))
        (void)fail_reason(rq, "serverInternal");
    struct failure failure = rq->failure;
    const char *problem = problem_of_failure(rq);

    failure_clear(rq);
    enum error error = store_refuse_order(acme, rq, order->id, problem);
    if (error)
        return error;
    rq->failure = failure;
    return failure.kind;
}

enum error
take_issued(struct acme *acme, struct request *rq, const struct order *order, const Pb__EnrollReply *reply, struct issued *ret_issued)
{
    struct issued issued = issued_of_reply(rq->arena, reply);

    if (!serial_parse(issued.serial, &issued.expiry_month))
        return fail_privately(rq, ERR_INTERNAL, "the certificate was issued, but cannot be delivered", "ra: serial number of another form");
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, issued.serial, 0));
    limit_count_certificate(acme, rq, order, &issued);
    *ret_issued = issued;
    return OK;
}

void
order_is_valid(struct acme *acme, struct request *rq, const Pb__EnrollReply *reply, const struct issued *issued, struct order *order)
{
    order->status = ORDER_VALID;
    /* What has alternates is read where they are, and so is what changes. */
    if (issued->chain_count == 1 && order->star == NULL)
        certificate_cache_put(acme->certificates, order, certificate_pem(rq->arena, message_bytes(reply->certificate), issued->chain_pem[0]));
}

static enum error
record_certificate(struct acme *acme, struct request *rq, const Pb__EnrollReply *reply, struct order *order)
{
    struct issued issued;

    enum error error = take_issued(acme, rq, order, reply, &issued);
    if (!error)
        error = store_end_order(acme, rq, order->id, &issued);
    if (!error)
        order_is_valid(acme, rq, reply, &issued, order);
    return error;
}

/* Nobody here works on it any more; it may be written down or not. */
static enum error
leave_unwritten(struct acme *acme, const char *order_id, enum error error)
{
    if (error_is_retriable(error))
        lease_leave(acme->finalizations, order_id);
    return error;
}

/* What ra's word means for the order. OK: it is valid, or stays `processing` with a later turn. An error: ra's refusal, recorded; or the database is
 * away, and the order is left. */
static enum error
write_down(struct acme *acme, struct request *rq, enum error error, const Pb__EnrollReply *reply, struct order *order)
{
    /* Its successors would each wait, too. */
    if (!error && order->star != NULL && reply->status != PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED)
        error = refuse(rq, ERR_DENIED, "unauthorized", "certificates of this template wait for an approval, and are not renewed automatically");
    if (error && may_pass(error) && order->attempts < ATTEMPTS_MAX)
        return leave_unwritten(acme, order->id, postpone(acme, rq, order));
    if (error)
        return leave_unwritten(acme, order->id, record_refusal(acme, rq, order));
    if (reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED)
        return leave_unwritten(acme, order->id, record_certificate(acme, rq, reply, order));
    request_note(rq, "waits", "for an approval");
    order->attempts = 0;
    return leave_unwritten(acme, order->id, store_await_approval(acme, rq, order->id, APPROVAL_PAUSE_S));
}

static enum error
take_turn(struct acme *acme, struct request *rq, int most_ms, struct order *order)
{
    const Pb__EnrollReply *reply = NULL;

    enum error error = caa_recheck(acme, rq, order);
    if (!error)
        error = enroll_order(acme, rq, order, most_ms, &reply);
    return write_down(acme, rq, error, reply, order);
}

/* Nobody shall have the certificate. If ra has made it before, the order says so: who revokes what the account has must find it. */
static enum error
take_back(struct acme *acme, struct request *rq, struct order *order)
{
    static const char why[] = "the account of this order is not valid any more";
    const Pb__EnrollReply *reply = NULL;
    bool issued = false;

    enum error error = withdraw_order(acme, rq, order, why, &issued);
    request_note(rq, "taken_back", "%s", why);
    if (!error && issued)
        error = enroll_order(acme, rq, order, RA_DEADLINE_MS, &reply);
    else if (!error)
        error = refuse(rq, ERR_DENIED, "unauthorized", "%s", why);
    return write_down(acme, rq, error, reply, order);
}

/* The account may have ended while its order waited: for a person, or for ra. Its client, who claims an order, has shown that it has not. */
static enum error
take_later_turn(struct acme *acme, struct request *rq, struct order *order)
{
    struct account account;

    /* As it is now, not as it is remembered: this turn may have been called by its very end. */
    enum error error = store_load_account(acme, rq, order->account_id, &account);
    if (error && error != ERR_NOT_FOUND)
        return leave_unwritten(acme, order->id, error);
    if (!error && account.status == ACCOUNT_VALID)
        return take_turn(acme, rq, RA_DEADLINE_MS, order);
    failure_clear(rq);
    return take_back(acme, rq, order);
}

void
finalize_work(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct acme *acme = context;
    struct order order = store_order_of_row(rq->arena, rows, row);

    request_note(rq, "order", "%s", order.id);
    (void)take_later_turn(acme, rq, &order);
}

/* An order may be ready for days. Once ra was asked, this is too late: there may be a certificate. */
static enum error
check_preapproved(struct acme *acme, struct request *rq, const struct order *order)
{
    const struct policy *policy;

    enum error error = policy_load(acme, rq, order->policy, &policy);
    return error ? error : policy_check_preapproved(rq, policy, order);
}

static enum error
first_turn(struct acme *acme, struct request *rq, struct order *order)
{
    enum error error = check_preapproved(acme, rq, order);

    if (!error)
        return take_turn(acme, rq, CLIENT_WAITS_MS, order);
    return leave_unwritten(acme, order->id, error_is_retriable(error) ? error : record_refusal(acme, rq, order));
}

/* From where the batch has left it. */
static enum error
go_on(struct acme *acme, struct request *rq, struct finalization *claimed)
{
    if (claimed->order.status == ORDER_VALID)
        return OK;
    if (claimed->error || claimed->reply != NULL)
        return write_down(acme, rq, claimed->error, claimed->reply, &claimed->order);
    return first_turn(acme, rq, &claimed->order);
}

static enum error
finish(struct acme *acme, struct http_exchange *x, struct finalization *claimed)
{
    enum error error = go_on(acme, &x->rq, claimed);

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

/* Who does not get the order learns what it is instead. */
static enum error
try_to_claim(struct acme *acme, struct finalization *finalization)
{
    enum error error = commit_queue_run(acme->finalizing, finalization->rq, finalization);

    if (error || finalization->claimed)
        return error;
    return store_load_order(acme, finalization->rq, finalization->account_id, finalization->order_id, &finalization->order);
}

/* Again under the names of the order, where the CSR leaves out nothing but devices. */
static enum error
claim_order(struct acme *acme, const struct identifier *names, struct claim *claim, struct finalization *finalization)
{
    enum error error = try_to_claim(acme, finalization);
    const struct order *order = &finalization->order;

    if (error || finalization->claimed || order->status != ORDER_READY || order->name_count == claim->name_count ||
        !names_equal_but_devices(order, names, claim->name_count))
        return error;
    claim->name_count = order->name_count;
    claim->names = names_to_columns(finalization->rq->arena, order->names, order->name_count);
    error = limit_claim(acme, finalization->rq, order->policy, order->names, order->name_count, claim);
    return error ? error : try_to_claim(acme, finalization);
}

enum error
finalize(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct csr csr = {0};
    struct identifier *names = NULL;
    size_t count = 0;
    uint8_t key_sha256[SHA256_DIGEST_LENGTH];

    request_note(rq, "order", "%s", x->params[0]);
    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (!error)
        error = check_client(acme, x, signed_.account);
    if (error)
        return error;
    error = take_csr(rq, signed_.payload, &csr, &names, &count);
    if (!error)
        error = check_csr(rq, &csr, signed_.account);
    if (error)
        return refuse_csr(acme, rq, signed_.account, x->params[0]);
    names_sort(names, &count);
    public_key_sha256(&csr.key, key_sha256);
    struct claim claim = {
        .names = names_to_columns(rq->arena, names, count), .name_count = count, .csr = csr.der, .key_sha256 = BYTES(key_sha256, sizeof key_sha256)};
    struct finalization finalization = {.rq = rq, .account_id = signed_.account->id, .order_id = x->params[0], .claim = &claim};
    error = limit_claim(acme, rq, signed_.account->policy, names, count, &claim);
    if (!error)
        error = claim_order(acme, names, &claim, &finalization);
    if (error)
        return leave_unwritten(acme, x->params[0], error);
    if (finalization.claimed)
        return finish(acme, x, &finalization);
    /* A repetition, or the loser of two: the order is in work or done. RFC 8555 §7.4 has an error for that, but who repeats what he sent because the
     * answer was lost is to find his order, not to give it up. */
    const struct order *order = &finalization.order;
    if (order->status == ORDER_PROCESSING || order->status == ORDER_VALID)
        return order_answer(acme, x, 200, order);
    return refuse_unclaimed(acme, rq, order, &claim);
}
