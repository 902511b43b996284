/* Requests and answers of one client: HTTP/1.1, mostly over TLS, as little of it as the measured servers use. */
#include "connection.h"

#include <netdb.h>
#include <netinet/tcp.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#include <openssl/x509v3.h>

#include "base/text.h"

#define ANSWER_MAX (256 * 1024)
#define PATIENCE_S 30 /* for one answer; a server that hangs is an error and no long run */

struct connection {
    const struct server *server;
    SSL *ssl;   /* NULL: not connected, or without TLS */
    int fd;     /* -1: not connected */
    size_t len; /* of what was received and not yet taken */
    char received[ANSWER_MAX];
};

DEFINE_AUTO(SSL_CTX, SSL_CTX_free);

static const char with_tls[] = "https://", without_tls[] = "http://", version[] = "HTTP/1.1 ";

/* The URL behind its scheme, or NULL. */
static const char *
behind_scheme(const char *url, bool has_tls)
{
    const char *scheme = has_tls ? with_tls : without_tls;

    return text_starts_with(url, scheme) ? url + strlen(scheme) : NULL;
}

static enum error
make_tls(struct request *rq, const char *ca_bundle, struct server *server)
{
    AUTO(SSL_CTX, tls) = SSL_CTX_new(TLS_client_method());

    if (tls == NULL || SSL_CTX_load_verify_locations(tls, ca_bundle, NULL) != 1)
        return fail(rq, ERR_BAD_REQUEST, "%s has no CA certificates", ca_bundle);
    SSL_CTX_set_verify(tls, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_read_ahead(tls, 1); /* a record by one system call, not by two */
    server->tls = TAKE(tls);
    return OK;
}

enum error
server_of_url(struct request *rq, const char *url, const char *ca_bundle, struct server *ret_server)
{
    struct server server = {.content_type = "application/octet-stream", .fields = ""};
    const char *authority = behind_scheme(url, ca_bundle != NULL);

    if (authority == NULL)
        return fail(rq, ERR_BAD_REQUEST, "%s is no %s URL", url, ca_bundle != NULL ? "https" : "http");
    size_t len = strcspn(authority, "/");
    if (len >= sizeof server.host)
        return fail(rq, ERR_BAD_REQUEST, "the host of %s is too long", url);
    memcpy(server.authority, authority, len);
    memcpy(server.host, server.authority, len);
    char *colon = strrchr(server.host, ':');
    snprintf(server.port, sizeof server.port, "%s", colon != NULL ? colon + 1 : ca_bundle != NULL ? "443" : "80");
    if (colon != NULL)
        *colon = '\0';
    enum error error = ca_bundle != NULL ? make_tls(rq, ca_bundle, &server) : OK;
    if (error)
        return error;
    *ret_server = server;
    return OK;
}

struct connection *
connection_new(const struct server *server)
{
    struct connection *connection = calloc(1, sizeof *connection);

    if (connection == NULL)
        abort();
    connection->server = server;
    connection->fd = -1;
    return connection;
}

void
connection_drop(struct connection *connection)
{
    SSL_free(connection->ssl);
    if (connection->fd >= 0)
        close(connection->fd);
    connection->ssl = NULL;
    connection->fd = -1;
    connection->len = 0;
}

void
connection_free(struct connection *connection)
{
    connection_drop(connection);
    free(connection);
}

static int
dial(const struct server *server)
{
    const struct addrinfo hints = {.ai_family = AF_UNSPEC, .ai_socktype = SOCK_STREAM};
    const struct timeval patience = {.tv_sec = PATIENCE_S};
    struct addrinfo *found;
    const int yes = 1;

    if (getaddrinfo(server->host, server->port, &hints, &found) != 0)
        return -1;
    int fd = socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, found->ai_addr, found->ai_addrlen) != 0) {
        close(fd);
        fd = -1;
    }
    freeaddrinfo(found);
    if (fd >= 0) {
        (void)setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
        (void)setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &patience, sizeof patience);
    }
    return fd;
}

