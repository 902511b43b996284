/*
 * Lending workers to calls. Every signature comes through hsm_pool_call: it takes a free worker or waits in line, sends, and receives within the
 * bound. Who gives a worker back sends the next caller's request before that caller has even woken, so that the token is never idle under load.
 */
#include "hsm_pool_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define QUEUE_WAIT_MS 10000 /* for a request without a deadline */
#define ATTEMPTS 2          /* a call that may be repeated outlives one worker */
#define FAILURES_MEAN_UNREADY 3

static const char *const doom_names[DOOM_COUNT] = {
    [DOOM_RETIRED] = "retired", [DOOM_HUNG] = "hung", [DOOM_CRASHED] = "crashed", [DOOM_LOST] = "session-lost"};

static void
open_metrics(struct hsm_pool *pool)
{
    for (int i = 0; i < DOOM_COUNT; i++)
        pool->ended[i] = metric_counter("signet_signer_hsm_workers_ended_total", "hsm-worker processes that ended, by why", "why", doom_names[i]);
    pool->start_failures = metric_counter("signet_signer_hsm_start_failures_total", "hsm-worker processes that did not become ready", NULL, NULL);
    pool->refused_busy = metric_counter("signet_signer_hsm_busy_total", "calls refused because the queue before the HSM was full", NULL, NULL);
    pool->queue_length = metric_gauge("signet_signer_hsm_queue", "calls that wait for an hsm-worker", NULL, NULL);
    pool->latency[0] = metric_histogram("signet_signer_hsm_seconds", "time of an HSM call without queueing", "mechanism", "none");
    pool->latency[HSM_ECDSA] = metric_histogram("signet_signer_hsm_seconds", "time of an HSM call without queueing", "mechanism", "ecdsa");
    pool->latency[HSM_RSA_PKCS1] = metric_histogram("signet_signer_hsm_seconds", "time of an HSM call without queueing", "mechanism", "rsa-pkcs1");
}

struct hsm_pool *
hsm_pool_open(const struct hsm_pool_options *options)
{
    struct hsm_pool *pool = calloc(1, sizeof *pool);

    assert(options->workers > 0 && options->workers <= HSM_WORKERS_MAX);
    if (pool == NULL)
        abort();
    pool->options = *options;
    pool->behind_last_waiter = &pool->first_waiter;
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->keeper_wake, NULL);
    open_metrics(pool);
    if (pthread_create(&pool->keeper, NULL, hsm_keeper_run, pool) != 0)
        abort();
    return pool;
}

