/* Log lines: one write, valid JSON, whatever the values hold. */
#include "unit/base/stderr_lines.h"

#include "base/clock.h"
#include "base/log.h"
#include "base/request.h"

static struct stderr_lines lines;

int64_t
clock_now_us(void)
{
    return INT64_C(1795218655000123);
}

int64_t
clock_monotonic_us(void)
{
    return 7001204;
}

static int catch (void **state)
{
    log_open("ra", "ra-1", LOG_LEVEL_INFO);
    stderr_catch(&lines);
    return 0;
}

static int
restore(void **state)
{
    stderr_restore(&lines);
    return 0;
}

static void
a_line_of_the_process_is_written_with_one_write(void **state)
{
    log_line(LOG_LEVEL_WARNING, "bus.lost", "server", "127.0.0.1:4222", "reason", "stale \"connection\"", NULL);
    assert_string_equal(stderr_next(&lines),
                        "{\"time\":\"2026-11-20T23:50:55.000123Z\",\"level\":\"warning\",\"service\":\"ra\",\"instance\":\"ra-1\","
                        "\"step\":\"bus.lost\",\"server\":\"127.0.0.1:4222\",\"reason\":\"stale \\\"connection\\\"\"}\n");
    assert_null(stderr_next(&lines));
}

static void
a_line_may_have_no_pairs_and_a_null_value(void **state)
{
    log_line(LOG_LEVEL_INFO, "ready", NULL);
    log_line(LOG_LEVEL_INFO, "ready", "why", (char *)NULL, "then", "more", NULL);
    json_t *object = stderr_next_object(&lines);
    assert_string_equal(field(object, "step"), "ready");
    json_decref(object);
    object = stderr_next_object(&lines);
    assert_string_equal(field(object, "why"), "");
    assert_string_equal(field(object, "then"), "more");
    json_decref(object);
}

static void
lines_below_the_level_are_not_written(void **state)
{
    log_line(LOG_LEVEL_DEBUG, "quiet", NULL);
    assert_null(stderr_next(&lines));
    log_open("ra", "ra-1", LOG_LEVEL_DEBUG);
    log_line(LOG_LEVEL_DEBUG, "loud", NULL);
    json_decref(stderr_next_object(&lines));
    log_open("ra", "ra-1", LOG_LEVEL_ERROR);
    log_line(LOG_LEVEL_WARNING, "quiet", NULL);
    assert_null(stderr_next(&lines));
    log_line(LOG_LEVEL_ERROR, "loud", NULL);
    json_decref(stderr_next_object(&lines));
}

