/*
 * Closing towards a client that is still sending. h2o answers 413 and closes at once; the kernel then resets the connection for the bytes that
 * nobody read, and the reset may overtake the answer. So a second descriptor outlives h2o's: it sends the end of the stream, then reads what still
 * comes and throws it away, until the client closes or a bound is reached.
 */
#include <fcntl.h>
#include <stdlib.h>

#include "http_internal.h"

#define LINGER_MS_TICKS 4 /* of HTTP_TICK_MS */
#define LINGER_BYTES_MAX ((size_t)64 * 1024 * 1024)

struct lingering {
    struct http_loop *loop;
    h2o_socket_t *socket;
    size_t thrown_away;
    int ticks;
    h2o_timeout_entry_t timeout;
};

void
http_linger_prepare(struct http_connection *connection)
{
    if (connection->linger_fd < 0)
        connection->linger_fd = fcntl(h2o_socket_get_fd(connection->socket), F_DUPFD_CLOEXEC, 0);
}

static void
end(struct lingering *linger)
{
    struct http_loop *loop = linger->loop;

    h2o_timeout_unlink(&linger->timeout);
    h2o_socket_close(linger->socket);
    free(linger);
    loop->connection_count--;
    atomic_fetch_sub(&loop->server->connection_count, 1);
}

static void
on_readable(h2o_socket_t *socket, const char *problem)
{
    struct lingering *linger = socket->data;

    linger->thrown_away += socket->input->size;
    h2o_buffer_consume(&socket->input, socket->input->size);
    if (problem != NULL || linger->thrown_away > LINGER_BYTES_MAX)
        end(linger);
}

static void
on_timeout(h2o_timeout_entry_t *entry)
{
    struct lingering *linger = H2O_STRUCT_FROM_MEMBER(struct lingering, timeout, entry);

    h2o_timeout_link(linger->loop->context.loop, &linger->loop->tick_timeout, &linger->timeout);
    if (--linger->ticks == 0 || linger->loop->context.shutdown_requested)
        end(linger);
}

void
http_linger_start(struct http_loop *loop, int fd)
{
    struct lingering *linger = calloc(1, sizeof *linger);

    if (linger == NULL)
        abort();
    shutdown(fd, SHUT_WR);
    linger->loop = loop;
    linger->ticks = LINGER_MS_TICKS;
    linger->socket = h2o_evloop_socket_create(loop->context.loop, fd, 0);
    linger->socket->data = linger;
    linger->timeout = (h2o_timeout_entry_t){.cb = on_timeout};
    h2o_timeout_link(loop->context.loop, &loop->tick_timeout, &linger->timeout);
    h2o_socket_read_start(linger->socket, on_readable);
    loop->connection_count++;
    atomic_fetch_add(&loop->server->connection_count, 1);
}
