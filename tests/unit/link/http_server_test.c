/* What goes over the wire, to the byte: raw requests to a real server. */
#include "unit/link/http_fixture.h"

#include <sys/socket.h>

#include "unit/base/stderr_lines.h"

#define HEAD "Host: test\r\n"
#define BODY_MAX 1000
#define LARGE (3 * 1024 * 1024 + 17) /* 3145745, in hexadecimal 300011 */

static char large[LARGE];
static atomic_int releases;

static enum error
headers(void *context, struct http_exchange *x)
{
    http_header_out(x, "Replay-Nonce", "%s", "abc");
    http_header_out(x, "Location", "https://host/%d", 7);
    http_header_out(x, "X-lower-UPPER", "v");
    http_header_out(x, "Link", "<a>;rel=\"b\"");
    http_header_out(x, "Link", "<c>;rel=\"d\"");
    return http_answer_text(x, 201, "application/json", "{}");
}

static enum error
echo(void *context, struct http_exchange *x)
{
    return http_answer(x, 200, "application/octet-stream", x->body);
}

static enum error
describe(void *context, struct http_exchange *x)
{
    const char *agent = http_header_in(x, "User-Agent");
    return http_answer_text(x, 200, "text/plain",
                            arena_format(x->rq.arena, "%s|%s|%s|%s|%s|%s|%s", x->method, x->path, x->query, x->params[0], x->peer, x->host,
                                         agent == NULL ? "none" : agent));
}

static enum error
trace(void *context, struct http_exchange *x)
{
    return http_answer_text(x, 200, "text/plain", arena_text(x->rq.arena, request_traceparent(&x->rq)));
}

static enum error
nothing(void *context, struct http_exchange *x)
{
    return http_answer(x, 204, NULL, BYTES_NONE);
}

static enum error
not_modified(void *context, struct http_exchange *x)
{
    http_header_out(x, "ETag", "\"1\"");
    return http_answer(x, 304, NULL, BYTES_NONE);
}

static enum error
refuse(void *context, struct http_exchange *x)
{
    http_header_out(x, "X-Half", "done");
    (void)fail(&x->rq, ERR_UNAVAILABLE, "the database is away");
    return fail_retry_after(&x->rq, 7);
}

static enum error
split(void *context, struct http_exchange *x)
{
    http_header_out(x, "Location", "%s", "x\r\nX-Injected: yes");
    return http_answer_text(x, 200, "text/plain", "");
}

static void
count_release(void *held)
{
    atomic_fetch_add((atomic_int *)held, 1);
}

static enum error
held(void *context, struct http_exchange *x)
{
    x->answer.held = &releases;
    x->answer.release = count_release;
    return http_answer(x, 200, "application/octet-stream", BYTES(large, sizeof large));
}

static enum error
wide(void *context, struct http_exchange *x)
{
    return http_answer(x, 200, "text/plain", bytes_of_text(arena_format(x->rq.arena, "%zu", x->body.len)));
}

static const struct http_route routes[] = {
    {"GET", "/headers", headers, ON_LOOP},    {"POST", "/echo", echo, ON_LOOP},      {"GET", "/describe/{what*}", describe, ON_LOOP},
    {"GET", "/trace", trace, ON_LOOP},        {"GET", "/nothing", nothing, ON_LOOP}, {"GET", "/not-modified", not_modified, ON_LOOP},
    {"GET", "/refuse", refuse, ON_LOOP},      {"GET", "/split", split, ON_LOOP},     {"GET", "/held", held, ON_LOOP},
    {"POST", "/wide", wide, ON_LOOP, 100000}, {"GET", "/echo", describe, ON_LOOP},
};

/* "kind status message", as a gateway would write its problem document. */
static void
render(void *context, struct http_exchange *x)
{
    const char *text = arena_format(x->rq.arena, "%s %d %s", error_name(x->rq.failure.kind), x->answer.status, x->rq.failure.message);
    (void)http_answer_text(x, x->answer.status, "application/problem+json", text);
}

