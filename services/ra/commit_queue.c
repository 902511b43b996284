/*
 * Group commit across requests. A worker that comes alone commits at once. Workers that come while a batch is on its way wait for the
 * next one, which one of them leads; so the batch grows with the load, and an idle queue adds no latency and needs no thread.
 * Called by intent.c for both of its writes; store.c does the work of a batch in one statement.
 */
#include "ra.h"

#include <stdlib.h>

#include "base/clock.h"

#define BATCHES_AT_ONCE 2 /* so that the next batch is worked on while one waits for the disk */
#define BATCH_DEADLINE_MS 10000

enum ticket_state { TICKET_WAITS, TICKET_TAKEN, TICKET_DONE };

struct ticket {
    struct ticket *next;
    pthread_cond_t turn;
    enum ticket_state state;
    struct request *rq;
    void *item;
    enum error error;
};

struct commit_queue {
    pthread_mutex_t mutex;
    struct ticket *first, *last;
    int running;
    commit_batch *commit;
    void *context;
};

struct commit_queue *
commit_queue_new(commit_batch *commit, void *context)
{
    struct commit_queue *queue = calloc(1, sizeof *queue);

    if (queue == NULL)
        abort();
    pthread_mutex_init(&queue->mutex, NULL);
    queue->commit = commit;
    queue->context = context;
    return queue;
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

/* On a request of its own: the batch must not end with the deadline, nor live in the arena, of whoever happens to lead it. */
static enum error
commit(struct commit_queue *queue, struct ticket *const *tickets, size_t count)
{
    AUTO_STRUCT(request, rq) = request_new();
    void *items[COMMIT_BATCH_MAX];

    rq->deadline_ms = latest_deadline_ms(tickets, count);
    for (size_t i = 0; i < count; i++)
        items[i] = tickets[i]->item;
    enum error error = queue->commit(queue->context, rq, items, count);
    for (size_t i = 0; i < count; i++) {
        tickets[i]->error = error;
        tickets[i]->rq->sql_round_trips += rq->sql_round_trips;
        if (error && tickets[i]->rq->failure.kind == OK)
            tickets[i]->rq->failure = rq->failure;
    }
    return error;
}

/* A batch that was refused (not one that met trouble outside) holds an item that is at fault: the others must not suffer for it. */
static void
commit_each(struct commit_queue *queue, struct ticket *const *tickets, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        failure_clear(tickets[i]->rq);
        commit(queue, &tickets[i], 1);
    }
}

static void
commit_all(struct commit_queue *queue, struct ticket *const *tickets, size_t count)
{
    enum error error = commit(queue, tickets, count);

    if (error && !error_is_retriable(error) && count > 1)
        commit_each(queue, tickets, count);
}

static size_t
take_batch(struct commit_queue *queue, struct ticket *tickets[COMMIT_BATCH_MAX])
{
    size_t count = 0;

    while (queue->first != NULL && count < COMMIT_BATCH_MAX) {
        tickets[count] = queue->first;
        tickets[count]->state = TICKET_TAKEN;
        queue->first = tickets[count]->next;
        count++;
    }
    if (queue->first == NULL)
        queue->last = NULL;
    return count;
}

/* Holds the mutex on entry and on return. */
static void
lead(struct commit_queue *queue)
{
    struct ticket *tickets[COMMIT_BATCH_MAX];
    size_t count = take_batch(queue, tickets);

    queue->running++;
    pthread_mutex_unlock(&queue->mutex);
    commit_all(queue, tickets, count);
    pthread_mutex_lock(&queue->mutex);
    queue->running--;
    for (size_t i = 0; i < count; i++) {
        tickets[i]->state = TICKET_DONE;
        pthread_cond_signal(&tickets[i]->turn);
    }
    if (queue->first != NULL)
        pthread_cond_signal(&queue->first->turn);
}

enum error
commit_queue_run(struct commit_queue *queue, struct request *rq, void *item)
{
    struct ticket ticket = {.turn = PTHREAD_COND_INITIALIZER, .rq = rq, .item = item};

    /* The ticket lives on this stack: it has left the queue when it is done, and not before. */
    pthread_mutex_lock(&queue->mutex);
    if (queue->last != NULL)
        queue->last->next = &ticket;
    else
        queue->first = &ticket; // cppcheck-suppress autoVariables
    queue->last = &ticket;      // cppcheck-suppress autoVariables
    while (ticket.state != TICKET_DONE) {
        if (ticket.state == TICKET_WAITS && queue->running < BATCHES_AT_ONCE)
            lead(queue);
        else
            pthread_cond_wait(&ticket.turn, &queue->mutex);
    }
    pthread_mutex_unlock(&queue->mutex);
    pthread_cond_destroy(&ticket.turn);
    return ticket.error;
}
