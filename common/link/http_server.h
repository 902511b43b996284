/*
 * An HTTP/1.1 server on h2o: a route table, limits, timeouts, and worker threads for what must wait.
 *
 *     static const struct http_route routes[] = {
 *         {"GET",  "/acme/directory",    directory,    ON_LOOP},
 *         {"POST", "/acme/order/{id}",   order,        ON_WORKER},
 *         {"POST", "/ocsp",              ocsp,         ON_LOOP_OR_WORKER},
 *     };
 *
 * A handler fills `x->answer` and returns OK, or returns an error; then `render_failure` of the service makes the protocol's error out of
 * x->rq.failure; it finds the usual status in x->answer.status (405 for a wrong method, whatever the kind says). ON_LOOP handlers must not wait. An
 * ON_LOOP_OR_WORKER handler runs on the loop first with x->on_loop set and may return http_defer(x) to be called again on a worker, where it finds
 * what it left in x->kept. HEAD is answered by the GET route without its body; other methods get 405 with Allow; unknown paths 404. Paths are matched
 * raw (percent-encoding kept), `{name}` is one segment, `{name*}` the rest with slashes.
 *
 * Limits are in http_server_options; a slow client is closed, a client that vanishes is survived, a full worker queue is ERR_BUSY, a handler that
 * does not return in time is ERR_TIMEOUT to the client while its late answer is dropped. Threads: handlers run on loops and workers concurrently. TLS
 * by PEM files, reloaded when they change; optional or required client certificates, trusted by a file or by http_server_trust_clients. HTTP/2 cannot
 * be reached.
 */
#ifndef SIGNET_LINK_HTTP_SERVER_H
#define SIGNET_LINK_HTTP_SERVER_H

#include "base/bytes.h"
#include "base/request.h"
#include "link/client_address.h"

struct http_exchange;
struct http_server;

typedef enum error http_handler(void *context, struct http_exchange *x);

enum http_where { ON_LOOP, ON_WORKER, ON_LOOP_OR_WORKER };

struct http_route {
    const char *method;
    const char *path;
    http_handler *handle;
    enum http_where where;
    size_t body_max; /* 0: the server's */
};

#define HTTP_PARAMS_MAX 8
#define HTTP_HEADERS_MAX 24

struct http_header {
    const char *name; /* as it goes out: "Replay-Nonce" */
    const char *value;
};

struct http_answer {
    int status;
    struct http_header headers[HTTP_HEADERS_MAX];
    size_t header_count;
    struct bytes body; /* in the request's arena, static, or kept alive by `held` */
    void *held;        /* for cached bodies: released after the answer was written */
    void (*release)(void *held);
};

struct http_exchange {
    struct request rq;
    const struct http_route *route;
    const char *method;
    const char *path;                    /* raw, without query */
    const char *query;                   /* raw, or "" */
    const char *params[HTTP_PARAMS_MAX]; /* in the order of the route's {names}, raw */
    struct bytes body;                   /* borrowed, until the handler returns */
    const char *peer;                    /* "127.0.0.1"; behind one of the server's proxies, the client that it names */
    const char *host;                    /* Host header, or "" */
    bool tls;
    bool on_loop;
    int loop;                 /* which one took the request: from 0 */
    struct bytes client_cert; /* DER of the verified client certificate, or none */
    struct http_answer answer;
    const void *kept; /* NULL, or what the handler has left on the loop for itself on a worker, in the request's arena */
    void *internal;
};

struct http_server_options {
    const char *name;   /* for the log and metrics: "acme" */
    const char *listen; /* "host:port"; port 0 picks one */
    const struct http_route *routes;
    size_t route_count;
    void *context;
    void (*render_failure)(void *context, struct http_exchange *x); /* NULL: a short text/plain */
    enum error (*admit)(void *context, struct http_exchange *x);    /* NULL or: asked on the loop before any handler; its refusal is the answer */
    void (*decorate)(void *context, struct http_exchange *x);       /* NULL or: adds headers to every answer, errors included (Replay-Nonce) */
    int loops;                                                      /* 0: 1 */
    int workers;                                                    /* 0: no worker threads */
    int queue_limit;                                                /* 0: 256 */
    size_t body_max;                                                /* 0: 64 KiB */
    int request_timeout_ms;                                         /* head and body complete; idle keep-alive; 0: 10 s */
    int handler_timeout_ms;                                         /* 0: 30 s */
    int write_timeout_ms;                                           /* a reader that makes no progress; 0: 10 s */
    int connection_limit;                                           /* 0: 4096 */
    const char *tls_cert_file;                                      /* "" or NULL: plain HTTP */
    const char *tls_key_file;
    const char *tls_client_ca_file; /* "" : none asked */
    bool tls_client_required;
    bool tls_client_asked; /* instead of the file: whoever has a certificate shows it; http_server_trust_clients says whose are taken */
    bool quiet;            /* no log line per answer that is OK: for the admin listener and OCSP */
    /* Whose X-Forwarded-For is believed. What the handshake was is theirs, and no handler sees it. */
    struct proxies proxies;
};

