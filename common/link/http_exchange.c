/*
 * From h2o's request to the handler and to its result. on_request is the one handler that h2o knows; everything a service's handler sees is made
 * here. A finished exchange has a whole answer, headers of `decorate` and errors included; http_send.c puts it on the wire.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "http_internal.h"

#define UNKNOWN_STEP "http"

struct http_work *
http_work_begin(struct http_connection *connection, h2o_req_t *request)
{
    struct http_loop *loop = connection->loop;
    struct http_work *work = loop->spare;

    if (work != NULL) {
        loop->spare = work->next_spare;
        loop->spare_count--;
    } else {
        work = calloc(1, sizeof *work);
        if (work == NULL)
            abort();
        work->arena = arena_new();
        work->x.internal = work;
    }
    work->loop = loop;
    work->connection = connection;
    work->request = request;
    connection->work = work;
    connection->asked = true;
    return work;
}

/* Back to the state of http_work_begin's calloc, but for what every request writes anyway. */
void
http_work_release(struct http_work *work)
{
    struct http_loop *loop = work->loop;
    struct http_answer *answer = &work->x.answer;

    assert(work->request == NULL && !work->at_worker);
    if (answer->release != NULL)
        answer->release(answer->held);
    arena_reset(work->arena);
    if (loop->spare_count == HTTP_SPARE_MAX) {
        arena_free(work->arena);
        free(work);
        return;
    }
    answer->status = 0;
    answer->header_count = 0;
    answer->body = BYTES_NONE;
    answer->held = NULL;
    answer->release = NULL;
    work->x.kept = NULL;
    work->deferred = work->left = work->head_only = false;
    work->rest = NULL;
    work->wanted_status = 0;
    work->sent = 0;
    work->headers = NULL;
    work->header_count = 0;
    work->next_spare = loop->spare;
    loop->spare = work;
    loop->spare_count++;
}

static const char *
text_in(struct http_work *work, struct bytes text)
{
    return text.len == 0 ? "" : bytes_text(work->arena, text);
}

static const char *
method_text(struct http_work *work, h2o_iovec_t method)
{
    static const char *const usual[] = {"GET", "POST", "HEAD"};

    for (size_t i = 0; i < 3; i++)
        if (h2o_memis(method.base, method.len, usual[i], strlen(usual[i])))
            return usual[i];
    return text_in(work, BYTES(method.base, method.len));
}

static const char *
host_text(struct http_work *work)
{
    h2o_req_t *request = work->request;
    /* h2o fills in its own name where the client gave none. */
    if (request->input.authority.base == work->loop->server->host->authority.hostport.base)
        return "";
    return text_in(work, http_trimmed(request->input.authority));
}

static void
fill_request_side(struct http_work *work, struct bytes query)
{
    struct http_exchange *x = &work->x;
    h2o_req_t *request = work->request;

    x->query = text_in(work, query);
    x->body = BYTES(request->entity.base, request->entity.len);
    x->peer = work->connection->peer;
    x->host = host_text(work);
    x->tls = work->connection->tls_context != NULL;
    x->on_loop = true;
    x->loop = work->loop->number;
    work->tls_peer = http_tls_peer_of(work->connection);
    x->client_cert = work->tls_peer == NULL ? BYTES_NONE : work->tls_peer->certificate;
}

/* The certificate and the channel bindings of a proxy's own connection must not pass for those of whom it speaks for. */
static void
look_behind_proxy(struct http_work *work)
{
    const struct proxies *proxies = &work->loop->server->options.proxies;
    struct http_exchange *x = &work->x;

    if (proxies->count == 0 || !networks_cover_text(proxies->networks, proxies->count, x->peer))
        return;
    const char *forwarded = http_headers_in(x, "X-Forwarded-For");
    request_note(&x->rq, "proxy", "%s", x->peer);
    x->peer = client_address(work->arena, proxies, x->peer, forwarded == NULL ? "" : forwarded);
    work->tls_peer = NULL;
    x->client_cert = BYTES_NONE;
}

/* What ends where the path ends is the end of its text: not copied again. */
static const char *
param_text(struct http_work *work, struct bytes path, struct bytes param)
{
    if (param.at + param.len == path.at + path.len)
        return work->x.path + (path.len - param.len);
    return text_in(work, param);
}

/* The first route of the table with this path and method; HEAD is served by GET unless it has a route of its own. NULL: none. */
static const struct http_route *
find_route(struct http_work *work, struct bytes path)
{
    const struct http_server_options *options = &work->loop->server->options;
    const struct http_route *route = NULL;
    struct bytes params[HTTP_PARAMS_MAX];
    size_t count;

    for (size_t i = 0; i < options->route_count; i++) {
        const struct http_route *at = &options->routes[i];
        bool exact = strcmp(at->method, work->x.method) == 0;
        bool by_get = work->head_only && route == NULL && strcmp(at->method, "GET") == 0;
        if ((!exact && !by_get) || !http_path_matches(at->path, path, params, &count))
            continue;
        route = at;
        for (size_t p = 0; p < HTTP_PARAMS_MAX; p++)
            work->x.params[p] = p < count ? param_text(work, path, params[p]) : NULL;
        if (exact)
            break;
    }
    return route;
}

/* RFC 9110 §10.2.1: "GET, HEAD, POST"; "" when nothing is at this path. */
static const char *
methods_at(struct http_work *work, struct bytes path)
{
    const struct http_server_options *options = &work->loop->server->options;
    struct buffer list = buffer_in(work->arena);
    struct bytes params[HTTP_PARAMS_MAX];
    size_t count;

    for (size_t i = 0; i < options->route_count; i++) {
        const struct http_route *at = &options->routes[i];
        if (!http_path_matches(at->path, path, params, &count) || strstr(buffer_text(&list), at->method) != NULL)
            continue;
        buffer_append_format(&list, "%s%s", list.len == 0 ? "" : ", ", at->method);
        if (strcmp(at->method, "GET") == 0)
            buffer_append_text(&list, ", HEAD");
    }
    return buffer_text(&list);
}

