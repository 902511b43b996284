/* Times in words and back. */
#include "unit/kit.h"

#include <string.h>
#include <time.h>

#include "base/clock.h"

static const struct {
    const char *rfc3339, *http;
    int64_t unix_s;
} known[] = {
    {"1970-01-01T00:00:00Z", "Thu, 01 Jan 1970 00:00:00 GMT", 0},
    {"1969-12-31T23:59:59Z", "Wed, 31 Dec 1969 23:59:59 GMT", -1},
    {"1994-11-06T08:49:37Z", "Sun, 06 Nov 1994 08:49:37 GMT", 784111777}, /* RFC 9110 §5.6.7 */
    {"2000-02-29T12:00:00Z", "Tue, 29 Feb 2000 12:00:00 GMT", 951825600},
    {"2026-11-20T23:50:55Z", "Fri, 20 Nov 2026 23:50:55 GMT", 1795218655},
    {"2038-01-19T03:14:08Z", "Tue, 19 Jan 2038 03:14:08 GMT", 2147483648},
    {"2100-02-28T23:59:59Z", "Sun, 28 Feb 2100 23:59:59 GMT", 4107542399},
    {"9999-12-31T23:59:59Z", "Fri, 31 Dec 9999 23:59:59 GMT", 253402300799}, /* RFC 5280 §4.1.2.5: no well-defined end */
    {"0000-01-01T00:00:00Z", "Sat, 01 Jan 0000 00:00:00 GMT", -62167219200},
};

static void
known_times_are_written_and_read(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(known); i++) {
        int64_t unix_s = 42;
        assert_string_equal(clock_format_rfc3339(arena, known[i].unix_s), known[i].rfc3339);
        assert_string_equal(clock_format_http(arena, known[i].unix_s), known[i].http);
        assert_int_equal(clock_parse_rfc3339(known[i].rfc3339, &unix_s), 0);
        assert_int_equal(unix_s, known[i].unix_s);
    }
}

static void
every_day_of_400_years_agrees_with_libc(void **state)
{
    char expected[64];
    struct tm broken;
    AUTO_STRUCT(arena, arena) = arena_new();

    for (int64_t day = -135140; day < 146097; day++) { /* from 1600 on */
        time_t at = day * 86400 + 86399;
        gmtime_r(&at, &broken);
        strftime(expected, sizeof expected, "%a, %d %b %Y %H:%M:%S GMT", &broken);
        assert_string_equal(clock_format_http(arena, at), expected);
        int64_t back = 0;
        assert_int_equal(clock_parse_rfc3339(clock_format_rfc3339(arena, at), &back), 0);
        assert_int_equal(back, at);
        arena_reset(arena);
    }
}

static void
times_that_four_digits_cannot_say_become_the_nearest(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_string_equal(clock_format_rfc3339(arena, 253402300800), "9999-12-31T23:59:59Z");
    assert_string_equal(clock_format_rfc3339(arena, INT64_MAX), "9999-12-31T23:59:59Z");
    assert_string_equal(clock_format_rfc3339(arena, INT64_MIN), "0000-01-01T00:00:00Z");
}