/* Texts, routes and context are borrowed until the server is closed. */
enum error http_server_open(struct request *rq, const struct http_server_options *options, struct http_server **ret_server) MUST_CHECK;
int http_server_port(const struct http_server *server);
/* The anchors (DER) that certificates of clients must lead to, for a server with tls_client_asked; those before are forgotten. An anchor may be any
 * CA, not only a root. A certificate that leads to none is as if none was sent (http_client_refusal). While there are none, no certificate is asked
 * for. Holds for handshakes that begin afterwards. Threads: any. */
enum error http_server_trust_clients(struct request *rq, struct http_server *server, const struct bytes *anchors, size_t count) MUST_CHECK;
/* Stops accepting, finishes what was begun, closes idle connections; at most `most_ms`. */
void http_server_close(struct http_server *server, int most_ms);

/* Request side. NULL when absent. Host is x->host; Content-Length, Transfer-Encoding, Expect and Upgrade are the server's own and not shown. */
const char *http_header_in(const struct http_exchange *x, const char *name);
/* Of a header that may be there several times, all values in their order, with commas between (RFC 9110 §5.3). NULL when absent. */
const char *http_headers_in(const struct http_exchange *x, const char *name);
/* Percent-decodes into the arena; false when malformed or NUL inside. */
bool http_percent_decode(struct arena *arena, const char *raw, struct bytes *ret_bytes);
/* The value of a query parameter, decoded, or NULL. */
const char *http_query(struct http_exchange *x, const char *name);

/* What the handshake was: for all servers the version (0x0303 is TLS 1.2, 0x0304 TLS 1.3, 0 none), the rest with tls_client_asked only. */
int http_tls_version(const struct http_exchange *x);
/* Why a certificate that the client has sent is not taken, for people; NULL: it is, or none was sent. */
const char *http_client_refusal(const struct http_exchange *x);
/* What the client sent behind its certificate, DER, in that order; unverified. */
const struct bytes *http_client_chain(const struct http_exchange *x, size_t *ret_count);
/* Channel bindings: tls-unique on TLS 1.2 (RFC 5929 §3), tls-exporter on TLS 1.3 (RFC 9266, 32 octets); none on the other version. */
struct bytes http_tls_unique(const struct http_exchange *x);
struct bytes http_tls_exporter(const struct http_exchange *x);

/* Answer side. */
void http_header_out(struct http_exchange *x, const char *name, const char *format, ...) __attribute__((format(printf, 3, 4)));
enum error http_answer(struct http_exchange *x, int status, const char *content_type, struct bytes body);
enum error http_answer_text(struct http_exchange *x, int status, const char *content_type, const char *text);
/* An error, so that a handler ends with it like with any other, wherever in it the need to wait was seen. To the server it is none. */
enum error http_defer(struct http_exchange *x) MUST_CHECK;

/*
 * For a handler on the loop that gives its exchange to somebody who answers it later, perhaps with many others: from here on the loop has nothing to
 * do with it, and what the handler returns is not looked at. The request's headers and its body are gone; x->peer stands elsewhere. Then, once, from
 * any thread, either http_finish with what a handler would return; or http_go_on, when the rest must wait: a worker calls `rest`, and its result is
 * the answer. False: all workers are busy, and http_finish is still to come.
 */
void http_leave(struct http_exchange *x);
void http_finish(struct http_exchange *x, enum error result);
bool http_go_on(struct http_exchange *x, enum error (*rest)(void *argument), void *argument) MUST_CHECK;

/* 400, 401, 403, 404, 409, 413, 429, 500, 503, 504 for a kind of error: the usual mapping, for gateways that have no better one. */
int http_status_of(enum error kind);

#endif
