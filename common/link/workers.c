/*
 * Threads for what must wait: rpc handlers, HTTP handlers that need the database. The ring holds the queue and one place per thread, so that
 * a burst as large as the pool is never refused while threads are idle but not awake yet.
 */
#include "link/workers.h"

#include <assert.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

struct work {
    void (*call)(void *);
    void *argument;
};

struct workers {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool closing;
    int thread_count;
    int queue_limit;
    int busy;         /* threads inside a call */
    int first, count; /* the ring's filled part */
    int room;
    struct work *ring;
    pthread_t *threads;
    void (*at_thread_end)(void);
    char name[16]; /* the kernel's limit */
};

/* The next piece of work, or one with no call when the pool is closing and nothing is left. */
static struct work
take_work(struct workers *workers)
{
    AUTO_LOCK(&workers->mutex);

    while (workers->count == 0 && !workers->closing)
        pthread_cond_wait(&workers->changed, &workers->mutex);
    if (workers->count == 0)
        return (struct work){0};
    struct work work = workers->ring[workers->first];
    workers->first = (workers->first + 1) % workers->room;
    workers->count--;
    workers->busy++;
    return work;
}

static void
finish_work(struct workers *workers)
{
    AUTO_LOCK(&workers->mutex);

    workers->busy--;
}

static void *
worker_main(void *argument)
{
    struct workers *workers = argument;

    pthread_setname_np(pthread_self(), workers->name);
    for (struct work work = take_work(workers); work.call != NULL; work = take_work(workers)) {
        work.call(work.argument);
        finish_work(workers);
    }
    if (workers->at_thread_end != NULL)
        workers->at_thread_end();
    return NULL;
}

/* Signals are for the main thread, which drains. */
static void
start_threads(struct workers *workers)
{
    sigset_t all, before;

    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    for (int i = 0; i < workers->thread_count; i++)
        if (pthread_create(&workers->threads[i], NULL, worker_main, workers) != 0)
            abort();
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
    pthread_cond_init(&workers->changed, NULL);
    workers->thread_count = threads;
    workers->queue_limit = queue_limit;
    workers->room = threads + queue_limit;
    workers->at_thread_end = at_thread_end;
    snprintf(workers->name, sizeof workers->name, "%s", name);
    workers->ring = calloc((size_t)workers->room, sizeof *workers->ring);
    workers->threads = calloc((size_t)threads, sizeof *workers->threads);
    if (workers->ring == NULL || workers->threads == NULL)
        abort();
    start_threads(workers);
    return workers;
}

bool
workers_try(struct workers *workers, void (*work)(void *), void *argument)
{
    AUTO_LOCK(&workers->mutex);

    assert(work != NULL);
    int idle = workers->thread_count - workers->busy;
    if (workers->closing || workers->count >= workers->queue_limit + idle)
        return false;
    workers->ring[(workers->first + workers->count) % workers->room] = (struct work){work, argument};
    workers->count++;
    pthread_cond_signal(&workers->changed);
    return true;
}

static void
close_queue(struct workers *workers)
{
    AUTO_LOCK(&workers->mutex);

    workers->closing = true;
    pthread_cond_broadcast(&workers->changed);
}

void
workers_free(struct workers *workers)
{
    if (workers == NULL)
        return;
    close_queue(workers);
    for (int i = 0; i < workers->thread_count; i++)
        pthread_join(workers->threads[i], NULL);
    pthread_cond_destroy(&workers->changed);
    pthread_mutex_destroy(&workers->mutex);
    free(workers->threads);
    free(workers->ring);
    free(workers);
}
