/*
 * The way of one OCSP request: read it, look into the cache, else ask the database and the signer.
 *
 * Called on an event loop first: what the cache has is answered there, and what the same octets were answered with before, unread. Everything else is
 * done again on a worker, which may wait. A request with a nonce or with several CertIDs is made for this client alone and never cached;
 * so is the answer about a serial number that is unknown. Of such signatures there is so much a minute and no more.
 */
#include <string.h>
#include <strings.h>

#include "base/base64.h"
#include "base/clock.h"
#include "base/text.h"
#include "ocsp_responder.h"

#define RECHECK_MOST_MS 2000
#define UNCHECKED_MOST_S 300
#define UNKNOWN_ANSWERS "unknown serial numbers"
#define PRIVATE_ANSWERS "answers with a nonce or for several certificates"
#define REQUEST_BASE64_MAX ((OCSP_REQUEST_MAX + 2) / 3 * 4)

static const char media_type[] = "application/ocsp-request";

/* `held` is what was lent: the entry itself or what holds it. */
static enum error
give(struct http_exchange *x, const struct cached *entry, void *held, void (*release)(void *))
{
    const char *known = http_header_in(x, "If-None-Match");
    struct http_answer *answer = &x->answer;
    /* RFC 9110 §13.1.2: only GET and HEAD are answered 304. Who POSTs has nothing to look the old answer up by. */
    bool unchanged = known != NULL && text_equal(known, entry->etag) && !text_equal(x->method, "POST");
    /* Preformatted with the entry, and lent with it until the answer is out. */
    const struct http_header headers[] = {
        {"ETag", entry->etag}, {"Last-Modified", entry->last_modified}, {"Expires", entry->expires}, {"Cache-Control", entry->cache_control}};
    size_t i;

    for (i = 0; i < sizeof(headers) / sizeof(headers[0]); i++)
        answer->headers[answer->header_count++] = headers[i];
    answer->held = held;
    answer->release = release;
    if (unchanged)
        return http_answer(x, 304, NULL, BYTES_NONE);
    return http_answer(x, 200, "application/ocsp-response", entry->response);
}

static enum error
give_entry(struct http_exchange *x, const struct cached *entry)
{
    return give(x, entry, (void *)entry, cache_release);
}

/*
 * True when the answer that is cached still says what the database says. Without a database the signed answer holds. The database may hang: the
 * client gets the cached answer before it goes away.
 */
static bool
still_true(struct responder *responder, struct request *rq, const struct ocsp_request *request, const struct cached *entry)
{
    int64_t deadline_ms = rq->deadline_ms;
    const struct issuer *issuer;
    struct status status;
    enum error error;

    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, RECHECK_MOST_MS);
    error = status_load_all(responder, rq, request, &issuer, &status);
    rq->deadline_ms = deadline_ms;
    if (error)
        failure_clear(rq);
    if (error)
        return error != ERR_NOT_FOUND;
    return status.status == (entry->revoked ? OCSP_REVOKED : OCSP_GOOD);
}

static const struct cached *
remember(struct responder *responder, struct request *rq, uint64_t ticket, const struct ocsp_cert_id *id, bool revoked,
         const struct signed_response *response)
{
    uint8_t digest[32];
    int64_t life_s = response->next_update_s - response->this_update_s;
    /* Caches may keep what we give for so long more: it must be valid then still. */
    int64_t max_age_s = responder->config.max_age_s < life_s / 2 ? responder->config.max_age_s : life_s / 2;
    int64_t last_given_s = response->next_update_s - max_age_s;
    struct cached entry = {
        .cert_id = id->der,
        .serial = id->serial,
        .response = response->der,
        .revoked = revoked,
        .refresh_at_s = last_given_s - life_s / 8,
        .last_given_s = last_given_s,
        .last_modified = clock_format_http(rq->arena, response->this_update_s),
        .expires = clock_format_http(rq->arena, response->next_update_s),
        .cache_control = arena_format(rq->arena, "max-age=%lld, public, no-transform, must-revalidate", (long long)(max_age_s > 0 ? max_age_s : 0)),
    };

    certificate_sha256(response->der, digest);
    entry.etag = arena_format(rq->arena, "\"%s\"", bytes_hex(rq->arena, BYTES(digest, 16), 0));
    return cache_put(responder->cache, ticket, &entry);
}

