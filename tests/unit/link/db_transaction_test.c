/* db_transaction: commit, rollback, and the retry of the whole on a real serialisation failure. */
#include "unit/link/db_fixture.h"

#include <pthread.h>

static const struct db_statement one = {"one", "SELECT 1"};
static const struct db_statement add = {"add", "INSERT INTO ledger (amount) VALUES ($1)"};
static const struct db_statement total = {"total", "SELECT coalesce(sum(amount), 0)::bigint FROM ledger"};

static int
open_with_ledger(void **state)
{
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS ledger;"
                               "CREATE TABLE ledger (amount bigint CONSTRAINT amount_is_small CHECK (amount < 1000))");
    return open_fixture(state);
}

static enum error
add_seven_and_see_it(struct db *db, struct request *rq, void *context)
{
    int64_t *seen = context;
    struct db_rows *rows;
    enum error error = DB_QUERY(db, rq, &add, NULL, DB_BIGINT(7));
    if (error)
        return error;
    error = DB_QUERY0(db, rq, &total, &rows);
    if (error)
        return error;
    *seen = db_int(rows, 0, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM ledger"), 0); /* nobody else does */
    return OK;
}

static void
commits_what_work_did(void **state)
{
    struct fixture *fixture = *state;
    int64_t seen = 0;
    assert_ok(fixture->rq, db_transaction(fixture->db, fixture->rq, add_seven_and_see_it, &seen));
    assert_int_equal(seen, 7);
    assert_int_equal(ask_number("SELECT sum(amount) FROM ledger"), 7);
    assert_int_equal(fixture->rq->sql_round_trips, 3); /* BEGIN goes along */
}

static enum error
add_seven_and_refuse(struct db *db, struct request *rq, void *context)
{
    enum error error = DB_QUERY(db, rq, &add, NULL, DB_BIGINT(7));
    return error ? error : fail(rq, ERR_DENIED, "seven is refused");
}

static void
rolls_back_what_work_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(db_transaction(fixture->db, fixture->rq, add_seven_and_refuse, NULL), ERR_DENIED);
    assert_string_equal(fixture->rq->failure.message, "seven is refused");
    assert_int_equal(ask_number("SELECT count(*) FROM ledger"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM pg_stat_activity WHERE state LIKE 'idle in transaction%'"), 0);
}

static enum error
add_seven_and_too_much(struct db *db, struct request *rq, void *context)
{
    const struct db_step steps[] = {DB_STEP(&add, NULL, DB_BIGINT(7)), DB_STEP(&add, NULL, DB_BIGINT(1000))};
    return db_atomic(db, rq, steps, COUNT_OF(steps));
}

static void
rolls_back_what_the_server_refused(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(db_transaction(fixture->db, fixture->rq, add_seven_and_too_much, NULL), ERR_CONFLICT);
    assert_string_equal(fixture->rq->failure.reason, "amount_is_small");
    assert_int_equal(ask_number("SELECT count(*) FROM ledger"), 0);
    failure_clear(fixture->rq);
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &one, NULL));
}

static enum error
ask_nothing(struct db *db, struct request *rq, void *context)
{
    return OK;
}

static void
work_that_asks_nothing_costs_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(fixture->rq, db_transaction(fixture->db, fixture->rq, ask_nothing, NULL));
    assert_int_equal(fixture->rq->sql_round_trips, 0);
}

/* ---- 40001, for real: two that read the sum and then write depending on it ---- */

struct writer {
    struct db *db;
    pthread_barrier_t *both_have_read;
    int attempts;
    enum error error;
};

static enum error
read_then_write(struct db *db, struct request *rq, void *context)
{
    struct writer *writer = context;
    struct db_rows *rows;
    enum error error = DB_QUERY0(db, rq, &total, &rows);
    if (error)
        return error;
    if (writer->attempts++ == 0)
        pthread_barrier_wait(writer->both_have_read);
    return DB_QUERY(db, rq, &add, NULL, DB_BIGINT(db_int(rows, 0, 0) + 1));
}

