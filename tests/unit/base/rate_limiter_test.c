/* Turns: so many at once, so many a minute, and nobody in the way of others. */
#include "unit/kit.h"

#include <stdio.h>

#include "base/rate_limiter.h"

#define SECOND INT64_C(1000000)

static int
taken(struct rate_limiter *limiter, const char *subject, int64_t now_us, int tries)
{
    int wait_s, count = 0;

    for (int i = 0; i < tries; i++)
        count += rate_limiter_take(limiter, bytes_of_text(subject), now_us, &wait_s);
    return count;
}

static void
a_burst_and_then_the_rate(void **state)
{
    struct rate_limiter *limiter = rate_limiter_new(300, 500);
    int wait_s = 0;

    assert_int_equal(taken(limiter, "alice", 1000 * SECOND, 600), 500);
    assert_false(rate_limiter_take(limiter, bytes_of_text("alice"), 1000 * SECOND, &wait_s));
    assert_int_equal(wait_s, 1);
    assert_int_equal(taken(limiter, "alice", 1060 * SECOND, 600), 300);
    assert_int_equal(taken(limiter, "alice", 2000 * SECOND, 600), 500);
    rate_limiter_free(limiter);
}

static void
subjects_are_counted_apart(void **state)
{
    struct rate_limiter *limiter = rate_limiter_new(60, 3);

    assert_int_equal(taken(limiter, "alice", SECOND, 5), 3);
    assert_int_equal(taken(limiter, "bob", SECOND, 5), 3);
    assert_int_equal(taken(limiter, "", SECOND, 5), 3);
    rate_limiter_free(limiter);
}

static void
asking_takes_no_turn(void **state)
{
    struct rate_limiter *limiter = rate_limiter_new(6, 2);
    struct bytes alice = bytes_of_text("alice");
    int wait_s = 0;

    for (int i = 0; i < 10; i++)
        assert_true(rate_limiter_allows(limiter, alice, SECOND, &wait_s));
    assert_int_equal(taken(limiter, "alice", SECOND, 3), 2);
    assert_false(rate_limiter_allows(limiter, alice, SECOND, &wait_s));
    assert_int_equal(wait_s, 10);
    assert_true(rate_limiter_allows(limiter, alice, 11 * SECOND, &wait_s));
    rate_limiter_free(limiter);
}

static void
a_rate_of_0_is_no_limit(void **state)
{
    struct rate_limiter *limiter = rate_limiter_new(0, 3);
    int wait_s;

    assert_int_equal(taken(limiter, "alice", SECOND, 50), 50);
    assert_true(rate_limiter_allows(limiter, bytes_of_text("alice"), SECOND, &wait_s));
    rate_limiter_free(limiter);
}

/* Far more subjects than places: each gets its own burst at least, and the memory stays what it is. */
static void
a_crowd_is_let_in(void **state)
{
    struct rate_limiter *limiter = rate_limiter_new(60, 1);
    char subject[32];

    for (int i = 0; i < 100000; i++) {
        snprintf(subject, sizeof subject, "somebody %d", i);
        assert_int_equal(taken(limiter, subject, SECOND, 1), 1);
    }
    rate_limiter_free(limiter);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_burst_and_then_the_rate), cmocka_unit_test(subjects_are_counted_apart), cmocka_unit_test(asking_takes_no_turn),
        cmocka_unit_test(a_rate_of_0_is_no_limit),   cmocka_unit_test(a_crowd_is_let_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
