/*
 * Takes leased rows and hands them to threads: challenge validations, unfinished intents, CRLs that are due. Woken by lease_wake, by a thread that
 * became idle while more rows were waiting, and each pause for the rows of processes that died.
 *
 * Only as many rows are taken as there are idle threads: a row that waited in a queue here would spend its lease.
 */
#include "link/lease.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include <nats/nats.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "link/workers.h"

/* What is beyond waits until its lease runs out. */
#define LEFT_MAX 1024
#define STOP_MOST_MS 1000
#define RENEW_PAUSE_MS 1000

struct lease {
    struct arena *arena;
    struct db *db;
    struct lease_about about;
    const char *holder;
    struct workers *workers;
    struct service_loop *_Atomic loop; /* set once, just after its thread may have begun */
    pthread_mutex_t mutex;
    int idle;      /* threads */
    bool has_more; /* rows were left for want of idle threads */
    char *left[LEFT_MAX];
    size_t left_count;
    struct kept_row *kept;
    int64_t renewed_ms; /* only the loop looks at it */
};

/* The rows of one taking, shared by the threads that work on them. */
struct taken {
    struct lease *lease;
    struct request *rq; /* owns the rows */
    struct db_rows *rows;
    atomic_int holders;
};

struct job {
    struct taken *taken;
    size_t row;
};

static void
release(struct taken *taken)
{
    if (atomic_fetch_sub(&taken->holders, 1) > 1)
        return;
    request_free(taken->rq);
    free(taken);
}

static void
finish(struct job *job)
{
    struct taken *taken = job->taken;
    struct lease *lease = taken->lease;
    free(job);
    release(taken);
    pthread_mutex_lock(&lease->mutex);
    lease->idle++;
    bool wake = lease->has_more;
    pthread_mutex_unlock(&lease->mutex);
    if (wake)
        lease_wake(lease);
}

/* Longer than that nobody works who is in his senses. */
static int64_t
work_ms(const struct lease *lease)
{
    return INT64_C(1000) * (lease->about.renew != NULL ? lease->about.work_seconds : lease->about.seconds);
}

static void
work(void *argument)
{
    struct job *job = argument;
    struct taken *taken = job->taken;
    struct lease *lease = taken->lease;
    struct request rq;
    struct kept_row kept;
    request_begin(&rq, "lease", lease->about.name, NULL);
    rq.deadline_ms = clock_monotonic_ms() + work_ms(lease);
    const struct db_rows *rows = db_rows_view(taken->rows, rq.arena);
    if (lease->about.renew != NULL)
        lease_keep(lease, db_text(rows, job->row, 0), &kept);
    lease->about.work(lease->about.context, &rq, rows, job->row);
    if (lease->about.renew != NULL)
        lease_let_go(lease, &kept);
    request_end(&rq, rq.failure.kind);
    finish(job);
}

/* Its lease ran out under us, for the database was away, and the row has come back to who works on it still. */
static bool
is_kept(struct lease *lease, const struct db_rows *rows, size_t row)
{
    if (lease->about.renew == NULL)
        return false;
    const char *id = db_text(rows, row, 0);
    int64_t oldest_ms = clock_monotonic_ms() - work_ms(lease);
    AUTO_LOCK(&lease->mutex);
    for (const struct kept_row *kept = lease->kept; kept != NULL; kept = kept->next)
        if (kept->since_ms >= oldest_ms && strcmp(kept->id, id) == 0)
            return true;
    return false;
}

static void *
allocate(size_t size)
{
    void *at = calloc(1, size);
    if (at == NULL)
        abort();
    return at;
}

/* Those rows that nobody here works on. */
static size_t
list_free(struct lease *lease, struct arena *arena, const struct db_rows *rows, size_t **ret_free)
{
    size_t count = 0;
    *ret_free = arena_array(arena, db_count(rows), sizeof(**ret_free));
    for (size_t row = 0; row < db_count(rows); row++)
        if (!is_kept(lease, rows, row))
            (*ret_free)[count++] = row;
    return count;
}

