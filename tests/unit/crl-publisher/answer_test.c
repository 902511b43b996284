/* The three documents over a real HTTP server: types, caching headers, conditions, and what is said when there is nothing to give. */
#include "publisher_fixture.h"

#include "kit/http_kit.h"
#include "link/http_server.h"

static struct http_server *server;
static struct http_kit *client;

static int
open_server(void **state)
{
    open_publisher(state);
    struct http_server_options options = {.name = "crl",
                                          .listen = "127.0.0.1:0",
                                          .routes = publisher_routes,
                                          .route_count = publisher_route_count,
                                          .context = &publisher,
                                          .render_failure = render_failure,
                                          .quiet = true};
    assert_int_equal(http_server_open(rq, &options, &server), OK);
    client = http_kit_connect(http_server_port(server));
    return 0;
}

static int
close_server(void **state)
{
    http_kit_free(client);
    http_server_close(server, 10000);
    return close_publisher(state);
}

static const struct http_kit_reply *
get(const char *path, const char *more_headers)
{
    http_kit_say(client, arena_format(rq->arena, "GET %s HTTP/1.1\r\nHost: test\r\n%s\r\n", path, more_headers));
    return http_kit_reply(client);
}

static const char *
header(const struct http_kit_reply *reply, const char *name)
{
    const char *value = http_kit_header(reply, name);

    if (value == NULL)
        fail_msg("%s is missing in: %s", name, reply->head);
    return arena_text(rq->arena, value);
}

static void
gives_the_crl_with_all_that_caches_want_to_know(void **state)
{
    struct crl crl;

    signer.entries = 2;
    settle();
    const struct http_kit_reply *reply = get("/crl/" ISSUER ".crl", "");
    assert_int_equal(reply->status, 200);
    assert_string_equal(header(reply, "Content-Type"), "application/pkix-crl");
    assert_string_equal(header(reply, "Cache-Control"), "max-age=300, public, must-revalidate");
    assert_int_equal(crl_parse(rq, bytes_copy(rq->arena, BYTES(reply->body, reply->body_len)), &crl), OK);
    assert_int_equal(crl.entry_count, 2);
    assert_string_equal(header(reply, "Last-Modified"), clock_format_http(rq->arena, crl.this_update_s));
    assert_string_equal(header(reply, "Expires"), clock_format_http(rq->arena, crl.next_update_s));
    assert_int_equal(header(reply, "ETag")[0], '"');
}

static void
gives_the_certificate_and_its_chain(void **state)
{
    struct bytes *ders;
    size_t count;

    settle();
    const struct http_kit_reply *reply = get("/ca/" ISSUER ".crt", "");
    assert_int_equal(reply->status, 200);
    assert_string_equal(header(reply, "Content-Type"), "application/pkix-cert");
    assert_string_equal(header(reply, "Cache-Control"), "max-age=86400, public, must-revalidate");
    assert_true(bytes_equal(BYTES(reply->body, reply->body_len), signer.cas[1].certificate));
    (void)header(reply, "Last-Modified");
    (void)header(reply, "Expires");

    reply = get("/ca/" ISSUER ".pem", "");
    assert_int_equal(reply->status, 200);
    assert_string_equal(header(reply, "Content-Type"), "application/pem-certificate-chain");
    assert_int_equal(pem_all(rq, arena_text_n(rq->arena, reply->body, reply->body_len), "CERTIFICATE", 9, &ders, &count), OK);
    assert_int_equal(count, 2);
    assert_true(bytes_equal(ders[0], signer.cas[1].certificate) && bytes_equal(ders[1], signer.cas[0].certificate));
}

static void
answers_head_with_the_length_and_no_body(void **state)
{
    settle();
    const char *length = header(get("/crl/" ISSUER ".crl", ""), "Content-Length");
    http_kit_say(client, "HEAD /crl/" ISSUER ".crl HTTP/1.1\r\nHost: test\r\n\r\n");
    const struct http_kit_reply *reply = http_kit_reply_to_head(client);
    assert_int_equal(reply->status, 200);
    assert_string_equal(header(reply, "Content-Length"), length);
    assert_int_equal(reply->body_len, 0);
    assert_int_equal(get("/ca/" ISSUER ".crt", "")->status, 200); /* the connection goes on where it should */
}

static void
says_not_modified_to_who_has_it(void **state)
{
    settle();
    const struct http_kit_reply *reply = get("/crl/" ISSUER ".crl", "");
    const char *etag = header(reply, "ETag"), *modified = header(reply, "Last-Modified");
    const struct {
        const char *headers;
        int status;
    } cases[] = {
        {arena_format(rq->arena, "If-None-Match: %s\r\n", etag), 304},
        {arena_format(rq->arena, "If-None-Match: \"other\", W/%s\r\n", etag), 304},
        {"If-None-Match: *\r\n", 304},
        {"If-None-Match: \"other\"\r\n", 200},
        {arena_format(rq->arena, "If-Modified-Since: %s\r\n", modified), 304},
        {"If-Modified-Since: Sun, 06 Nov 1994 08:49:37 GMT\r\n", 200},
        {"If-Modified-Since: Sun, 06 Nov 2094 08:49:37 GMT\r\n", 304},
        {"If-Modified-Since: some day\r\n", 200},
        /* RFC 9110 §13.1.3: the date counts only without a tag. */
        {arena_format(rq->arena, "If-None-Match: \"other\"\r\nIf-Modified-Since: %s\r\n", modified), 200},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        reply = get("/crl/" ISSUER ".crl", cases[i].headers);
        if (reply->status != cases[i].status)
            fail_msg("%s -> %d", cases[i].headers, reply->status);
        assert_string_equal(header(reply, "ETag"), etag);
        assert_string_equal(header(reply, "Last-Modified"), modified);
        (void)header(reply, "Cache-Control");
        (void)header(reply, "Expires");
        assert_true(reply->status == 200 || reply->body_len == 0);
    }
}

