/*
 * One keep-alive connection (HTTP/1.1) of a load generator, with or without TLS.
 *
 *     struct server server;
 *     if (server_of_url(rq, url, ca_bundle, &server) == OK)
 *         error = connection_call(connection_new(&server), rq, url, body, &answer);
 */
#ifndef SIGNET_TESTS_BENCH_CONNECTION_H
#define SIGNET_TESTS_BENCH_CONNECTION_H

#include <openssl/ssl.h>

#include "base/bytes.h"
#include "base/request.h"

struct server {
    SSL_CTX *tls;             /* NULL: without; freed by the caller */
    const char *content_type; /* of what is posted */
    const char *fields;       /* more lines of each request's head, each with its CRLF */
    char authority[256];      /* "127.0.0.1:14000" */
    char host[200];
    char port[8];
};

struct answer {
    int status;
    int retry_after_s; /* 0: none */
    const char *nonce; /* or NULL, as the next */
    const char *location;
    struct bytes body;
};

struct connection;

/* From any URL of the server. Without `ca_bundle` it is one without TLS. */
enum error server_of_url(struct request *rq, const char *url, const char *ca_bundle, struct server *ret_server) MUST_CHECK;
struct connection *connection_new(const struct server *server);
void connection_free(struct connection *connection);
DEFINE_AUTO_STRUCT(connection, connection_free);
/* `url` is the server's own; a body is sent by POST, without one it is a GET. What the answer holds lives in rq's arena. */
enum error connection_call(struct connection *connection, struct request *rq, const char *url, struct bytes body, struct answer *ret_answer)
    MUST_CHECK;
/* Whatever was on its way is forgotten; the next call connects anew. */
void connection_drop(struct connection *connection);

#endif