static enum error
start_tls(struct connection *connection, struct request *rq)
{
    const struct server *server = connection->server;

    connection->ssl = SSL_new(server->tls);
    if (connection->ssl == NULL || SSL_set_fd(connection->ssl, connection->fd) != 1)
        abort();
    if (X509_VERIFY_PARAM_set1_ip_asc(SSL_get0_param(connection->ssl), server->host) != 1 &&
        (SSL_set1_host(connection->ssl, server->host) != 1 || SSL_set_tlsext_host_name(connection->ssl, server->host) != 1))
        abort();
    if (SSL_connect(connection->ssl) != 1)
        return fail(rq, ERR_UNAVAILABLE, "no TLS connection to %s: %s", server->authority,
                    X509_verify_cert_error_string(SSL_get_verify_result(connection->ssl)));
    return OK;
}

static enum error
open_connection(struct connection *connection, struct request *rq)
{
    connection->fd = dial(connection->server);
    if (connection->fd < 0)
        return fail(rq, ERR_UNAVAILABLE, "%s does not take connections", connection->server->authority);
    return connection->server->tls != NULL ? start_tls(connection, rq) : OK;
}

static enum error
receive(struct connection *connection, struct request *rq)
{
    if (connection->len + 1 >= sizeof connection->received)
        return fail(rq, ERR_TOO_LARGE, "the answer is longer than %d octets", ANSWER_MAX);
    char *at = connection->received + connection->len;
    size_t room = sizeof connection->received - connection->len - 1;
    ssize_t len = connection->ssl != NULL ? SSL_read(connection->ssl, at, (int)room) : recv(connection->fd, at, room, 0);
    if (len <= 0)
        return fail(rq, ERR_UNAVAILABLE, "the server does not answer, or has closed the connection");
    connection->len += (size_t)len;
    connection->received[connection->len] = '\0';
    return OK;
}

/* The length of everything up to and with the text, which begins at `from`. */
static enum error
receive_until(struct connection *connection, struct request *rq, size_t from, const char *text, size_t *ret_len)
{
    for (;;) {
        const char *found = connection->len > from ? strstr(connection->received + from, text) : NULL;
        if (found != NULL) {
            *ret_len = (size_t)(found - connection->received) + strlen(text);
            return OK;
        }
        enum error error = receive(connection, rq);
        if (error)
            return error;
    }
}

static enum error
receive_at_least(struct connection *connection, struct request *rq, size_t len)
{
    enum error error = OK;

    while (!error && connection->len < len)
        error = receive(connection, rq);
    return error;
}

static void
take(struct connection *connection, size_t len)
{
    connection->len -= len;
    memmove(connection->received, connection->received + len, connection->len + 1);
}

struct head {
    long content_length; /* -1: none */
    bool chunked;
    bool close;
};

static void
take_field(struct request *rq, const char *line, struct head *head, struct answer *answer)
{
    const char *colon = strchr(line, ':');

    if (colon == NULL)
        return;
    size_t len = (size_t)(colon - line);
    const char *value = colon + 1 + strspn(colon + 1, " ");
#define IS(name) (len == strlen(name) && strncasecmp(line, name, len) == 0)
    if (IS("Content-Length"))
        head->content_length = strtol(value, NULL, 10);
    else if (IS("Transfer-Encoding"))
        head->chunked = text_equal_nocase(value, "chunked");
    else if (IS("Connection"))
        head->close = text_equal_nocase(value, "close");
    else if (IS("Retry-After"))
        answer->retry_after_s = (int)strtol(value, NULL, 10);
    else if (IS("Replay-Nonce"))
        answer->nonce = arena_text(rq->arena, value);
    else if (IS("Location"))
        answer->location = arena_text(rq->arena, value);
#undef IS
}