static void
offsets_fractions_and_leap_seconds_are_understood(void **state)
{
    static const struct {
        const char *text, *same_as;
    } cases[] = {
        {"2026-11-21T00:50:55+01:00", "2026-11-20T23:50:55Z"},   {"2026-11-20T15:20:55-08:30", "2026-11-20T23:50:55Z"},
        {"2026-11-20T23:50:55.999999Z", "2026-11-20T23:50:55Z"}, {"2026-11-20t23:50:55z", "2026-11-20T23:50:55Z"},
        {"2026-11-20T23:50:55-00:00", "2026-11-20T23:50:55Z"},   {"2016-12-31T23:59:60Z", "2017-01-01T00:00:00Z"},
        {"1990-12-31T15:59:60-08:00", "1991-01-01T00:00:00Z"},   {"2024-02-29T00:00:00Z", "2024-02-29T00:00:00Z"},
        {"2026-11-20T23:50:55.5+00:00", "2026-11-20T23:50:55Z"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        int64_t a = 1, b = 2;
        assert_int_equal(clock_parse_rfc3339(cases[i].text, &a), 0);
        assert_int_equal(clock_parse_rfc3339(cases[i].same_as, &b), 0);
        assert_int_equal(a, b);
    }
}

static void
what_is_no_time_is_refused_and_the_output_untouched(void **state)
{
    static const char *const refused[] = {
        "",
        "now",
        "2026-11-20",
        "2026-11-20T23:50:55",
        "2026-11-20 23:50:55Z",
        "2026-11-20T23:50Z",
        "2026-11-20T23:50:55Zx",
        "2026-11-20T23:50:55.Z",
        "2026-11-20T23:50:55,5Z",
        "2026-11-20T24:00:00Z",
        "2026-11-20T23:60:00Z",
        "2026-11-20T23:50:61Z",
        "2026-11-20T23:50:60Z",
        "2016-12-31T23:59:60+01:00",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-00-10T00:00:00Z",
        "2026-13-10T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-04-00T00:00:00Z",
        "26-11-20T23:50:55Z",
        "+026-11-20T23:50:55Z",
        "2026-11-20T23:50:55+0100",
        "2026-11-20T23:50:55+24:00",
        "2026-11-20T23:50:55+01:60",
        "2026-11-20T23:50:55+01",
        "2026-11-20T23:50:55+01:00Z",
        "12026-11-20T23:50:55Z",
    };
    int64_t untouched = 42;

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (clock_parse_rfc3339(refused[i], &untouched) != -1 || untouched != 42)
            fail_msg("accepted \"%s\"", refused[i]);
    assert_int_equal(clock_parse_rfc3339(NULL, &untouched), -1);
}

static void
clocks_agree_with_the_system_and_do_not_go_back(void **state)
{
    int64_t before_s = time(NULL), us = clock_now_us(), s = clock_now_s(), after_s = time(NULL);
    int64_t first_us = clock_monotonic_us(), then_ms = clock_monotonic_ms();

    /* time() reads a coarser clock that may be one tick behind. */
    assert_in_range(us / 1000000, before_s, after_s + 1);
    assert_in_range(s, before_s, after_s + 1);
    assert_true(then_ms >= first_us / 1000);
}

static void
a_sleep_lasts_at_least_as_long_as_asked(void **state)
{
    int64_t before_us = clock_monotonic_us();

    clock_sleep_ms(3);
    assert_true(clock_monotonic_us() - before_us >= 3000);
    clock_sleep_ms(0);
    clock_sleep_ms(-1);
}

static void *
broadcast(void *condition)
{
    clock_sleep_ms(1);
    pthread_cond_broadcast(condition);
    return NULL;
}

static void
a_wait_ends_when_its_time_has_come_and_when_it_is_woken(void **state)
{
    pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    pthread_cond_t condition = PTHREAD_COND_INITIALIZER;
    pthread_t waker;

    pthread_mutex_lock(&mutex);
    int64_t until_ms = clock_monotonic_ms() + 3;
    while (clock_wait(&condition, &mutex, until_ms))
        ;
    assert_true(clock_monotonic_ms() >= until_ms);
    assert_false(clock_wait(&condition, &mutex, 0));
    assert_int_equal(pthread_create(&waker, NULL, broadcast, &condition), 0);
    assert_true(clock_wait(&condition, &mutex, clock_monotonic_ms() + 600000));
    pthread_mutex_unlock(&mutex);
    pthread_join(waker, NULL);
}

static void
the_calendar_refuses_seconds_that_it_does_not_have(void **state)
{
    static const struct clock_date none[] = {
        {-1, 1, 1, 0, 0, 0, 0},    {10000, 1, 1, 0, 0, 0, 0}, {2026, 0, 1, 0, 0, 0, 0},  {2026, 13, 1, 0, 0, 0, 0}, {2026, 1, 0, 0, 0, 0, 0},
        {2026, 4, 31, 0, 0, 0, 0}, {2026, 2, 29, 0, 0, 0, 0}, {1900, 2, 29, 0, 0, 0, 0}, {2026, 1, 1, 24, 0, 0, 0}, {2026, 1, 1, -1, 0, 0, 0},
        {2026, 1, 1, 0, 60, 0, 0}, {2026, 1, 1, 0, -1, 0, 0}, {2026, 1, 1, 0, 0, 60, 0}, {2026, 1, 1, 0, 0, -1, 0},
    };
    static const struct clock_date leap_day = {2000, 2, 29, 23, 59, 59, 0};
    int64_t unix_s = 42;

    for (size_t i = 0; i < sizeof none / sizeof none[0]; i++)
        assert_false(clock_of_date(&none[i], &unix_s));
    assert_int_equal(unix_s, 42);
    assert_true(clock_of_date(&leap_day, &unix_s));
    assert_int_equal(unix_s, 951868799);
}

/* 5000 octets cross the inner portion; a portion left out would leave 64 zeros in a row, which chance does not. */
static void
random_bytes_fills_all_and_differs(void **state)
{
    uint8_t a[5000] = {0}, b[5000] = {0};
    size_t zeros = 0;

    random_bytes(a, sizeof a);
    random_bytes(b, sizeof b);
    assert_memory_not_equal(a, b, sizeof a);
    for (size_t i = 0; i < sizeof a; i++) {
        zeros = a[i] == 0 ? zeros + 1 : 0;
        assert_true(zeros < 64);
    }
    random_bytes(NULL, 0);
}

static void
random_bytes_by_time_begin_with_the_second(void **state)
{
    uint8_t first[16], second[16];
    int64_t from_s = clock_now_s();

    random_bytes_by_time(first, sizeof first);
    random_bytes_by_time(second, sizeof second);
    int64_t found_s = (int64_t)first[0] << 24 | first[1] << 16 | first[2] << 8 | first[3];
    assert_true(found_s >= from_s && found_s <= clock_now_s());
    assert_memory_not_equal(first + 4, second + 4, 6);
    assert_memory_not_equal(first + 10, second + 10, 6);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(known_times_are_written_and_read),
        cmocka_unit_test(every_day_of_400_years_agrees_with_libc),
        cmocka_unit_test(times_that_four_digits_cannot_say_become_the_nearest),
        cmocka_unit_test(offsets_fractions_and_leap_seconds_are_understood),
        cmocka_unit_test(what_is_no_time_is_refused_and_the_output_untouched),
        cmocka_unit_test(clocks_agree_with_the_system_and_do_not_go_back),
        cmocka_unit_test(a_sleep_lasts_at_least_as_long_as_asked),
        cmocka_unit_test(a_wait_ends_when_its_time_has_come_and_when_it_is_woken),
        cmocka_unit_test(the_calendar_refuses_seconds_that_it_does_not_have),
        cmocka_unit_test(random_bytes_fills_all_and_differs),
        cmocka_unit_test(random_bytes_by_time_begin_with_the_second),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
