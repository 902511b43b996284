/* What one address may ask: requests and failures, by address and by /64, and networks that are not counted. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "link/metrics.h"
#include "link/request_limit.h"

static struct request_limit *
limit_of(struct request *rq, const char *unlimited)
{
    const struct request_limit_config config = {
        .requests_per_minute = 1, .requests_burst = 3, .failures_per_minute = 1, .failures_burst = 2, .unlimited_networks = unlimited};
    struct request_limit *limit = NULL;

    assert_int_equal(request_limit_new(rq, &config, "SIGNET_TEST_NETWORKS", &limit), OK);
    return limit;
}

static int
admitted(struct request_limit *limit, const char *peer, int tries)
{
    int count = 0;

    for (int i = 0; i < tries; i++) {
        struct http_exchange x = {.peer = peer};
        request_begin(&x.rq, "http", "GET /", NULL);
        count += request_limit_admit(limit, &x) == OK;
        request_drop(&x.rq);
    }
    return count;
}

static void
addresses_are_counted_apart_but_a_network_of_v6_together(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct request_limit *limit = limit_of(rq, "");

    assert_int_equal(admitted(limit, "192.0.2.1", 5), 3);
    assert_int_equal(admitted(limit, "192.0.2.2", 5), 3);
    assert_int_equal(admitted(limit, "2001:db8::1", 5), 3);
    assert_int_equal(admitted(limit, "2001:db8::2", 5), 0);
    assert_int_equal(admitted(limit, "2001:db8:0:1::2", 5), 3);
    /* As a socket for both families writes them. */
    assert_int_equal(admitted(limit, "::ffff:192.0.2.1", 5), 0);
    assert_int_equal(admitted(limit, "::ffff:192.0.2.9", 5), 3);
    assert_int_equal(admitted(limit, "127.0.0.1", 5), 3);
    request_limit_free(limit);
}

static void
who_is_refused_is_told_the_rule_and_the_time(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct request_limit *limit = limit_of(rq, "");
    struct http_exchange x = {.peer = "192.0.2.1"};
    struct buffer page = buffer_in(rq->arena);

    assert_int_equal(admitted(limit, "192.0.2.1", 3), 3);
    request_begin(&x.rq, "http", "GET /", NULL);
    assert_int_equal(request_limit_admit(limit, &x), ERR_RATE_LIMITED);
    assert_non_null(strstr(x.rq.failure.message, "requests-per-address: too many requests from 192.0.2.1"));
    assert_in_range(x.rq.failure.retry_after_s, 1, 60);
    assert_int_equal(x.rq.note_count, 1);
    assert_string_equal(x.rq.notes[0].key, "rule");
    assert_string_equal(x.rq.notes[0].value, "requests-per-address");
    request_drop(&x.rq);
    metrics_render(&page);
    const char *counted = strstr(buffer_text(&page), "signet_rate_limited_total{rule=\"requests-per-address\"} ");
    assert_non_null(counted);
    assert_true(strtol(strchr(counted, ' '), NULL, 10) > 0);
    request_limit_free(limit);
}

/* What is refused by this limit is no matter of the request any more; so each look begins with a request of its own. */
static bool
may_try(struct request_limit *limit, const char *peer, const char *whom)
{
    AUTO_STRUCT(request, rq) = request_new();
    enum error error = request_limit_check_failures(limit, rq, peer, whom);

    assert_true(error == OK || (error == ERR_RATE_LIMITED && rq->failure.retry_after_s > 0));
    return error == OK;
}

static void
failures_are_counted_by_address_and_by_what_they_fail_at(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct request_limit *limit = limit_of(rq, "");

    for (int i = 0; i < 2; i++) {
        for (int asked = 0; asked < 10; asked++)
            assert_true(may_try(limit, "192.0.2.1", "phones/alice"));
        request_limit_count_failure(limit, rq, "192.0.2.1", "phones/alice");
    }
    assert_false(may_try(limit, "192.0.2.1", "phones/alice"));
    assert_true(may_try(limit, "192.0.2.1", "phones/bob"));
    assert_true(may_try(limit, "192.0.2.2", "phones/alice"));
    assert_int_equal(admitted(limit, "192.0.2.1", 5), 3);
    request_limit_free(limit);
}

static void
some_networks_are_not_counted(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct request_limit *limit = limit_of(rq, "10.0.0.0/8, ::1");

    assert_int_equal(admitted(limit, "10.1.2.3", 50), 50);
    assert_int_equal(admitted(limit, "::1", 50), 50);
    assert_int_equal(admitted(limit, "11.1.2.3", 50), 3);
    for (int i = 0; i < 5; i++)
        request_limit_count_failure(limit, rq, "10.1.2.3", "phones");
    assert_true(may_try(limit, "10.1.2.3", "phones"));
    request_limit_free(limit);
}

static void
networks_that_are_none_or_too_many_are_refused(void **state)
{
    struct request_limit_config config = {.requests_per_minute = 60, .requests_burst = 3, .unlimited_networks = "10.0.0.0/8,everywhere"};
    struct request_limit *limit = NULL;
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, again) = request_new();
    struct buffer many = buffer_in(rq->arena);

    assert_int_equal(request_limit_new(rq, &config, "SIGNET_TEST_NETWORKS", &limit), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "SIGNET_TEST_NETWORKS: \"everywhere\""));
    for (int i = 0; i < 65; i++)
        buffer_append_format(&many, "%s10.0.%d.0/24", i > 0 ? "," : "", i);
    config.unlimited_networks = buffer_text(&many);
    assert_int_equal(request_limit_new(again, &config, "SIGNET_TEST_NETWORKS", &limit), ERR_BAD_REQUEST);
    assert_null(limit);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(addresses_are_counted_apart_but_a_network_of_v6_together), cmocka_unit_test(who_is_refused_is_told_the_rule_and_the_time),
        cmocka_unit_test(failures_are_counted_by_address_and_by_what_they_fail_at), cmocka_unit_test(some_networks_are_not_counted),
        cmocka_unit_test(networks_that_are_none_or_too_many_are_refused),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