/*
 * What one client alone has use for, everybody can invent without end, and each costs a signature beside those of issuance. Serial numbers that are
 * unknown and what its client wants for itself (`what`) have a share each: who uses up one does not take the other away.
 */
static bool
may_sign_unshared(struct responder *responder, const char *what, int *ret_wait_s)
{
    if (rate_limiter_take(responder->unshared, bytes_of_text(what), clock_monotonic_us(), ret_wait_s))
        return true;
    metric_add(responder->refusals, 1);
    return false;
}

/* tryLater (RFC 6960 §2.3): unsigned, and no word about the certificate. */
static enum error
refuse_unshared(struct request *rq, const char *what, int wait_s)
{
    request_note(rq, "rule", "unshared-answers");
    (void)fail(rq, ERR_RATE_LIMITED, "too many are asked for %s; the next is signed in %d s", what, wait_s);
    return fail_retry_after(rq, wait_s);
}

/* For this client alone. */
static enum error
give_uncached(struct responder *responder, struct http_exchange *x, struct bytes response)
{
    metric_add(responder->misses, 1);
    http_header_out(x, "Cache-Control", "no-store");
    return http_answer(x, 200, "application/ocsp-response", response);
}

/* One CertID without nonce: made once, kept, given to everybody who asks for the same. */
static enum error
make_shared(struct responder *responder, struct http_exchange *x, const struct ocsp_request *request)
{
    const struct ocsp_cert_id *id = &request->ids[0];
    /* Before the database is read: what an event says from now on is newer than what we are about to learn. */
    uint64_t ticket = cache_ticket(responder->cache, id->serial);
    struct signed_response response;
    const struct issuer *issuer;
    struct status status;
    int wait_s;
    enum error error = status_load_all(responder, &x->rq, request, &issuer, &status);

    if (error)
        return error;
    if (status.status == OCSP_UNKNOWN && !may_sign_unshared(responder, UNKNOWN_ANSWERS, &wait_s))
        return refuse_unshared(&x->rq, UNKNOWN_ANSWERS, wait_s);
    error = sign_response(responder, &x->rq, issuer, request, &status, &response);
    if (error)
        return error;
    /* It may be issued in the next moment, and everybody can invent serial numbers: not worth a place. */
    if (status.status == OCSP_UNKNOWN)
        return give_uncached(responder, x, response.der);
    metric_add(responder->misses, 1);
    return give_entry(x, remember(responder, &x->rq, ticket, id, status.status == OCSP_REVOKED, &response));
}

static enum error
make_private(struct responder *responder, struct http_exchange *x, const struct ocsp_request *request)
{
    struct status statuses[OCSP_SINGLES_MAX];
    struct signed_response response;
    const struct issuer *issuer;
    enum error error = status_load_all(responder, &x->rq, request, &issuer, statuses);

    if (!error)
        error = sign_response(responder, &x->rq, issuer, request, statuses, &response);
    if (error)
        return error;
    return give_uncached(responder, x, response.der);
}

/*
 * Events empty the cache; but a bus whose streams are away brings none, and looks well. So one request in a while asks the database, whatever the bus
 * says, and the others need not wait for it. `kept` is the mark for the worker: this is the one.
 */
static bool
has_to_check(struct http_exchange *x, const struct cached *entry)
{
    if (x->on_loop && cache_take_check(entry, clock_now_s() - UNCHECKED_MOST_S))
        x->kept = (void *)entry;
    return x->kept != NULL;
}

/*
 * What the cache has, when it may be given here: on a loop nobody can be asked whether it still holds. `stretch` takes what is due to be renewed
 * too, as long as caches behind us cannot keep it beyond its nextUpdate. NULL: nothing.
 */
