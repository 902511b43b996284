/* Requests of an address: so many at once, so many a minute, and nobody in the way of others. */
#include "unit/kit.h"

#include "acme.h"

#define SECOND INT64_C(1000000)

static int
taken(struct request_limiter *limiter, const char *address, int64_t now_us, int tries)
{
    int wait_s, count = 0;

    for (int i = 0; i < tries; i++)
        count += request_limiter_take(limiter, address, now_us, &wait_s);
    return count;
}

static struct request_limiter *
limiter_of(int per_minute, int burst, const char *unlimited)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct request_limiter *limiter = NULL;

    assert_int_equal(request_limiter_new(rq, per_minute, burst, unlimited, &limiter), OK);
    return limiter;
}

static void
a_burst_and_then_the_rate(void **state)
{
    struct request_limiter *limiter = limiter_of(300, 500, "");
    int wait_s = 0;

    assert_int_equal(taken(limiter, "192.0.2.1", 1000 * SECOND, 600), 500);
    assert_false(request_limiter_take(limiter, "192.0.2.1", 1000 * SECOND, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_int_equal(taken(limiter, "192.0.2.1", 1060 * SECOND, 600), 300);
    assert_int_equal(taken(limiter, "192.0.2.1", 2000 * SECOND, 600), 500);
    request_limiter_free(limiter);
}

static void
addresses_are_counted_apart_but_a_network_of_v6_together(void **state)
{
    struct request_limiter *limiter = limiter_of(60, 3, "");

    assert_int_equal(taken(limiter, "192.0.2.1", SECOND, 5), 3);
    assert_int_equal(taken(limiter, "192.0.2.2", SECOND, 5), 3);
    assert_int_equal(taken(limiter, "2001:db8::1", SECOND, 5), 3);
    assert_int_equal(taken(limiter, "2001:db8::2", SECOND, 5), 0);
    assert_int_equal(taken(limiter, "2001:db8:0:1::2", SECOND, 5), 3);
    /* As a socket for both families writes them. */
    assert_int_equal(taken(limiter, "::ffff:192.0.2.1", SECOND, 5), 0);
    assert_int_equal(taken(limiter, "::ffff:192.0.2.9", SECOND, 5), 3);
    request_limiter_free(limiter);
}

static void
some_networks_and_a_rate_of_0_are_not_counted(void **state)
{
    struct request_limiter *limiter = limiter_of(60, 3, "10.0.0.0/8, ::1"), *open = limiter_of(0, 3, "");

    assert_int_equal(taken(limiter, "10.1.2.3", SECOND, 50), 50);
    assert_int_equal(taken(limiter, "::1", SECOND, 50), 50);
    assert_int_equal(taken(limiter, "11.1.2.3", SECOND, 50), 3);
    assert_int_equal(taken(open, "11.1.2.3", SECOND, 50), 50);
    request_limiter_free(limiter);
    request_limiter_free(open);
}

/* Far more addresses than places: each gets its own burst at least, and the memory stays what it is. */
static void
a_crowd_is_let_in(void **state)
{
    struct request_limiter *limiter = limiter_of(60, 1, "");
    char address[32];

    for (int i = 0; i < 100000; i++) {
        snprintf(address, sizeof address, "10.%d.%d.%d", i >> 16 & 255, i >> 8 & 255, i & 255);
        assert_int_equal(taken(limiter, address, SECOND, 1), 1);
    }
    request_limiter_free(limiter);
}

static void
networks_that_are_none_are_refused(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct request_limiter *limiter = NULL;

    assert_int_equal(request_limiter_new(rq, 60, 3, "10.0.0.0/8,everywhere", &limiter), ERR_BAD_REQUEST);
    assert_null(limiter);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_the_rate),
        cmocka_unit_test(addresses_are_counted_apart_but_a_network_of_v6_together),
        cmocka_unit_test(some_networks_and_a_rate_of_0_are_not_counted),
        cmocka_unit_test(a_crowd_is_let_in),
        cmocka_unit_test(networks_that_are_none_are_refused),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
