/*
 * The way of one OCSP request: read it, look into the cache, else ask the database and the signer.
 *
 * Called on an event loop first: what the cache has is answered there. Everything else is done again on a worker, which may wait.
 * A request with a nonce or with several CertIDs is made for this client alone and never cached.
 */
#include "base/base64.h"
#include "base/clock.h"
#include "base/text.h"
#include "ocsp_responder.h"

static enum error
give(struct http_exchange *x, const struct cached *entry)
{
    const char *known = http_header_in(x, "If-None-Match");
    struct http_answer *answer = &x->answer;
    bool unchanged = known != NULL && text_equal(known, entry->etag);
    /* Preformatted with the entry, and lent with it until the answer is out. */
    const struct http_header headers[] = {
        {"ETag", entry->etag}, {"Last-Modified", entry->last_modified}, {"Expires", entry->expires}, {"Cache-Control", entry->cache_control}};
    size_t i;

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        answer->headers[answer->header_count++] = headers[i];
    answer->held = (void *)entry;
    answer->release = cache_release;
    if (unchanged)
        return http_answer(x, 304, NULL, BYTES_NONE);
    return http_answer(x, 200, "application/ocsp-response", entry->response);
}

/* True when the answer that is cached still says what the database says. Without a database the signed answer holds until its nextUpdate. */
static bool
still_true(struct responder *responder, struct request *rq, const struct ocsp_cert_id *id, const struct cached *entry)
{
    const struct issuer *issuer = issuers_match(responder->issuers, rq, id);
    struct status status;

    if (issuer == NULL)
        return false;
    if (status_load(responder, rq, issuer, id->serial, &status) != OK) {
        failure_clear(rq);
        return true;
    }
    return entry->revoked == (status.status == OCSP_REVOKED);
}

static const struct cached *
remember(struct responder *responder, struct request *rq, uint64_t ticket, const struct ocsp_cert_id *id, bool revoked,
         const struct signed_response *response)
{
    uint8_t digest[32];
    int64_t next_update_s = response->next_update_s;
    struct cached entry = {
        .cert_id = id->der,
        .serial = id->serial,
        .response = response->der,
        .revoked = revoked,
        /* Caches may keep what we give for max_age more: it must be valid then still. */
        .refresh_at_s = next_update_s - responder->config.max_age_s - (next_update_s - response->this_update_s) / 8,
        .next_update_s = next_update_s,
        .last_modified = clock_format_http(rq->arena, response->this_update_s),
        .expires = clock_format_http(rq->arena, next_update_s),
        .cache_control = arena_format(rq->arena, "max-age=%d, public, no-transform, must-revalidate", responder->config.max_age_s),
    };

    certificate_sha256(response->der, digest);
    entry.etag = arena_format(rq->arena, "\"%s\"", bytes_hex(rq->arena, BYTES(digest, 16), 0));
    return cache_put(responder->cache, ticket, &entry);
}

/* One CertID without nonce: made once, kept, given to everybody who asks for the same. */
static enum error
make_shared(struct responder *responder, struct http_exchange *x, const struct ocsp_request *request)
{
    const struct ocsp_cert_id *id = &request->ids[0];
    /* Before the database is read: what an event says from now on is newer than what we are about to learn. */
    uint64_t ticket = cache_ticket(responder->cache, id->serial);
    const struct issuer *issuer = issuers_match(responder->issuers, &x->rq, id);
    struct signed_response response;
    struct status status;
    enum error error;

    if (issuer == NULL)
        return fail(&x->rq, ERR_NOT_FOUND, "none of our CAs issued this certificate");
    error = status_load(responder, &x->rq, issuer, id->serial, &status);
    if (!error)
        error = sign_response(responder, &x->rq, request, &response);
    if (error)
        return error;
    metric_add(responder->misses, 1);
    if (status.status == OCSP_UNKNOWN) {
        /* It may be issued in the next moment, and everybody can invent serial numbers: not worth a place. */
        http_header_out(x, "Cache-Control", "no-store");
        return http_answer(x, 200, "application/ocsp-response", response.der);
    }
    return give(x, remember(responder, &x->rq, ticket, id, status.status == OCSP_REVOKED, &response));
}

static enum error
make_private(struct responder *responder, struct http_exchange *x, const struct ocsp_request *request)
{
    struct signed_response response;
    enum error error = sign_response(responder, &x->rq, request, &response);

    if (error)
        return error;
    metric_add(responder->misses, 1);
    http_header_out(x, "Cache-Control", "no-store");
    return http_answer(x, 200, "application/ocsp-response", response.der);
}

static enum error
answer(struct responder *responder, struct http_exchange *x, struct bytes der)
{
    const struct cached *entry;
    struct ocsp_request request;
    enum error error = ocsp_request_parse(&x->rq, der, &request);

    if (error)
        return error;
    if (request.id_count != 1 || request.nonce.at != NULL)
        return x->on_loop ? http_defer(x) : make_private(responder, x, &request);

    entry = cache_find(responder->cache, request.ids[0].serial, request.ids[0].der);
    if (entry != NULL && clock_now_s() < entry->refresh_at_s) {
        if (atomic_load(&responder->live)) {
            metric_add(responder->hits, 1);
            return give(x, entry);
        }
        if (!x->on_loop && still_true(responder, &x->rq, &request.ids[0], entry)) {
            metric_add(responder->rechecks, 1);
            return give(x, entry);
        }
    }
    if (entry != NULL)
        cache_release((void *)entry);
    return x->on_loop ? http_defer(x) : make_shared(responder, x, &request);
}

enum error
answer_post(void *context, struct http_exchange *x)
{
    const char *type = http_header_in(x, "Content-Type");

    /* RFC 6960 A.1. Some devices send no type at all; what matters is the body. */
    if (type != NULL && !text_starts_with(type, "application/ocsp-request"))
        return fail(&x->rq, ERR_BAD_REQUEST, "the content type of an OCSP request is application/ocsp-request");
    return answer(context, x, x->body);
}

enum error
answer_get(void *context, struct http_exchange *x)
{
    struct bytes text, der;

    if (!http_percent_decode(x->rq.arena, x->params[0], &text) || text.len > OCSP_REQUEST_MAX * 4 / 3 || !base64_decode(x->rq.arena, text, &der))
        return fail(&x->rq, ERR_BAD_REQUEST, "the path does not end in a base64 text");
    return answer(context, x, der);
}
