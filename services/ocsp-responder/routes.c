/* The outside of the OCSP responder, and the one place where our errors become OCSP's (RFC 6960 §4.2.1 OCSPResponseStatus). */
#include "ocsp_responder.h"

const struct http_route responder_routes[] = {
    {"POST", "/ocsp", answer_post, ON_LOOP_OR_WORKER, OCSP_REQUEST_MAX},
    {"GET", "/ocsp/{request*}", answer_get, ON_LOOP_OR_WORKER, 0},
};

const size_t responder_route_count = sizeof(responder_routes) / sizeof(responder_routes[0]);

enum { MALFORMED_REQUEST = 1, INTERNAL_ERROR = 2, TRY_LATER = 3, UNAUTHORIZED = 6 };

static int
ocsp_status_of(enum error kind)
{
    switch (kind) {
    case ERR_BAD_REQUEST:
    case ERR_BAD_CSR:
    case ERR_BAD_NAME:
    case ERR_TOO_LARGE:
        return MALFORMED_REQUEST;
    case ERR_UNAUTHENTICATED:
    case ERR_DENIED:
    case ERR_NOT_FOUND: /* RFC 9919 §3.2.3: the responder is not the one to ask about this issuer */
        return UNAUTHORIZED;
    case ERR_RATE_LIMITED:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return TRY_LATER;
    case OK:
    case ERR_CONFLICT:
    case ERR_INTERNAL:
    case ERR_COUNT:
        break;
    }
    return INTERNAL_ERROR;
}

void
render_failure(void *context, struct http_exchange *x)
{
    int status = ocsp_status_of(x->rq.failure.kind);
    /* A path or a method that is not ours keeps its HTTP status. What is OCSP travels as 200 (RFC 6960 A.1); "later" is a 503 for HTTP's sake. */
    int http = x->route == NULL || x->answer.status == 405 || x->answer.status == 413 ? x->answer.status : status == TRY_LATER ? 503 : 200;

    http_header_out(x, "Cache-Control", "no-store");
    if (status == TRY_LATER)
        http_header_out(x, "Retry-After", "%d", x->rq.failure.retry_after_s > 0 ? x->rq.failure.retry_after_s : 2);
    if (x->route == NULL)
        (void)http_answer_text(x, http, "text/plain", x->rq.failure.message);
    else
        (void)http_answer(x, http, "application/ocsp-response", ocsp_error_response(status));
}
