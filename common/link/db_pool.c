/*
 * Hands out connections, one per call. They are made when a call needs one and none is idle, by the caller itself; after a failure to
 * connect everybody waits out a back-off that grows. The keeper thread makes the first connection, makes one again after all were lost (so that a
 * service becomes ready without waiting for a request), and cancels what calls gave up at their deadline.
 */
#include <assert.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "link/db_internal.h"

enum { WAIT_MOST_MS = 30000, BACKOFF_LEAST_MS = 100, BACKOFF_MOST_MS = 2000, CHECK_MOST_MS = 2000 };

int
db_backoff_ms(int failures)
{
    int most = failures >= 6 ? BACKOFF_MOST_MS : BACKOFF_LEAST_MS << failures;
    if (most > BACKOFF_MOST_MS)
        most = BACKOFF_MOST_MS;
    unsigned jitter;
    random_bytes(&jitter, sizeof(jitter));
    return most / 2 + (int)(jitter % (unsigned)(most / 2));
}

/* ---- waiting; the mutex is held ---- */

static struct db_connection *
pop(struct db_connection **list)
{
    struct db_connection *first = *list;
    if (first != NULL)
        *list = first->next;
    return first;
}

static void
push(struct db_connection **list, struct db_connection *connection)
{
    connection->next = *list;
    *list = connection;
}

/* ---- connecting; the mutex is not held ---- */

/* The caller has counted it in pool->open already. NULL: counted off again, and the back-off has begun. */
static struct db_connection *
connect_counted(struct db_pool *pool, int64_t deadline_ms)
{
    char reason[DB_REASON_SIZE];
    struct db_connection *made = db_connect(&pool->options, deadline_ms, reason);
    AUTO_LOCK(&pool->mutex);
    if (made == NULL) {
        pool->open--;
        pool->retry_at_ms = clock_monotonic_ms() + db_backoff_ms(pool->failures++);
        memcpy(pool->reason, reason, sizeof(reason));
        pthread_cond_signal(&pool->duty);
    } else {
        pool->failures = 0;
        pool->retry_at_ms = 0;
    }
    pthread_cond_broadcast(&pool->returned);
    return made;
}

static void
discard(struct db_pool *pool, struct db_connection *connection)
{
    bool to_keeper = connection->running; /* cancelling may take long */
    {
        AUTO_LOCK(&pool->mutex);
        pool->open--;
        if (to_keeper)
            push(&pool->doomed, connection);
        pthread_cond_signal(&pool->returned); /* there is room for another */
        pthread_cond_signal(&pool->duty);
    }
    if (!to_keeper)
        db_disconnect(connection);
}

/* ---- taking and giving ---- */

enum found { FOUND_IDLE, MAY_CONNECT, UNREACHABLE, ALL_BUSY };

static enum found
find_or_wait(struct db_pool *pool, int64_t until_ms, struct db_connection **ret_connection, char reason[DB_REASON_SIZE])
{
    AUTO_LOCK(&pool->mutex);
    for (;;) {
        *ret_connection = pop(&pool->idle);
        if (*ret_connection != NULL)
            return FOUND_IDLE;
        bool room = pool->open < pool->options.connections;
        if (room && clock_monotonic_ms() >= pool->retry_at_ms) {
            pool->open++;
            return MAY_CONNECT;
        }
        if (pool->open == 0) {
            memcpy(reason, pool->reason, DB_REASON_SIZE);
            return UNREACHABLE;
        }
        int64_t wake_ms = room && pool->retry_at_ms < until_ms ? pool->retry_at_ms : until_ms;
        if (!clock_wait(&pool->returned, &pool->mutex, wake_ms) && wake_ms == until_ms)
            return ALL_BUSY;
    }
}

static enum error
take_until(struct db_pool *pool, struct request *rq, int64_t until_ms, struct db_connection **ret_connection)
{
    for (;;) {
        char reason[DB_REASON_SIZE];
        struct db_connection *connection = NULL;
        switch (find_or_wait(pool, until_ms, &connection, reason)) {
        case FOUND_IDLE:
            if (db_connection_is_quiet(connection)) {
                *ret_connection = connection;
                return OK;
            }
            discard(pool, connection);
            break;
        case MAY_CONNECT:
            connection = connect_counted(pool, until_ms);
            if (connection != NULL) {
                *ret_connection = connection;
                return OK;
            }
            break;
        case UNREACHABLE:
            fail_privately(rq, ERR_UNAVAILABLE, "the database cannot be reached; repeat the request later", "%s", reason);
            return fail_retry_after(rq, DB_RETRY_AFTER_S);
        case ALL_BUSY:
            fail_privately(rq, ERR_BUSY, "the service is busy; repeat the request later", "all %d database connections are in use",
                           pool->options.connections);
            return fail_retry_after(rq, DB_BUSY_RETRY_AFTER_S);
        }
    }
}

