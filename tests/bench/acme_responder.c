/* Answers validators (RFC 8555 §8.3) with what the clients have published. A few threads that take one connection after the other. */
#include "acme.h"

#include <arpa/inet.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/text.h"

#define THREADS 4
#define REQUEST_MAX 4096
#define TOKEN_MAX 128
#define TEXT_MAX 256

struct place {
    char token[TOKEN_MAX];
    char text[TEXT_MAX];
};

struct responder {
    int fd;
    pthread_t threads[THREADS];
    pthread_mutex_t mutex;
    struct place *places;
    size_t place_count;
};

void
responder_publish(struct responder *responder, size_t place, const char *token, const char *key_authorization)
{
    AUTO_LOCK(&responder->mutex);
    snprintf(responder->places[place].token, TOKEN_MAX, "%s", token);
    snprintf(responder->places[place].text, TEXT_MAX, "%s", key_authorization);
}

static bool
find(struct responder *responder, const char *token, char ret_text[TEXT_MAX])
{
    AUTO_LOCK(&responder->mutex);
    for (size_t i = 0; i < responder->place_count; i++)
        if (strcmp(responder->places[i].token, token) == 0) {
            memcpy(ret_text, responder->places[i].text, TEXT_MAX);
            return true;
        }
    return false;
}

static bool
receive_head(int fd, char head[REQUEST_MAX])
{
    size_t len = 0;

    do {
        ssize_t more = recv(fd, head + len, REQUEST_MAX - 1 - len, 0);
        if (more <= 0)
            return false;
        len += (size_t)more;
        head[len] = '\0';
    } while (strstr(head, "\r\n\r\n") == NULL);
    return true;
}

static void
answer(struct responder *responder, int fd)
{
    const struct timeval patience = {.tv_sec = 2};
    char head[REQUEST_MAX], token[TOKEN_MAX] = "", text[TEXT_MAX], out[TEXT_MAX + 100];
    int len;

    (void)setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (!receive_head(fd, head))
        return;
    bool known = sscanf(head, "GET /.well-known/acme-challenge/%127[A-Za-z0-9_-] HTTP/", token) == 1 && find(responder, token, text);
    if (known)
        len = snprintf(out, sizeof out, "HTTP/1.1 200 OK\r\nContent-Length: %zu\r\nConnection: close\r\n\r\n%s", strlen(text), text);
    else
        len = snprintf(out, sizeof out, "HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\nConnection: close\r\n\r\n");
    (void)send(fd, out, (size_t)len, MSG_NOSIGNAL);
}

static void *
serve(void *context)
{
    struct responder *responder = context;
    int fd;

    while ((fd = accept(responder->fd, NULL, NULL)) >= 0) {
        answer(responder, fd);
        close(fd);
    }
    return NULL;
}

struct responder *
responder_start(int port, size_t places)
{
    struct responder *responder = calloc(1, sizeof *responder);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port), .sin_addr = {htonl(INADDR_LOOPBACK)}};
    const int yes = 1;

    if (responder == NULL || (responder->places = calloc(places, sizeof *responder->places)) == NULL)
        abort();
    responder->place_count = places;
    pthread_mutex_init(&responder->mutex, NULL);
    responder->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    (void)setsockopt(responder->fd, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(responder->fd, (struct sockaddr *)&address, sizeof address) != 0 || listen(responder->fd, 256) != 0) {
        perror("acme: the port of http-01");
        exit(1);
    }
    for (size_t i = 0; i < THREADS; i++)
        if (pthread_create(&responder->threads[i], NULL, serve, responder) != 0)
            abort();
    return responder;
}

void
responder_stop(struct responder *responder)
{
    (void)shutdown(responder->fd, SHUT_RDWR);
    for (size_t i = 0; i < THREADS; i++)
        pthread_join(responder->threads[i], NULL);
    close(responder->fd);
    pthread_mutex_destroy(&responder->mutex);
    free(responder->places);
    free(responder);
}
