/* The HTTP client against a real server: what it dials, what it refuses to do, where it stops. */
#include "unit/link/http_fixture.h"

#include <openssl/pem.h>
#include <openssl/x509.h>

#include "kit/pki_kit.h"
#include "link/http_client.h"

#define BODY_LEN 5000

static char body[BODY_LEN];

static enum error
echo(void *context, struct http_exchange *x)
{
    const char *given = http_header_in(x, "X-Given");
    return http_answer_text(
        x, 200, "text/plain",
        arena_format(x->rq.arena, "%s %s %s %.*s", x->method, x->host, given == NULL ? "-" : given, (int)x->body.len, (const char *)x->body.at));
}

static enum error
large(void *context, struct http_exchange *x)
{
    return http_answer(x, 200, "application/octet-stream", BYTES(body, sizeof body));
}

static enum error
redirect(void *context, struct http_exchange *x)
{
    struct bytes to = BYTES_NONE;
    assert_true(http_percent_decode(x->rq.arena, x->params[0], &to));
    http_header_out(x, "Location", "%s", (const char *)to.at);
    return http_answer_text(x, 302, "text/plain", "elsewhere");
}

static enum error
wait_at_gate(void *context, struct http_exchange *x)
{
    wait_for(&let_go);
    return http_answer_text(x, 200, "text/plain", "late");
}

static enum error
long_head(void *context, struct http_exchange *x)
{
    static char value[30000];

    memset(value, 'v', sizeof value - 1);
    for (int i = 0; i < 4; i++)
        http_header_out(x, "X-Long", "%s", value);
    return http_answer_text(x, 200, "text/plain", "");
}

static const struct http_route routes[] = {
    {"GET", "/echo", echo, ON_LOOP},           {"POST", "/echo", echo, ON_LOOP},
    {"GET", "/large", large, ON_LOOP},         {"GET", "/redirect/{to*}", redirect, ON_LOOP},
    {"GET", "/wait", wait_at_gate, ON_WORKER}, {"GET", "/long-head", long_head, ON_LOOP},
};

static int
start(void **state)
{
    memset(body, 'b', sizeof body);
    /* Whoever obeyed these would go nowhere. */
    setenv("http_proxy", "http://127.0.0.1:1", 1);
    setenv("all_proxy", "http://127.0.0.1:1", 1);
    open_server(&(struct http_server_options){
        .name = "test", .listen = "127.0.0.1:0", .routes = routes, .route_count = COUNT_OF(routes), .workers = 1, .quiet = true});
    return 0;
}

static bool
text_is(struct bytes found, const char *expected)
{
    return bytes_equal(found, bytes_of_text(expected));
}

static void
dials_the_chosen_address_and_keeps_the_name_of_the_url(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://host.example/echo", .address = "127.0.0.1", .port = port, .body_max = 100};

    assert_int_equal(http_fetch(rq, &fetch), OK);
    assert_int_equal(fetch.ret_status, 200);
    assert_true(text_is(fetch.ret_body, "GET host.example - "));
    assert_string_equal(fetch.ret_content_type, "text/plain");
    assert_string_equal(fetch.ret_peer, "127.0.0.1");
    assert_null(fetch.ret_redirect);
    assert_false(fetch.ret_truncated);
}

static void
dials_a_literal_or_localhost_of_the_url(void **state)
{
    static const char *const hosts[] = {"127.0.0.1", "localhost"};

    for (size_t i = 0; i < COUNT_OF(hosts); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct http_fetch fetch = {.url = arena_format(rq->arena, "http://%s:%d/echo", hosts[i], port), .body_max = 100};
        assert_int_equal(http_fetch(rq, &fetch), OK);
        assert_int_equal(fetch.ret_status, 200);
    }
}

static void
resolves_nothing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://host.example/echo", .body_max = 100};

    assert_int_equal(http_fetch(rq, &fetch), ERR_BAD_REQUEST);
}

static void
refuses_other_schemes(void **state)
{
    static const char *const urls[] = {"file:///etc/passwd", "gopher://127.0.0.1/", "ftp://127.0.0.1/", "127.0.0.1", ""};

    for (size_t i = 0; i < COUNT_OF(urls); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct http_fetch fetch = {.url = urls[i], .address = "127.0.0.1", .port = port, .body_max = 100};
        assert_int_equal(http_fetch(rq, &fetch), ERR_BAD_REQUEST);
    }
}