static enum error
take_head(struct connection *connection, struct request *rq, struct head *head, struct answer *answer)
{
    size_t len;

    enum error error = receive_until(connection, rq, 0, "\r\n\r\n", &len);
    if (error)
        return error;
    if (!text_starts_with(connection->received, version))
        return fail(rq, ERR_BAD_REQUEST, "the answer is not HTTP/1.1");
    answer->status = (int)strtol(connection->received + strlen(version), NULL, 10);
    char *line = connection->received;
    connection->received[len - 2] = '\0';
    for (char *end; (end = strstr(line, "\r\n")) != NULL; line = end + 2) {
        *end = '\0';
        take_field(rq, line, head, answer);
    }
    take(connection, len);
    return OK;
}

/* RFC 9112 §7.1, without extensions and trailers, which nobody sends here. */
static enum error
take_chunks(struct connection *connection, struct request *rq, struct bytes *ret_body)
{
    struct buffer body = buffer_in(rq->arena);

    for (;;) {
        size_t len;
        enum error error = receive_until(connection, rq, 0, "\r\n", &len);
        unsigned long size = error ? 0 : strtoul(connection->received, NULL, 16);
        if (!error && size > ANSWER_MAX)
            error = fail(rq, ERR_TOO_LARGE, "a chunk of %lu octets", size);
        if (!error)
            error = receive_at_least(connection, rq, len + size + 2);
        if (error)
            return error;
        buffer_append(&body, connection->received + len, size);
        take(connection, len + size + 2);
        if (size == 0) {
            *ret_body = buffer_bytes(&body);
            return OK;
        }
    }
}

static enum error
take_body(struct connection *connection, struct request *rq, const struct head *head, struct answer *answer)
{
    if (answer->status == 204)
        return OK;
    if (head->chunked)
        return take_chunks(connection, rq, &answer->body);
    if (head->content_length < 0 || head->content_length > ANSWER_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the answer has no proper length");
    enum error error = receive_at_least(connection, rq, (size_t)head->content_length);
    if (error)
        return error;
    answer->body = bytes_copy(rq->arena, BYTES(connection->received, head->content_length));
    take(connection, (size_t)head->content_length);
    return OK;
}

static bool
send_octets(struct connection *connection, struct bytes octets)
{
    if (connection->ssl != NULL)
        return SSL_write(connection->ssl, octets.at, (int)octets.len) == (int)octets.len;
    while (octets.len > 0) {
        ssize_t sent = send(connection->fd, octets.at, octets.len, MSG_NOSIGNAL);
        if (sent <= 0)
            return false;
        octets = BYTES(octets.at + sent, octets.len - (size_t)sent);
    }
    return true;
}

static enum error
send_request(struct connection *connection, struct request *rq, const char *url, struct bytes body)
{
    struct buffer out = buffer_in(rq->arena);
    const struct server *server = connection->server;
    const char *path = behind_scheme(url, server->tls != NULL);

    if (path == NULL || strncmp(path, server->authority, strlen(server->authority)) != 0)
        return fail(rq, ERR_BAD_REQUEST, "the server names a URL elsewhere: %.200s", url);
    path += strlen(server->authority);
    buffer_append_format(&out, "%s %s HTTP/1.1\r\nHost: %s\r\nUser-Agent: signet-bench\r\n%s", body.at == NULL ? "GET" : "POST", path,
                         server->authority, server->fields);
    if (body.at != NULL)
        buffer_append_format(&out, "Content-Type: %s\r\nContent-Length: %zu\r\n", server->content_type, body.len);
    buffer_append_text(&out, "\r\n");
    buffer_append(&out, body.at, body.len);
    if (!send_octets(connection, buffer_bytes(&out)))
        return fail(rq, ERR_UNAVAILABLE, "the server has closed the connection");
    return OK;
}

enum error
connection_call(struct connection *connection, struct request *rq, const char *url, struct bytes body, struct answer *ret_answer)
{
    struct head head = {.content_length = -1};
    struct answer answer = {0};

    enum error error = connection->fd < 0 ? open_connection(connection, rq) : OK;
    if (!error)
        error = send_request(connection, rq, url, body);
    if (!error)
        error = take_head(connection, rq, &head, &answer);
    if (!error)
        error = take_body(connection, rq, &head, &answer);
    if (error || head.close)
        connection_drop(connection);
    if (!error)
        *ret_answer = answer;
    return error;
}