enum error
db_pool_take(struct db_pool *pool, struct request *rq, struct db_connection **ret_connection)
{
    if (request_time_left_ms(rq, 1) == 0)
        return fail(rq, ERR_TIMEOUT, "the deadline passed before the database was asked");
    return take_until(pool, rq, clock_monotonic_ms() + request_time_left_ms(rq, WAIT_MOST_MS), ret_connection);
}

void
db_pool_give(struct db_pool *pool, struct db_connection *connection)
{
    if (connection->broken || PQstatus(connection->pg) != CONNECTION_OK) {
        discard(pool, connection);
        return;
    }
    AUTO_LOCK(&pool->mutex);
    push(&pool->idle, connection);
    pthread_cond_signal(&pool->returned);
}

/* ---- the keeper ---- */

enum duty { DUTY_CONNECT, DUTY_DISCONNECT, DUTY_NONE_LEFT };

static enum duty
wait_for_duty(struct db_pool *pool, struct db_connection **ret_doomed)
{
    AUTO_LOCK(&pool->mutex);
    for (;;) {
        *ret_doomed = pop(&pool->doomed);
        if (*ret_doomed != NULL)
            return DUTY_DISCONNECT;
        if (pool->closing)
            return DUTY_NONE_LEFT;
        if (pool->open > 0) {
            pthread_cond_wait(&pool->duty, &pool->mutex);
            continue;
        }
        if (clock_monotonic_ms() >= pool->retry_at_ms) {
            pool->open++;
            return DUTY_CONNECT;
        }
        (void)clock_wait(&pool->duty, &pool->mutex, pool->retry_at_ms);
    }
}

static void *
keep(void *at)
{
    struct db_pool *pool = at;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    for (;;) {
        struct db_connection *connection;
        switch (wait_for_duty(pool, &connection)) {
        case DUTY_CONNECT:
            connection = connect_counted(pool, 0);
            if (connection != NULL)
                db_pool_give(pool, connection);
            break;
        case DUTY_DISCONNECT:
            db_disconnect(connection);
            break;
        case DUTY_NONE_LEFT:
            return NULL;
        }
    }
}

/* ---- the life of a pool ---- */

static char *
copy(const char *text)
{
    char *copied = strdup(text == NULL ? "" : text);
    if (copied == NULL)
        abort();
    return copied;
}

enum error
db_open(struct request *rq, const struct db_options *options, struct db **ret_db)
{
    assert(options->connections > 0);
    char *why = NULL;
    PQconninfoOption *parsed = PQconninfoParse(options->url, &why);
    if (parsed == NULL) {
        fail(rq, ERR_BAD_REQUEST, "the database URL is not usable: %s", why == NULL ? "out of memory" : why);
        PQfreemem(why);
        return rq->failure.kind;
    }
    PQconninfoFree(parsed);

    struct db *db = calloc(1, sizeof(*db));
    struct db_pool *pool = calloc(1, sizeof(*pool));
    if (db == NULL || pool == NULL)
        abort();
    db->pool = pool;
    pool->options = (struct db_options){
        .name = copy(options->name), .url = copy(options->url), .password_file = copy(options->password_file), .connections = options->connections};
    pthread_mutex_init(&pool->mutex, NULL);
    pthread_cond_init(&pool->returned, NULL);
    pthread_cond_init(&pool->duty, NULL);
    if (pthread_create(&pool->keeper, NULL, keep, pool) != 0)
        abort();
    *ret_db = db;
    return OK;
}

static void
close_idle(struct db_pool *pool)
{
    AUTO_LOCK(&pool->mutex);
    pool->closing = true;
    pthread_cond_signal(&pool->duty);
    while (pool->open > 0) {
        struct db_connection *connection = pop(&pool->idle);
        if (connection == NULL) {
            pthread_cond_wait(&pool->returned, &pool->mutex); /* calls that still run give theirs back */
            continue;
        }
        pool->open--;
        db_disconnect(connection);
    }
}

void
db_close(struct db *db)
{
    assert(db->transaction == NULL);
    struct db_pool *pool = db->pool;
    db_listeners_stop(pool);
    close_idle(pool);
    pthread_join(pool->keeper, NULL);
    pthread_cond_destroy(&pool->returned);
    pthread_cond_destroy(&pool->duty);
    pthread_mutex_destroy(&pool->mutex);
    free((char *)pool->options.name);
    free((char *)pool->options.url);
    free((char *)pool->options.password_file);
    free(pool);
    free(db);
}

enum error
db_check(void *at, struct request *rq)
{
    static const struct db_statement check = {"db_check", "SELECT 1"};
    struct db *db = at;
    int64_t deadline_ms = rq->deadline_ms;
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, CHECK_MOST_MS);
    enum error error = DB_QUERY0(db, rq, &check, NULL);
    rq->deadline_ms = deadline_ms;
    if (error == OK || error == ERR_UNAVAILABLE)
        return error;
    failure_clear(rq);
    if (error == ERR_BUSY) /* every connection is at work: the requests say busy themselves */
        return OK;
    fail(rq, ERR_UNAVAILABLE, "the database does not answer");
    return fail_retry_after(rq, DB_RETRY_AFTER_S);
}