static void
decorate(void *context, struct http_exchange *x)
{
    http_header_out(x, "X-Decorated", "yes");
}

static void
a_client_of_ipv4_has_its_own_address_on_a_listener_of_both(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_server *both;
    const struct http_server_options options = {.name = "both", .listen = "[::]:0", .routes = routes, .route_count = COUNT_OF(routes)};

    if (http_server_open(rq, &options, &both) != OK)
        skip(); /* a machine without IPv6 */
    struct http_kit *client = http_kit_connect(http_server_port(both));
    assert_string_equal(http_kit_get(client, "/describe/x")->body, "GET|/describe/x||x|127.0.0.1|test|none");
    http_kit_free(client);
    http_server_close(both, CLOSE_MOST_MS);
}

static int
start(void **state)
{
    memset(large, 'L', sizeof large);
    open_server(&(struct http_server_options){.name = "test",
                                              .listen = "127.0.0.1:0",
                                              .routes = routes,
                                              .route_count = COUNT_OF(routes),
                                              .render_failure = render,
                                              .decorate = decorate,
                                              .loops = 2,
                                              .body_max = BODY_MAX});
    return 0;
}

static const struct http_kit_reply *
ask(struct http_kit **client, const char *request)
{
    *client = http_kit_connect(port);
    http_kit_say(*client, request);
    return http_kit_reply(*client);
}

static void
headers_go_out_exactly_as_written(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "GET /headers HTTP/1.1\r\n" HEAD "\r\n");

    assert_int_equal(reply->status, 201);
    assert_non_null(strstr(reply->head, "HTTP/1.1 201 Created\r\n"));
    assert_non_null(strstr(reply->head, "\r\nReplay-Nonce: abc\r\n"));
    assert_non_null(strstr(reply->head, "\r\nLocation: https://host/7\r\n"));
    assert_non_null(strstr(reply->head, "\r\nX-lower-UPPER: v\r\n"));
    assert_non_null(strstr(reply->head, "\r\nContent-Type: application/json\r\n"));
    assert_non_null(strstr(reply->head, "\r\nContent-Length: 2\r\n"));
    assert_non_null(strstr(reply->head, "\r\nLink: <a>;rel=\"b\"\r\nLink: <c>;rel=\"d\"\r\n"));
    assert_null(strcasestr(reply->head, "\r\nserver:"));
    assert_null(strcasestr(reply->head, "transfer-encoding"));
    http_kit_free(client);
}

static void
a_line_end_in_a_header_value_makes_no_header(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "GET /split HTTP/1.1\r\n" HEAD "\r\n");

    assert_int_equal(reply->status, 200);
    assert_null(http_kit_header(reply, "X-Injected"));
    assert_string_equal(http_kit_header(reply, "Location"), "x  X-Injected: yes");
    http_kit_free(client);
}

static void
head_is_answered_like_get_without_the_body(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "HEAD /headers HTTP/1.1\r\n" HEAD "\r\nGET /nothing HTTP/1.1\r\n" HEAD "\r\n");
    const struct http_kit_reply *reply = http_kit_reply_to_head(client);
    assert_int_equal(reply->status, 201);
    assert_string_equal(http_kit_header(reply, "Content-Length"), "2");
    /* A body on the wire would stand before this. */
    assert_int_equal(http_kit_reply(client)->status, 204);
    http_kit_free(client);
}

static void
an_error_to_head_has_no_body_either(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "HEAD /refuse HTTP/1.1\r\n" HEAD "\r\nGET /nothing HTTP/1.1\r\n" HEAD "\r\n");
    assert_int_equal(http_kit_reply_to_head(client)->status, 503);
    assert_int_equal(http_kit_reply(client)->status, 204);
    http_kit_free(client);
}

