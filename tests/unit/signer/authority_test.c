/* How long a CA that was read once stays in memory. What the database announces, and the time, are this file. */
#include "signer_fixture.h"

#include <time.h>

static int64_t ahead_ms;
static void (*hear)(void *context, const char *name);
static void (*hear_all_until)(void *context, int64_t until_ms);

int64_t
clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 + ahead_ms;
}

enum error
db_listen_surely(struct db *db, struct request *rq, const char *channel, void (*heard)(void *context, const char *payload),
                 void (*complete)(void *context, int64_t until_ms), void *context)
{
    assert_string_equal(channel, "ca_changed");
    hear = heard;
    hear_all_until = complete;
    return OK;
}

/* Whether the database was asked for it. */
static bool
is_read(void)
{
    AUTO_STRUCT(request, rq) = request_new();
    const struct authority *authority = NULL;

    assert_int_equal(authority_load(&signer, rq, "root", &authority), OK);
    assert_string_equal(authority->row.name, "root");
    return rq->sql_round_trips > 0;
}

static void
a_ca_is_read_again_when_nothing_is_heard(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(authorities_follow(&signer, rq), OK);
    make_ca(rq, "root", "p256", "");
    assert_true(is_read());
    assert_false(is_read());
    ahead_ms += 6000;
    assert_true(is_read());
    assert_false(is_read());
}

static void
a_ca_is_remembered_while_everything_is_heard(void **state)
{
    for (int i = 0; i < 10; i++) {
        ahead_ms += 4000;
        hear_all_until(&signer, clock_monotonic_ms() - 100);
        assert_false(is_read());
    }
    ahead_ms += 6000;
    assert_true(is_read());
}

static void
a_ca_that_has_changed_is_read_again(void **state)
{
    assert_false(is_read());
    hear(&signer, "root");
    hear_all_until(&signer, clock_monotonic_ms());
    assert_true(is_read());
    assert_false(is_read());
    hear(&signer, NULL); /* something may have been missed */
    assert_true(is_read());
}

/* Another replica has imported it. */
static void
a_template_that_was_disabled_elsewhere_is_out_of_use_when_that_is_heard(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(template_check_use(&signer, rq, "Web Server"), OK);
    rq->sql_round_trips = 0;
    assert_int_equal(template_check_use(&signer, rq, "Web Server"), OK);
    assert_int_equal(rq->sql_round_trips, 0);
    postgres_kit_run(postgres, "CREATE TEMP TABLE newest AS SELECT * FROM ca.template WHERE name = 'Web Server';"
                               "UPDATE newest SET version = 2, enabled = false; INSERT INTO ca.template SELECT * FROM newest");
    assert_int_equal(template_check_use(&signer, rq, "Web Server"), OK);
    hear(&signer, "Web Server");
    assert_int_equal(template_check_use(&signer, rq, "Web Server"), ERR_DENIED);
    assert_int_equal(template_check_use(&signer, rq, "Code-Signing"), OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_ca_is_read_again_when_nothing_is_heard),
        cmocka_unit_test(a_ca_is_remembered_while_everything_is_heard),
        cmocka_unit_test(a_ca_that_has_changed_is_read_again),
        cmocka_unit_test(a_template_that_was_disabled_elsewhere_is_out_of_use_when_that_is_heard),
    };

    log_open("authority-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start_house, stop_house);
}
