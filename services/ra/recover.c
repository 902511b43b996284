/*
 * Finishes the intents of processes that died, and of requests whose signer or database was away: open rows that are older than any request
 * lives are leased (one holder at a time, in any replica) and go through the same intent_finish as in enroll.c.
 */
#include "ra.h"

#include "base/clock.h"
#include "link/lease.h"

#define RECOVER_LEASE_S 30
#define RECOVER_DEADLINE_MS 20000 /* shorter than the lease */
#define RECOVER_THREADS 2
#define RECOVER_PAUSE_MS 1000
#define RECOVER_PAUSE_MOST_S 60
#define RECOVER_ATTEMPTS_MAX 30 /* of an internal error, before the intent is given up */

static int
pause_s(int attempts)
{
    return attempts < 6 ? 1 << attempts : RECOVER_PAUSE_MOST_S;
}

static enum error
finish(struct ra *ra, struct request *rq, const struct intent *intent, int attempts)
{
    struct issue issue = {.rq = rq, .intent = *intent, .progress = ISSUE_COMMITTED};
    struct bytes certificate;

    if (intent->plan->not_after_s <= clock_now_s()) {
        fail(rq, ERR_CONFLICT, "the validity that was asked has passed before the certificate could be signed");
        return intent_refuse(ra, rq, intent, &certificate);
    }
    enum error error = intent_finish(ra, rq, &issue, &certificate);
    if (error == ERR_INTERNAL && attempts >= RECOVER_ATTEMPTS_MAX)
        return intent_refuse(ra, rq, intent, &certificate);
    return error;
}

static void
recover(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct ra *ra = context;
    struct taken_intent taken;

    rq->deadline_ms = clock_monotonic_ms() + RECOVER_DEADLINE_MS;
    if (store_taken_intent(rq, rows, row, &taken) != OK)
        return;
    enum error error = finish(ra, rq, &taken.intent, taken.attempts);
    if (!error_is_retriable(error) && error != ERR_INTERNAL)
        return;
    struct failure why = rq->failure;
    failure_clear(rq);
    if (store_postpone_intent(ra, rq, taken.intent.id, taken.holder, pause_s(taken.attempts)) != OK)
        request_note(rq, "postponed", "no: the lease will run out");
    rq->failure = why;
}

enum error
recover_open(struct ra *ra, struct request *rq)
{
    static const struct lease_about about = {.name = "ra.intent",
                                             .take = &store_take_intents,
                                             .seconds = RECOVER_LEASE_S,
                                             .threads = RECOVER_THREADS,
                                             .pause_ms = RECOVER_PAUSE_MS,
                                             .work = recover};
    struct lease_about with_context = about;
    struct lease *lease;

    with_context.context = ra;
    return lease_open(ra->service, rq, ra->db, &with_context, &lease);
}
