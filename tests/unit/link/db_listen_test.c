/* LISTEN on a real server: what is announced is heard, and a lost connection is made up for. */
#include "unit/link/db_fixture.h"

#include <pthread.h>

enum { SOON_S = 20 };

struct ear {
    pthread_mutex_t mutex;
    pthread_cond_t heard;
    int connects;
    int count;
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

int
main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(hears_what_is_announced),
        CASE(is_told_after_each_connect),
        CASE(closing_does_not_wait_for_a_server_that_is_away),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
