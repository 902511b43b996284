/*
 * Group commit across requests. A worker that comes alone commits at once. Workers that come while a batch is on its way wait for the
 * next one, which one of them leads; so the batch grows with the load, and an idle queue adds no latency and needs no thread.
 *
 * Most of what a batch costs, here, at the signer and in PostgreSQL, it costs once, however many it has. Therefore a second batch sets out beside the
 * first only when it has many, or when the first one hangs, or, with some company, while the first one waits for somebody else; and where batches had
 * company lately, each is let grow for a moment, the longer the larger they were: of those who come one after the other the first would go alone each
 * time.
 */
#include "link/commit_queue.h"

#include <assert.h>
#include <errno.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdlib.h>

#include "base/clock.h"

#define BATCHES_AT_ONCE 2   /* and one more when one of them has stepped aside */
#define NEXT_FROM 16        /* so many do not wait for batches that all have stepped aside */
#define SECOND_FROM 32      /* so many that wait do not wait for the batch before them */
#define SECOND_AFTER_MS 200 /* nor does anybody who finds it on its way for so long */
#define LOOK_AGAIN_MS 1000  /* who waits looks for himself: perhaps nobody comes who would find it */
#define PAUSE_MOST_MS 3     /* a millisecond for each other that batches had lately, but no more */
#define LATELY 8            /* batches */
#define BATCH_DEADLINE_MS 10000

enum ticket_turn { TURN_LEADS = 1, TURN_IS_DONE };

/* On the stack of the request that waits; if it is posted, in its arena. `next` links the tickets that wait, and then those of one batch. */
struct ticket {
    struct ticket *next;
    sem_t woken;
    enum ticket_turn turn; /* set before `woken` */
    struct request *rq;
    void *item;
    enum error error;
    commit_done *done; /* NULL: somebody waits */
    struct commit_queue *queue;
};

struct commit_queue {
    pthread_mutex_t mutex;
    struct ticket *first, *last; /* that wait */
    size_t waiting;
    int running;      /* batches */
    int aside;        /* of these, wait for somebody else: commit_queue_step_aside */
    int64_t began_ms; /* the last of them */
    double usual;     /* how many a batch has lately */
    commit_batch *commit;
    void *context;
    int batches_at_once;
    struct workers *leaders; /* NULL: nothing is posted */
    bool watched;            /* one of them looks whether posted items hang */
    bool ends;
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
    queue->waiting++;
}

/* The one that has waited longest; NULL when none waits. */
static struct ticket *
take_first(struct commit_queue *queue)
{
    struct ticket *first = queue->first;

    if (first == NULL)
        return NULL;
    queue->first = first->next;
    if (queue->first == NULL)
        queue->last = NULL;
    queue->waiting--;
    return first;
}

static bool
may_begin(const struct commit_queue *queue)
{
    if (queue->waiting == 0 || queue->running - queue->aside == queue->batches_at_once || queue->running > queue->batches_at_once)
        return false;
    if (queue->running == queue->aside && queue->waiting >= NEXT_FROM)
        return true;
    return queue->running == 0 || queue->waiting >= SECOND_FROM || clock_monotonic_ms() - queue->began_ms >= SECOND_AFTER_MS;
}

/* Who shall lead the next batch; NULL while none may begin. */
static struct ticket *
next_leader(struct commit_queue *queue)
{
    if (!may_begin(queue))
        return NULL;
    queue->running++;
    queue->began_ms = clock_monotonic_ms();
    return take_first(queue);
}

static void lead_posted(void *ticket);

/* From here on the ticket may be gone. */
static void
wake(struct ticket *ticket, enum ticket_turn turn)
{
    ticket->turn = turn;
    sem_post(&ticket->woken);
}

/* The leaders are as many as batches, and so only refuse when the process ends: those who wait are told by their deadline. */
static void
begin(struct commit_queue *queue, struct ticket *leader)
{
    if (leader->done == NULL) {
        wake(leader, TURN_LEADS);
        return;
    }
    if (workers_try(queue->leaders, lead_posted, leader))
        return;
    AUTO_LOCK(&queue->mutex);
    queue->ends = true;
}

static void
begin_next(struct commit_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    struct ticket *leader = next_leader(queue);
    pthread_mutex_unlock(&queue->mutex);
    if (leader != NULL)
        begin(queue, leader);
}

void
commit_queue_step_aside(struct commit_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    queue->aside++;
    pthread_mutex_unlock(&queue->mutex);
    begin_next(queue);
}