static void *
write_once(void *at)
{
    struct writer *writer = at;
    AUTO_STRUCT(request, rq) = request_new();
    writer->error = db_transaction(writer->db, rq, read_then_write, writer);
    if (writer->error == OK && rq->failure.kind != OK)
        writer->error = rq->failure.kind; /* a failure that was dealt with is not left behind */
    return NULL;
}

static void
a_real_serialisation_failure_is_retried(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *url = arena_format(rq->arena, "%s&options=-c%%20default_transaction_isolation%%3Dserializable", postgres_kit_url(postgres));
    struct db *db = open_pool(rq, url, "", 2);
    pthread_barrier_t both_have_read;
    pthread_t threads[2];
    struct writer writers[2];
    pthread_barrier_init(&both_have_read, NULL, 2);
    for (int i = 0; i < 2; i++) {
        writers[i] = (struct writer){.db = db, .both_have_read = &both_have_read};
        assert_int_equal(pthread_create(&threads[i], NULL, write_once, &writers[i]), 0);
    }
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(writers[0].error, OK);
    assert_int_equal(writers[1].error, OK);
    assert_true(writers[0].attempts + writers[1].attempts >= 3);
    assert_int_equal(ask_number("SELECT sum(amount) FROM ledger"), 3); /* 1, then 1 + 1: as if one after the other */
    pthread_barrier_destroy(&both_have_read);
    db_close(db);
}

static enum error
add_the_same_twice(struct db *db, struct request *rq, void *context)
{
    static const struct db_statement insert = {"insert_slot", "INSERT INTO slot VALUES (1), (1)"};
    return DB_QUERY0(db, rq, &insert, NULL);
}

static void
a_refusal_at_the_commit_is_a_refusal(void **state)
{
    struct fixture *fixture = *state;
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS slot; CREATE TABLE slot (n int CONSTRAINT slot_once UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    assert_int_equal(db_transaction(fixture->db, fixture->rq, add_the_same_twice, NULL), ERR_CONFLICT);
    assert_string_equal(fixture->rq->failure.reason, "slot_once");
    assert_int_equal(ask_number("SELECT count(*) FROM slot"), 0);
    failure_clear(fixture->rq);
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &one, NULL));
}

/* ---- losing the connection ---- */

static enum error
add_and_lose_the_connection(struct db *db, struct request *rq, void *context)
{
    static const struct db_statement suicide = {"suicide", "SELECT pg_terminate_backend(pg_backend_pid())"};
    enum error error = DB_QUERY(db, rq, &add, NULL, DB_BIGINT(7));
    if (error)
        return error;
    (void)!DB_QUERY0(db, rq, &suicide, NULL);
    failure_clear(rq);
    return DB_QUERY0(db, rq, &one, NULL);
}

static void
a_connection_lost_before_the_commit_leaves_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_int_equal(db_transaction(fixture->db, fixture->rq, add_and_lose_the_connection, NULL), ERR_UNAVAILABLE);
    assert_int_equal(ask_number("SELECT count(*) FROM ledger"), 0);
    failure_clear(fixture->rq);
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &one, NULL));
}

static enum error
add_and_kill_the_server(struct db *db, struct request *rq, void *context)
{
    enum error error = DB_QUERY(db, rq, &add, NULL, DB_BIGINT(7));
    postgres_kit_kill(postgres);
    return error;
}

static void
a_connection_lost_at_the_commit_leaves_the_outcome_unknown(void **state)
{
    struct fixture *fixture = *state;
    enum error error = db_transaction(fixture->db, fixture->rq, add_and_kill_the_server, NULL);
    postgres_kit_start_again(postgres);
    assert_int_equal(error, ERR_TIMEOUT);
}

/* ---- our bugs ---- */

static enum error
ignore_a_refusal(struct db *db, struct request *rq, void *context)
{
    (void)!DB_QUERY(db, rq, &add, NULL, DB_BIGINT(1000));
    return OK;
}

static enum error
nest(struct db *db, struct request *rq, void *context)
{
    return db_transaction(db, rq, ask_nothing, NULL);
}