static void
no_content_and_not_modified_have_no_length_and_keep_the_connection(void **state)
{
    struct http_kit *client = http_kit_connect(port);
    const struct http_kit_reply *reply = http_kit_get(client, "/nothing");

    assert_int_equal(reply->status, 204);
    assert_null(strcasestr(reply->head, "content-length"));
    assert_null(strcasestr(reply->head, "transfer-encoding"));
    reply = http_kit_get(client, "/not-modified");
    assert_int_equal(reply->status, 304);
    assert_null(strcasestr(reply->head, "transfer-encoding"));
    assert_string_equal(http_kit_header(reply, "ETag"), "\"1\"");
    assert_int_equal(http_kit_get(client, "/headers")->status, 201);
    http_kit_free(client);
}

static void
a_failure_is_rendered_with_its_usual_status(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "GET /refuse HTTP/1.1\r\n" HEAD "\r\n");

    assert_int_equal(reply->status, 503);
    assert_string_equal(http_kit_header(reply, "Retry-After"), "7");
    assert_string_equal(http_kit_header(reply, "Content-Type"), "application/problem+json");
    assert_null(http_kit_header(reply, "X-Half"));
    assert_int_equal(strncmp(reply->body, "unavailable 503 the database is away", reply->body_len), 0);
    http_kit_free(client);
}

static void
an_unknown_path_is_404_and_rendered(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "GET /headers/x HTTP/1.1\r\n" HEAD "\r\n");

    assert_int_equal(reply->status, 404);
    assert_string_equal(http_kit_header(reply, "Content-Type"), "application/problem+json");
    http_kit_free(client);
}

static void
a_wrong_method_is_405_with_allow(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "PUT /echo HTTP/1.1\r\n" HEAD "Content-Length: 1\r\n\r\nx");

    assert_int_equal(reply->status, 405);
    assert_string_equal(http_kit_header(reply, "Allow"), "POST, GET, HEAD");
    assert_int_equal(strncmp(reply->body, "bad-request 405 ", 16), 0);
    http_kit_free(client);
}

static void
methods_are_case_sensitive(void **state)
{
    struct http_kit *client;
    assert_int_equal(ask(&client, "get /headers HTTP/1.1\r\n" HEAD "\r\n")->status, 405);
    http_kit_free(client);
}

struct decorated_case {
    const char *name, *request;
    int status;
};

static const struct decorated_case decorated[] = {
    {"an_answer_is_decorated", "GET /headers HTTP/1.1\r\n" HEAD "\r\n", 201},
    {"a_refusal_is_decorated", "GET /refuse HTTP/1.1\r\n" HEAD "\r\n", 503},
    {"a_404_is_decorated", "GET /none HTTP/1.1\r\n" HEAD "\r\n", 404},
    {"a_405_is_decorated", "PUT /headers HTTP/1.1\r\n" HEAD "\r\n", 405},
    {"a_413_of_ours_is_decorated", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 2000\r\n\r\n", 413},
    {"a_413_of_h2o_is_decorated", "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 2000000\r\n\r\n", 413},
    {"a_417_of_h2o_is_decorated", "POST /echo HTTP/1.1\r\n" HEAD "Expect: wonders\r\nContent-Length: 1\r\n\r\nx", 417},
    {"a_400_of_h2o_is_decorated", "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: wonders\r\n\r\n", 400},
    {"a_400_of_ours_is_decorated", "GET /headers HTTP/1.1\r\n\r\n", 400},
};

static void
every_answer_is_decorated_and_rendered(void **state)
{
    const struct decorated_case *c = *state;
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, c->request);
    /* Our own 413 comes when the body is there. */
    if (strstr(c->request, "Length: 2000\r\n") != NULL)
        http_kit_say_bytes(client, large, 2000);
    const struct http_kit_reply *reply = http_kit_reply(client);
    assert_int_equal(reply->status, c->status);
    assert_string_equal(http_kit_header(reply, "X-Decorated"), "yes");
    assert_non_null(http_kit_header(reply, "Content-Length"));
    assert_string_equal(http_kit_header(reply, "Content-Type"), c->status == 201 ? "application/json" : "application/problem+json");
    http_kit_free(client);
}