static void
sends_method_headers_and_body(void **state)
{
    static const char *const headers[] = {"X-Given: g", NULL};
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://a/echo",
                               .address = "127.0.0.1",
                               .port = port,
                               .method = "POST",
                               .headers = headers,
                               .request_body = bytes_of_text("sent"),
                               .body_max = 100};

    assert_int_equal(http_fetch(rq, &fetch), OK);
    assert_true(text_is(fetch.ret_body, "POST a g sent"));
}

static void
stops_reading_at_the_limit_and_takes_a_body_of_exactly_it(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://a/large", .address = "127.0.0.1", .port = port, .body_max = BODY_LEN};

    assert_int_equal(http_fetch(rq, &fetch), OK);
    assert_int_equal(fetch.ret_body.len, BODY_LEN);
    assert_false(fetch.ret_truncated);
    fetch.body_max = BODY_LEN - 1;
    assert_int_equal(http_fetch(rq, &fetch), OK);
    assert_int_equal(fetch.ret_body.len, BODY_LEN - 1);
    assert_true(fetch.ret_truncated);
    assert_int_equal(fetch.ret_status, 200);
}

struct redirect_case {
    const char *name, *location, *expected;
};

static const struct redirect_case redirects[] = {
    {"an_absolute_redirect_is_reported", "http://other.example:8080/x%3Fy", "http://other.example:8080/x?y"},
    {"a_relative_redirect_is_made_absolute", "/x", "http://host.example/x"},
    {"a_redirect_loses_user_and_password", "http://user:secret@other.example/x", "http://other.example/x"},
    {"a_redirect_to_another_scheme_is_only_reported", "file:///etc/passwd", "file:///etc/passwd"},
};

static void
redirects_are_reported_not_followed(void **state)
{
    const struct redirect_case *c = *state;
    AUTO_STRUCT(request, rq) = request_new();
    const char *url = arena_format(rq->arena, "http://host.example/redirect/%s", c->location);
    struct http_fetch fetch = {.url = url, .address = "127.0.0.1", .port = port, .body_max = 100};

    assert_int_equal(http_fetch(rq, &fetch), OK);
    assert_int_equal(fetch.ret_status, 302);
    assert_true(text_is(fetch.ret_body, "elsewhere"));
    if (fetch.ret_redirect != NULL || strncmp(c->location, "file:", 5) != 0)
        assert_string_equal(fetch.ret_redirect, c->expected);
}

struct asked {
    char address[64];
    int port;
    bool answer;
};

static bool
ask_test(void *context, const char *address, int asked_port)
{
    struct asked *asked = context;
    snprintf(asked->address, sizeof asked->address, "%s", address);
    asked->port = asked_port;
    return asked->answer;
}

static void
the_last_gate_sees_the_real_address_and_may_refuse(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct asked asked = {.answer = true};
    struct http_fetch fetch = {
        .url = "http://host.example:99/echo", .address = "127.0.0.1", .port = port, .body_max = 100, .allow = ask_test, .context = &asked};

    assert_int_equal(http_fetch(rq, &fetch), OK);
    assert_string_equal(asked.address, "127.0.0.1");
    assert_int_equal(asked.port, port);
    asked.answer = false;
    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    assert_non_null(strstr(rq->failure.message, "may not be asked"));
}

static void
a_server_that_does_not_answer_in_time_is_unavailable(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://a/wait", .address = "127.0.0.1", .port = port, .body_max = 100, .total_ms = 200};

    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    sem_post(&let_go);
}

static void
the_deadline_of_the_request_bounds_the_fetch(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://a/wait", .address = "127.0.0.1", .port = port, .body_max = 100, .total_ms = 600000};

    rq->deadline_ms = 1; /* long ago */
    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    sem_post(&let_go);
}

static void
nobody_there_is_unavailable_with_connect_as_reason(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://a/", .address = "127.0.0.1", .port = 1, .body_max = 100};

    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    assert_string_equal(rq->failure.reason, "connect");
}

static void
headers_without_end_are_refused(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "http://a/long-head", .address = "127.0.0.1", .port = port, .body_max = 100};

    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    assert_non_null(strstr(rq->failure.message, "headers"));
}

