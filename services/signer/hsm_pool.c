/*
 * Lending workers to calls. Every signature comes through hsm_pool_call: it takes the least busy worker or waits in line, sends, and receives within
 * the bound when its turn has come. Who has received sends the request of the first in line, before that caller has even woken.
 */
#include "hsm_pool_inside.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define QUEUE_WAIT_MS 10000 /* for a request without a deadline */
#define ATTEMPTS 2          /* a call that may be repeated outlives one worker */
#define BAD_LUCK_MOST 4     /* workers that broke in the hands of the caller before us: not our call's fault, so not an attempt */
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
    for (int i = 0; i < HSM_WORKERS_MAX; i++)
        pthread_cond_destroy(&pool->workers[i].turn_passed);
    pthread_cond_destroy(&pool->keeper_wake);
    pthread_mutex_destroy(&pool->mutex);
    free(pool);
}

bool
hsm_pool_is_manned(const struct hsm_pool *pool)
{
    for (int i = 0; i < pool->options.workers; i++)
        if (pool->workers[i].state == WORKER_UP)
            return true;
    return false;
}

/* ---- lending ---- */

static bool
has_room(const struct hsm_worker *worker)
{
    return worker->state == WORKER_UP && !worker->is_generating && worker->lent < CALLS_LENT_MOST;
}

static struct hsm_worker *
find_least_busy(struct hsm_pool *pool)
{
    struct hsm_worker *found = NULL;

    for (int i = 0; i < pool->options.workers; i++) {
        struct hsm_worker *worker = &pool->workers[i];
        if (has_room(worker) && (found == NULL || worker->lent < found->lent))
            found = worker;
    }
    return found;
}

/* A failed send is noticed by whoever receives. */
unsigned
hsm_pool_lend(struct hsm_worker *worker, const struct hsm_call *call)
{
    worker->lent++;
    worker->is_generating = call->operation == HSM_GENERATE;
    (void)hsm_process_send(worker->process.fd, call);
    return worker->next_ticket++;
}

static bool
is_broken(const struct hsm_worker *worker)
{
    return worker->state == WORKER_DOOMED && worker->doom != DOOM_RETIRED;
}

/* One call less; the next in turn may receive, and a doomed worker without calls is the keeper's. */
static void
take_back(struct hsm_pool *pool, struct hsm_worker *worker)
{
    worker->turn++;
    if (--worker->lent > 0) {
        pthread_cond_broadcast(&worker->turn_passed);
        return;
    }
    worker->is_generating = false; /* a key that is being made is the last call */
    if (worker->state == WORKER_DOOMED)
        pthread_cond_signal(&pool->keeper_wake);
}