static void
the_request_side_is_raw_and_complete(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply =
        ask(&client, "GET /describe/a%2Fb/..//%41?q=1&r HTTP/1.1\r\nHost: ca.example:8080\r\nUSER-AGENT: tester \r\n\r\n");

    assert_int_equal(reply->status, 200);
    const char *expected = "GET|/describe/a%2Fb/..//%41|q=1&r|a%2Fb/..//%41|127.0.0.1|ca.example:8080|tester";
    assert_int_equal(reply->body_len, strlen(expected));
    assert_memory_equal(reply->body, expected, reply->body_len);
    http_kit_free(client);
}

static void
an_absolute_target_is_understood(void **state)
{
    struct http_kit *client;
    assert_int_equal(ask(&client, "GET http://other:80/headers HTTP/1.1\r\n" HEAD "\r\n")->status, 201);
    http_kit_free(client);
}

static void
a_path_that_h2o_would_rewrite_is_one_log_line_of_ours(void **state)
{
    struct stderr_lines lines;
    struct http_kit *client;

    stderr_catch(&lines);
    int status = ask(&client, "GET /%zz%00/../.. HTTP/1.1\r\n" HEAD "\r\n")->status;
    json_t *line = stderr_next_object(&lines);
    const char *more = stderr_next(&lines);
    stderr_restore(&lines);
    assert_int_equal(status, 404);
    assert_string_equal(field(line, "result"), "not-found");
    assert_null(more);
    json_decref(line);
    http_kit_free(client);
}

static void
a_request_leaves_one_line_with_step_status_and_trace(void **state)
{
    struct stderr_lines lines;
    struct http_kit *client;

    stderr_catch(&lines);
    (void)ask(&client, "GET /refuse HTTP/1.1\r\n" HEAD "traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");
    json_t *line = stderr_next_object(&lines);
    const char *more = stderr_next(&lines);
    stderr_restore(&lines);
    assert_string_equal(field(line, "step"), "GET /refuse");
    assert_string_equal(field(line, "status"), "503");
    assert_string_equal(field(line, "result"), "unavailable");
    assert_string_equal(field(line, "caller"), "127.0.0.1");
    assert_string_equal(field(line, "trace"), "0af7651916cd43dd8448eb211c80319c");
    assert_null(more);
    json_decref(line);
    http_kit_free(client);
}

static void
a_trace_is_taken_over_and_made_where_there_is_none(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply =
        ask(&client, "GET /trace HTTP/1.1\r\n" HEAD "Traceparent: 00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01\r\n\r\n");

    assert_memory_equal(reply->body, "00-0af7651916cd43dd8448eb211c80319c-", 36);
    reply = http_kit_get(client, "/trace");
    assert_int_equal(reply->body_len, 55);
    assert_memory_not_equal(reply->body, "00-0af7651916cd43dd8448eb211c80319c-", 36);
    http_kit_free(client);
}

/* `chunked`: in one chunk. */
static int
status_of_body(const char *path, size_t len, bool chunked)
{
    struct http_kit *client = http_kit_connect(port);
    char head[256];

    if (chunked)
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n%zx\r\n", path, len);
    else
        snprintf(head, sizeof head, "POST %s HTTP/1.1\r\n" HEAD "Content-Length: %zu\r\n\r\n", path, len);
    http_kit_say(client, head);
    http_kit_say_bytes(client, large, len);
    if (chunked)
        http_kit_say(client, "\r\n0\r\n\r\n");
    int status = http_kit_reply(client)->status;
    http_kit_free(client);
    return status;
}

static void
a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_413(void **state)
{
    assert_int_equal(status_of_body("/echo", BODY_MAX, false), 200);
    assert_int_equal(status_of_body("/echo", BODY_MAX + 1, false), 413);
    assert_int_equal(status_of_body("/echo", BODY_MAX, true), 200);
    assert_int_equal(status_of_body("/echo", BODY_MAX + 1, true), 413);
}

