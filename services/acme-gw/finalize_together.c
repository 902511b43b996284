/*
 * Orders that are finalized at the same moment go together: one statement claims them, one message asks ra, one statement ends them. A batch is as
 * long on its way as its orders would be, and meanwhile the next one gathers: here, at ra and in PostgreSQL most of what a batch costs it costs once.
 *
 * Only the usual way is here. An order that needs somebody else first, or whose way has a fork, is left where it is, and its own request goes on with
 * it (finalize.c). So one that is refused fails no other, and nobody waits for what is asked of the validator or of a person. What ra does for them
 * they wait for together, as they would at ra.
 */
#include "acme.h"

#include "base/clock.h"

struct batch {
    struct acme *acme;
    struct request *rq;
    struct finalization *all[COMMIT_BATCH_MAX];
    size_t count;
};

static enum error
claim(struct batch *batch)
{
    struct order_move moves[COMMIT_BATCH_MAX] = {0};
    void *items[COMMIT_BATCH_MAX] = {0};

    for (size_t i = 0; i < batch->count; i++) {
        const struct finalization *one = batch->all[i];
        moves[i] = (struct order_move){.kind = MOVE_CLAIM, .rq = one->rq, .id = one->order_id, .account_id = one->account_id, .claim = one->claim};
        items[i] = &moves[i];
    }
    enum error error = store_move_batch(batch->acme, batch->rq, items, batch->count);
    for (size_t i = 0; !error && i < batch->count; i++) {
        struct finalization *one = batch->all[i];
        one->claimed = moves[i].done;
        if (!one->claimed)
            continue;
        one->order = moves[i].order;
        lease_keep(batch->acme->finalizations, one->order.id, &one->kept);
    }
    return error;
}

/* Nobody but ra has to be asked: neither the validator about CAA records, nor the database about devices. */
static bool
is_usual(struct acme *acme, struct request *rq, const struct order *order)
{
    const struct policy *policy;

    if (order->star != NULL || order_has_device(order))
        return false;
    if (policy_load(acme, rq, order->policy, &policy) == OK && !policy->caa && policy_check_preapproved(rq, policy, order) == OK)
        return true;
    failure_clear(rq); /* to be met again by who goes on with it */
    return false;
}

static void
enroll(struct batch *batch)
{
    struct finalization *asked[COMMIT_BATCH_MAX];
    struct rpc_part parts[COMMIT_BATCH_MAX];
    Pb__EnrollRequest inputs[COMMIT_BATCH_MAX];
    int64_t deadlines_ms[COMMIT_BATCH_MAX];
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct finalization *one = batch->all[i];
        if (!one->claimed || !is_usual(batch->acme, one->rq, &one->order))
            continue;
        one->error = enroll_request_of_order(batch->acme, one->rq, &one->order, &inputs[count]);
        if (one->error)
            continue;
        deadlines_ms[count] = one->rq->deadline_ms;
        one->rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(one->rq, CLIENT_WAITS_MS);
        parts[count] = (struct rpc_part){.rq = one->rq, .input = &inputs[count].base};
        asked[count++] = one;
    }
    rpc_call_together(batch->acme->bus, &pb__ra__descriptor, "Enroll", parts, count);
    for (size_t i = 0; i < count; i++) {
        asked[i]->rq->deadline_ms = deadlines_ms[i];
        asked[i]->error = parts[i].error;
        asked[i]->reply = (const Pb__EnrollReply *)parts[i].reply;
    }
}

static bool
is_issued(const struct finalization *one)
{
    return one->error == OK && one->reply != NULL && one->reply->status == PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED;
}

/* What fails here is tried again, and told, by each order's own request. */
static void
end(struct batch *batch)
{
    struct finalization *ended[COMMIT_BATCH_MAX];
    struct order_move moves[COMMIT_BATCH_MAX];
    struct issued issued[COMMIT_BATCH_MAX];
    void *items[COMMIT_BATCH_MAX];
    size_t count = 0;

    for (size_t i = 0; i < batch->count; i++) {
        struct finalization *one = batch->all[i];
        if (!is_issued(one) || take_issued(batch->acme, one->rq, &one->order, one->reply, &issued[count]) != OK)
            continue;
        moves[count] = (struct order_move){.kind = MOVE_END, .rq = one->rq, .id = one->order_id, .issued = &issued[count]};
        items[count] = &moves[count];
        ended[count++] = one;
    }
    if (count == 0 || store_move_batch(batch->acme, batch->rq, items, count) != OK)
        return;
    for (size_t i = 0; i < count; i++)
        if (moves[i].done)
            order_is_valid(batch->acme, ended[i]->rq, ended[i]->reply, &issued[i], &ended[i]->order);
}

/* An error: nothing has happened. */
enum error
finalize_together(void *context, struct request *rq, void *const *items, size_t count)
{
    struct batch batch = {.acme = context, .rq = rq, .count = count};

    for (size_t i = 0; i < count; i++)
        batch.all[i] = items[i];
    enum error error = claim(&batch);
    if (error)
        return error;
    enroll(&batch);
    end(&batch);
    return OK;
}
