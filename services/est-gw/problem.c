/*
 * The only place that turns our kinds of error into what an EST client sees: a status, and a line of text for people (RFC 7030 §4.2.3). `refuse` also
 * names the rule that refused, which goes into the log with the client's address, its user agent and the profile.
 */
#include "est.h"

#include <stdarg.h>

#define TRY_AGAIN_S 30

enum error
refuse(struct request *rq, enum error kind, const char *rule, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    char *message = arena_vformat(rq->arena, format, values);
    va_end(values);
    request_note(rq, "rule", "%s", rule);
    return fail(rq, kind, "%s", message);
}

int
problem_status(const struct failure *failure)
{
    if (text_equal(failure->reason, "wrongMediaType"))
        return 415;
    if (text_equal(failure->reason, "configuration"))
        return 500;
    /* A client that asks again gets the certificate that it would have got. */
    if (failure->kind == ERR_TIMEOUT)
        return 503;
    /* RFC 9110 §15.5.2: 401 comes with a challenge; who can only come with a certificate is refused. */
    if (failure->kind == ERR_UNAUTHENTICATED && !text_equal(failure->reason, "password"))
        return 403;
    return http_status_of(failure->kind);
}

const char *
problem_text(struct arena *arena, const struct failure *failure)
{
    return arena_format(arena, "%s%s%s", failure->layer, failure->layer[0] == '\0' ? "" : ": ", failure->message);
}

void
problem_render(void *context, struct http_exchange *x)
{
    struct request *rq = &x->rq;
    /* The server has a status of its own for what never reached a handler. */
    bool before_handler = x->route == NULL || x->answer.status == 405 || x->answer.status == 413 || x->answer.status == 431;
    int status = before_handler ? x->answer.status : problem_status(&rq->failure);
    const char *user_agent = http_header_in(x, "User-Agent");
    const struct bytes *cmc_response = x->kept;

    if (!text_is_empty(user_agent))
        request_note(rq, "user_agent", "%.200s", user_agent);
    if (rq->failure.layer[0] != '\0')
        request_note(rq, "rule", "%s", rq->failure.layer);
    if (cmc_response != NULL)
        (void)body_answer(x, status, "application/pkcs7-mime; smime-type=CMC-response", *cmc_response);
    else
        (void)http_answer_text(x, status, "text/plain; charset=utf-8", arena_format(rq->arena, "%s\n", problem_text(rq->arena, &rq->failure)));
    if (status == 401)
        http_header_out(x, "WWW-Authenticate", "Basic realm=\"EST\", charset=\"UTF-8\"");
    if (rq->failure.retry_after_s == 0 && status >= 503)
        http_header_out(x, "Retry-After", "%d", TRY_AGAIN_S);
}
