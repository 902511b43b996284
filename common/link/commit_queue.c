/*
 * Group commit across requests. A worker that comes alone commits at once. Workers that come while a batch is on its way wait for the
 * next one, which one of them leads; so the batch grows with the load, and an idle queue adds no latency and needs no thread. Under load
 * batches are let grow for a moment more, the longer the larger they are: a third of PostgreSQL's work for a row is in the number of
 * transactions, not of rows.
 */
#include "link/commit_queue.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/clock.h"

#define BATCHES_AT_ONCE 2
#define LOAD_PER_MS 8 /* so many in one batch let the next one grow for a millisecond */
#define BATCH_DEADLINE_MS 10000

enum ticket_turn { TURN_LEADS = 1, TURN_IS_DONE };

/* On the stack of the request that waits. `next` links the tickets that wait, and then those of one batch. */
struct ticket {
    struct ticket *next;
    sem_t woken;
    enum ticket_turn turn; /* set before `woken` */
    struct request *rq;
    void *item;
    enum error error;
};

struct commit_queue {
    pthread_mutex_t mutex;
    struct ticket *first, *last;
    int running; /* batches */
    commit_batch *commit;
    void *context;
    int batches_at_once;
};

static struct commit_queue *
new_queue(commit_batch *commit, void *context, int batches_at_once)
{
    struct commit_queue *queue = calloc(1, sizeof *queue);

    if (queue == NULL)
        abort();
    pthread_mutex_init(&queue->mutex, NULL);
    queue->commit = commit;
    queue->context = context;
    queue->batches_at_once = batches_at_once;
    return queue;
}

struct commit_queue *
commit_queue_new(commit_batch *commit, void *context)
{
    return new_queue(commit, context, BATCHES_AT_ONCE);
}

struct commit_queue *
commit_queue_new_in_turn(commit_batch *commit, void *context)
{
    return new_queue(commit, context, 1);
}

void
commit_queue_free(struct commit_queue *queue)
{
    if (queue == NULL)
        return;
    pthread_mutex_destroy(&queue->mutex);
    free(queue);
}

static int64_t
latest_deadline_ms(struct ticket *const *tickets, size_t count)
{
    int64_t latest_ms = clock_monotonic_ms();

    for (size_t i = 0; i < count; i++) {
        int64_t deadline_ms = tickets[i]->rq->deadline_ms;
        if (deadline_ms == 0)
            return clock_monotonic_ms() + BATCH_DEADLINE_MS;
        latest_ms = deadline_ms > latest_ms ? deadline_ms : latest_ms;
    }
    return latest_ms;
}

static void
settle(struct ticket *ticket, const struct request *rq, enum error error)
{
    ticket->error = error;
    ticket->rq->sql_round_trips += rq->sql_round_trips;
    if (error && ticket->rq->failure.kind == OK)
        ticket->rq->failure = rq->failure;
}

/* On a request of its own: the batch must not end with the deadline, nor live in the arena, of whoever happens to lead it. A batch that was refused
 * (not one that met trouble outside) holds an item that is at fault: the others must not suffer for it. */
static void
commit(struct commit_queue *queue, struct ticket *const *tickets, size_t count)
{
    AUTO_STRUCT(request, rq) = request_new();
    void *items[COMMIT_BATCH_MAX];

    rq->deadline_ms = latest_deadline_ms(tickets, count);
    for (size_t i = 0; i < count; i++)
        items[i] = tickets[i]->item;
    enum error error = queue->commit(queue->context, rq, items, count);
    bool again = error && !error_is_retriable(error) && count > 1;
    for (size_t i = 0; i < count; i++) {
        if (again)
            commit(queue, &tickets[i], 1);
        else
            settle(tickets[i], rq, error);
    }
}

static void
append(struct commit_queue *queue, struct ticket *ticket)
{
    ticket->next = NULL;
    if (queue->last != NULL)
        queue->last->next = ticket;
    else
        queue->first = ticket;
    queue->last = ticket;
}

/* The tickets that wait, as a batch of their own: the first of them will lead it. NULL when none waits. */
static struct ticket *
take_batch(struct commit_queue *queue)
{
    struct ticket *batch = queue->first, *last = batch;

    for (size_t count = 1; last != NULL && last->next != NULL && count < COMMIT_BATCH_MAX; count++)
        last = last->next;
    if (batch == NULL)
        return NULL;
    queue->first = last->next;
    last->next = NULL;
    if (queue->first == NULL)
        queue->last = NULL;
    return batch;
}

static void
wake(struct ticket *ticket, enum ticket_turn turn)
{
    ticket->turn = turn;
    sem_post(&ticket->woken); /* from here on the ticket may be gone */
}

/* Commits the batch that this ticket is the first of, and hands the next one to its own leader. */
static void
lead(struct commit_queue *queue, struct ticket *batch)
{
    struct ticket *tickets[COMMIT_BATCH_MAX] = {NULL}, *next;
    size_t count = 0;

    for (struct ticket *ticket = batch; ticket != NULL; ticket = ticket->next)
        tickets[count++] = ticket;
    commit(queue, tickets, count);
    for (size_t i = 1; i < count; i++)
        wake(tickets[i], TURN_IS_DONE);
    clock_sleep_ms((int)((count + LOAD_PER_MS / 2) / LOAD_PER_MS));

    pthread_mutex_lock(&queue->mutex);
    next = take_batch(queue);
    if (next == NULL)
        queue->running--;
    pthread_mutex_unlock(&queue->mutex);
    if (next != NULL)
        wake(next, TURN_LEADS);
}

enum error
commit_queue_run(struct commit_queue *queue, struct request *rq, void *item)
{
    struct ticket ticket = {.rq = rq, .item = item};
    bool leads;

    sem_init(&ticket.woken, 0, 0);
    pthread_mutex_lock(&queue->mutex);
    leads = queue->running < queue->batches_at_once; /* then nobody waits */
    if (leads)
        queue->running++;
    else
        append(queue, &ticket);
    pthread_mutex_unlock(&queue->mutex);
    while (!leads && sem_wait(&ticket.woken) != 0)
        continue; /* a signal */
    if (leads || ticket.turn == TURN_LEADS)
        lead(queue, &ticket);
    sem_destroy(&ticket.woken);
    return ticket.error;
}
