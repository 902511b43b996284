/*
 * LISTEN on a connection and a thread of its own, for as long as the pool lives. Whatever was announced while the connection was away is
 * lost, so the listener is told after every connect and looks for itself. Who relies on silence is told, too, how far it can be relied on: a
 * connection that is lost without a word looks like one with nothing to say.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "base/clock.h"
#include "link/db_internal.h"

enum { LISTEN_MOST_MS = 5000, ASK_EVERY_MS = 2000, ASK_MOST_MS = 2000 };

struct db_listener {
    struct db_listener *next;
    const struct db_options *options;
    char *channel;
    void (*heard)(void *context, const char *payload);
    void (*complete)(void *context, int64_t until_ms); /* may be NULL */
    void *context;
    int stop; /* eventfd: readable when the thread must end */
    pthread_t thread;
};

/* False when it is time to stop. `fd` -1: only sleeps. */
static bool
wait_unless_stopped(const struct db_listener *listener, int fd, int most_ms)
{
    struct pollfd on[] = {{.fd = listener->stop, .events = POLLIN}, {.fd = fd, .events = POLLIN}};
    int ready = poll(on, 2, most_ms);
    assert(ready >= 0 || errno == EINTR);
    return ready <= 0 || on[0].revents == 0;
}

static bool
run(struct db_connection *connection, const char *sql, int most_ms)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(PGresult, refusal) = NULL;
    return db_exchange_script(connection, rq, clock_monotonic_ms() + most_ms, sql, &refusal) == DB_ANSWERED && refusal == NULL;
}

static bool
listen_on(struct db_connection *connection, const char *channel)
{
    char *quoted = PQescapeIdentifier(connection->pg, channel, strlen(channel));
    if (quoted == NULL)
        return false;
    AUTO_STRUCT(request, rq) = request_new();
    const char *sql = arena_format(rq->arena, "LISTEN %s", quoted);
    PQfreemem(quoted);
    return run(connection, sql, LISTEN_MOST_MS);
}

/* Returns when the connection is lost or it is time to stop. The server sends what was announced before it answers anything. */
static void
hear(const struct db_listener *listener, struct db_connection *connection)
{
    bool asks = listener->complete != NULL;

    listener->heard(listener->context, NULL);
    while (wait_unless_stopped(listener, PQsocket(connection->pg), asks ? ASK_EVERY_MS : -1)) {
        int64_t asked_ms = clock_monotonic_ms();
        if (asks && !run(connection, "", ASK_MOST_MS))
            return;
        if (PQconsumeInput(connection->pg) != 1)
            return;
        for (PGnotify *notify; (notify = PQnotifies(connection->pg)) != NULL; PQfreemem(notify))
            listener->heard(listener->context, notify->extra);
        if (asks)
            listener->complete(listener->context, asked_ms);
    }
}

static void *
listen_for_ever(void *at)
{
    const struct db_listener *listener = at;
    sigset_t all;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, NULL);
    for (int failures = 0;; failures++) {
        char reason[DB_REASON_SIZE];
        struct db_connection *connection = db_connect(listener->options, 0, reason);
        if (connection != NULL) {
            if (listen_on(connection, listener->channel)) {
                failures = 0;
                hear(listener, connection);
            }
            db_disconnect(connection);
        }
        if (!wait_unless_stopped(listener, -1, db_backoff_ms(failures)))
            return NULL;
    }
}

enum error
db_listen(struct db *db, struct request *rq, const char *channel, void (*heard)(void *context, const char *payload), void *context)
{
    return db_listen_surely(db, rq, channel, heard, NULL, context);
}

enum error
db_listen_surely(struct db *db, struct request *rq, const char *channel, void (*heard)(void *context, const char *payload),
                 void (*complete)(void *context, int64_t until_ms), void *context)
{
    struct db_listener *listener = calloc(1, sizeof(*listener));
    char *copied = strdup(channel);
    if (listener == NULL || copied == NULL)
        abort();
    int stop = eventfd(0, EFD_CLOEXEC);
    if (stop < 0) {
        free(copied);
        free(listener);
        return fail_privately(rq, ERR_INTERNAL, "internal error", "eventfd: %s", strerror(errno));
    }
    *listener = (struct db_listener){
        .options = &db->pool->options, .channel = copied, .heard = heard, .complete = complete, .context = context, .stop = stop};
    if (pthread_create(&listener->thread, NULL, listen_for_ever, listener) != 0)
        abort();
    AUTO_LOCK(&db->pool->mutex);
    listener->next = db->pool->listeners;
    db->pool->listeners = listener;
    return OK;
}

void
db_listeners_stop(struct db_pool *pool)
{
    while (pool->listeners != NULL) {
        struct db_listener *listener = pool->listeners;
        pool->listeners = listener->next;
        uint64_t one = 1;
        ssize_t wrote = write(listener->stop, &one, sizeof(one));
        assert(wrote == sizeof(one));
        pthread_join(listener->thread, NULL);
        close(listener->stop);
        free(listener->channel);
        free(listener);
    }
}