static const struct cached *
find_true(struct responder *responder, struct http_exchange *x, const struct ocsp_request *request, bool stretch)
{
    /* Before the cache is asked: it is emptied before the bus is said to be there again. */
    bool live = atomic_load(&responder->live);
    const struct cached *entry = cache_find(responder->cache, request->ids[0].serial, request->ids[0].der);

    if (entry == NULL)
        return NULL;
    if (clock_now_s() < (stretch ? entry->last_given_s : entry->refresh_at_s)) {
        if (live && !has_to_check(x, entry)) {
            metric_add(responder->hits, 1);
            return entry;
        }
        if (!x->on_loop && still_true(responder, &x->rq, request, entry)) {
            metric_add(responder->rechecks, 1);
            return entry;
        }
    }
    cache_release((void *)entry);
    return NULL;
}

/* On a loop. False when these octets have to be read. */
static bool
give_recent(struct responder *responder, struct http_exchange *x, struct bytes octets)
{
    const struct cached *entry;
    /* First, as in find_true. */
    bool live = atomic_load(&responder->live);
    struct recent_answer *recent = recent_find(responder->recents[x->loop], x->route, octets, &entry);

    if (recent == NULL)
        return false;
    if (!live || clock_now_s() >= entry->refresh_at_s || has_to_check(x, entry)) {
        recent_release(recent);
        return false;
    }
    metric_add(responder->hits, 1);
    return give(x, entry, recent, recent_release) == OK;
}

/* `octets` is the request as it came, `der` what it says. */
static enum error
answer(struct responder *responder, struct http_exchange *x, struct bytes octets, struct bytes der)
{
    const struct cached *entry;
    struct ocsp_request request;
    int wait_s;
    enum error error = ocsp_request_parse(&x->rq, der, &request);

    if (error)
        return error;
    if (request.id_count != 1 || request.nonce.at != NULL) {
        if (x->on_loop)
            return http_defer(x);
        if (may_sign_unshared(responder, PRIVATE_ANSWERS, &wait_s))
            return make_private(responder, x, &request);
        if (request.id_count != 1)
            return refuse_unshared(&x->rq, PRIVATE_ANSWERS, wait_s);
        /* RFC 9919 §5: who does not find his nonce in an answer goes by its time. */
        request.nonce = BYTES_NONE;
    }
    entry = find_true(responder, x, &request, false);
    if (entry != NULL && x->on_loop)
        recent_keep(responder->recents[x->loop], x->route, octets, entry);
    if (entry != NULL)
        return give_entry(x, entry);
    if (x->on_loop)
        return http_defer(x);
    error = make_shared(responder, x, &request);
    if (!error_is_retriable(error))
        return error;
    /* Due to be renewed, but the signer is away: the old one is signed for longer. */
    entry = find_true(responder, x, &request, true);
    if (entry == NULL)
        return error;
    failure_clear(&x->rq);
    return give_entry(x, entry);
}

enum error
answer_post(void *context, struct http_exchange *x)
{
    const char *type = http_header_in(x, "Content-Type");

    /* RFC 6960 A.1. Some devices send no type at all; what matters is the body. */
    if (type != NULL && strncasecmp(type, media_type, strlen(media_type)) != 0)
        return fail(&x->rq, ERR_BAD_REQUEST, "the content type of an OCSP request is %s", media_type);
    if (x->on_loop && give_recent(context, x, x->body))
        return OK;
    return answer(context, x, x->body, x->body);
}

enum error
answer_get(void *context, struct http_exchange *x)
{
    struct bytes octets = bytes_of_text(x->params[0]), text, der;

    if (x->on_loop && give_recent(context, x, octets))
        return OK;
    if (!http_percent_decode(x->rq.arena, x->params[0], &text) || text.len > REQUEST_BASE64_MAX || !base64_decode(x->rq.arena, text, &der))
        return fail(&x->rq, ERR_BAD_REQUEST, "the path does not end in a base64 text");
    return answer(context, x, octets, der);
}
