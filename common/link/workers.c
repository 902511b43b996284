/*
 * Threads for what must wait: rpc handlers, HTTP handlers that need the database. An idle thread sleeps on a semaphore of its own, and work is put
 * into its hand: whoever brings work takes the lock once and wakes one thread, which then needs no lock. The thread that went idle last is taken
 * first, because its stack is still in the caches. The ring holds what comes while all threads are busy.
 */
#include "link/workers.h"

#include <assert.h>
#include <pthread.h>
#include <semaphore.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct work {
    void (*call)(void *);
    void *argument;
};

struct worker {
    struct workers *pool;
    pthread_t thread;
    struct worker *next_idle;
    struct work work; /* set before `woken`; without a call: the end */
    sem_t woken;
};

struct workers {
    pthread_mutex_t mutex;
    bool closing;
    int thread_count;
    int queue_limit;
    struct worker *idle;  /* the last to go idle first; none while the ring has work */
    int first, count;     /* the ring's filled part */
    struct work *ring;    /* of queue_limit */
    struct worker *hands; /* of thread_count */
    void (*at_thread_end)(void);
    char name[16]; /* the kernel's limit */
};

static struct work
sleep_until_work(struct worker *worker)
{
    while (sem_wait(&worker->woken) != 0)
        continue; /* a signal */
    return worker->work;
}

/* What waits in the ring, or what is put into this thread's hand; without a call when the pool is closing and nothing is left. */
static struct work
next_work(struct worker *worker)
{
    struct workers *workers = worker->pool;
    struct work work = {0};

    pthread_mutex_lock(&workers->mutex);
    if (workers->count > 0) {
        work = workers->ring[workers->first];
        workers->first = (workers->first + 1) % workers->queue_limit;
        workers->count--;
    }
    bool sleeps = work.call == NULL && !workers->closing;
    if (sleeps) {
        worker->next_idle = workers->idle;
        workers->idle = worker;
    }
    pthread_mutex_unlock(&workers->mutex);
    return sleeps ? sleep_until_work(worker) : work;
}

static void *
worker_main(void *argument)
{
    struct worker *worker = argument;
    struct workers *workers = worker->pool;

    pthread_setname_np(pthread_self(), workers->name);
    for (struct work work = sleep_until_work(worker); work.call != NULL; work = next_work(worker))
        work.call(work.argument);
    if (workers->at_thread_end != NULL)
        workers->at_thread_end();
    return NULL;
}

/* Idle from the start, before they have ever run: a burst as large as the pool is never refused. Signals are for the main thread, which drains. */
static void
start_threads(struct workers *workers)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < workers->thread_count; i++) {
        struct worker *worker = &workers->hands[i];
        worker->pool = workers;
        worker->next_idle = workers->idle;
        workers->idle = worker;
        sem_init(&worker->woken, 0, 0);
        if (pthread_create(&worker->thread, NULL, worker_main, worker) != 0)
            abort();
    }
    pthread_sigmask(SIG_SETMASK, &before, NULL);
}

struct workers *
workers_new(const char *name, int threads, int queue_limit, void (*at_thread_end)(void))
{
    struct workers *workers = calloc(1, sizeof *workers);

    assert(threads > 0 && queue_limit >= 0);
    if (workers == NULL)
        abort();
    pthread_mutex_init(&workers->mutex, NULL);
    workers->thread_count = threads;
    workers->queue_limit = queue_limit;
    workers->at_thread_end = at_thread_end;
    snprintf(workers->name, sizeof workers->name, "%s", name);
    workers->ring = calloc((size_t)queue_limit + 1, sizeof *workers->ring);
    workers->hands = calloc((size_t)threads, sizeof *workers->hands);
    if (workers->ring == NULL || workers->hands == NULL)
        abort();
    start_threads(workers);
    return workers;
}

/* False when there is no room. `ret_woken` is the thread that shall have it, or NULL: it waits in the ring. */
static bool
place(struct workers *workers, struct work work, struct worker **ret_woken)
{
    AUTO_LOCK(&workers->mutex);

    if (workers->closing)
        return false;
    *ret_woken = workers->idle;
    if (workers->idle != NULL) {
        workers->idle->work = work;
        workers->idle = workers->idle->next_idle;
        return true;
    }
    if (workers->count == workers->queue_limit)
        return false;
    workers->ring[(workers->first + workers->count) % workers->queue_limit] = work;
    workers->count++;
    return true;
}

bool
workers_try(struct workers *workers, void (*work)(void *), void *argument)
{
    struct worker *woken = NULL;

    assert(work != NULL);
    if (!place(workers, (struct work){work, argument}, &woken))
        return false;
    if (woken != NULL)
        sem_post(&woken->woken);
    return true;
}

/* Threads that are busy see for themselves that the pool is closing. */
static void
end_idle(struct workers *workers)
{
    AUTO_LOCK(&workers->mutex);

    workers->closing = true;
    for (struct worker *worker = workers->idle; worker != NULL; worker = worker->next_idle) {
        worker->work = (struct work){0};
        sem_post(&worker->woken);
    }
    workers->idle = NULL;
}

void
workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    end_idle(workers);
    for (int i = 0; i < workers->thread_count; i++) {
        pthread_join(workers->hands[i].thread, NULL);
        sem_destroy(&workers->hands[i].woken);
    }
    pthread_mutex_destroy(&workers->mutex);
    free(workers->hands);
    free(workers->ring);
    free(workers);
}
