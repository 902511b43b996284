/* The pool's bad days, with a real server that is killed, shut down, frozen and started again. */
#include "unit/link/db_fixture.h"

#include <pthread.h>
#include <stdio.h>
#include <sys/stat.h>

enum { SOON_MS = 20000 };

static const struct db_statement one = {"one", "SELECT 1"};
static const struct db_statement sleep_long = {"sleep_long", "SELECT pg_sleep(60)"};

/* The same question until the database is there again; the services' readiness does the same. */
static void
assert_recovers(struct db *db)
{
    int64_t until_ms = clock_monotonic_ms() + SOON_MS;
    for (;;) {
        AUTO_STRUCT(request, rq) = request_new();
        enum error error = DB_QUERY0(db, rq, &one, NULL);
        if (error == OK)
            return;
        if (clock_monotonic_ms() > until_ms)
            fail_msg("%s: %s", error_name(error), rq->failure.detail);
        clock_sleep_ms(20);
    }
}

static void
assert_becomes(const char *sql, int64_t number)
{
    int64_t until_ms = clock_monotonic_ms() + SOON_MS;
    while (ask_number(sql) != number) {
        if (clock_monotonic_ms() > until_ms)
            fail_msg("%s is %lld, not %lld", sql, (long long)ask_number(sql), (long long)number);
        clock_sleep_ms(10);
    }
}

#define OUR_CONNECTIONS "SELECT count(*) FROM pg_stat_activity WHERE application_name = 'test'"
#define OUR_SLEEPERS "SELECT count(*) FROM pg_stat_activity WHERE query LIKE '%pg_sleep(60)' AND state = 'active'"

static void
one_connection_is_made_eagerly_and_no_more_than_needed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct db *db = open_pool(rq, postgres_kit_url(postgres), "", 5);
    assert_becomes(OUR_CONNECTIONS, 1);
    for (int i = 0; i < 20; i++)
        assert_ok(rq, DB_QUERY0(db, rq, &one, NULL));
    assert_true(ask_number(OUR_CONNECTIONS) <= 2); /* the first call does not wait for the eager one */
    db_close(db);
    assert_becomes(OUR_CONNECTIONS, 0);
}

static void
refuses_an_unusable_url(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct db_options options = {.name = "test", .url = "postgresql://host/?no_such_option=1", .password_file = "", .connections = 1};
    struct db *db = NULL;
    assert_int_equal(db_open(rq, &options, &db), ERR_BAD_REQUEST);
    assert_null(db);
}

/* ---- exhaustion ---- */

static enum error
ask_outside(struct db *inner, struct request *rq, void *context)
{
    struct db *outer = context;
    return DB_QUERY0(outer, rq, &one, NULL);
}

static void
an_exhausted_pool_is_busy_at_the_deadline(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct db *db = open_pool(rq, postgres_kit_url(postgres), "", 1);
    assert_recovers(db);
    set_deadline(rq, 500);
    assert_int_equal(db_transaction(db, rq, ask_outside, db), ERR_BUSY);
    assert_true(rq->failure.retry_after_s > 0);
    failure_clear(rq);
    rq->deadline_ms = 0;
    assert_ok(rq, DB_QUERY0(db, rq, &one, NULL)); /* and it was given back */
    db_close(db);
}

enum { CROWD = 16, TURNS = 25 };

static void *
be_one_of_a_crowd(void *at)
{
    static const struct db_statement count = {"count_turn", "INSERT INTO turn VALUES ($1)"};
    struct db *db = at;
    for (int i = 0; i < TURNS; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        set_deadline(rq, SOON_MS);
        if (DB_QUERY(db, rq, &count, NULL, DB_INT(i)) != OK)
            return at; /* not NULL: trouble */
    }
    return NULL;
}

static void
a_crowd_shares_two_connections(void **state)
{
    struct fixture *fixture = *state;
    pthread_t threads[CROWD];
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS turn; CREATE TABLE turn (n int)");
    for (int i = 0; i < CROWD; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_one_of_a_crowd, fixture->db), 0);
    for (int i = 0; i < CROWD; i++) {
        void *trouble = NULL;
        pthread_join(threads[i], &trouble);
        assert_null(trouble);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM turn"), CROWD * TURNS);
    assert_becomes("SELECT (count(*) <= 2)::int FROM pg_stat_activity WHERE application_name = 'test'", 1);
}