void
commit_queue_step_back(struct commit_queue *queue)
{
    AUTO_LOCK(&queue->mutex);
    queue->aside--;
}

/* Unless nobody else fits in. */
static void
wait_for_company(struct commit_queue *queue)
{
    pthread_mutex_lock(&queue->mutex);
    bool is_full = queue->waiting >= COMMIT_BATCH_MAX - 1;
    int pause_ms = is_full ? 0 : (int)queue->usual - 1;
    pthread_mutex_unlock(&queue->mutex);
    if (pause_ms > 0)
        clock_sleep_ms(pause_ms < PAUSE_MOST_MS ? pause_ms : PAUSE_MOST_MS);
}

/* Those that have come by now; the leader is the first of them. */
static size_t
gather(struct commit_queue *queue, struct ticket *leader, struct ticket *ret_tickets[COMMIT_BATCH_MAX])
{
    size_t count = 0;

    AUTO_LOCK(&queue->mutex);
    for (struct ticket *ticket = leader; ticket != NULL; ticket = count < COMMIT_BATCH_MAX ? take_first(queue) : NULL)
        ret_tickets[count++] = ticket;
    return count;
}

static void
lead(struct commit_queue *queue, struct ticket *leader)
{
    struct ticket *tickets[COMMIT_BATCH_MAX];

    wait_for_company(queue);
    size_t count = gather(queue, leader, tickets);
    commit(queue, tickets, count);
    pthread_mutex_lock(&queue->mutex);
    queue->usual += ((double)count - queue->usual) / LATELY;
    queue->running--;
    pthread_mutex_unlock(&queue->mutex);
    begin_next(queue);
    for (size_t i = 0; i < count; i++) {
        if (tickets[i]->done != NULL)
            tickets[i]->done(tickets[i]->item, tickets[i]->error);
        else if (tickets[i] != leader)
            wake(tickets[i], TURN_IS_DONE);
    }
}

static void
lead_posted(void *context)
{
    struct ticket *ticket = context;

    lead(ticket->queue, ticket);
}

static void
wait_for_turn(struct commit_queue *queue, struct ticket *ticket)
{
    for (;;) {
        int64_t until_ms = clock_monotonic_ms() + LOOK_AGAIN_MS;
        struct timespec until = {.tv_sec = until_ms / 1000, .tv_nsec = until_ms % 1000 * 1000000};
        if (sem_clockwait(&ticket->woken, CLOCK_MONOTONIC, &until) == 0)
            return;
        if (errno == ETIMEDOUT) /* else a signal */
            begin_next(queue);
    }
}

enum error
commit_queue_run(struct commit_queue *queue, struct request *rq, void *item)
{
    struct ticket ticket = {.rq = rq, .item = item};

    sem_init(&ticket.woken, 0, 0);
    pthread_mutex_lock(&queue->mutex);
    append(queue, &ticket);
    pthread_mutex_unlock(&queue->mutex);
    begin_next(queue); /* with this one, or one that has waited longer */
    wait_for_turn(queue, &ticket);
    if (ticket.turn == TURN_LEADS)
        lead(queue, &ticket);
    sem_destroy(&ticket.woken);
    return ticket.error;
}

void
commit_queue_lead_on(struct commit_queue *queue, struct workers *leaders)
{
    queue->leaders = leaders;
}

/* Nobody waits with those that are posted, and perhaps nobody comes who would find that the batch before them hangs. */
static void
watch(void *context)
{
    struct commit_queue *queue = context;
    bool anything_waits = true;

    while (anything_waits) {
        clock_sleep_ms(SECOND_AFTER_MS);
        begin_next(queue);
        AUTO_LOCK(&queue->mutex);
        anything_waits = queue->watched = queue->waiting > 0 && !queue->ends;
    }
}

void
commit_queue_post(struct commit_queue *queue, struct request *rq, void *item, commit_done *done)
{
    struct ticket *ticket = arena_alloc(rq->arena, sizeof *ticket);

    assert(queue->leaders != NULL);
    *ticket = (struct ticket){.rq = rq, .item = item, .done = done, .queue = queue};
    pthread_mutex_lock(&queue->mutex);
    append(queue, ticket);
    struct ticket *leader = next_leader(queue);
    bool is_to_be_watched = leader == NULL && !queue->watched;
    queue->watched = queue->watched || is_to_be_watched;
    pthread_mutex_unlock(&queue->mutex);
    if (leader != NULL)
        begin(queue, leader);
    if (is_to_be_watched && !workers_try(queue->leaders, watch, queue)) {
        AUTO_LOCK(&queue->mutex);
        queue->watched = false;
    }
}