bool
hsm_pool_await_turn(struct hsm_pool *pool, struct hsm_worker *worker, unsigned ticket)
{
    /* Bounded: who is before us receives within the bound of its call, or dooms the worker. */
    while (worker->turn != ticket && !is_broken(worker))
        pthread_cond_wait(&worker->turn_passed, &pool->mutex);
    if (!is_broken(worker))
        return true;
    take_back(pool, worker);
    return false;
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
hsm_pool_serve_waiters(struct hsm_pool *pool, struct hsm_worker *worker)
{
    while (has_room(worker) && pool->first_waiter != NULL) {
        struct hsm_waiter *waiter = take_first_waiter(pool);
        waiter->ticket = hsm_pool_lend(worker, waiter->call);
        waiter->worker = worker;
        pthread_cond_signal(&waiter->wake);
    }
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
find_or_wait(struct hsm_pool *pool, struct request *rq, const struct hsm_call *call, struct hsm_waiter *waiter)
{
    waiter->worker = find_least_busy(pool);
    if (waiter->worker != NULL) {
        waiter->ticket = hsm_pool_lend(waiter->worker, call);
        return OK;
    }
    if (pool->start_failed && !hsm_pool_is_manned(pool))
        return fail_unmanned(pool, rq);
    if (pool->waiting >= pool->options.queue_limit) {
        metric_add(pool->refused_busy, 1);
        fail(rq, ERR_BUSY, "%d requests wait for the HSM, which is as many as may", pool->waiting);
        return fail_retry_after(rq, 1);
    }
    stand_in_line(pool, waiter, request_time_left_ms(rq, QUEUE_WAIT_MS));
    if (waiter->refused)
        return fail_unmanned(pool, rq);
    if (waiter->worker == NULL) {
        fail(rq, ERR_BUSY, "the HSM did not get to this request in time; nothing was signed");
        return fail_retry_after(rq, 1);
    }
    return OK;
}

/* ---- what a call came to ---- */

static void
doom(struct hsm_pool *pool, struct hsm_worker *worker, enum hsm_doom why)
{
    worker->state = WORKER_DOOMED;
    worker->doom = why;
    metric_add(pool->ended[why], 1);
    pthread_cond_broadcast(&worker->turn_passed);
    pthread_cond_signal(&pool->keeper_wake);
}

static void
doom_broken(struct hsm_pool *pool, struct hsm_worker *worker, enum hsm_received received, const struct hsm_answer *answer)
{
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
}

static void
settle_answered(struct hsm_pool *pool, struct hsm_worker *worker, const struct hsm_call *call, const struct hsm_answer *answer)
{
    if (call->operation != HSM_PING)
        pool->failures = 0;
    /* While the PIN is refused nothing could follow a retired worker. */
    worker->calls += answer->count > 1 ? (int)answer->count : 1;
    if (worker->calls >= worker->retire_at && worker->state == WORKER_UP && !pool->pin_refused)
        doom(pool, worker, DOOM_RETIRED);
}

bool
hsm_pool_receive(struct hsm_pool *pool, struct hsm_worker *worker, const struct hsm_call *call, struct hsm_answer *ret_answer)
{
    int64_t begin_us = clock_monotonic_us();
    int within_ms = call->operation == HSM_GENERATE ? pool->options.generate_ms : pool->options.operation_ms;

    enum hsm_received received = hsm_process_receive(worker->process.fd, within_ms, ret_answer);
    metric_observe_us(pool->latency[call->operation == HSM_SIGN ? call->mechanism : 0], clock_monotonic_us() - begin_us);
    bool answered = received == HSM_RECEIVED && ret_answer->status != HSM_LOST;
    AUTO_LOCK(&pool->mutex);
    if (answered)
        settle_answered(pool, worker, call, ret_answer);
    else
        doom_broken(pool, worker, received, ret_answer);
    take_back(pool, worker);
    hsm_pool_serve_waiters(pool, worker);
    return answered;
}

/* NULL: a worker was lent, and broke in the hands of somebody before us. */
static enum error
borrow(struct hsm_pool *pool, struct request *rq, const struct hsm_call *call, struct hsm_worker **ret_worker)
{
    AUTO_LOCK(&pool->mutex);
    struct hsm_waiter waiter = {.call = call};

    enum error error = find_or_wait(pool, rq, call, &waiter);
    if (error != OK)
        return error;
    *ret_worker = hsm_pool_await_turn(pool, waiter.worker, waiter.ticket) ? waiter.worker : NULL;
    return OK;
}

enum error
hsm_pool_call(struct hsm_pool *pool, struct request *rq, const struct hsm_call *call, struct hsm_answer *ret_answer)
{
    int attempts = call->operation == HSM_GENERATE ? 1 : ATTEMPTS;
    struct hsm_worker *worker = NULL;
    struct hsm_answer answer;

    assert(call->operation != HSM_SIGN || call->mechanism == HSM_ECDSA || call->mechanism == HSM_RSA_PKCS1);
    for (int failed = 0, unlucky = 0; failed < attempts && unlucky < BAD_LUCK_MOST;) {
        enum error error = borrow(pool, rq, call, &worker);
        if (error != OK)
            return error;
        if (worker == NULL) {
            unlucky++;
        } else if (hsm_pool_receive(pool, worker, call, &answer)) {
            memcpy(ret_answer, &answer, hsm_answer_size(&answer));
            if (call->operation == HSM_DECRYPT)
                wipe(&answer, sizeof answer);
            return OK;
        } else {
            failed++;
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