static void
a_server_that_grants_fewer_connections_is_enough(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    pthread_t threads[4];
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS turn; CREATE TABLE turn (n int); CREATE ROLE lonely LOGIN CONNECTION LIMIT 1;"
                               "GRANT INSERT ON turn TO lonely");
    struct db *db = open_pool(rq, postgres_kit_url_of_role(postgres, "lonely"), "", 4);
    assert_recovers(db);
    for (int i = 0; i < 4; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, be_one_of_a_crowd, db), 0);
    for (int i = 0; i < 4; i++) {
        void *trouble = NULL;
        pthread_join(threads[i], &trouble);
        assert_null(trouble);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM turn"), 4 * TURNS);
    db_close(db);
    postgres_kit_run(postgres, "DROP TABLE turn; DROP ROLE lonely");
}

/* ---- deadlines ---- */

static void
a_late_answer_is_given_up_and_cancelled(void **state)
{
    struct fixture *fixture = *state;
    assert_recovers(fixture->db);
    set_deadline(fixture->rq, 500);
    assert_int_equal(DB_QUERY0(fixture->db, fixture->rq, &sleep_long, NULL), ERR_TIMEOUT);
    assert_becomes(OUR_SLEEPERS, 0);
    failure_clear(fixture->rq);
    fixture->rq->deadline_ms = 0;
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &one, NULL));
}

static void
a_deadline_that_passed_before_sends_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_recovers(fixture->db);
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS turn; CREATE TABLE turn (n int)");
    static const struct db_statement insert = {"late_insert", "INSERT INTO turn VALUES (1)"};
    fixture->rq->deadline_ms = clock_monotonic_ms() - 1;
    assert_int_equal(DB_QUERY0(fixture->db, fixture->rq, &insert, NULL), ERR_TIMEOUT);
    assert_int_equal(fixture->rq->sql_round_trips, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM turn"), 0);
}

static void
a_frozen_server_costs_no_more_than_the_deadline(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct db *db = open_pool(rq, postgres_kit_url(postgres), "", 1); /* with two, the second question might still find one of them open */
    assert_recovers(db);
    postgres_kit_freeze(postgres);
    set_deadline(rq, 500);
    enum error first = DB_QUERY0(db, rq, &one, NULL);
    failure_clear(rq);
    set_deadline(rq, 500);
    enum error second = DB_QUERY0(db, rq, &one, NULL); /* now over a connection that cannot be made */
    postgres_kit_thaw(postgres);
    assert_int_equal(first, ERR_TIMEOUT);
    assert_int_equal(second, ERR_UNAVAILABLE);
    assert_recovers(db);
    db_close(db);
}

/* Locks must not outlive a killed process by more than the server's look at its sockets. */
static void
a_killed_client_leaves_no_statement_behind(void **state)
{
    pid_t child = fork();
    if (child == 0) {
        AUTO_STRUCT(request, rq) = request_new();
        struct db *db = open_pool(rq, postgres_kit_url(postgres), "", 1);
        (void)!DB_QUERY0(db, rq, &sleep_long, NULL);
        _exit(0);
    }
    assert_becomes(OUR_SLEEPERS, 1);
    kill(child, SIGKILL);
    waitpid(child, NULL, 0);
    assert_becomes(OUR_SLEEPERS, 0);
}

/* ---- the server dies ---- */

static void
a_server_that_is_away_at_start_is_no_error(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    postgres_kit_shut_down(postgres);
    struct db *db = open_pool(rq, postgres_kit_url(postgres), "", 2);
    enum error query = DB_QUERY0(db, rq, &one, NULL);
    int retry_after_s = rq->failure.retry_after_s;
    bool has_reason = strstr(rq->failure.detail, ".s.PGSQL") != NULL;
    failure_clear(rq);
    enum error check = db_check(db, rq);
    failure_clear(rq);
    postgres_kit_start_again(postgres);
    assert_int_equal(query, ERR_UNAVAILABLE);
    assert_true(retry_after_s > 0);
    assert_true(has_reason);
    assert_int_equal(check, ERR_UNAVAILABLE);
    assert_recovers(db);
    assert_ok(rq, db_check(db, rq));
    db_close(db);
}

static void
connections_that_died_while_idle_are_not_used(void **state)
{
    struct fixture *fixture = *state;
    assert_recovers(fixture->db);
    postgres_kit_shut_down(postgres);
    postgres_kit_start_again(postgres);
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &one, NULL));
}