static void
gives_the_new_one_when_there_is_a_new_one(void **state)
{
    settle();
    const char *etag = header(get("/crl/" ISSUER ".crl", ""), "ETag");
    postgres_kit_run(postgres, "UPDATE crl.schedule SET due_at = now()");
    assert_int_equal(work_off(), 2);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    const struct http_kit_reply *reply = get("/crl/" ISSUER ".crl", arena_format(rq->arena, "If-None-Match: %s\r\n", etag));
    assert_int_equal(reply->status, 200);
    assert_string_not_equal(header(reply, "ETag"), etag);
}

static void
lets_nobody_keep_a_crl_beyond_its_end(void **state)
{
    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    signer.next_update_s = clock_now_s() + 100;
    assert_int_equal(work_off(), 2);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    const char *control = header(get("/crl/" ISSUER ".crl", ""), "Cache-Control");
    assert_true(text_starts_with(control, "max-age="));
    assert_in_range(strtol(control + strlen("max-age="), NULL, 10), 1, 100);
}

static void
gives_a_large_crl_whole(void **state)
{
    struct crl crl;

    signer.entries = 20000;
    settle();
    const struct http_kit_reply *reply = get("/crl/" ISSUER ".crl", "");
    assert_int_equal(reply->status, 200);
    assert_true(reply->body_len > 700000);
    assert_int_equal(crl_parse(rq, BYTES(reply->body, reply->body_len), &crl), OK);
    assert_int_equal(crl.entry_count, 20000);
}

static void
has_nothing_under_other_paths(void **state)
{
    static const char *const paths[] = {"/crl/nobody.crl",
                                        "/ca/nobody.crt",
                                        "/ca/nobody.pem",
                                        "/crl/" ISSUER,
                                        "/crl/" ISSUER ".crt",
                                        "/ca/" ISSUER ".crl",
                                        "/ca/" ISSUER,
                                        "/crl/.crl",
                                        "/crl/",
                                        "/",
                                        "/crl/" ISSUER ".crl/x",
                                        "/crl/%74est-issuing.crl",
                                        "/crl/" ISSUER "%00.crl",
                                        "/crl/" ISSUER ".CRL"};

    settle();
    for (size_t i = 0; i < COUNT_OF(paths); i++) {
        const struct http_kit_reply *reply = get(paths[i], "");
        if (reply->status != 404)
            fail_msg("%s -> %d", paths[i], reply->status);
        assert_string_equal(header(reply, "Cache-Control"), "no-store");
    }
}

static void
allows_reading_only(void **state)
{
    settle();
    http_kit_say(client, "POST /crl/" ISSUER ".crl HTTP/1.1\r\nHost: test\r\nContent-Length: 0\r\n\r\n");
    const struct http_kit_reply *reply = http_kit_reply(client);
    assert_int_equal(reply->status, 405);
    assert_string_equal(header(reply, "Allow"), "GET, HEAD");
}

static void
asks_to_come_again_where_there_is_no_crl_yet(void **state)
{
    const struct http_kit_reply *reply = get("/crl/" ISSUER ".crl", "");
    assert_int_equal(reply->status, 503); /* nothing was loaded: it may exist */
    (void)header(reply, "Retry-After");

    assert_int_equal(authorities_refresh(&publisher, rq), OK);
    assert_int_equal(shelf_refresh(&publisher, rq), OK);
    reply = get("/crl/" ISSUER ".crl", "");
    assert_int_equal(reply->status, 503);
    assert_string_equal(header(reply, "Retry-After"), "2");
    assert_string_equal(header(reply, "Cache-Control"), "no-store");
    assert_int_equal(get("/ca/" ISSUER ".crt", "")->status, 200);
}

#define SERVED(name) cmocka_unit_test_setup_teardown(name, open_server, close_server)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        SERVED(gives_the_crl_with_all_that_caches_want_to_know),
        SERVED(gives_the_certificate_and_its_chain),
        SERVED(answers_head_with_the_length_and_no_body),
        SERVED(says_not_modified_to_who_has_it),
        SERVED(gives_the_new_one_when_there_is_a_new_one),
        SERVED(lets_nobody_keep_a_crl_beyond_its_end),
        SERVED(gives_a_large_crl_whole),
        SERVED(has_nothing_under_other_paths),
        SERVED(allows_reading_only),
        SERVED(asks_to_come_again_where_there_is_no_crl_yet),
    };

    return cmocka_run_group_tests_name("answer", tests, start_postgres, stop_postgres);
}
