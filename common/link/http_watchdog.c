/*
 * Twice a second on each loop: h2o has no timeout while an answer is being written, so a client that does not read would hold its connection
 * for ever; a listener that was paused for want of descriptors is opened again; changed TLS files are loaded.
 */
#include "base/clock.h"
#include "http_internal.h"

#define TLS_CHECK_MS 2000

static void
check_progress(struct http_connection *connection, int64_t now_ms)
{
    h2o_socket_t *socket = connection->socket;

    if (!h2o_socket_is_writing(socket) || socket->bytes_written != connection->written_seen) {
        connection->written_seen = socket->bytes_written;
        connection->moved_ms = now_ms;
        return;
    }
    /* h2o sees the error on its next event and closes; closing from here would free what it still holds. */
    if (now_ms - connection->moved_ms >= connection->loop->server->options.write_timeout_ms)
        shutdown(h2o_socket_get_fd(socket), SHUT_RDWR);
}

static void
tick(h2o_timeout_entry_t *entry)
{
    struct http_loop *loop = H2O_STRUCT_FROM_MEMBER(struct http_loop, tick, entry);
    int64_t now_ms = clock_monotonic_ms();

    h2o_timeout_link(loop->context.loop, &loop->tick_timeout, &loop->tick);
    for (h2o_linklist_t *at = loop->connections.next; at != &loop->connections; at = at->next)
        check_progress(H2O_STRUCT_FROM_MEMBER(struct http_connection, link, at), now_ms);
    http_accept_resume(loop);
    if (loop->number == 0 && loop->server->tls != NULL && now_ms - loop->tls_checked_ms >= TLS_CHECK_MS) {
        loop->tls_checked_ms = now_ms;
        http_tls_reload_when_changed(loop->server->tls);
    }
}

void
http_watchdog_start(struct http_loop *loop)
{
    h2o_timeout_init(loop->context.loop, &loop->tick_timeout, HTTP_TICK_MS);
    loop->tick = (h2o_timeout_entry_t){.cb = tick};
    h2o_timeout_link(loop->context.loop, &loop->tick_timeout, &loop->tick);
}
