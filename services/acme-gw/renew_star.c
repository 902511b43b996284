/*
 * The next certificate of an order that is renewed automatically (RFC 8739 §2.2). A row of acme.star with a lease: whoever holds it asks ra and
 * writes down what came of it and when the one after is due; who dies leaves it to the next. ra knows order and number of the certificate as
 * idempotency key, so that however many ask, one is made; a second one, which nobody is given, only where an answer of ra was lost and minutes of
 * outage have moved the first one's notBefore too far back.
 *
 * What ra or CAA refuses may be allowed again tomorrow: it is tried on, slowly, until the order ends. What ends it for good is that its account, a
 * proof or its certificate is not good any more.
 */
#include "acme.h"

#include "base/clock.h"
#include "pki/serial.h"

#define RA_DEADLINE_MS 10000 /* ra.proto */
#define REFUSED_PAUSE_MIN_S 5
#define REFUSED_PAUSE_MAX_S 3600
#define REFUSED_PAUSES 20 /* in a lifetime */

static int64_t
pause_after_failure(const struct order *order, enum error kind)
{
    int64_t pause_s = order->star->lifetime_s / REFUSED_PAUSES;

    if (error_is_retriable(kind) || kind == ERR_INTERNAL)
        return pause_after(order->attempts);
    if (pause_s < REFUSED_PAUSE_MIN_S)
        return REFUSED_PAUSE_MIN_S;
    return pause_s < REFUSED_PAUSE_MAX_S ? pause_s : REFUSED_PAUSE_MAX_S;
}

static enum error
postpone(struct acme *acme, struct request *rq, const struct order *order)
{
    int64_t seconds = pause_after_failure(order, rq->failure.kind);
    const char *trouble = trouble_of_failure(rq);

    request_note(rq, "postponed", "%lld s: %s", (long long)seconds, rq->failure.message);
    failure_clear(rq);
    return store_postpone_renewal(acme, rq, order, seconds, trouble);
}

/* When the one after this is due; 0: there is none. */
static int64_t
due_after(const struct order *order, int64_t last, int64_t now_s)
{
    int64_t next = star_next(order, last, now_s);

    return next < 0 ? 0 : star_period(order->star, star_base_s(order), next).not_before_s;
}

static enum error
record(struct acme *acme, struct request *rq, const struct order *order, const Pb__EnrollReply *reply)
{
    struct issued issued = issued_of_reply(rq->arena, reply);

    if (!serial_parse(issued.serial, &issued.expiry_month))
        return fail_privately(rq, ERR_INTERNAL, "the certificate was issued, but cannot be delivered", "ra: serial number of another form");
    request_note(rq, "serial", "%s", bytes_hex(rq->arena, issued.serial, 0));
    return store_end_renewal(acme, rq, order, &issued, due_after(order, order->renewal, clock_now_s()));
}

/* An operator who disables a policy stops what was begun under it, too, until he enables it again; so does who takes back an approval beforehand:
 * nobody has ever proven such a name. */
static enum error
check_policy(struct acme *acme, struct request *rq, const struct order *order)
{
    const struct policy *policy;

    enum error error = policy_load(acme, rq, order->policy, &policy);
    if (error)
        return error;
    if (policy->disabled)
        return fail(rq, ERR_DENIED, "the policy %s is disabled", policy->name);
    return policy_check_preapproved(rq, policy, order);
}

static enum error
renew(struct acme *acme, struct request *rq, const struct order *order)
{
    const Pb__EnrollReply *reply = NULL;

    enum error error = check_policy(acme, rq, order);
    if (!error)
        error = caa_recheck(acme, rq, order);
    if (!error)
        error = enroll_order(acme, rq, order, RA_DEADLINE_MS, &reply);
    if (!error && reply->status != PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED)
        error = fail(rq, ERR_DENIED, "the template wants an approval now");
    return error ? postpone(acme, rq, order) : record(acme, rq, order, reply);
}

static enum error
take_turn(struct acme *acme, struct request *rq, struct order *order, const struct star_turn *turn)
{
    int64_t now_s = clock_now_s(), next = star_next(order, turn->renewal, now_s);

    if (turn->obstacle != NULL) {
        request_note(rq, "ended", "%s", turn->obstacle);
        const char *detail = arena_format(rq->arena, "its certificate is renewed no more: %s", turn->obstacle);
        return store_stop_renewals(acme, rq, order, problem_format(rq->arena, "autoRenewalCanceled", detail));
    }
    int64_t due_s = due_after(order, turn->renewal, now_s);
    if (due_s == 0 || due_s > now_s)
        return store_plan_renewal(acme, rq, order, due_s);
    order->renewal = next;
    request_note(rq, "renewal", "%lld", (long long)next);
    return renew(acme, rq, order);
}

void
renew_star_work(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct acme *acme = context;
    struct order order = store_order_of_row(rq->arena, rows, row);
    struct star_turn turn = store_star_turn_of_row(rows, row);

    order.attempts = turn.attempts;
    request_note(rq, "order", "%s", order.id);
    enum error error = take_turn(acme, rq, &order, &turn);
    if (error_is_retriable(error))
        lease_leave(acme->stars, order.id);
}
