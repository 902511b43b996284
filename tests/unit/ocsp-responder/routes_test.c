/* How our errors become OCSP's, and HTTP's. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "ocsp_responder.h"

static const char *
header(const struct http_answer *answer, const char *name)
{
    for (size_t i = 0; i < answer->header_count; i++)
        if (text_equal(answer->headers[i].name, name))
            return answer->headers[i].value;
    return "";
}

static void
each_error_has_its_ocsp_status(void **state)
{
    static const struct {
        enum error error;
        int ocsp, http;
    } cases[] = {
        {ERR_BAD_REQUEST, 1, 200}, {ERR_BAD_CSR, 1, 200},   {ERR_BAD_NAME, 1, 200},        {ERR_TOO_LARGE, 1, 200},   {ERR_INTERNAL, 2, 200},
        {ERR_CONFLICT, 2, 200},    {ERR_BUSY, 3, 503},      {ERR_TIMEOUT, 3, 503},         {ERR_UNAVAILABLE, 3, 503}, {ERR_RATE_LIMITED, 3, 503},
        {ERR_DENIED, 6, 200},      {ERR_NOT_FOUND, 6, 200}, {ERR_UNAUTHENTICATED, 6, 200},
    };
    bool seen[ERR_COUNT] = {[OK] = true};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_exchange x = {.route = &responder_routes[0]};
        AUTO_STRUCT(arena, arena) = arena_new();
        x.rq.arena = arena;
        (void)fail(&x.rq, cases[i].error, "no");
        x.answer.status = http_status_of(cases[i].error) == 413 ? 400 : http_status_of(cases[i].error);
        render_failure(NULL, &x);
        assert_int_equal(x.answer.status, cases[i].http);
        /* OCSPResponse ::= SEQUENCE { responseStatus ENUMERATED } */
        const uint8_t expected[] = {0x30, 0x03, 0x0a, 0x01, (uint8_t)cases[i].ocsp};
        assert_true(bytes_equal(x.answer.body, BYTES(expected, sizeof expected)));
        assert_string_equal(header(&x.answer, "Content-Type"), "application/ocsp-response");
        assert_string_equal(header(&x.answer, "Cache-Control"), "no-store");
        assert_string_equal(header(&x.answer, "Retry-After"), cases[i].http == 503 ? "2" : "");
        seen[cases[i].error] = true;
    }
    for (size_t kind = 0; kind < ERR_COUNT; kind++)
        assert_true(seen[kind]);
}

static void
later_is_as_late_as_the_failure_says(void **state)
{
    struct http_exchange x = {.route = &responder_routes[0]};
    AUTO_STRUCT(arena, arena) = arena_new();
    x.rq.arena = arena;

    (void)fail(&x.rq, ERR_UNAVAILABLE, "no");
    (void)fail_retry_after(&x.rq, 17);
    render_failure(NULL, &x);
    assert_string_equal(header(&x.answer, "Retry-After"), "17");
}

static void
what_is_not_ocsp_keeps_its_http_status(void **state)
{
    static const struct {
        bool route;
        enum error error;
        int status;
        const char *type;
    } cases[] = {
        {false, ERR_NOT_FOUND, 404, "text/plain"},
        {true, ERR_BAD_REQUEST, 405, "application/ocsp-response"},
        {true, ERR_TOO_LARGE, 413, "application/ocsp-response"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct http_exchange x = {.route = cases[i].route ? &responder_routes[0] : NULL, .answer = {.status = cases[i].status}};
        AUTO_STRUCT(arena, arena) = arena_new();
        x.rq.arena = arena;
        (void)fail(&x.rq, cases[i].error, "no such path");
        render_failure(NULL, &x);
        assert_int_equal(x.answer.status, cases[i].status);
        assert_string_equal(header(&x.answer, "Content-Type"), cases[i].type);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(each_error_has_its_ocsp_status),
        cmocka_unit_test(later_is_as_late_as_the_failure_says),
        cmocka_unit_test(what_is_not_ocsp_keeps_its_http_status),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