static void
run_ignoring(void *at)
{
    struct fixture *fixture = at;
    (void)!db_transaction(fixture->db, fixture->rq, ignore_a_refusal, NULL);
}

static void
run_nested(void *at)
{
    struct fixture *fixture = at;
    (void)!db_transaction(fixture->db, fixture->rq, nest, NULL);
}

static void
ignoring_a_refusal_and_nesting_are_our_bugs(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &one, NULL));
    assert_true(aborts(run_ignoring, fixture));
    assert_true(aborts(run_nested, fixture));
}

/* ---- scripts ---- */

static void
a_script_runs_all_or_nothing(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(fixture->rq, db_script(fixture->db, fixture->rq, "INSERT INTO ledger VALUES (1);\nINSERT INTO ledger VALUES (2);"));
    assert_int_equal(db_script(fixture->db, fixture->rq, "INSERT INTO ledger VALUES (3);\n-- Grüße\nINSERT INTO ledgre VALUES (4);"), ERR_INTERNAL);
    assert_true(strstr(fixture->rq->failure.detail, "line 3") != NULL);
    assert_int_equal(ask_number("SELECT sum(amount) FROM ledger"), 3);
    failure_clear(fixture->rq);
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &one, NULL)); /* the same connection again */
}

static void
a_script_with_copy_from_the_client_is_refused(void **state)
{
    struct fixture *fixture = *state;
    set_deadline(fixture->rq, 20000);
    assert_int_equal(db_script(fixture->db, fixture->rq, "INSERT INTO ledger VALUES (1); COPY ledger FROM STDIN;"), ERR_UNAVAILABLE);
    assert_int_equal(ask_number("SELECT count(*) FROM ledger"), 0);
}

static enum error
run_script_then_refuse(struct db *db, struct request *rq, void *context)
{
    enum error error = db_script(db, rq, context);
    return error ? error : fail(rq, ERR_DENIED, "refused");
}

static void
a_script_in_a_transaction_is_rolled_back_with_it(void **state)
{
    struct fixture *fixture = *state;
    char sql[] = "INSERT INTO ledger VALUES (1); CREATE TABLE left_behind (n int)";
    assert_int_equal(db_transaction(fixture->db, fixture->rq, run_script_then_refuse, sql), ERR_DENIED);
    assert_int_equal(ask_number("SELECT count(*) FROM ledger"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM pg_class WHERE relname = 'left_behind'"), 0);
}

static void
a_script_that_ends_its_transaction_is_refused(void **state)
{
    struct fixture *fixture = *state;
    char sql[] = "INSERT INTO ledger VALUES (1); COMMIT";
    assert_int_equal(db_transaction(fixture->db, fixture->rq, run_script_then_refuse, sql), ERR_INTERNAL);
    assert_true(strstr(fixture->rq->failure.message, "COMMIT") != NULL);
}

#define WITH_LEDGER(name) cmocka_unit_test_setup_teardown(name, open_with_ledger, close_fixture)

int
main(void)
{
    const struct CMUnitTest cases[] = {
        WITH_LEDGER(commits_what_work_did),
        WITH_LEDGER(rolls_back_what_work_refused),
        WITH_LEDGER(rolls_back_what_the_server_refused),
        WITH_LEDGER(work_that_asks_nothing_costs_nothing),
        WITH_LEDGER(a_real_serialisation_failure_is_retried),
        WITH_LEDGER(a_refusal_at_the_commit_is_a_refusal),
        WITH_LEDGER(a_connection_lost_before_the_commit_leaves_nothing),
        WITH_LEDGER(a_connection_lost_at_the_commit_leaves_the_outcome_unknown),
        WITH_LEDGER(ignoring_a_refusal_and_nesting_are_our_bugs),
        WITH_LEDGER(a_script_runs_all_or_nothing),
        WITH_LEDGER(a_script_with_copy_from_the_client_is_refused),
        WITH_LEDGER(a_script_in_a_transaction_is_rolled_back_with_it),
        WITH_LEDGER(a_script_that_ends_its_transaction_is_refused),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