void
hsm_pool_close(struct hsm_pool *pool)
{
    pthread_mutex_lock(&pool->mutex);
    assert(pool->first_waiter == NULL);
    pool->closing = true;
    pthread_cond_signal(&pool->keeper_wake);
    pthread_mutex_unlock(&pool->mutex);
    pthread_join(pool->keeper, NULL);
    pthread_cond_destroy(&pool->keeper_wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

bool
hsm_pool_is_manned(const struct hsm_pool *pool)
{
    for (int i = 0; i < pool->options.workers; i++)
        if (pool->workers[i].state == WORKER_FREE || pool->workers[i].state == WORKER_BUSY)
            return true;
    return false;
}

static struct hsm_worker *
find_free(struct hsm_pool *pool)
{
    for (int i = 0; i < pool->options.workers; i++)
        if (pool->workers[i].state == WORKER_FREE)
            return &pool->workers[i];
    return NULL;
}

/* A failed send is noticed by whoever receives. */
static void
lend(struct hsm_worker *worker, const struct hsm_call *call)
{
    worker->state = WORKER_BUSY;
    (void)hsm_process_send(worker->process.fd, call);
}

static struct hsm_waiter *
take_first_waiter(struct hsm_pool *pool)
{
    struct hsm_waiter *waiter = pool->first_waiter;

    if (waiter == NULL)
        return NULL;
    pool->first_waiter = waiter->next;
    if (pool->first_waiter == NULL)
        pool->behind_last_waiter = &pool->first_waiter;
    metric_set(pool->queue_length, --pool->waiting);
    return waiter;
}

void
hsm_pool_hand_on(struct hsm_pool *pool, struct hsm_worker *worker)
{
    struct hsm_waiter *waiter = take_first_waiter(pool);

    if (waiter == NULL) {
        worker->state = WORKER_FREE;
        return;
    }
    lend(worker, waiter->call);
    waiter->worker = worker;
    pthread_cond_signal(&waiter->wake);
}

void
hsm_pool_refuse_waiters(struct hsm_pool *pool)
{
    for (struct hsm_waiter *waiter; (waiter = take_first_waiter(pool)) != NULL;) {
        waiter->refused = true;
        pthread_cond_signal(&waiter->wake);
    }
}

static void
leave_line(struct hsm_pool *pool, struct hsm_waiter *leaving)
{
    struct hsm_waiter **at = &pool->first_waiter;

    while (*at != leaving)
        at = &(*at)->next;
    *at = leaving->next;
    if (*at == NULL)
        pool->behind_last_waiter = at;
    metric_set(pool->queue_length, --pool->waiting);
}

/* In line until a worker was lent, the pool gave up, or time ran out. */
static void
stand_in_line(struct hsm_pool *pool, struct hsm_waiter *waiter, int most_ms)
{
    int64_t until_ms = clock_monotonic_ms() + most_ms;

    pthread_cond_init(&waiter->wake, NULL);
    *pool->behind_last_waiter = waiter;
    pool->behind_last_waiter = &waiter->next;
    metric_set(pool->queue_length, ++pool->waiting);
    while (waiter->worker == NULL && !waiter->refused)
        if (!clock_wait(&waiter->wake, &pool->mutex, until_ms))
            break;
    if (waiter->worker == NULL && !waiter->refused)
        leave_line(pool, waiter);
    pthread_cond_destroy(&waiter->wake);
}

static enum error
fail_unmanned(struct hsm_pool *pool, struct request *rq)
{
    fail_privately(rq, ERR_UNAVAILABLE, "the HSM is not available; nothing was signed", "%s", pool->trouble);
    return fail_retry_after(rq, 5);
}

static enum error
borrow(struct hsm_pool *pool, struct request *rq, const struct hsm_call *call, struct hsm_worker **ret_worker)
{
    AUTO_LOCK(&pool->mutex);
    struct hsm_waiter waiter = {.call = call, .worker = find_free(pool)};

    if (waiter.worker != NULL) {
        lend(waiter.worker, call);
        *ret_worker = waiter.worker;
        return OK;
    }
    if (pool->start_failed && !hsm_pool_is_manned(pool))
        return fail_unmanned(pool, rq);
    if (pool->waiting >= pool->options.queue_limit) {
        metric_add(pool->refused_busy, 1);
        fail(rq, ERR_BUSY, "%d requests wait for the HSM, which is as many as may", pool->waiting);
        return fail_retry_after(rq, 1);
    }
    stand_in_line(pool, &waiter, request_time_left_ms(rq, QUEUE_WAIT_MS));
    if (waiter.refused)
        return fail_unmanned(pool, rq);
    if (waiter.worker == NULL) {
        fail(rq, ERR_BUSY, "the HSM did not get to this request in time; nothing was signed");
        return fail_retry_after(rq, 1);
    }
    *ret_worker = waiter.worker;
    return OK;
}

static void
doom(struct hsm_pool *pool, struct hsm_worker *worker, enum hsm_doom why)
{
    worker->state = WORKER_DOOMED;
    worker->doom = why;
    metric_add(pool->ended[why], 1);
    pthread_cond_signal(&pool->keeper_wake);
}

bool
hsm_pool_settle(struct hsm_pool *pool, struct hsm_worker *worker, const struct hsm_call *call, enum hsm_received received,
                const struct hsm_answer *answer)
{
    if (received == HSM_RECEIVED && answer->status != HSM_LOST) {
        if (call->operation != HSM_PING)
            pool->failures = 0;
        /* While the PIN is refused nothing could follow a retired worker. */
        if (++worker->calls >= worker->retire_at && !pool->pin_refused)
            doom(pool, worker, DOOM_RETIRED);
        else
            hsm_pool_hand_on(pool, worker);
        return true;
    }
    if (received == HSM_RECEIVED) {
        hsm_keeper_note_failure(pool, answer->text);
        doom(pool, worker, DOOM_LOST);
    } else if (received == HSM_RECEIVED_NOTHING_IN_TIME) {
        hsm_keeper_note_failure(pool, "the HSM did not answer in time");
        doom(pool, worker, DOOM_HUNG);
    } else {
        hsm_keeper_note_failure(pool, "the PKCS#11 module ended its process");
        doom(pool, worker, DOOM_CRASHED);
    }
    return false;
}

static bool
call_once(struct hsm_pool *pool, struct hsm_worker *worker, const struct hsm_call *call, struct hsm_answer *answer)
{
    int64_t begin_us = clock_monotonic_us();
    int within_ms = call->operation == HSM_GENERATE ? pool->options.generate_ms : pool->options.operation_ms;

    enum hsm_received received = hsm_process_receive(worker->process.fd, within_ms, answer);
    metric_observe_us(pool->latency[call->operation == HSM_SIGN ? call->mechanism : 0], clock_monotonic_us() - begin_us);
    AUTO_LOCK(&pool->mutex);
    return hsm_pool_settle(pool, worker, call, received, answer);
}

enum error
hsm_pool_call(struct hsm_pool *pool, struct request *rq, const struct hsm_call *call, struct hsm_answer *ret_answer)
{
    int attempts = call->operation == HSM_GENERATE ? 1 : ATTEMPTS;
    struct hsm_worker *worker = NULL;
    struct hsm_answer answer;

    assert(call->operation != HSM_SIGN || call->mechanism == HSM_ECDSA || call->mechanism == HSM_RSA_PKCS1);
    for (int i = 0; i < attempts; i++) {
        enum error error = borrow(pool, rq, call, &worker);
        if (error != OK)
            return error;
        if (call_once(pool, worker, call, &answer)) {
            memcpy(ret_answer, &answer, hsm_answer_size(&answer));
            return OK;
        }
    }
    AUTO_LOCK(&pool->mutex);
    if (call->operation == HSM_GENERATE)
        fail_privately(rq, ERR_TIMEOUT, "the HSM was lost while it made the key; repeat the command", "%s", pool->trouble);
    else
        fail_privately(rq, ERR_UNAVAILABLE, "the HSM failed; nothing was signed", "%s", pool->trouble);
    return fail_retry_after(rq, 1);
}

enum error
hsm_pool_check(void *context, struct request *rq)
{
    struct hsm_pool *pool = context;
    AUTO_LOCK(&pool->mutex);

    if (hsm_pool_is_manned(pool) && pool->failures < FAILURES_MEAN_UNREADY)
        return OK;
    return fail(rq, ERR_UNAVAILABLE, "%s", pool->trouble[0] != '\0' ? pool->trouble : "the first hsm-worker is starting");
}

void
hsm_pool_retry_pin(struct hsm_pool *pool)
{
    atomic_store(&pool->retry_pin, true);
}

const char *
hsm_pool_token_text(struct hsm_pool *pool, struct request *rq)
{
    AUTO_LOCK(&pool->mutex);

    return arena_text(rq->arena, pool->token_text);
}
