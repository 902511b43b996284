/*
 * The pool's own thread: starts workers one after the other, ends the doomed, asks the idle whether they live. It is the only thread that makes
 * children, because a child is killed when the thread that made it ends, and because one start at a time is what keeps a wrong PIN to one try.
 */
#include "hsm_pool_inside.h"

#include <stdio.h>
#include <string.h>
#include <sys/wait.h>

#include "base/clock.h"
#include "base/log.h"

#define TURN_MS 1000
#define POLITE_MS 1000
#define BACK_OFF_MOST_MS 5000
#define PROVEN_AFTER_MS 30000 /* a worker that lives so long has ended the run of failures */

void
hsm_keeper_note_failure(struct hsm_pool *pool, const char *why)
{
    int64_t wait_ms = BACK_OFF_MOST_MS;

    /* The first time at once: a module that crashes once a day should cost nobody a request. */
    if (++pool->failures == 1)
        wait_ms = 0;
    else if (pool->failures < 8)
        wait_ms = 25 << pool->failures;
    pool->next_start_ms = clock_monotonic_ms() + (wait_ms < BACK_OFF_MOST_MS ? wait_ms : BACK_OFF_MOST_MS);
    snprintf(pool->trouble, sizeof pool->trouble, "%s", why);
}

static bool
is_buryable(const struct hsm_worker *worker)
{
    return worker->state == WORKER_DOOMED && worker->lent == 0;
}

static void
bury_doomed(struct hsm_pool *pool)
{
    for (int i = 0; i < pool->options.workers; i++) {
        struct hsm_worker *worker = &pool->workers[i];
        if (!is_buryable(worker))
            continue;
        char pid[24], signal[24];
        snprintf(pid, sizeof pid, "%d", worker->process.pid);
        pthread_mutex_unlock(&pool->mutex);
        int status = hsm_process_end(&worker->process, worker->doom == DOOM_HUNG ? 0 : POLITE_MS);
        pthread_mutex_lock(&pool->mutex);
        snprintf(signal, sizeof signal, "%d", WIFSIGNALED(status) ? WTERMSIG(status) : 0);
        if (worker->doom == DOOM_RETIRED)
            log_line(LOG_LEVEL_INFO, "hsm.worker-retired", "pid", pid, NULL);
        else
            log_line(LOG_LEVEL_WARNING, "hsm.worker-lost", "pid", pid, "signal", signal, "reason", pool->trouble, NULL);
        worker->state = WORKER_DOWN;
    }
}

static struct timespec
pin_file_changed_at(const struct hsm_pool *pool)
{
    struct stat about;

    return stat(pool->options.pin_file, &about) == 0 ? about.st_ctim : (struct timespec){0};
}

static void
look_at_pin_again(struct hsm_pool *pool)
{
    struct timespec now = pin_file_changed_at(pool);
    bool asked = atomic_exchange(&pool->retry_pin, false);

    if (!pool->pin_refused)
        return;
    if (asked || now.tv_sec != pool->pin_changed_at.tv_sec || now.tv_nsec != pool->pin_changed_at.tv_nsec) {
        pool->pin_refused = false;
        pool->next_start_ms = 0;
    }
}

/* A process that has spoken its first words; its answer says which. Called without the mutex. */
static void
start_process(struct hsm_pool *pool, struct hsm_process *process, struct hsm_answer *answer)
{
    answer->status = HSM_MODULE_BAD;
    int error = hsm_process_spawn(&pool->options, process);
    if (error != 0) {
        snprintf(answer->text, sizeof answer->text, "hsm-worker cannot be started: %s", strerrordesc_np(error));
        return;
    }
    enum hsm_received received = hsm_process_receive(process->fd, pool->options.start_ms, answer);
    if (received == HSM_RECEIVED && answer->status == HSM_OK)
        return;
    if (received == HSM_RECEIVED_NOTHING_IN_TIME)
        snprintf(answer->text, sizeof answer->text, "the HSM did not let a worker log in within %d ms", pool->options.start_ms);
    else if (received == HSM_RECEIVED_END)
        snprintf(answer->text, sizeof answer->text, "hsm-worker ended before it had logged in");
    if (received != HSM_RECEIVED)
        answer->status = HSM_MODULE_BAD;
    hsm_process_end(process, received == HSM_RECEIVED ? POLITE_MS : 0);
}

static void
start_refused(struct hsm_pool *pool, const struct hsm_answer *answer)
{
    bool known = pool->start_failed && strcmp(pool->trouble, answer->text) == 0;

    metric_add(pool->start_failures, 1);
    hsm_keeper_note_failure(pool, answer->text);
    if (answer->status == HSM_PIN_WRONG) {
        pool->pin_refused = true;
        snprintf(pool->trouble, sizeof pool->trouble, "the PIN is wrong; it is not tried again until the file changes (%s) or on SIGHUP",
                 pool->options.pin_file);
    }
    pool->start_failed = true;
    if (!known)
        log_line(answer->status == HSM_PIN_WRONG ? LOG_LEVEL_ERROR : LOG_LEVEL_WARNING, "hsm.worker-refused", "reason", answer->text, NULL);
    if (!hsm_pool_is_manned(pool))
        hsm_pool_refuse_waiters(pool);
}