static void
any_octet_is_escaped_or_replaced(void **state)
{
    static const struct {
        const char *value, *read_as;
    } cases[] = {
        {"plain", "plain"},
        {"a\"b\\c/d", "a\"b\\c/d"},
        {"\b\f\n\r\t\x01\x1f\x7f", "\b\f\n\r\t\x01\x1f\x7f"},
        {"Zürich 東京 🔑", "Zürich 東京 🔑"},
        {"\xff", "\xef\xbf\xbd"},
        {"a\xc3", "a\xef\xbf\xbd"},
        {"\xc3(", "\xef\xbf\xbd("},
        {"\xed\xa0\x80", "\xef\xbf\xbd\xef\xbf\xbd\xef\xbf\xbd"},
        {"\"}\n{\"level\":\"forged", "\"}\n{\"level\":\"forged"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        log_line(LOG_LEVEL_INFO, "step", "value", cases[i].value, NULL);
        json_t *object = stderr_next_object(&lines);
        assert_string_equal(field(object, "value"), cases[i].read_as);
        assert_null(strchr(lines.record, 0x7f)); /* allowed in JSON, but not kind to a terminal */
        json_decref(object);
    }
}

static void
a_long_value_is_cut_between_characters(void **state)
{
    static const char *const at_the_limit[] = {"é", "東", "🔑"};
    char value[5000];

    for (size_t i = 0; i < COUNT_OF(at_the_limit); i++) {
        memset(value, 'x', sizeof value - 1);
        value[sizeof value - 1] = '\0';
        memcpy(value + 2047, at_the_limit[i], strlen(at_the_limit[i])); /* the limit falls into it */
        log_line(LOG_LEVEL_INFO, "step", "value", value, NULL);
        json_t *object = stderr_next_object(&lines);
        const char *read = field(object, "value");
        assert_memory_equal(read, value, 2047);
        assert_memory_equal(read + 2047, at_the_limit[i], strlen(at_the_limit[i]));
        assert_string_equal(read + 2047 + strlen(at_the_limit[i]), "…");
        json_decref(object);
    }
}

static void
a_value_as_long_as_the_limit_is_whole(void **state)
{
    char value[2049];

    memset(value, 'x', sizeof value - 1);
    value[sizeof value - 1] = '\0';
    log_line(LOG_LEVEL_INFO, "step", "value", value, NULL);
    json_t *object = stderr_next_object(&lines);
    assert_string_equal(field(object, "value"), value);
    json_decref(object);
}

static void
a_request_has_its_fields_in_order(void **state)
{
    struct request rq = {
        .kind = "rpc",
        .step = "ra.Enroll",
        .caller = "acme-gw",
        .trace_id = "0af7651916cd43dd8448eb211c80319c",
        .span_id = "b7ad6b7169203331",
        .parent_id = "00f067aa0ba902b7",
        .started_us = 7000000,
        .sql_round_trips = 3,
        .failure = {.kind = ERR_DENIED, .layer = "AUTH-002", .reason = "rejectedIdentifier", .message = "not yours", .detail = "role 7"},
        .note_count = 2,
        .notes = {{"serial", "01ab"}, {"order", "o-1"}}};

    log_request(LOG_LEVEL_INFO, &rq, "denied");
    assert_string_equal(stderr_next(&lines),
                        "{\"time\":\"2026-11-20T23:50:55.000123Z\",\"level\":\"info\",\"service\":\"ra\",\"instance\":\"ra-1\","
                        "\"trace\":\"0af7651916cd43dd8448eb211c80319c\",\"span\":\"b7ad6b7169203331\",\"parent\":\"00f067aa0ba902b7\","
                        "\"kind\":\"rpc\",\"step\":\"ra.Enroll\",\"caller\":\"acme-gw\",\"result\":\"denied\",\"ms\":1.204,"
                        "\"layer\":\"AUTH-002\",\"reason\":\"rejectedIdentifier\",\"message\":\"not yours\",\"detail\":\"role 7\","
                        "\"sql\":3,\"serial\":\"01ab\",\"order\":\"o-1\"}\n");
}

static void
what_a_request_does_not_have_is_left_out(void **state)
{
    struct request rq = {.kind = "http", .step = "GET /", .caller = "", .failure = {.kind = ERR_DENIED, .message = "dealt with"}};

    log_request(LOG_LEVEL_INFO, &rq, "ok");
    json_t *object = stderr_next_object(&lines);
    static const char *const absent[] = {"parent", "caller", "layer", "reason", "message", "detail", "sql"};
    for (size_t i = 0; i < COUNT_OF(absent); i++)
        assert_null(json_object_get(object, absent[i]));
    assert_string_equal(field(object, "result"), "ok");
    json_decref(object);
}

/* The packet socket's far end is gone: every write fails. */
static void
a_log_that_cannot_be_written_harms_nobody(void **state)
{
    signal(SIGPIPE, SIG_IGN);
    close(lines.outside);
    log_line(LOG_LEVEL_ERROR, "step", NULL);
    signal(SIGPIPE, SIG_DFL);
    lines.outside = -1;
}

#define CAUGHT(test) cmocka_unit_test_setup_teardown(test, catch, restore)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CAUGHT(a_line_of_the_process_is_written_with_one_write),
        CAUGHT(a_line_may_have_no_pairs_and_a_null_value),
        CAUGHT(lines_below_the_level_are_not_written),
        CAUGHT(any_octet_is_escaped_or_replaced),
        CAUGHT(a_long_value_is_cut_between_characters),
        CAUGHT(a_value_as_long_as_the_limit_is_whole),
        CAUGHT(a_request_has_its_fields_in_order),
        CAUGHT(what_a_request_does_not_have_is_left_out),
        CAUGHT(a_log_that_cannot_be_written_harms_nobody),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
