/*
 * Listening sockets, one per loop by SO_REUSEPORT, and the life of a connection around what h2o does with it: counted against the limit at
 * accept, handed to TLS or straight to h2o's HTTP/1 (never h2o_accept, which would speak HTTP/2), forgotten when its socket is closed.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "http_internal.h"

static enum error
fail_to_listen(struct request *rq, const struct http_server *server, const char *what)
{
    return fail(rq, ERR_INTERNAL, "cannot listen on %s for %s: %s", server->options.listen, server->options.name, what);
}

static int
bind_socket(const struct addrinfo *address, bool shared)
{
    int fd = socket(address->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    int on = 1;

    if (fd < 0)
        return -1;
    setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on); /* accepted sockets inherit it */
    if (shared)
        setsockopt(fd, SOL_SOCKET, SO_REUSEPORT, &on, sizeof on);
    if (bind(fd, address->ai_addr, address->ai_addrlen) != 0) {
        int reason = errno;
        close(fd);
        errno = reason;
        return -1;
    }
    return fd;
}

static int
bound_port(int fd)
{
    struct sockaddr_storage bound;
    socklen_t len = sizeof bound;

    if (getsockname(fd, (struct sockaddr *)&bound, &len) != 0)
        return 0;
    return h2o_socket_getport((struct sockaddr *)&bound);
}

static void
set_port(struct addrinfo *address, int port)
{
    if (address->ai_family == AF_INET6)
        ((struct sockaddr_in6 *)(void *)address->ai_addr)->sin6_port = htons((uint16_t)port);
    else
        ((struct sockaddr_in *)(void *)address->ai_addr)->sin_port = htons((uint16_t)port);
}

/* SO_REUSEPORT would share the port with any other process of ours without a word: first see that it is free for us alone. */
static enum error
claim_port(struct request *rq, struct http_server *server, struct addrinfo *address)
{
    AUTO_FD probe = bind_socket(address, false);

    if (probe < 0)
        return fail_to_listen(rq, server, strerror(errno));
    server->port = bound_port(probe);
    set_port(address, server->port);
    return OK;
}

enum error
http_listen(struct request *rq, struct http_server *server)
{
    struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM, .ai_flags = AI_PASSIVE | AI_NUMERICSERV};
    struct addrinfo *address = NULL;
    char host[256], port_text[12];
    int port;

    if (!config_split_address(server->options.listen, host, &port))
        return fail_to_listen(rq, server, "not host:port");
    snprintf(port_text, sizeof port_text, "%d", port);
    int refused = getaddrinfo(host, port_text, &hints, &address);
    if (refused != 0)
        return fail_to_listen(rq, server, gai_strerror(refused));
    enum error error = claim_port(rq, server, address);
    for (int i = 0; error == OK && i < server->loop_count; i++) {
        server->loops[i].listen_fd = bind_socket(address, server->loop_count > 1);
        if (server->loops[i].listen_fd < 0 || listen(server->loops[i].listen_fd, SOMAXCONN) != 0)
            error = fail_to_listen(rq, server, strerror(errno));
    }
    freeaddrinfo(address);
    return error;
}

/* libh2o has freed the socket and its SSL before this is called. */
static void
on_closed(void *data)
{
    struct http_connection *connection = data;
    struct http_loop *loop = connection->loop;

    h2o_linklist_unlink(&connection->link);
    loop->connection_count--;
    atomic_fetch_sub(&loop->server->connection_count, 1);
    http_tls_connection_closed(connection);
    if (connection->linger_fd >= 0)
        http_linger_start(loop, connection->linger_fd);
    free(connection);
    http_accept_resume(loop);
}

static void
remember_peer(struct http_connection *connection)
{
    struct sockaddr_storage address;
    char text[NI_MAXHOST];

    socklen_t len = h2o_socket_getpeername(connection->socket, (struct sockaddr *)&address);
    const struct sockaddr_in6 *v6 = (const void *)&address;
    /* A listener on [::] sees IPv4 clients as ::ffff:192.0.2.1: rules and limits by address must not depend on how we listen. */
    if (len != 0 && address.ss_family == AF_INET6 && IN6_IS_ADDR_V4MAPPED(&v6->sin6_addr)) {
        inet_ntop(AF_INET, &v6->sin6_addr.s6_addr[12], connection->peer, sizeof connection->peer);
        return;
    }
    size_t text_len = len == 0 ? SIZE_MAX : h2o_socket_getnumerichost((struct sockaddr *)&address, len, text);
    if (text_len < sizeof connection->peer)
        memcpy(connection->peer, text, text_len);
}

static void
adopt(struct http_loop *loop, h2o_socket_t *socket)
{
    struct http_connection *connection = calloc(1, sizeof *connection);
    struct timeval now;

    if (connection == NULL)
        abort();
    connection->loop = loop;
    connection->socket = socket;
    connection->linger_fd = -1;
    connection->accepted_ms = connection->moved_ms = clock_monotonic_ms();
    socket->on_close.cb = on_closed;
    socket->on_close.data = connection;
    h2o_linklist_insert(&loop->connections, &connection->link);
    loop->connection_count++;
    atomic_fetch_add(&loop->server->connection_count, 1);
    remember_peer(connection);
    if (loop->server->tls != NULL) {
        http_tls_accept(connection);
        return;
    }
    gettimeofday(&now, NULL);
    h2o_http1_accept(&loop->accept, socket, now);
}

/* False when there is nothing more to accept, or no room. */
static bool
accept_one(struct http_loop *loop)
{
    if (atomic_load(&loop->server->connection_count) >= loop->server->connection_limit) {
        loop->listener_paused = true;
        return false;
    }
    errno = 0;
    h2o_socket_t *socket = h2o_evloop_socket_accept(loop->listener);
    if (socket != NULL) {
        adopt(loop, socket);
        return true;
    }
    /* The table of descriptors is full: epoll would report the listener again and again. The watchdog opens it again. */
    loop->listener_paused = errno == EMFILE || errno == ENFILE || errno == ENOBUFS || errno == ENOMEM;
    return false;
}

static void
on_accept(h2o_socket_t *listener, const char *problem)
{
    struct http_loop *loop = listener->data;

    if (problem != NULL)
        return;
    for (int i = 0; i < 16 && accept_one(loop); i++)
        ;
    if (loop->listener_paused)
        h2o_socket_read_stop(listener);
}

void
http_accept_open(struct http_loop *loop)
{
    loop->listener = h2o_evloop_socket_create(loop->context.loop, loop->listen_fd, H2O_SOCKET_FLAG_DONT_READ);
    loop->listen_fd = -1;
    loop->listener->data = loop;
    h2o_socket_read_start(loop->listener, on_accept);
}

void
http_accept_resume(struct http_loop *loop)
{
    if (!loop->listener_paused || loop->listener == NULL)
        return;
    if (atomic_load(&loop->server->connection_count) >= loop->server->connection_limit)
        return;
    loop->listener_paused = false;
    h2o_socket_read_start(loop->listener, on_accept);
}

/* Whoever stands in this listener's queue would be dropped with it: take them all first. */
void
http_accept_close(struct http_loop *loop)
{
    if (loop->listener == NULL)
        return;
    while (accept_one(loop))
        ;
    h2o_socket_read_stop(loop->listener);
    h2o_socket_close(loop->listener);
    loop->listener = NULL;
}

struct http_connection *
http_connection_of(h2o_req_t *request)
{
    return request->conn->callbacks->get_socket(request->conn)->on_close.data;
}
