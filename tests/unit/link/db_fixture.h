/* One PostgreSQL per test program, one pool and one request per case. */
#ifndef SIGNET_TESTS_UNIT_LINK_DB_FIXTURE_H
#define SIGNET_TESTS_UNIT_LINK_DB_FIXTURE_H

#include "unit/kit.h"

#include <string.h>

#include "base/clock.h"
#include "kit/postgres_kit.h"
#include "link/db.h"

static struct postgres_kit *postgres;

struct fixture {
    struct db *db;
    struct request *rq;
};

static inline int
start_postgres(void **state)
{
    postgres = postgres_kit_start();
    return 0;
}

static inline int
stop_postgres(void **state)
{
    postgres_kit_stop(postgres);
    return 0;
}

static inline struct db *
open_pool(struct request *rq, const char *url, const char *password_file, int connections)
{
    struct db_options options = {.name = "test", .url = url, .password_file = password_file, .connections = connections};
    struct db *db = NULL;
    assert_int_equal(db_open(rq, &options, &db), OK);
    return db;
}

static inline int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof(*fixture));
    fixture->rq = request_new();
    fixture->db = open_pool(fixture->rq, postgres_kit_url(postgres), "", 2);
    *state = fixture;
    return 0;
}

static inline int
close_fixture(void **state)
{
    struct fixture *fixture = *state;
    db_close(fixture->db);
    request_free(fixture->rq);
    free(fixture);
    return 0;
}

static inline void
set_deadline(struct request *rq, int ms)
{
    rq->deadline_ms = clock_monotonic_ms() + ms;
}

/* Calls that must succeed show why they did not. */
#define assert_ok(rq, call)                                                                                    \
    do {                                                                                                       \
        enum error assert_ok_error = (call);                                                                   \
        if (assert_ok_error != OK)                                                                             \
            fail_msg("%s: %s (%s)", error_name(assert_ok_error), (rq)->failure.message, (rq)->failure.detail); \
    } while (0)

#define assert_same_text(have, want)     \
    do {                                 \
        assert_non_null(have);           \
        assert_string_equal(have, want); \
    } while (0)

/* The one number that `sql` selects. */
static inline int64_t
ask_number(const char *sql)
{
    char *answer = postgres_kit_ask(postgres, sql);
    int64_t number = strtoll(answer, NULL, 10);
    free(answer);
    return number;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#endif