static void
refuse_unrouted(struct http_work *work, struct bytes path)
{
    struct http_exchange *x = &work->x;
    const char *allow = methods_at(work, path);

    if (*allow == '\0') {
        work->wanted_status = 404;
        (void)fail(&x->rq, ERR_NOT_FOUND, "there is nothing at this path");
        return;
    }
    work->wanted_status = 405;
    http_header_out(x, "Allow", "%s", allow);
    (void)fail(&x->rq, ERR_BAD_REQUEST, "the method %.20s is not for this path; %s can be used", x->method, allow);
}

static const char *
header_value(struct http_work *work, const char *name, size_t name_len)
{
    h2o_req_t *request = work->request;
    ssize_t at = h2o_find_header_by_str(&request->headers, name, name_len, -1);

    if (at < 0)
        return NULL;
    return text_in(work, http_trimmed(request->headers.entries[at].value));
}

void
http_work_route(struct http_work *work)
{
    struct http_server *server = work->loop->server;
    h2o_req_t *request = work->request;
    struct http_exchange *x = &work->x;
    struct bytes path, query;

    http_target_split(BYTES(request->input.path.base, request->input.path.len), &path, &query);
    x->method = method_text(work, request->input.method);
    x->path = text_in(work, path);
    work->head_only = strcmp(x->method, "HEAD") == 0;
    x->route = find_route(work, path);
    const char *step = x->route == NULL ? UNKNOWN_STEP : server->steps[x->route - server->options.routes];
    request_begin_in(&x->rq, work->arena, "http", step, header_value(work, H2O_STRLIT("traceparent")));
    fill_request_side(work, query);
    look_behind_proxy(work);
    x->rq.caller = x->peer;
    if (x->route == NULL)
        refuse_unrouted(work, path);
}

static void
note_for_log(struct http_work *work)
{
    struct http_exchange *x = &work->x;

    request_note(&x->rq, "status", "%d", x->answer.status);
    if (x->route == NULL)
        request_note(&x->rq, "path", "%.200s", x->path);
}

/* On the thread that ran the handler: makes the answer whole and writes the log line. */
void
http_work_complete(struct http_work *work, enum error result)
{
    const struct http_server_options *options = &work->loop->server->options;
    struct http_exchange *x = &work->x;

    if (result != OK)
        result = http_render(work, result);
    assert(x->answer.status >= 200 && x->answer.status <= 599);
    if (options->decorate != NULL)
        options->decorate(options->context, x);
    bool quiet = options->quiet && result == OK;
    if (!quiet)
        note_for_log(work);
    request_end_in(&x->rq, result, quiet);
}

static enum error
run_on_loop(struct http_work *work)
{
    struct http_exchange *x = &work->x;
    return x->route->handle(work->loop->server->options.context, x);
}

/* What must hold before any handler sees the request. */
static enum error
check_request(struct http_work *work)
{
    struct http_exchange *x = &work->x;
    h2o_socket_t *socket = work->connection->socket;
    int status;

    const char *problem = http_head_problem(BYTES(socket->input->bytes, socket->input->size), work->request->version < 0x101, &status);
    if (problem != NULL) {
        failure_clear(&x->rq);
        x->answer.header_count = 0;
        work->wanted_status = status;
        work->request->http1_is_persistent = 0;
        return fail(&x->rq, status == 431 ? ERR_TOO_LARGE : ERR_BAD_REQUEST, "%s", problem);
    }
    if (x->route == NULL)
        return x->rq.failure.kind;
    size_t most = x->route->body_max != 0 ? x->route->body_max : work->loop->server->options.body_max;
    if (x->body.len > most)
        return fail(&x->rq, ERR_TOO_LARGE, "the body has %zu bytes, at most %zu are taken here", x->body.len, most);
    const struct http_server_options *options = &work->loop->server->options;
    return options->admit != NULL ? options->admit(options->context, x) : OK;
}

static int
on_request(h2o_handler_t *self, h2o_req_t *request)
{
    struct http_work *work = http_work_begin(http_connection_of(request), request);

    http_work_route(work);
    enum error error = check_request(work);
    if (error == OK && work->x.route->where == ON_WORKER) {
        http_worker_hand_over(work);
        return 0;
    }
    if (error == OK)
        error = run_on_loop(work);
    if (work->left)
        return 0;
    if (work->deferred) {
        http_worker_hand_over(work);
        return 0;
    }
    http_work_complete(work, error);
    http_send(work);
    return 0;
}

/* h2o calls loggers when it is through with a request, answered or not: there is no cheaper way to hear of it. */
static void
on_request_gone(h2o_logger_t *self, h2o_req_t *request)
{
    struct http_connection *connection = http_connection_of(request);
    struct http_work *work = connection->work;

    if (work == NULL)
        return;
    connection->work = NULL;
    work->connection = NULL;
    work->request = NULL;
    if (h2o_timeout_is_linked(&work->deadline))
        h2o_timeout_unlink(&work->deadline);
    if (!work->at_worker)
        http_work_release(work);
}

void
http_exchange_register(struct http_server *server)
{
    /* No path is registered with h2o, so that it matches none: everything comes to the fallback. */
    h2o_create_handler(&server->host->fallback_path, sizeof(h2o_handler_t))->on_req = on_request;
    h2o_create_logger(&server->host->fallback_path, sizeof(h2o_logger_t))->log_access = on_request_gone;
}
