/*
 * Called when an operator wants a CRL now. Makes it due and waits for whoever takes the row, here or in another replica. If we die here, the row
 * stays due.
 */
#include "base/clock.h"
#include "base/text.h"
#include "crl_publisher.h"

#define LOOK_AGAIN_MS 25
/* The answer must be back before the caller gives up. */
#define MARGIN_MS 250
/* For a caller that gave no deadline. */
#define WAIT_MS 30000

static enum error
refusal(struct request *rq, const struct outcome *outcome, size_t count)
{
    if (outcome->failed > 0)
        return fail(rq, ERR_UNAVAILABLE, "%zu of %zu were published; %s failed, and is tried again by itself: %s", outcome->met, count,
                    outcome->failed_issuer, outcome->failure);
    return fail(rq, ERR_TIMEOUT, "%zu of %zu were published in time; the others follow by themselves", outcome->met, count);
}

enum error
publish_crl(struct publisher *publisher, struct request *rq, const Pb__PublishCrlRequest *request, Pb__PublishCrlReply *ret_reply)
{
    struct outcome outcome;
    struct demand *demands;
    size_t count;
    enum error error = store_want_now(publisher, rq, request->issuer, &demands, &count);

    if (error)
        return error;
    if (count == 0 && !text_is_empty(request->issuer))
        return fail(rq, ERR_NOT_FOUND, "there is no CA %s that signs CRLs", request->issuer);
    if (rq->deadline_ms == 0)
        rq->deadline_ms = clock_monotonic_ms() + WAIT_MS;
    lease_wake(publisher->lease);
    for (;;) {
        error = store_find_outcome(publisher, rq, demands, count, &outcome);
        if (error)
            return error;
        if (outcome.met + outcome.failed == count || request_time_left_ms(rq, 2 * MARGIN_MS) < MARGIN_MS)
            break;
        clock_sleep_ms(LOOK_AGAIN_MS);
    }
    if (outcome.met < count)
        return refusal(rq, &outcome, count);
    ret_reply->published = (uint32_t)count;
    /* So that who asks for it next, from us, gets it. */
    return shelf_refresh(publisher, rq);
}
