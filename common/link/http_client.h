/*
 * An HTTP client on libcurl for addresses that the caller has already chosen and checked: it resolves nothing, follows nothing, obeys no proxy
 * variable, and stops reading at a limit.
 *
 *     struct http_fetch fetch = {.url = "http://host.example/.well-known/…", .address = "192.0.2.7", .port = 80, .body_max = 128, .total_ms = 8000};
 *     enum error error = http_fetch(rq, &fetch);   // fetch.status, fetch.body, fetch.redirect
 */
#ifndef SIGNET_LINK_HTTP_CLIENT_H
#define SIGNET_LINK_HTTP_CLIENT_H

#include "base/bytes.h"
#include "base/request.h"

struct http_fetch {
    const char *url; /* http or https */
    const char
        *address;       /* the literal IP to dial instead of the host of the URL; NULL: dial the URL's host, which must be a literal or "localhost" */
    int port;           /* the port to dial; 0: the URL's */
    const char *method; /* NULL: GET */
    const char *const *headers; /* "Name: value", NULL-terminated; may be NULL */
    struct bytes request_body;
    size_t body_max; /* reading stops there; `truncated` is set */
    int connect_ms;
    int total_ms;
    bool verify_tls;
    const char *ca_file;   /* with verify_tls */
    const char *cert_file; /* client certificate, or NULL */
    const char *key_file;
    /* Asked with the real address of every connection; false refuses it. May be NULL. */
    bool (*allow)(void *context, const char *address, int port);
    void *context;
    /* Results, in rq's arena. */
    int ret_status;
    struct bytes ret_body;
    bool ret_truncated;
    const char *ret_redirect; /* Location of a 3xx, made absolute; or NULL */
    const char *ret_content_type;
    const char *ret_peer; /* the address that answered */
};

/* ERR_UNAVAILABLE with a message about whatever kept an answer from coming; failure.reason is "connect" when nobody took the connection, "tls" when
 * there was no handshake, else "". */
enum error http_fetch(struct request *rq, struct http_fetch *fetch) MUST_CHECK;

#endif