/* Returns to how many. */
static int
hand_out(struct lease *lease, struct request *rq, struct db_rows *rows)
{
    size_t *free_rows, count = list_free(lease, rq->arena, rows, &free_rows);
    struct taken *taken = allocate(sizeof(*taken));
    *taken = (struct taken){.lease = lease, .rq = rq, .rows = rows, .holders = (int)count + 1};
    for (size_t i = 0; i < count; i++) {
        struct job *job = allocate(sizeof(*job));
        *job = (struct job){.taken = taken, .row = free_rows[i]};
        if (!workers_try(lease->workers, work, job)) /* closing: the row's next taker comes when the lease runs out */
            finish(job);
    }
    release(taken);
    return (int)count;
}

static int
claim_idle(struct lease *lease)
{
    AUTO_LOCK(&lease->mutex);
    int claimed = lease->idle;
    lease->idle = 0;
    lease->has_more = claimed == 0;
    return claimed;
}

/* True when more should be taken at once. */
static bool
return_idle(struct lease *lease, int unused, bool has_more)
{
    AUTO_LOCK(&lease->mutex);
    lease->idle += unused;
    lease->has_more = has_more;
    return has_more && lease->idle > 0;
}

static size_t
list_left(struct lease *lease, struct arena *arena, const char ***ret_ids)
{
    AUTO_LOCK(&lease->mutex);
    *ret_ids = arena_array(arena, lease->left_count, sizeof(**ret_ids));
    for (size_t i = 0; i < lease->left_count; i++)
        (*ret_ids)[i] = lease->left[i];
    return lease->left_count;
}

static void
forget_left(struct lease *lease, size_t count)
{
    AUTO_LOCK(&lease->mutex);
    for (size_t i = 0; i < count; i++)
        free(lease->left[i]);
    lease->left_count -= count;
    memmove(lease->left, lease->left + count, lease->left_count * sizeof(*lease->left));
}

/* Before rows are taken: what was left before is not taken from who has it after. */
static enum error
give_up_left(struct lease *lease, struct request *rq)
{
    const char **ids;
    size_t count = list_left(lease, rq->arena, &ids);

    if (count == 0)
        return OK;
    enum error error = DB_QUERY(lease->db, rq, lease->about.leave, NULL, DB_TEXT_ARRAY(ids, count), DB_TEXT(lease->holder));
    if (!error)
        forget_left(lease, count);
    return error;
}

/* The ids of what began before `until_ms`, unless it should have ended by now. */
static size_t
list_kept(struct lease *lease, struct arena *arena, int64_t now_ms, int64_t until_ms, const char ***ret_ids)
{
    size_t count = 0;
    AUTO_LOCK(&lease->mutex);
    for (const struct kept_row *kept = lease->kept; kept != NULL; kept = kept->next)
        count++;
    *ret_ids = arena_array(arena, count, sizeof(**ret_ids));
    count = 0;
    for (const struct kept_row *kept = lease->kept; kept != NULL; kept = kept->next)
        if (kept->since_ms < until_ms && now_ms - kept->since_ms < work_ms(lease))
            (*ret_ids)[count++] = arena_text(arena, kept->id);
    return count;
}

static enum error
renew(struct lease *lease, struct request *rq, int64_t now_ms, int64_t until_ms, int seconds)
{
    const char **ids;
    size_t count = list_kept(lease, rq->arena, now_ms, until_ms, &ids);

    if (count == 0)
        return OK;
    return DB_QUERY(lease->db, rq, lease->about.renew, NULL, DB_TEXT_ARRAY(ids, count), DB_INT(seconds), DB_TEXT(lease->holder));
}

static enum error
renew_now_and_then(struct lease *lease, struct request *rq)
{
    int64_t now_ms = clock_monotonic_ms();

    if (lease->about.renew == NULL || now_ms - lease->renewed_ms < RENEW_PAUSE_MS)
        return OK;
    enum error error = renew(lease, rq, now_ms, now_ms - RENEW_PAUSE_MS, lease->about.seconds);
    if (!error)
        lease->renewed_ms = now_ms;
    return error;
}

