/* The outside of the publisher: the URLs that stand in certificates (CRL distribution point, caIssuers). */
#include "crl_publisher.h"

const struct http_route publisher_routes[] = {
    {"GET", "/crl/{file}", give_crl, ON_LOOP, 0},
    {"GET", "/ca/{file}", give_authority, ON_LOOP, 0},
};

const size_t publisher_route_count = sizeof(publisher_routes) / sizeof(publisher_routes[0]);

void
render_failure(void *context, struct http_exchange *x)
{
    /* A CA that is not known now may be in a moment: no cache shall remember that it was not (RFC 9110 §15.5.5). */
    http_header_out(x, "Cache-Control", "no-store");
    (void)http_answer_text(x, x->answer.status, "text/plain; charset=utf-8", arena_format(x->rq.arena, "%s\n", x->rq.failure.message));
}
