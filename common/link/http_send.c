/*
 * From a whole answer to the wire. Headers go out as they are written in the answer; Content-Length is always there where HTTP allows it. Large
 * bodies go in pieces. The answers that h2o makes itself while reading a request (413, 400, 417) are replaced by ours on their way out.
 */
#include <string.h>

#include "http_internal.h"

static const struct {
    int status;
    const char *phrase;
} phrases[] = {
    {200, "OK"},
    {201, "Created"},
    {202, "Accepted"},
    {204, "No Content"},
    {301, "Moved Permanently"},
    {302, "Found"},
    {303, "See Other"},
    {304, "Not Modified"},
    {400, "Bad Request"},
    {401, "Unauthorized"},
    {403, "Forbidden"},
    {404, "Not Found"},
    {405, "Method Not Allowed"},
    {406, "Not Acceptable"},
    {409, "Conflict"},
    {412, "Precondition Failed"},
    {413, "Content Too Large"},
    {415, "Unsupported Media Type"},
    {417, "Expectation Failed"},
    {429, "Too Many Requests"},
    {431, "Request Header Fields Too Large"},
    {500, "Internal Server Error"},
    {501, "Not Implemented"},
    {503, "Service Unavailable"},
    {504, "Gateway Timeout"},
};

/* Read by people only (RFC 9112 §4): it need not be there. */
static const char *
reason_phrase(int status)
{
    for (size_t i = 0; i < sizeof phrases / sizeof phrases[0]; i++)
        if (phrases[i].status == status)
            return phrases[i].phrase;
    return "";
}

/* RFC 9110 §8.6: no Content-Length with 204; a 304 has the length of another answer, or none. */
static bool
has_no_body(int status)
{
    return status == 204 || status == 304;
}

/* Names are not looked up among h2o's tokens, whose spelling is lower case: what stands in the answer is what goes out. */
static void
put_headers(struct http_work *work)
{
    struct http_answer *answer = &work->x.answer;
    h2o_req_t *request = work->request;
    h2o_headers_t *to = &request->res.headers;
    h2o_iovec_t *names = h2o_mem_alloc_pool(&request->pool, sizeof *names * (answer->header_count + 1));

    *to = (h2o_headers_t){NULL, 0, 0};
    h2o_vector_reserve(&request->pool, to, answer->header_count + 1);
    for (size_t i = 0; i < answer->header_count; i++) {
        const struct http_header *from = &answer->headers[i];
        names[i] = h2o_iovec_init(from->name, strlen(from->name));
        to->entries[i] = (h2o_header_t){.name = &names[i], .value = h2o_iovec_init(from->value, strlen(from->value))};
    }
    to->size = answer->header_count;
}

static void
put_answer(struct http_work *work)
{
    struct http_answer *answer = &work->x.answer;
    h2o_req_t *request = work->request;

    request->res.status = answer->status;
    request->res.reason = reason_phrase(answer->status);
    request->res.content_length = has_no_body(answer->status) ? SIZE_MAX : answer->body.len;
    /* h2o itself closes only what it parses after the drain began. */
    if (work->loop->context.shutdown_requested)
        request->http1_is_persistent = 0;
    put_headers(work);
}

static void
send_piece(struct http_work *work)
{
    struct bytes body = work->x.answer.body;
    size_t len = body.len - work->sent > HTTP_CHUNK_MAX ? HTTP_CHUNK_MAX : body.len - work->sent;
    h2o_iovec_t piece = h2o_iovec_init(body.at + work->sent, len);

    work->sent += len;
    h2o_send(work->request, &piece, 1, work->sent == body.len ? H2O_SEND_STATE_FINAL : H2O_SEND_STATE_IN_PROGRESS);
}

static void
on_proceed(h2o_generator_t *generator, h2o_req_t *request)
{
    send_piece(H2O_STRUCT_FROM_MEMBER(struct http_work, generator, generator));
}

void
http_send(struct http_work *work)
{
    struct http_answer *answer = &work->x.answer;
    h2o_req_t *request = work->request;

    put_answer(work);
    work->generator = (h2o_generator_t){.proceed = on_proceed};
    h2o_start_response(request, &work->generator);
    if (work->head_only || has_no_body(answer->status) || answer->body.len == 0)
        h2o_send(request, NULL, 0, H2O_SEND_STATE_FINAL);
    else
        send_piece(work);
}

/* ---- answers of h2o's own ------------------------------------------------------------------------------------------------------------- */

static enum error
refusal_of(struct http_work *work, int status)
{
    struct request *rq = &work->x.rq;

    failure_clear(rq);
    work->x.answer.header_count = 0;
    work->wanted_status = status;
    if (status == 413)
        return fail(rq, ERR_TOO_LARGE, "the body is too large, at most %zu bytes are taken", work->loop->server->options.body_max);
    if (status == 417)
        return fail(rq, ERR_BAD_REQUEST, "this Expect header cannot be met");
    return fail(rq, ERR_BAD_REQUEST, "the body is not framed as HTTP says");
}

static void
send_ours_instead(h2o_ostream_t *self, h2o_req_t *request, h2o_iovec_t *bufs, size_t count, h2o_send_state_t state)
{
    struct http_work *work = http_connection_of(request)->work;
    h2o_iovec_t body = h2o_iovec_init(work->x.answer.body.at, work->x.answer.body.len);
    bool empty = work->head_only || body.len == 0;

    h2o_ostream_send_next(self, request, empty ? NULL : &body, empty ? 0 : 1, state);
}

static void
on_setup_ostream(h2o_filter_t *self, h2o_req_t *request, h2o_ostream_t **slot)
{
    struct http_connection *connection = http_connection_of(request);

    if (connection->work == NULL) {
        struct http_work *work = http_work_begin(connection, request);
        int status = request->res.status;
        http_work_route(work);
        work->x.body = BYTES_NONE;
        http_work_complete(work, refusal_of(work, status));
        put_answer(work);
        http_linger_prepare(connection);
        h2o_ostream_t *ours = h2o_add_ostream(request, sizeof *ours, slot);
        ours->do_send = send_ours_instead;
        slot = &ours->next;
    }
    h2o_setup_next_ostream(request, slot);
}

void
http_send_register(struct http_server *server)
{
    h2o_create_filter(&server->host->fallback_path, sizeof(h2o_filter_t))->on_setup_ostream = on_setup_ostream;
}