static void
turn(void *context, struct request *loop_rq)
{
    struct lease *lease = context;
    if (renew_now_and_then(lease, loop_rq) != OK || give_up_left(lease, loop_rq) != OK)
        return; /* the database is away, and what follows needs it, too */
    int idle = claim_idle(lease);
    if (idle == 0)
        return; /* finish() wakes us */
    AUTO_STRUCT(request, rq) = request_new();
    struct db_rows *rows;
    enum error error = DB_QUERY(lease->db, rq, lease->about.take, &rows, DB_INT(idle), DB_INT(lease->about.seconds), DB_TEXT(lease->holder));
    int count = error ? 0 : (int)db_count(rows), busy = 0;
    if (error)
        loop_rq->failure = rq->failure;
    if (count > 0)
        busy = hand_out(lease, TAKE(rq), rows);
    if (return_idle(lease, idle - busy, count == idle))
        lease_wake(lease);
}

/* The lease itself stays: who may still call lease_wake is not known here. */
static void
stop(void *context)
{
    struct lease *lease = context;
    AUTO_STRUCT(request, rq) = request_new();
    rq->deadline_ms = clock_monotonic_ms() + STOP_MOST_MS;
    /* Nobody renews any more while what was begun is finished. */
    if (lease->about.renew != NULL && renew(lease, rq, clock_monotonic_ms(), INT64_MAX, lease->about.work_seconds) != OK)
        failure_clear(rq); /* else they run out */
    workers_free(lease->workers);
    rq->deadline_ms = clock_monotonic_ms() + STOP_MOST_MS;
    (void)give_up_left(lease, rq); /* else they run out */
    forget_left(lease, lease->left_count);
}

enum error
lease_open(struct service *service, struct request *rq, struct db *db, const struct lease_about *about, struct lease **ret_lease)
{
    struct arena *arena = arena_new();
    struct lease *lease = arena_alloc(arena, sizeof(*lease));
    uint8_t random[6];
    random_bytes(random, sizeof(random));
    lease->arena = arena;
    lease->db = db;
    lease->about = *about;
    lease->holder = arena_format(arena, "%s/%s", service_instance(service), bytes_hex(arena, BYTES(random, sizeof(random)), 0));
    lease->idle = about->threads;
    /* A thread counts as idle here a moment before it does there: the queue takes the difference. */
    lease->workers = workers_new(about->name, about->threads, about->threads, nats_ReleaseThreadMemory);
    pthread_mutex_init(&lease->mutex, NULL);
    /* The drain goes backwards: the loop ends first, then what it handed out is finished. */
    service_at_drain(service, stop, lease);
    *ret_lease = lease; /* before the first turn: its work asks for the holder */
    lease->loop = service_every(service, about->name, about->pause_ms, turn, lease);
    return OK;
}

void
lease_wake(struct lease *lease)
{
    struct service_loop *loop = lease->loop;
    if (loop != NULL)
        service_wake(loop);
}

void
lease_leave(struct lease *lease, const char *id)
{
    pthread_mutex_lock(&lease->mutex);
    if (lease->left_count < LEFT_MAX) {
        char *copy = strdup(id);
        if (copy == NULL)
            abort();
        lease->left[lease->left_count++] = copy;
    }
    pthread_mutex_unlock(&lease->mutex);
    lease_wake(lease);
}

void
lease_keep(struct lease *lease, const char *id, struct kept_row *ret_row)
{
    AUTO_LOCK(&lease->mutex);
    *ret_row = (struct kept_row){.id = id, .since_ms = clock_monotonic_ms(), .next = lease->kept, .link = &lease->kept};
    if (ret_row->next != NULL)
        ret_row->next->link = &ret_row->next;
    lease->kept = ret_row;
}

void
lease_let_go(struct lease *lease, struct kept_row *row)
{
    AUTO_LOCK(&lease->mutex);
    *row->link = row->next;
    if (row->next != NULL)
        row->next->link = row->link;
}

const char *
lease_holder(const struct lease *lease)
{
    return lease->holder;
}
