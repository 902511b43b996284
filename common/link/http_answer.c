/*
 * What handlers call: reading headers, filling the answer, and the usual way from a kind of error to a status.
 */
#include <assert.h>
#include <ctype.h>
#include <stdarg.h>
#include <string.h>

#include "base/text.h"
#include "http_internal.h"

static struct http_work *
work_of(const struct http_exchange *x)
{
    return x->internal;
}

struct bytes
http_trimmed(h2o_iovec_t value)
{
    while (value.len > 0 && (value.base[value.len - 1] == ' ' || value.base[value.len - 1] == '\t'))
        value.len--;
    return BYTES(value.base, value.len);
}

#define HEADER_NAME_MAX 64

static size_t
to_lower(const char *name, char ret_lower[HEADER_NAME_MAX])
{
    size_t len = strlen(name);

    assert(len < HEADER_NAME_MAX);
    for (size_t i = 0; i <= len; i++)
        ret_lower[i] = (char)tolower((unsigned char)name[i]);
    return len;
}

const char *
http_header_in(const struct http_exchange *x, const char *name)
{
    struct http_work *work = work_of(x);
    char lower[HEADER_NAME_MAX];
    size_t len = to_lower(name, lower);

    for (size_t i = 0; i < work->header_count; i++)
        if (strcmp(work->headers[i].name, lower) == 0)
            return work->headers[i].value;
    if (work->at_worker || work->request == NULL)
        return NULL;
    const h2o_headers_t *headers = &work->request->headers;
    ssize_t at = h2o_find_header_by_str(headers, lower, len, -1);
    if (at < 0)
        return NULL;
    return bytes_text(x->rq.arena, http_trimmed(headers->entries[at].value));
}

const char *
http_headers_in(const struct http_exchange *x, const char *name)
{
    struct http_work *work = work_of(x);
    char lower[HEADER_NAME_MAX];
    size_t len = to_lower(name, lower), found = 0;
    struct buffer joined = buffer_in(x->rq.arena);

    for (size_t i = 0; i < work->header_count; i++)
        if (strcmp(work->headers[i].name, lower) == 0)
            buffer_append_format(&joined, "%s%s", found++ > 0 ? "," : "", work->headers[i].value);
    if (!work->at_worker && work->request != NULL) {
        const h2o_headers_t *headers = &work->request->headers;
        for (ssize_t at = -1; (at = h2o_find_header_by_str(headers, lower, len, at)) >= 0;)
            buffer_append_format(&joined, "%s%s", found++ > 0 ? "," : "", bytes_text(x->rq.arena, http_trimmed(headers->entries[at].value)));
    }
    return found == 0 ? NULL : buffer_text(&joined);
}

/* A value with a line end in it would be two headers to the client (CWE-113). */
static char *
one_line(char *value)
{
    for (char *at = value; *at != '\0'; at++)
        if ((unsigned char)*at < 0x20 || *at == 0x7f)
            *at = ' ';
    return value;
}

void
http_header_out(struct http_exchange *x, const char *name, const char *format, ...)
{
    va_list values;

    assert(x->answer.header_count < HTTP_HEADERS_MAX);
    va_start(values, format);
    char *value = one_line(arena_vformat(x->rq.arena, format, values));
    va_end(values);
    x->answer.headers[x->answer.header_count++] = (struct http_header){.name = name, .value = value};
}

/* The content type is a literal or otherwise lives as long as the answer. */
enum error
http_answer(struct http_exchange *x, int status, const char *content_type, struct bytes body)
{
    x->answer.status = status;
    x->answer.body = body;
    if (content_type != NULL) {
        assert(x->answer.header_count < HTTP_HEADERS_MAX);
        x->answer.headers[x->answer.header_count++] = (struct http_header){.name = "Content-Type", .value = content_type};
    }
    return OK;
}

enum error
http_answer_text(struct http_exchange *x, int status, const char *content_type, const char *text)
{
    return http_answer(x, status, content_type, bytes_of_text(text));
}

enum error
http_defer(struct http_exchange *x)
{
    assert(x->on_loop && x->route->where == ON_LOOP_OR_WORKER);
    work_of(x)->deferred = true;
    return ERR_BUSY;
}

int
http_status_of(enum error kind)
{
    switch (kind) {
    case OK:
        return 200;
    case ERR_BAD_REQUEST:
    case ERR_BAD_CSR:
    case ERR_BAD_NAME:
        return 400;
    case ERR_UNAUTHENTICATED:
        return 401;
    case ERR_DENIED:
        return 403;
    case ERR_NOT_FOUND:
        return 404;
    case ERR_CONFLICT:
        return 409;
    case ERR_TOO_LARGE:
        return 413;
    case ERR_RATE_LIMITED:
        return 429;
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
        return 503;
    case ERR_TIMEOUT:
        return 504;
    case ERR_INTERNAL:
    case ERR_COUNT:
        return 500;
    }
    return 500;
}

static bool
has_header(const struct http_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (text_equal_nocase(answer->headers[i].name, name))
            return true;
    return false;
}

/* Whatever a handler has put into the answer before it failed goes; what the server itself has to say (Allow) stays. */
static void
forget_half_an_answer(struct http_work *work)
{
    struct http_answer *answer = &work->x.answer;

    if (answer->release != NULL)
        answer->release(answer->held);
    answer->held = NULL;
    answer->release = NULL;
    answer->body = BYTES_NONE;
    if (work->wanted_status == 0)
        answer->header_count = 0;
}

enum error
http_render(struct http_work *work, enum error result)
{
    const struct http_server_options *options = &work->loop->server->options;
    struct http_exchange *x = &work->x;

    enum error kind = fail(&x->rq, result, "the request failed: %s", error_name(result));
    int status = work->wanted_status != 0 ? work->wanted_status : http_status_of(kind);
    forget_half_an_answer(work);
    x->answer.status = status;
    if (options->render_failure != NULL)
        options->render_failure(options->context, x);
    else
        (void)http_answer_text(x, status, "text/plain; charset=utf-8", arena_format(x->rq.arena, "%s\n", x->rq.failure.message));
    if (work->wanted_status != 0)
        x->answer.status = status;
    if (x->rq.failure.retry_after_s > 0 && !has_header(&x->answer, "Retry-After"))
        http_header_out(x, "Retry-After", "%d", x->rq.failure.retry_after_s);
    return kind;
}
