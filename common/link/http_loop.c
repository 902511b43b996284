/*
 * One event-loop thread: starts with everything of h2o's made in this very thread (its buffers belong to the thread that made them), turns
 * until the drain, and ends when its last connection is closed or the drain's time is over.
 */
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "http_internal.h"

#define LOOP_STACK_SIZE (512 * 1024)
#define DRAIN_TURN_MS 20
#define DRAIN_FRESH_MS 1000

/* Between two requests nothing is lost by closing. Before the first, the request or the handshake may be under way: a client repeats what was cut on
 * a used connection, but not on a new one (RFC 9112 §9.3.1). */
static bool
is_idle(const struct http_connection *connection, int64_t now_ms)
{
    h2o_socket_t *socket = connection->socket;

    if (connection->work != NULL || h2o_socket_is_writing(socket) || !h2o_socket_is_reading(socket) || socket->input->size != 0)
        return false;
    return connection->asked || now_ms - connection->accepted_ms > DRAIN_FRESH_MS;
}

/*
 * h2o leaves idle connections open until their request timeout. With the reading side shut it sees an end of file and closes at once.
 */
static void
drain_idle(struct http_loop *loop)
{
    int64_t now_ms = clock_monotonic_ms();

    for (h2o_linklist_t *at = loop->connections.next; at != &loop->connections; at = at->next) {
        struct http_connection *connection = H2O_STRUCT_FROM_MEMBER(struct http_connection, link, at);
        if (is_idle(connection, now_ms))
            shutdown(h2o_socket_get_fd(connection->socket), SHUT_RD);
    }
}

static void
drop_all(struct http_loop *loop)
{
    for (h2o_linklist_t *at = loop->connections.next; at != &loop->connections; at = at->next)
        shutdown(h2o_socket_get_fd(H2O_STRUCT_FROM_MEMBER(struct http_connection, link, at)->socket), SHUT_RDWR);
}

static void
set_up(struct http_loop *loop)
{
    struct http_server *server = loop->server;

    h2o_linklist_init_anchor(&loop->connections);
    h2o_context_init(&loop->context, h2o_evloop_create(), &server->config);
    loop->accept = (h2o_accept_ctx_t){.ctx = &loop->context, .hosts = server->config.hosts};
    h2o_multithread_register_receiver(loop->context.queue, &loop->receiver, http_worker_receive);
    h2o_timeout_init(loop->context.loop, &loop->handler_timeout, (uint64_t)server->options.handler_timeout_ms);
    http_watchdog_start(loop);
    http_accept_open(loop);
}

static void
tear_down(struct http_loop *loop)
{
    h2o_evloop_t *evloop = loop->context.loop;

    h2o_timeout_unlink(&loop->tick);
    h2o_timeout_dispose(evloop, &loop->tick_timeout);
    h2o_timeout_dispose(evloop, &loop->handler_timeout);
    h2o_multithread_unregister_receiver(loop->context.queue, &loop->receiver);
    h2o_context_dispose(&loop->context);
    /* Closed sockets are freed by the turn after. */
    h2o_evloop_run(evloop, 0);
    h2o_evloop_destroy(evloop);
    while (loop->spare != NULL) {
        struct http_work *work = loop->spare;
        loop->spare = work->next_spare;
        arena_free(work->arena);
        free(work);
    }
    loop->clean = true;
}

/* h2o_evloop_run returns -1 when a signal interrupts it: not an end. */
static void
turn_until_drained(struct http_loop *loop)
{
    struct http_server *server = loop->server;

    while (!loop->context.shutdown_requested)
        h2o_evloop_run(loop->context.loop, INT32_MAX);
    while (loop->connection_count > 0 || loop->at_workers > 0) {
        if (clock_monotonic_ms() >= atomic_load(&server->drain_until_ms))
            break;
        drain_idle(loop);
        h2o_evloop_run(loop->context.loop, DRAIN_TURN_MS);
    }
    drop_all(loop);
    for (int i = 0; i < 10 && loop->connection_count > 0; i++)
        h2o_evloop_run(loop->context.loop, 1);
}

static void *
loop_main(void *argument)
{
    struct http_loop *loop = argument;
    char name[16]; /* as long as the kernel takes */

    snprintf(name, sizeof name, "http-%.7s-%hhu", loop->server->options.name, (unsigned char)loop->number);
    pthread_setname_np(pthread_self(), name);
    set_up(loop);
    sem_post(&loop->started);
    turn_until_drained(loop);
    if (loop->connection_count == 0 && loop->at_workers == 0)
        tear_down(loop);
    return NULL;
}

void
http_loop_start(struct http_loop *loop)
{
    pthread_attr_t attributes;
    sigset_t all, before;

    sem_init(&loop->started, 0, 0);
    pthread_attr_init(&attributes);
    pthread_attr_setstacksize(&attributes, LOOP_STACK_SIZE);
    /* Signals are for main's sigwait; SIGPIPE, too, must not end a write to a client that is gone. */
    sigfillset(&all);
    pthread_sigmask(SIG_BLOCK, &all, &before);
    if (pthread_create(&loop->thread, &attributes, loop_main, loop) != 0)
        abort();
    pthread_sigmask(SIG_SETMASK, &before, NULL);
    pthread_attr_destroy(&attributes);
    sem_wait(&loop->started);
}