static void
start_succeeded(struct hsm_pool *pool, struct hsm_worker *worker, const struct hsm_answer *answer)
{
    char pid[24];
    int stagger = (int)(worker - pool->workers) * (pool->options.retire_after / (2 * pool->options.workers));

    snprintf(pid, sizeof pid, "%d", worker->process.pid);
    log_line(LOG_LEVEL_INFO, "hsm.worker-ready", "pid", pid, "token", answer->text, NULL);
    memcpy(pool->token_text, answer->text, sizeof pool->token_text);
    /* After a failed start, the start that works is the cure; after a failed call, only a call that works is. */
    if (pool->start_failed) {
        pool->failures = 0;
        pool->start_failed = false;
        pool->trouble[0] = '\0';
    }
    worker->started_ms = clock_monotonic_ms();
    worker->calls = 0;
    worker->turn = worker->next_ticket = 0;
    worker->retire_at = pool->options.retire_after + stagger;
    worker->state = WORKER_UP;
    hsm_pool_serve_waiters(pool, worker);
}

/* One start a turn. What fails, fails for all: the same module, token and PIN. */
static void
start_one(struct hsm_pool *pool)
{
    struct hsm_worker *worker = NULL;
    struct hsm_answer answer = {0};

    for (int i = 0; i < pool->options.workers && worker == NULL; i++)
        if (pool->workers[i].state == WORKER_DOWN)
            worker = &pool->workers[i];
    if (worker == NULL || pool->pin_refused || clock_monotonic_ms() < pool->next_start_ms)
        return;
    /* Read before the worker reads the file: a change in between is one try too many, never one too few. */
    pool->pin_changed_at = pin_file_changed_at(pool);
    pthread_mutex_unlock(&pool->mutex);
    start_process(pool, &worker->process, &answer);
    pthread_mutex_lock(&pool->mutex);
    if (answer.status == HSM_OK)
        start_succeeded(pool, worker, &answer);
    else
        start_refused(pool, &answer);
}

static void
ask_idle(struct hsm_pool *pool)
{
    static const struct hsm_call ping = {.operation = HSM_PING};
    struct hsm_answer answer;

    for (int i = 0; i < pool->options.workers; i++) {
        struct hsm_worker *worker = &pool->workers[i];
        if (worker->state != WORKER_UP || worker->lent > 0)
            continue;
        (void)hsm_pool_lend(worker, &ping); /* nobody is before it */
        pthread_mutex_unlock(&pool->mutex);
        bool answered = hsm_pool_receive(pool, worker, &ping, &answer);
        pthread_mutex_lock(&pool->mutex);
        if (answered && clock_monotonic_ms() - worker->started_ms > PROVEN_AFTER_MS)
            pool->failures = 0;
    }
}

static bool
has_work_now(const struct hsm_pool *pool)
{
    bool may_start = !pool->pin_refused && clock_monotonic_ms() >= pool->next_start_ms;

    for (int i = 0; i < pool->options.workers; i++)
        if (is_buryable(&pool->workers[i]) || (pool->workers[i].state == WORKER_DOWN && may_start))
            return true;
    return false;
}

/* Until there is work: a doomed worker (signalled), or the end of the back-off. */
static void
wait_for_work(struct hsm_pool *pool, int64_t until_ms)
{
    while (!pool->closing && !has_work_now(pool) && clock_monotonic_ms() < until_ms) {
        int64_t now_ms = clock_monotonic_ms(), wake_ms = until_ms;
        if (pool->next_start_ms > now_ms && pool->next_start_ms < wake_ms)
            wake_ms = pool->next_start_ms;
        (void)clock_wait(&pool->keeper_wake, &pool->mutex, wake_ms);
    }
}

static void
end_all(struct hsm_pool *pool)
{
    for (int i = 0; i < pool->options.workers; i++)
        if (pool->workers[i].state != WORKER_DOWN)
            hsm_process_end(&pool->workers[i].process, POLITE_MS);
}

void *
hsm_keeper_run(void *context)
{
    struct hsm_pool *pool = context;
    int64_t next_ping_ms = clock_monotonic_ms() + TURN_MS;

    pthread_mutex_lock(&pool->mutex);
    while (!pool->closing) {
        bury_doomed(pool);
        look_at_pin_again(pool);
        start_one(pool);
        if (clock_monotonic_ms() >= next_ping_ms) {
            ask_idle(pool);
            next_ping_ms = clock_monotonic_ms() + TURN_MS;
        }
        wait_for_work(pool, next_ping_ms);
    }
    end_all(pool);
    pthread_mutex_unlock(&pool->mutex);
    return NULL;
}
