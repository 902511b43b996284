/*
 * Background loops: relays, sealers, recovery. Each turn is one request; it leaves a log line when it noted something or failed, and a loop that
 * keeps failing slows down and says so only now and then.
 */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "link/service_internal.h"

#define LOOP_STACK_SIZE (512 * 1024)
#define PAUSE_AFTER_FAILURE_MS 200
#define PAUSE_AFTER_FAILURE_MOST_MS 1000
#define FAILURE_AGAIN_MS 30000

struct service_loop {
    const char *name;
    int pause_ms;
    void (*turn)(void *context, struct request *rq);
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool woken, stopping;
    int failures; /* in a row */
    char said[sizeof(((struct failure *)NULL)->message)];
    int64_t said_ms;
};

static bool
is_worth_a_line(struct service_loop *loop, const struct request *rq)
{
    int64_t now_ms = clock_monotonic_ms();

    if (rq->failure.kind == OK)
        return rq->note_count > 0;
    if (strcmp(loop->said, rq->failure.message) == 0 && now_ms - loop->said_ms < FAILURE_AGAIN_MS)
        return false;
    memcpy(loop->said, rq->failure.message, sizeof loop->said);
    loop->said_ms = now_ms;
    return true;
}

/* Returns how long to pause. */
static int
take_turn(struct service_loop *loop)
{
    struct request rq;

    request_begin(&rq, "loop", loop->name, NULL);
    loop->turn(loop->context, &rq);
    enum error result = rq.failure.kind;
    if (is_worth_a_line(loop, &rq))
        request_end(&rq, result);
    else
        request_drop(&rq);
    if (result == OK) {
        loop->failures = 0;
        loop->said[0] = '\0';
        return loop->pause_ms;
    }
    int slower_ms = PAUSE_AFTER_FAILURE_MS << (loop->failures < 5 ? loop->failures : 5);
    loop->failures++;
    if (slower_ms > PAUSE_AFTER_FAILURE_MOST_MS)
        slower_ms = PAUSE_AFTER_FAILURE_MOST_MS;
    return slower_ms > loop->pause_ms ? slower_ms : loop->pause_ms;
}

/* False when the loop is to end. */
static bool
pause_or_wake(struct service_loop *loop, int pause_ms)
{
    int64_t until_ms = clock_monotonic_ms() + pause_ms;

    AUTO_LOCK(&loop->mutex);
    while (!loop->woken && !loop->stopping)
        if (!clock_wait(&loop->changed, &loop->mutex, until_ms))
            break;
    loop->woken = false;
    return !loop->stopping;
}

static void *
loop_main(void *argument)
{
    struct service_loop *loop = argument;
    int pause_ms;

    do
        pause_ms = take_turn(loop);
    while (pause_or_wake(loop, pause_ms));
    return NULL;
}

static void
loop_stop(void *context)
{
    struct service_loop *loop = context;

    pthread_mutex_lock(&loop->mutex);
    loop->stopping = true;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->mutex);
    pthread_join(loop->thread, NULL);
}

/* The loop itself stays: who may still call service_wake is not known here. */
struct service_loop *
service_every(struct service *service, const char *name, int pause_ms, void (*turn)(void *context, struct request *rq), void *context)
{
    struct service_loop *loop = calloc(1, sizeof *loop);
    pthread_attr_t attributes;

    if (loop == NULL)
        abort();
    loop->name = name;
    loop->pause_ms = pause_ms;
    loop->turn = turn;
    loop->context = context;
    pthread_mutex_init(&loop->mutex, NULL);
    pthread_cond_init(&loop->changed, NULL);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LOOP_STACK_SIZE);
    if (pthread_create(&loop->thread, &attributes, loop_main, loop) != 0)
        abort();
    pthread_attr_destroy(&attributes);
    service_at_drain(service, loop_stop, loop);
    return loop;
}

void
service_wake(struct service_loop *loop)
{
    AUTO_LOCK(&loop->mutex);
    loop->woken = true;
    pthread_cond_signal(&loop->changed);
}
