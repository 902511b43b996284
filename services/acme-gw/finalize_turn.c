/*
 * One turn at a `processing` order that is ours by lease: ra is asked, and what became of it written down. Of a request that has just claimed it
 * (finalize.c), and of the lease loop, which takes what was left.
 */
#include "acme.h"

#include "pki/serial.h"

#define RA_DEADLINE_MS 10000 /* ra.proto */
#define APPROVAL_PAUSE_S 30
#define ATTEMPTS_MAX 120 /* about an hour in which ra cannot decide; then the client is told */

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
enum error
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
    if (!error && !issued) {
        (void)refuse(rq, ERR_DENIED, "unauthorized", "%s", why);
        error = ERR_DENIED;
    }
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
enum error
finalize_go_on(struct acme *acme, struct request *rq, struct finalization *claimed)
{
    if (claimed->order.status == ORDER_VALID)
        return OK;
    if (claimed->error || claimed->reply != NULL)
        return write_down(acme, rq, claimed->error, claimed->reply, &claimed->order);
    return first_turn(acme, rq, &claimed->order);
}
