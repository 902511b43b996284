/*
 * A small HTTP client that says exactly the bytes it is told to, for tests of the server: over plain TCP or TLS, reads one reply at a time.
 *
 *     struct http_kit *client = http_kit_connect(port);
 *     http_kit_say(client, "GET / HTTP/1.1\r\nHost: x\r\n\r\n");
 *     assert_int_equal(http_kit_reply(client)->status, 200);
 *     http_kit_free(client);
 *
 * Nothing here waits longer than HTTP_KIT_WAIT_S; trouble that is not the server's aborts the test.
 */
#ifndef SIGNET_KIT_HTTP_H
#define SIGNET_KIT_HTTP_H

#include <stdbool.h>
#include <stddef.h>

#include <openssl/ssl.h>

#define HTTP_KIT_WAIT_S 20

struct http_kit;

struct http_kit_reply {
    int status;       /* 0: the connection ended without an answer */
    const char *head; /* status line and headers, as they came */
    const char *body;
    size_t body_len;
};

struct http_kit *http_kit_connect(int port);
/* NULL when the handshake fails; the reason is then on OpenSSL's error queue. `context` is borrowed. */
struct http_kit *http_kit_connect_tls(int port, SSL_CTX *context, SSL_SESSION *resumed);
void http_kit_free(struct http_kit *client);

/* False when the server did not take all of it. */
bool http_kit_say(struct http_kit *client, const char *text);
bool http_kit_say_bytes(struct http_kit *client, const void *bytes, size_t len);

/* The next reply; valid until the one after. A reply to HEAD has no body. */
const struct http_kit_reply *http_kit_reply(struct http_kit *client);
const struct http_kit_reply *http_kit_reply_to_head(struct http_kit *client);

/* A header's value, found by the exact spelling of its name and ": " behind it; NULL when it is not there so. Valid until the next call. */
const char *http_kit_header(const struct http_kit_reply *reply, const char *name);

/* One request on a connection of its own. */
const struct http_kit_reply *http_kit_get(struct http_kit *client, const char *path);

/* True when the server ends the connection, false when it is still open after HTTP_KIT_WAIT_S. */
bool http_kit_is_closed(struct http_kit *client);
/* True when the server has not closed so far; does not wait. */
bool http_kit_is_open(struct http_kit *client);

int http_kit_fd(const struct http_kit *client);
SSL *http_kit_ssl(const struct http_kit *client);

#endif