static void
recovers_after_a_kill(void **state)
{
    struct fixture *fixture = *state;
    assert_recovers(fixture->db);
    postgres_kit_kill(postgres);
    enum error error = DB_QUERY0(fixture->db, fixture->rq, &one, NULL);
    postgres_kit_start_again(postgres);
    assert_true(error == ERR_UNAVAILABLE || error == ERR_TIMEOUT); /* the second when its process was not quite dead yet */
    assert_recovers(fixture->db);
}

struct sleeper {
    struct db *db;
    enum error error;
};

static void *
sleep_in_database(void *at)
{
    struct sleeper *sleeper = at;
    AUTO_STRUCT(request, rq) = request_new();
    sleeper->error = DB_QUERY0(sleeper->db, rq, &sleep_long, NULL);
    return NULL;
}

static void
assert_sleeper_hears(struct db *db, void (*end_server)(struct postgres_kit *kit), enum error error)
{
    struct sleeper sleeper = {.db = db};
    pthread_t thread;
    assert_recovers(db);
    assert_int_equal(pthread_create(&thread, NULL, sleep_in_database, &sleeper), 0);
    assert_becomes(OUR_SLEEPERS, 1);
    end_server(postgres);
    pthread_join(thread, NULL);
    postgres_kit_start_again(postgres);
    assert_int_equal(sleeper.error, error);
    assert_recovers(db);
}

static void
silence_after_the_question_leaves_the_outcome_unknown(void **state)
{
    struct fixture *fixture = *state;
    assert_sleeper_hears(fixture->db, postgres_kit_kill, ERR_TIMEOUT);
}

static void
a_shutdown_that_says_so_is_unavailable(void **state)
{
    struct fixture *fixture = *state;
    assert_sleeper_hears(fixture->db, postgres_kit_shut_down, ERR_UNAVAILABLE);
}

/* ---- passwords ---- */

static void
write_secret(const char *path, const char *text, mode_t mode)
{
    FILE *to = fopen(path, "w");
    assert_non_null(to);
    fputs(text, to);
    assert_int_equal(fclose(to), 0);
    assert_int_equal(chmod(path, mode), 0);
}

static void
the_password_is_read_at_each_connect(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    char dir[] = "/tmp/signet-db-test-XXXXXX";
    assert_non_null(mkdtemp(dir));
    const char *path = arena_format(rq->arena, "%s/password", dir);
    postgres_kit_run(postgres, "CREATE ROLE role_with_password LOGIN PASSWORD 'right horse'");
    struct db *db = open_pool(rq, postgres_kit_url_of_role(postgres, "role_with_password"), path, 1);
    assert_int_equal(DB_QUERY0(db, rq, &one, NULL), ERR_UNAVAILABLE);
    assert_true(strstr(rq->failure.detail, "password") != NULL);
    failure_clear(rq);

    write_secret(path, "wrong horse\n", 0600);
    do {
        failure_clear(rq);
        assert_int_equal(DB_QUERY0(db, rq, &one, NULL), ERR_UNAVAILABLE);
    } while (strstr(rq->failure.detail, "authentication failed") == NULL);
    failure_clear(rq);

    write_secret(path, "right horse\n", 0600);
    assert_recovers(db);
    db_close(db);
    unlink(path);
    rmdir(dir);
}

int
main(void)
{
    const struct CMUnitTest cases[] = {
        cmocka_unit_test(one_connection_is_made_eagerly_and_no_more_than_needed),
        cmocka_unit_test(refuses_an_unusable_url),
        cmocka_unit_test(an_exhausted_pool_is_busy_at_the_deadline),
        CASE(a_crowd_shares_two_connections),
        cmocka_unit_test(a_server_that_grants_fewer_connections_is_enough),
        CASE(a_late_answer_is_given_up_and_cancelled),
        CASE(a_deadline_that_passed_before_sends_nothing),
        cmocka_unit_test(a_frozen_server_costs_no_more_than_the_deadline),
        cmocka_unit_test(a_killed_client_leaves_no_statement_behind),
        cmocka_unit_test(a_server_that_is_away_at_start_is_no_error),
        CASE(connections_that_died_while_idle_are_not_used),
        CASE(recovers_after_a_kill),
        CASE(silence_after_the_question_leaves_the_outcome_unknown),
        CASE(a_shutdown_that_says_so_is_unavailable),
        cmocka_unit_test(the_password_is_read_at_each_connect),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