static void
what_is_no_http_is_unavailable_over_tls_with_tls_as_reason(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct http_fetch fetch = {.url = "https://a/echo", .address = "127.0.0.1", .port = port, .body_max = 100};

    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    assert_string_equal(rq->failure.reason, "tls");
}

/* ---- TLS --------------------------------------------------------------------------------------------------------------------------------- */

DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free);

static const char *
write_pem(struct arena *arena, const char *what, const char *pem)
{
    char *path = arena_format(arena, "/tmp/http_client_test.%d.%s", (int)getpid(), what);
    FILE *file = fopen(path, "we");

    assert_non_null(file);
    fputs(pem, file);
    fclose(file);
    return path;
}

static const char *
certificate_pem(struct arena *arena, struct bytes der)
{
    BIO *bio = BIO_new(BIO_s_mem());
    char *text;

    assert_int_equal(PEM_write_bio(bio, "CERTIFICATE", "", der.at, (long)der.len) > 0, 1);
    long len = BIO_get_mem_data(bio, &text);
    char *pem = arena_text_n(arena, text, (size_t)len);
    BIO_free(bio);
    return pem;
}

static void
a_certificate_is_verified_when_asked_and_only_then(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct bytes der =
        kit_certificate(rq->arena, &(struct kit_certificate){.key = key, .subject = "/CN=a", .names = "DNS:host.example", .is_ca = true});
    const char *cert = write_pem(rq->arena, "cert", certificate_pem(rq->arena, der));
    const char *key_file = write_pem(rq->arena, "key", kit_private_pem(rq->arena, key));
    const struct http_server_options options = {
        .name = "tls", .listen = "127.0.0.1:0", .routes = routes, .route_count = 1, .tls_cert_file = cert, .tls_key_file = key_file};
    struct http_server *tls;

    assert_int_equal(http_server_open(rq, &options, &tls), OK);
    struct http_fetch fetch = {.url = "https://host.example/echo", .address = "127.0.0.1", .port = http_server_port(tls), .body_max = 100};
    assert_int_equal(http_fetch(rq, &fetch), OK);
    assert_int_equal(fetch.ret_status, 200);
    fetch.verify_tls = true;
    fetch.ca_file = cert;
    assert_int_equal(http_fetch(rq, &fetch), OK);
    fetch.url = "https://other.example/echo";
    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    assert_string_equal(rq->failure.reason, "tls");
    failure_clear(rq);
    fetch.url = "https://host.example/echo";
    fetch.ca_file = NULL;
    assert_int_equal(http_fetch(rq, &fetch), ERR_UNAVAILABLE);
    http_server_close(tls, CLOSE_MOST_MS);
    unlink(cert);
    unlink(key_file);
}

int
main(void)
{
    struct CMUnitTest tests[32] = {
        cmocka_unit_test(dials_the_chosen_address_and_keeps_the_name_of_the_url),
        cmocka_unit_test(dials_a_literal_or_localhost_of_the_url),
        cmocka_unit_test(resolves_nothing),
        cmocka_unit_test(refuses_other_schemes),
        cmocka_unit_test(sends_method_headers_and_body),
        cmocka_unit_test(stops_reading_at_the_limit_and_takes_a_body_of_exactly_it),
        cmocka_unit_test(the_last_gate_sees_the_real_address_and_may_refuse),
        cmocka_unit_test(a_server_that_does_not_answer_in_time_is_unavailable),
        cmocka_unit_test(the_deadline_of_the_request_bounds_the_fetch),
        cmocka_unit_test(nobody_there_is_unavailable_with_connect_as_reason),
        cmocka_unit_test(headers_without_end_are_refused),
        cmocka_unit_test(what_is_no_http_is_unavailable_over_tls_with_tls_as_reason),
        cmocka_unit_test(a_certificate_is_verified_when_asked_and_only_then),
    };
    size_t count = 0;

    while (tests[count].name != NULL)
        count++;
    for (size_t i = 0; i < COUNT_OF(redirects); i++)
        tests[count++] =
            (struct CMUnitTest){.name = redirects[i].name, .test_func = redirects_are_reported_not_followed, .initial_state = (void *)&redirects[i]};
    return _cmocka_run_group_tests("http_client", tests, count, start, close_server);
}
