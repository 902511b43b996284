/*
 * An OCSP request as a GET path brings it: percent-encoded base64 of DER, read by the responder's own handler. The seams below stand for the server
 * and for everything behind the parser.
 */
#include <stdlib.h>
#include <string.h>

#include "ocsp_responder.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static size_t deferred;

const char *
http_header_in(const struct http_exchange *x, const char *name)
{
    return NULL;
}

void
http_header_out(struct http_exchange *x, const char *name, const char *format, ...)
{
}

enum error
http_answer(struct http_exchange *x, int status, const char *content_type, struct bytes body)
{
    abort(); /* nothing is cached, and nobody can be asked on a loop */
}

enum error
http_defer(struct http_exchange *x)
{
    deferred++;
    return OK;
}

/* What a worker would do next. */
const struct cached *
cache_find(struct cache *cache, struct bytes serial, struct bytes cert_id)
{
    if (serial.len > OCSP_REQUEST_MAX || cert_id.len > OCSP_REQUEST_MAX || (cert_id.len > 0 && cert_id.at == NULL))
        abort();
    return NULL;
}

const struct cached *
cache_put(struct cache *cache, uint64_t ticket, const struct cached *entry)
{
    abort();
}

bool
cache_take_check(const struct cached *cached, int64_t since_s)
{
    return false;
}

uint64_t
cache_ticket(struct cache *cache, struct bytes serial)
{
    abort();
}

void
cache_release(void *cached)
{
    abort();
}

/* The loop remembers nothing either. */
struct recent_answer *
recent_find(struct recent *recent, const struct http_route *route, struct bytes octets, const struct cached **ret_cached)
{
    return NULL;
}

void
recent_keep(struct recent *recent, const struct http_route *route, struct bytes octets, const struct cached *cached)
{
    abort();
}

void
recent_release(void *answer)
{
    abort();
}

enum error
status_load_all(struct responder *responder, struct request *rq, const struct ocsp_request *request, const struct issuer **ret_issuer,
                struct status *ret_statuses)
{
    abort();
}

enum error
sign_response(struct responder *responder, struct request *rq, const struct issuer *issuer, const struct ocsp_request *request,
              const struct status *statuses, struct signed_response *ret_response)
{
    abort();
}

void
metric_add(struct metric *metric, int64_t by)
{
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct recent *nothing[1];
    static struct responder responder = {.recents = nothing};
    struct http_exchange x = {.on_loop = true};
    size_t before = deferred;

    request_begin(&x.rq, "fuzz", "", NULL);
    x.params[0] = bytes_text(x.rq.arena, BYTES(data, size));
    if ((answer_get(&responder, &x) == OK) != (deferred == before + 1))
        abort();
    request_drop(&x.rq);
    return 0;
}