static void
a_route_may_take_more_than_the_server(void **state)
{
    assert_int_equal(status_of_body("/wide", 100000, false), 200);
    assert_int_equal(status_of_body("/wide", 100001, false), 413);
    assert_int_equal(status_of_body("/wide", 100000, true), 200);
    assert_int_equal(status_of_body("/wide", 100001, true), 413);
}

static void
a_client_that_is_still_sending_gets_its_413(void **state)
{
    for (int i = 0; i < 20; i++) {
        struct http_kit *client = http_kit_connect(port);
        http_kit_say(client, i % 2 == 0 ? "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 3145745\r\n\r\n"
                                        : "POST /echo HTTP/1.1\r\n" HEAD "Transfer-Encoding: chunked\r\n\r\n300011\r\n");
        /* Many clients give up at a failed write and never read the answer. */
        assert_true(http_kit_say_bytes(client, large, LARGE));
        assert_int_equal(http_kit_reply(client)->status, 413);
        assert_true(http_kit_is_closed(client));
        http_kit_free(client);
    }
}

static void
continue_is_sent_to_who_expects_it(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "POST /echo HTTP/1.1\r\n" HEAD "Expect: 100-continue\r\nContent-Length: 3\r\n\r\n");
    assert_int_equal(http_kit_reply(client)->status, 100);
    http_kit_say(client, "abc");
    const struct http_kit_reply *reply = http_kit_reply(client);
    assert_int_equal(reply->status, 200);
    assert_memory_equal(reply->body, "abc", 3);
    http_kit_free(client);
}

static void
pipelined_requests_are_answered_in_order(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    http_kit_say(client, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 1\r\n\r\n1"
                         "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 1\r\n\r\n2"
                         "GET /nothing HTTP/1.1\r\n" HEAD "\r\n");
    assert_int_equal(http_kit_reply(client)->body[0], '1');
    assert_int_equal(http_kit_reply(client)->body[0], '2');
    assert_int_equal(http_kit_reply(client)->status, 204);
    http_kit_free(client);
}

static void
a_connection_is_kept_or_closed_as_the_client_says(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "GET /headers HTTP/1.1\r\n" HEAD "Connection: close\r\n\r\n");

    assert_string_equal(http_kit_header(reply, "Connection"), "close");
    assert_true(http_kit_is_closed(client));
    http_kit_free(client);
    reply = ask(&client, "GET /headers HTTP/1.0\r\n\r\n");
    assert_int_equal(reply->status, 201);
    assert_true(http_kit_is_closed(client));
    http_kit_free(client);
}

static void
an_ambiguous_head_is_400_and_closes(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "POST /echo HTTP/1.1\r\n" HEAD "Content-Length: 1\r\nContent-Length: 40\r\n\r\nxGET /headers");

    assert_int_equal(reply->status, 400);
    assert_string_equal(http_kit_header(reply, "Connection"), "close");
    assert_true(http_kit_is_closed(client));
    http_kit_free(client);
}

static void
garbage_is_400_and_closes(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "\x16\x03\x01 garbage\r\n\r\n");

    assert_int_equal(reply->status, 400);
    assert_true(http_kit_is_closed(client));
    http_kit_free(client);
}

static void
http2_cannot_be_reached_by_upgrade(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(
        &client, "GET /headers HTTP/1.1\r\n" HEAD "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: AAMAAABkAAQAAP__\r\n\r\n");

    assert_int_equal(reply->status, 201);
    http_kit_free(client);
}

