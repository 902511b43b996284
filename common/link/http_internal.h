/*
 * What the files of the HTTP server share; nobody else includes it.
 *
 *   http_server.c    opens and closes: options, h2o's configuration, threads
 *   http_loop.c      one event-loop thread: its start, its turn, its drain
 *   http_accept.c    listening sockets, connections, the limit on them
 *   http_watchdog.c  twice a second: readers that do not read, a paused listener, changed TLS files
 *   http_tls.c       certificates, whom clients' certificates come from, alerts
 *   http_tls_peer.c  what a handshake was: the client's certificate, version, channel bindings
 *   http_head.c      what h2o lets pass in a request's head and we do not
 *   http_route.c     path patterns, percent-encoding, queries
 *   http_exchange.c  from h2o's request to the handler's exchange, and to its result
 *   http_answer.c    what handlers call, and the answer to a failure
 *   http_worker.c    the hand-off to worker threads, and answers that come too late
 *   http_send.c      from the handler's answer to the wire; also h2o's own error answers
 *   http_linger.c    closing towards a client that is still sending
 *
 * Threads: everything about a loop, its connections and their h2o objects belongs to the loop's thread. An exchange belongs to a worker, or to
 * whom it was left, from http_worker_hand_over or http_leave to its message back; the loop then touches only `request`, `connection` and `deadline`
 * of it.
 */
#ifndef SIGNET_LINK_HTTP_INTERNAL_H
#define SIGNET_LINK_HTTP_INTERNAL_H

#include <netinet/in.h>
#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>

#include <h2o.h>
#include <h2o/http1.h>
#include <openssl/ssl.h>

#include "link/http_server.h"
#include "link/workers.h"

#define HTTP_TICK_MS 500
#define HTTP_HEAD_MAX (32 * 1024)  /* request line and headers; h2o's own bound is 417,792 */
#define HTTP_CHUNK_MAX (64 * 1024) /* larger bodies go out in pieces, so that progress can be seen and TLS does not hold them whole */
#define HTTP_SPARE_MAX 64          /* exchanges kept for reuse per loop */
#define HTTP_LOOPS_MAX 64

struct http_tls;
struct http_loop;

struct http_server {
    struct http_server_options options; /* with the defaults filled in */
    char **steps;                       /* "POST /acme/order/{id}", one per route */
    size_t body_max;                    /* of the most generous route */
    h2o_globalconf_t config;
    h2o_hostconf_t *host;
    struct http_tls *tls; /* NULL: plain HTTP */
    struct workers *workers;
    struct http_loop *loops;
    int loop_count;
    int port;
    int connection_limit;
    atomic_int connection_count;
    _Atomic int64_t drain_until_ms; /* monotonic; 0: not draining */
};

struct http_loop {
    struct http_server *server;
    int number;
    pthread_t thread;
    sem_t started;
    int listen_fd;
    h2o_context_t context;
    h2o_accept_ctx_t accept;
    h2o_socket_t *listener; /* NULL once closed */
    bool listener_paused;
    h2o_multithread_receiver_t receiver;
    h2o_multithread_message_t drain_message;
    h2o_linklist_t connections;
    int connection_count; /* own connections, lingering ones included */
    int at_workers;
    int64_t tls_checked_ms;
    h2o_timeout_t tick_timeout;
    h2o_timeout_entry_t tick;
    h2o_timeout_t handler_timeout;
    struct http_work *spare;
    int spare_count;
    bool clean; /* ended with nothing left behind */
};

/* What a handshake was. The octets live with the connection; a worker has a copy. */
struct http_tls_peer {
    int version;
    struct bytes certificate; /* verified, or none */
    const char *refusal;      /* why it is none although one was sent, or NULL; OpenSSL's text */
    struct bytes *chain;
    size_t chain_count;
    struct bytes unique, exporter;
};

/* Lives from accept to close; libh2o's socket points here. */
struct http_connection {
    h2o_linklist_t link;
    struct http_loop *loop;
    h2o_socket_t *socket;
    struct http_work *work; /* the request that is being answered */
    bool asked;             /* at least once: a fresh connection is given time in the drain */
    int64_t accepted_ms;
    char peer[INET6_ADDRSTRLEN];
    size_t written_seen; /* by the watchdog, */
    int64_t moved_ms;    /* and when it last moved */
    int linger_fd;       /* -1, or a second descriptor that outlives h2o's close */
    SSL_CTX *tls_context;
    SSL *ssl; /* valid while the socket is */
    struct http_handshake *handshake;
    struct http_tls_peer tls_peer;
    bool tls_peer_read;
    struct arena *tls_peer_arena; /* NULL: the peer has nothing that must be kept */
};

