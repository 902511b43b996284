/* See http_kit.h. Blocking sockets with a time limit, one buffer for what has come in. */
#include "kit/http_kit.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <unistd.h>

#define ROOM ((size_t)128 * 1024)

struct http_kit {
    int fd;
    SSL *ssl;
    char *in; /* what came and was not yet consumed by a reply */
    size_t len, room;
    size_t consumed; /* by the current reply */
    struct http_kit_reply reply;
    char *head;
};

static void
must(bool holds, const char *what)
{
    if (holds)
        return;
    fprintf(stderr, "http_kit: %s: %s\n", what, strerror(errno));
    abort();
}

struct http_kit *
http_kit_connect(int port)
{
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct timeval wait = {.tv_sec = HTTP_KIT_WAIT_S};
    struct http_kit *client = calloc(1, sizeof *client);
    int on = 1;

    must(client != NULL, "memory");
    client->room = ROOM;
    client->in = calloc(1, ROOM);
    must(client->in != NULL, "memory");
    client->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    must(client->fd >= 0, "socket");
    setsockopt(client->fd, SOL_SOCKET, SO_RCVTIMEO, &wait, sizeof wait);
    setsockopt(client->fd, SOL_SOCKET, SO_SNDTIMEO, &wait, sizeof wait);
    setsockopt(client->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    must(connect(client->fd, (struct sockaddr *)&to, sizeof to) == 0, "connect");
    return client;
}

struct http_kit *
http_kit_connect_tls(int port, SSL_CTX *context, SSL_SESSION *resumed)
{
    struct http_kit *client = http_kit_connect(port);

    client->ssl = SSL_new(context);
    must(client->ssl != NULL, "SSL_new");
    SSL_set_fd(client->ssl, client->fd);
    if (resumed != NULL)
        SSL_set_session(client->ssl, resumed);
    if (SSL_connect(client->ssl) == 1)
        return client;
    http_kit_free(client);
    return NULL;
}

void
http_kit_free(struct http_kit *client)
{
    if (client == NULL)
        return;
    /* Without a word of goodbye, but as if there had been one: otherwise the session could not be resumed. */
    if (client->ssl != NULL)
        SSL_set_shutdown(client->ssl, SSL_SENT_SHUTDOWN);
    SSL_free(client->ssl);
    close(client->fd);
    free(client->in);
    free(client->head);
    free(client);
}

bool
http_kit_say_bytes(struct http_kit *client, const void *bytes, size_t len)
{
    size_t sent = 0;

    while (sent < len) {
        ssize_t part = client->ssl != NULL ? SSL_write(client->ssl, (const char *)bytes + sent, (int)(len - sent))
                                           : send(client->fd, (const char *)bytes + sent, len - sent, MSG_NOSIGNAL);
        if (part <= 0)
            return false;
        sent += (size_t)part;
    }
    return true;
}

bool
http_kit_say(struct http_kit *client, const char *text)
{
    return http_kit_say_bytes(client, text, strlen(text));
}

/* False at the end of the stream, at an error, and when nothing came in time. */
static bool
read_more(struct http_kit *client)
{
    if (client->room - client->len < ROOM / 2) {
        client->room *= 2;
        client->in = realloc(client->in, client->room);
        must(client->in != NULL, "memory");
    }
    size_t room = client->room - client->len - 1;
    ssize_t part =
        client->ssl != NULL ? SSL_read(client->ssl, client->in + client->len, (int)room) : recv(client->fd, client->in + client->len, room, 0);
    if (part <= 0)
        return false;
    client->len += (size_t)part;
    client->in[client->len] = '\0';
    return true;
}

static void
forget_reply(struct http_kit *client)
{
    memmove(client->in, client->in + client->consumed, client->len - client->consumed);
    client->len -= client->consumed;
    client->consumed = 0;
    client->in[client->len] = '\0';
    free(client->head);
    client->head = NULL;
    client->reply = (struct http_kit_reply){.head = "", .body = ""};
}

static const struct http_kit_reply *
read_reply(struct http_kit *client, bool to_head)
{
    char *end;

    forget_reply(client);
    while ((end = strstr(client->in, "\r\n\r\n")) == NULL)
        if (!read_more(client))
            return &client->reply;
    size_t head_len = (size_t)(end - client->in) + 4;
    client->head = strndup(client->in, head_len);
    must(client->head != NULL && strncmp(client->head, "HTTP/1.1 ", 9) == 0, "not an HTTP/1.1 answer");
    client->reply.status = (int)strtol(client->head + 9, NULL, 10);
    client->reply.head = client->head;
    const char *length = strcasestr(client->head, "\r\ncontent-length:");
    size_t body_len = length == NULL || to_head || client->reply.status < 200 ? 0 : strtoul(length + 17, NULL, 10);
    while (client->len < head_len + body_len)
        if (!read_more(client))
            break;
    client->reply.body_len = client->len - head_len < body_len ? client->len - head_len : body_len;
    client->reply.body = client->in + head_len;
    client->consumed = head_len + client->reply.body_len;
    return &client->reply;
}

const struct http_kit_reply *
http_kit_reply(struct http_kit *client)
{
    return read_reply(client, false);
}

const struct http_kit_reply *
http_kit_reply_to_head(struct http_kit *client)
{
    return read_reply(client, true);
}

const char *
http_kit_header(const struct http_kit_reply *reply, const char *name)
{
    static char value[1024];
    char wanted[128];

    snprintf(wanted, sizeof wanted, "\r\n%s: ", name);
    const char *at = strstr(reply->head, wanted);
    if (at == NULL)
        return NULL;
    at += strlen(wanted);
    snprintf(value, sizeof value, "%.*s", (int)strcspn(at, "\r"), at);
    return value;
}

const struct http_kit_reply *
http_kit_get(struct http_kit *client, const char *path)
{
    char request[4096];

    snprintf(request, sizeof request, "GET %s HTTP/1.1\r\nHost: test\r\n\r\n", path);
    http_kit_say(client, request);
    return http_kit_reply(client);
}

bool
http_kit_is_closed(struct http_kit *client)
{
    errno = 0;
    while (read_more(client))
        errno = 0;
    return errno != EAGAIN && errno != EWOULDBLOCK;
}

bool
http_kit_is_open(struct http_kit *client)
{
    char byte;

    errno = 0;
    ssize_t len = recv(client->fd, &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return len > 0 || (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK));
}

int
http_kit_fd(const struct http_kit *client)
{
    return client->fd;
}

SSL *
http_kit_ssl(const struct http_kit *client)
{
    return client->ssl;
}