static void
http2_cannot_be_reached_by_prior_knowledge(void **state)
{
    struct http_kit *client;
    const struct http_kit_reply *reply = ask(&client, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n");

    assert_int_equal(reply->status, 400);
    assert_true(http_kit_is_closed(client));
    http_kit_free(client);
}

static void
a_large_body_arrives_whole_and_is_released_once(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    atomic_store(&releases, 0);
    const struct http_kit_reply *reply = http_kit_get(client, "/held");
    assert_int_equal(reply->body_len, LARGE);
    assert_memory_equal(reply->body, large, LARGE);
    /* The next answer on the connection comes after the release of this one. */
    assert_int_equal(http_kit_get(client, "/nothing")->status, 204);
    assert_int_equal(atomic_load(&releases), 1);
    http_kit_free(client);
}

static void
a_body_that_nobody_reads_to_its_end_is_released_too(void **state)
{
    struct http_kit *client = http_kit_connect(port);

    atomic_store(&releases, 0);
    http_kit_say(client, "GET /held HTTP/1.1\r\n" HEAD "\r\n");
    char some[1000];
    assert_true(recv(http_kit_fd(client), some, sizeof some, 0) > 0);
    http_kit_free(client);
    for (int i = 0; i < 2000 && atomic_load(&releases) == 0; i++)
        usleep(10000);
    assert_int_equal(atomic_load(&releases), 1);
}

static void
a_port_that_is_taken_is_an_error_at_open(void **state)
{
    char listen[32];
    struct http_server *second;
    AUTO_STRUCT(request, rq) = request_new();

    snprintf(listen, sizeof listen, "127.0.0.1:%d", port);
    const struct http_server_options options = {.name = "second", .listen = listen, .routes = routes, .route_count = 1, .loops = 2};
    assert_int_equal(http_server_open(rq, &options, &second), ERR_INTERNAL);
    assert_non_null(strstr(rq->failure.message, listen));
}

int
main(void)
{
    struct CMUnitTest tests[32 + COUNT_OF(decorated)] = {
        cmocka_unit_test(a_client_of_ipv4_has_its_own_address_on_a_listener_of_both),
        cmocka_unit_test(headers_go_out_exactly_as_written),
        cmocka_unit_test(a_line_end_in_a_header_value_makes_no_header),
        cmocka_unit_test(head_is_answered_like_get_without_the_body),
        cmocka_unit_test(an_error_to_head_has_no_body_either),
        cmocka_unit_test(no_content_and_not_modified_have_no_length_and_keep_the_connection),
        cmocka_unit_test(a_failure_is_rendered_with_its_usual_status),
        cmocka_unit_test(an_unknown_path_is_404_and_rendered),
        cmocka_unit_test(a_wrong_method_is_405_with_allow),
        cmocka_unit_test(methods_are_case_sensitive),
        cmocka_unit_test(the_request_side_is_raw_and_complete),
        cmocka_unit_test(an_absolute_target_is_understood),
        cmocka_unit_test(a_path_that_h2o_would_rewrite_is_one_log_line_of_ours),
        cmocka_unit_test(a_request_leaves_one_line_with_step_status_and_trace),
        cmocka_unit_test(a_trace_is_taken_over_and_made_where_there_is_none),
        cmocka_unit_test(a_body_of_exactly_the_limit_is_taken_and_one_byte_more_is_413),
        cmocka_unit_test(a_route_may_take_more_than_the_server),
        cmocka_unit_test(a_client_that_is_still_sending_gets_its_413),
        cmocka_unit_test(continue_is_sent_to_who_expects_it),
        cmocka_unit_test(pipelined_requests_are_answered_in_order),
        cmocka_unit_test(a_connection_is_kept_or_closed_as_the_client_says),
        cmocka_unit_test(an_ambiguous_head_is_400_and_closes),
        cmocka_unit_test(garbage_is_400_and_closes),
        cmocka_unit_test(http2_cannot_be_reached_by_upgrade),
        cmocka_unit_test(http2_cannot_be_reached_by_prior_knowledge),
        cmocka_unit_test(a_large_body_arrives_whole_and_is_released_once),
        cmocka_unit_test(a_body_that_nobody_reads_to_its_end_is_released_too),
        cmocka_unit_test(a_port_that_is_taken_is_an_error_at_open),
    };
    size_t count = 0;

    while (tests[count].name != NULL)
        count++;
    for (size_t i = 0; i < COUNT_OF(decorated); i++)
        tests[count++] = (struct CMUnitTest){
            .name = decorated[i].name, .test_func = every_answer_is_decorated_and_rendered, .initial_state = (void *)&decorated[i]};
    return _cmocka_run_group_tests("http_server", tests, count, start, close_server);
}
