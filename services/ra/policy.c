/*
 * Keeps the policy in memory: read at start, after every NOTIFY on ra_policy, and on a slow timer in case one was lost.
 * Requests hold a snapshot; layers.c judges by it.
 */
#include "ra.h"

#include "base/clock.h"

#define POLICY_PAUSE_MS 30000
#define POLICY_DEADLINE_MS 10000

static enum error
reload(struct ra *ra, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new(); /* its arena becomes the snapshot's */
    const struct policy *policy;

    own->deadline_ms = clock_monotonic_ms() + POLICY_DEADLINE_MS;
    enum error error = policy_load(own, ra->db, &policy);
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    snapshot_put(ra->policy, TAKE(own->arena), policy);
    return OK;
}

static void
turn(void *context, struct request *rq)
{
    if (reload(context, rq) != OK)
        request_note(rq, "policy", "not reloaded; the last one stays in force");
}

static void
heard_of_change(void *context, const char *payload)
{
    struct ra *ra = context;

    (void)payload;
    service_wake(ra->policy_loop);
}

enum error
policy_follow(struct ra *ra, struct request *rq)
{
    ra->policy_loop = service_every(ra->service, "ra.policy", POLICY_PAUSE_MS, turn, ra);
    return db_listen(ra->db, rq, "ra_policy", heard_of_change, ra);
}

enum error
policy_hold(struct ra *ra, struct request *rq, const struct policy **ret_policy)
{
    const struct policy *policy = snapshot_hold(ra->policy, rq);

    if (policy == NULL) {
        enum error error = reload(ra, rq);
        if (error)
            return error;
        policy = snapshot_hold(ra->policy, rq);
    }
    *ret_policy = policy;
    return OK;
}
