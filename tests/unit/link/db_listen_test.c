/* LISTEN on a real server: what is announced is heard, and a lost connection is made up for. */
#include "unit/link/db_fixture.h"

#include <pthread.h>

enum { SOON_S = 20 };

struct ear {
    pthread_mutex_t mutex;
    pthread_cond_t heard;
    int connects;
    int count;
    int64_t complete_ms;
    char last[9000];
};

static void
hear(void *context, const char *payload)
{
    struct ear *ear = context;
    AUTO_LOCK(&ear->mutex);
    if (payload == NULL) {
        ear->connects++;
    } else {
        ear->count++;
        strncpy(ear->last, payload, sizeof(ear->last) - 1);
    }
    pthread_cond_broadcast(&ear->heard);
}

static void
wait_for(struct ear *ear, int connects, int count)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SOON_S;
    AUTO_LOCK(&ear->mutex);
    while (ear->connects < connects || ear->count < count)
        assert_int_equal(pthread_cond_timedwait(&ear->heard, &ear->mutex, &until), 0);
}

static void
hear_all_until(void *context, int64_t until_ms)
{
    struct ear *ear = context;
    AUTO_LOCK(&ear->mutex);
    ear->complete_ms = until_ms;
    pthread_cond_broadcast(&ear->heard);
}

static void
wait_until_complete(struct ear *ear, int64_t since_ms)
{
    struct timespec until;
    clock_gettime(CLOCK_REALTIME, &until);
    until.tv_sec += SOON_S;
    AUTO_LOCK(&ear->mutex);
    while (ear->complete_ms < since_ms)
        assert_int_equal(pthread_cond_timedwait(&ear->heard, &ear->mutex, &until), 0);
}

static void
hears_what_is_announced(void **state)
{
    struct fixture *fixture = *state;
    struct ear ear = {.mutex = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER};
    assert_ok(fixture->rq, db_listen(fixture->db, fixture->rq, "Odd \"channel\"", hear, &ear));
    wait_for(&ear, 1, 0);
    postgres_kit_run(postgres, "SELECT pg_notify('other', 'not for us')");
    postgres_kit_run(postgres, "SELECT pg_notify('Odd \"channel\"', 'hello')");
    wait_for(&ear, 1, 1);
    assert_string_equal(ear.last, "hello");
    postgres_kit_run(postgres, "SELECT pg_notify('Odd \"channel\"', repeat('x', 7999))");
    wait_for(&ear, 1, 2);
    assert_int_equal(strlen(ear.last), 7999);
}

static void
is_told_after_each_connect(void **state)
{
    struct fixture *fixture = *state;
    struct ear ear = {.mutex = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER};
    assert_ok(fixture->rq, db_listen(fixture->db, fixture->rq, "news", hear, &ear));
    wait_for(&ear, 1, 0);
    postgres_kit_kill(postgres);
    postgres_kit_start_again(postgres);
    wait_for(&ear, 2, 0);
    postgres_kit_run(postgres, "NOTIFY news, 'again'");
    wait_for(&ear, 2, 1);
    assert_string_equal(ear.last, "again");
}

static void
knows_until_when_everything_was_heard(void **state)
{
    struct fixture *fixture = *state;
    struct ear ear = {.mutex = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER};
    assert_ok(fixture->rq, db_listen_surely(fixture->db, fixture->rq, "news", hear, hear_all_until, &ear));
    wait_until_complete(&ear, clock_monotonic_ms());
    postgres_kit_run(postgres, "NOTIFY news, 'in time'");
    wait_until_complete(&ear, clock_monotonic_ms());
    assert_string_equal(ear.last, "in time"); /* by then */
}

static void
a_server_that_is_silent_counts_as_lost(void **state)
{
    struct fixture *fixture = *state;
    struct ear ear = {.mutex = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER};
    assert_ok(fixture->rq, db_listen_surely(fixture->db, fixture->rq, "news", hear, hear_all_until, &ear));
    wait_until_complete(&ear, clock_monotonic_ms());
    postgres_kit_freeze(postgres);
    clock_sleep_ms(5000); /* longer than anybody waits for an answer */
    postgres_kit_thaw(postgres);
    wait_for(&ear, 2, 0);
    wait_until_complete(&ear, clock_monotonic_ms());
}

static void
closing_does_not_wait_for_a_server_that_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct ear ear = {.mutex = PTHREAD_MUTEX_INITIALIZER, .heard = PTHREAD_COND_INITIALIZER};
    assert_ok(fixture->rq, db_listen(fixture->db, fixture->rq, "news", hear, &ear));
    wait_for(&ear, 1, 0);
    postgres_kit_shut_down(postgres);
    struct db *db = fixture->db;
    fixture->db = open_pool(fixture->rq, postgres_kit_url(postgres), "", 1);
    db_close(db);
    postgres_kit_start_again(postgres);
}

static void
what_was_read_holds_while_all_is_heard_and_a_little_longer(void **state)
{
    const int64_t now_ms = 1000000, lately_ms = now_ms - DB_GOOD_FOR_MS, before_ms = lately_ms - 1;

    assert_true(db_still_holds(lately_ms, 0, now_ms));
    assert_false(db_still_holds(before_ms, 0, now_ms));
    assert_true(db_still_holds(before_ms, lately_ms, now_ms));
    assert_true(db_still_holds(lately_ms, before_ms, now_ms));
    assert_false(db_still_holds(before_ms, before_ms, now_ms));
}

int
main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(hears_what_is_announced),
        CASE(is_told_after_each_connect),
        CASE(knows_until_when_everything_was_heard),
        CASE(a_server_that_is_silent_counts_as_lost),
        CASE(closing_does_not_wait_for_a_server_that_is_away),
        cmocka_unit_test(what_was_read_holds_while_all_is_heard_and_a_little_longer),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