struct http_header_copy {
    const char *name; /* lower case */
    const char *value;
};

/* One request from its arrival to the last byte of its answer, in memory that the loop uses again. */
struct http_work {
    struct http_exchange x;
    struct arena *arena;
    struct http_loop *loop;
    struct http_connection *connection; /* NULL once the client is gone or was answered without us */
    h2o_req_t *request;                 /* the same */
    bool at_worker;
    bool deferred;
    bool left;                      /* nobody has it now: http_finish or http_go_on will */
    enum error (*rest)(void *rest); /* NULL: the route's handler has not been called yet */
    void *rest_argument;
    bool head_only;
    int wanted_status; /* 0, or what a refusal of the server itself must go out as */
    h2o_multithread_message_t done;
    h2o_timeout_entry_t deadline;
    h2o_generator_t generator;
    size_t sent;
    const struct http_tls_peer *tls_peer; /* NULL: plain HTTP */
    struct http_header_copy *headers;     /* for workers, which may outlive h2o's request */
    size_t header_count;
    struct http_work *next_spare;
};

/* http_loop.c */
void http_loop_start(struct http_loop *loop);

/* http_accept.c */
enum error http_listen(struct request *rq, struct http_server *server) MUST_CHECK;
void http_accept_open(struct http_loop *loop);
void http_accept_close(struct http_loop *loop);
void http_accept_resume(struct http_loop *loop);
struct http_connection *http_connection_of(h2o_req_t *request);

/* http_watchdog.c */
void http_watchdog_start(struct http_loop *loop);

/* http_tls.c */
enum error http_tls_open(struct request *rq, const struct http_server_options *options, struct http_tls **ret_tls) MUST_CHECK;
void http_tls_free(struct http_tls *tls);
void http_tls_reload_when_changed(struct http_tls *tls);
enum error http_tls_trust(struct request *rq, struct http_tls *tls, const struct bytes *anchors, size_t count) MUST_CHECK;
void http_tls_accept(struct http_connection *connection);
void http_tls_connection_closed(struct http_connection *connection);

/* http_tls_peer.c. NULL for a connection without TLS. */
const struct http_tls_peer *http_tls_peer_of(struct http_connection *connection);
const struct http_tls_peer *http_tls_peer_copy(struct arena *arena, const struct http_tls_peer *peer);

/* http_head.c. NULL, or what is wrong with the head, for the client, and 400 or 431. `head` may be followed by more bytes. */
const char *http_head_problem(struct bytes head, bool is_http_1_0, int *ret_status);

/* http_route.c */
bool http_path_matches(const char *pattern, struct bytes path, struct bytes ret_params[HTTP_PARAMS_MAX], size_t *ret_param_count);
/* The path of a request target, origin-form or absolute-form (RFC 9112 §3.2), and its query. */
void http_target_split(struct bytes target, struct bytes *ret_path, struct bytes *ret_query);

/* http_exchange.c */
void http_exchange_register(struct http_server *server);
struct http_work *http_work_begin(struct http_connection *connection, h2o_req_t *request);
void http_work_route(struct http_work *work);
void http_work_complete(struct http_work *work, enum error result);
void http_work_release(struct http_work *work);

/* http_answer.c. A header's value without the blanks around it (RFC 9112 §5.1; h2o leaves those behind it). */
struct bytes http_trimmed(h2o_iovec_t value);
/* What the client gets for a failure; returns its kind. */
enum error http_render(struct http_work *work, enum error result);

/* http_worker.c */
void http_worker_hand_over(struct http_work *work);
void http_worker_receive(h2o_multithread_receiver_t *receiver, h2o_linklist_t *messages);

/* http_send.c */
void http_send(struct http_work *work);
void http_send_register(struct http_server *server);

/* http_linger.c */
void http_linger_prepare(struct http_connection *connection);
void http_linger_start(struct http_loop *loop, int fd);

#endif
