/* db_query and db_atomic against a real server: all or nothing, one round trip, kinds of error, retries. */
#include "unit/link/db_fixture.h"

#include <pthread.h>

static const struct db_statement insert_pet = {"insert_pet", "INSERT INTO pet (name, legs) VALUES ($1, $2) RETURNING id"};
static const struct db_statement find_pet = {"find_pet", "SELECT id, legs FROM pet WHERE name = $1"};
static const struct db_statement adopt = {"adopt", "INSERT INTO home (pet_id, street) SELECT id, $2 FROM pet WHERE name = $1"};

static int
open_with_pets(void **state)
{
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS home, pet;"
                               "CREATE TABLE pet (id bigserial PRIMARY KEY, name text CONSTRAINT pet_name_once UNIQUE,"
                               " legs int NOT NULL CONSTRAINT pet_has_legs CHECK (legs > 0));"
                               "CREATE TABLE home (pet_id bigint CONSTRAINT home_of_pet REFERENCES pet (id), street text)");
    return open_fixture(state);
}

static void
rows_come_back_and_are_counted(void **state)
{
    struct fixture *fixture = *state;
    struct db_rows *rows = NULL;
    assert_ok(fixture->rq, DB_QUERY(fixture->db, fixture->rq, &insert_pet, &rows, DB_TEXT("Rex"), DB_INT(4)));
    assert_int_equal(db_count(rows), 1);
    assert_int_equal(db_affected(rows), 1);
    assert_ok(fixture->rq, DB_QUERY(fixture->db, fixture->rq, &find_pet, &rows, DB_TEXT("Rex")));
    assert_int_equal(db_int(rows, 0, 1), 4);
    assert_ok(fixture->rq, DB_QUERY(fixture->db, fixture->rq, &find_pet, &rows, DB_TEXT("Mia")));
    assert_int_equal(db_count(rows), 0);
}

static void
several_steps_are_one_round_trip_even_at_first_use(void **state)
{
    struct fixture *fixture = *state;
    struct db_rows *rex = NULL, *found = NULL, *adopted = NULL;
    const struct db_step steps[] = {
        DB_STEP(&insert_pet, &rex, DB_TEXT("Rex"), DB_INT(4)),
        DB_STEP(&insert_pet, NULL, DB_TEXT("Tweety"), DB_INT(2)),
        DB_STEP(&adopt, &adopted, DB_TEXT("Rex"), DB_TEXT("Elm Street")),
        DB_STEP(&find_pet, &found, DB_TEXT("Tweety")),
    };
    assert_ok(fixture->rq, db_atomic(fixture->db, fixture->rq, steps, COUNT_OF(steps)));
    assert_int_equal(fixture->rq->sql_round_trips, 1);
    assert_int_equal(db_count(rex), 1);
    assert_int_equal(db_affected(adopted), 1);
    assert_int_equal(db_int(found, 0, 1), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM home"), 1);
}

static void
one_refused_step_undoes_all(void **state)
{
    struct fixture *fixture = *state;
    struct db_rows *untouched = NULL;
    const struct db_step steps[] = {
        DB_STEP(&insert_pet, &untouched, DB_TEXT("Rex"), DB_INT(4)),
        DB_STEP(&insert_pet, NULL, DB_TEXT("Stone"), DB_INT(0)),
        DB_STEP(&insert_pet, NULL, DB_TEXT("Mia"), DB_INT(4)),
    };
    assert_int_equal(db_atomic(fixture->db, fixture->rq, steps, COUNT_OF(steps)), ERR_CONFLICT);
    assert_string_equal(fixture->rq->failure.reason, "pet_has_legs");
    assert_null(untouched);
    assert_int_equal(ask_number("SELECT count(*) FROM pet"), 0);

    /* The same connection and statements work afterwards. */
    failure_clear(fixture->rq);
    const struct db_step again[] = {steps[0], steps[2]};
    assert_ok(fixture->rq, db_atomic(fixture->db, fixture->rq, again, COUNT_OF(again)));
    assert_int_equal(ask_number("SELECT count(*) FROM pet"), 2);
}

static void
each_kind_of_refusal_has_its_error(void **state)
{
    struct fixture *fixture = *state;
    const struct {
        const char *name, *sql;
        enum error error;
        const char *reason, *detail;
    } cases[] = {
        {"unique", "INSERT INTO pet (name, legs) VALUES ('Rex', 4)", ERR_CONFLICT, "pet_name_once", "23505"},
        {"foreign_key", "INSERT INTO home VALUES (999, 'Elm Street')", ERR_CONFLICT, "home_of_pet", "23503"},
        {"check", "INSERT INTO pet (name, legs) VALUES ('Stone', 0)", ERR_CONFLICT, "pet_has_legs", "23514"},
        {"not_null", "INSERT INTO pet (name) VALUES ('Fog')", ERR_INTERNAL, "", "23502"},
        {"syntax", "SELEKT 1", ERR_INTERNAL, "", "42601"},
        {"no_table", "SELECT 1 FROM nowhere", ERR_INTERNAL, "", "42P01"},
        {"division", "SELECT 1 / (SELECT 0)", ERR_INTERNAL, "", "22012"},
        {"disk_full", "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '53100'; END $$", ERR_UNAVAILABLE, "", "53100"},
        {"no_memory", "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '53200'; END $$", ERR_UNAVAILABLE, "", "53200"},
        {"io_error", "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '58030'; END $$", ERR_UNAVAILABLE, "", "58030"},
        {"standby", "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '25006'; END $$", ERR_UNAVAILABLE, "", "25006"},
        {"cancelled", "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '57014'; END $$", ERR_TIMEOUT, "", "57014"},
        {"terminated", "SELECT pg_terminate_backend(pg_backend_pid())", ERR_UNAVAILABLE, "", "57P01"},
    };
    postgres_kit_run(postgres, "INSERT INTO pet (name, legs) VALUES ('Rex', 4)");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct db_statement statement = {cases[i].name, cases[i].sql};
        enum error error = DB_QUERY0(fixture->db, fixture->rq, &statement, NULL);
        if (error != cases[i].error)
            fail_msg("%s: %s (%s)", cases[i].name, error_name(error), fixture->rq->failure.detail);
        assert_string_equal(fixture->rq->failure.reason, cases[i].reason);
        assert_true(strstr(fixture->rq->failure.detail, cases[i].detail) != NULL);
        assert_true(strstr(fixture->rq->failure.detail, cases[i].name) != NULL);
        assert_null(strstr(fixture->rq->failure.message, "SQLSTATE"));
        assert_true((fixture->rq->failure.retry_after_s > 0) == (cases[i].error == ERR_UNAVAILABLE));
        failure_clear(fixture->rq);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM pet"), 1);
}

/* The server checks these when it commits, at the Sync, behind every statement's answer. */
static void
a_refusal_at_the_commit_is_a_refusal(void **state)
{
    static const struct db_statement insert = {"insert_slot", "INSERT INTO slot VALUES ($1)"};
    struct fixture *fixture = *state;
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS slot; CREATE TABLE slot (n int CONSTRAINT slot_once UNIQUE DEFERRABLE INITIALLY DEFERRED)");
    const struct db_step steps[] = {DB_STEP(&insert, NULL, DB_INT(1)), DB_STEP(&insert, NULL, DB_INT(1))};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(db_atomic(fixture->db, fixture->rq, steps, COUNT_OF(steps)), ERR_CONFLICT);
        assert_string_equal(fixture->rq->failure.reason, "slot_once");
        failure_clear(fixture->rq);
        assert_int_equal(ask_number("SELECT count(*) FROM slot"), 0);
    }
    assert_ok(fixture->rq, db_atomic(fixture->db, fixture->rq, steps, 1));
    assert_int_equal(ask_number("SELECT count(*) FROM slot"), 1);
}

static void
a_passing_serialisation_failure_is_not_seen(void **state)
{
    static const struct db_statement fail_twice = {"fail_twice",
                                                   "SELECT CASE WHEN nextval('tries') < 3 THEN refuse($1) ELSE 'done' END, currval('tries')"};
    struct fixture *fixture = *state;
    const char *const states[] = {"40001", "40P01"};
    postgres_kit_run(postgres, "CREATE OR REPLACE FUNCTION refuse(state text) RETURNS text LANGUAGE plpgsql AS "
                               "$$ BEGIN RAISE EXCEPTION 'refused' USING ERRCODE = state; END $$");
    for (size_t i = 0; i < COUNT_OF(states); i++) {
        postgres_kit_run(postgres, "DROP SEQUENCE IF EXISTS tries; CREATE SEQUENCE tries; TRUNCATE pet CASCADE");
        struct db_rows *rows = NULL;
        const struct db_step steps[] = {
            DB_STEP(&insert_pet, NULL, DB_TEXT("Rex"), DB_INT(4)),
            DB_STEP(&fail_twice, &rows, DB_TEXT(states[i])),
        };
        unsigned before = fixture->rq->sql_round_trips;
        assert_ok(fixture->rq, db_atomic(fixture->db, fixture->rq, steps, COUNT_OF(steps)));
        assert_same_text(db_text(rows, 0, 0), "done");
        assert_int_equal(db_int(rows, 0, 1), 3);
        assert_int_equal(fixture->rq->sql_round_trips - before, 3);
        assert_int_equal(ask_number("SELECT count(*) FROM pet"), 1);
    }
}

static void
a_lasting_serialisation_failure_is_busy(void **state)
{
    static const struct db_statement statement = {"never", "DO $$ BEGIN RAISE EXCEPTION SQLSTATE '40001'; END $$"};
    struct fixture *fixture = *state;
    assert_int_equal(DB_QUERY0(fixture->db, fixture->rq, &statement, NULL), ERR_BUSY);
    assert_true(fixture->rq->failure.retry_after_s > 0);
    assert_true(fixture->rq->sql_round_trips > 3);
}

/* Two that lock the same two rows in opposite order, until the server has found a deadlock: both must end well. */
struct crossing {
    struct db *db;
    const char *first, *second;
    enum error error;
    unsigned round_trips;
};

static void *
cross(void *at)
{
    static const struct db_statement touch = {"touch", "UPDATE pet SET legs = legs + 1 WHERE name = $1"};
    static const struct db_statement pause = {"pause", "SELECT pg_sleep(0.1)"};
    struct crossing *crossing = at;
    AUTO_STRUCT(request, rq) = request_new();
    const struct db_step steps[] = {
        DB_STEP(&touch, NULL, DB_TEXT(crossing->first)),
        {.statement = &pause},
        DB_STEP(&touch, NULL, DB_TEXT(crossing->second)),
    };
    crossing->error = db_atomic(crossing->db, rq, steps, COUNT_OF(steps));
    crossing->round_trips = rq->sql_round_trips;
    return NULL;
}

static void
a_real_deadlock_is_retried(void **state)
{
    struct fixture *fixture = *state;
    postgres_kit_run(postgres, "INSERT INTO pet (name, legs) VALUES ('Rex', 4), ('Mia', 4)");
    struct crossing crossings[] = {{.db = fixture->db, .first = "Rex", .second = "Mia"}, {.db = fixture->db, .first = "Mia", .second = "Rex"}};
    pthread_t threads[2];
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, cross, &crossings[i]), 0);
    for (int i = 0; i < 2; i++)
        pthread_join(threads[i], NULL);
    assert_int_equal(crossings[0].error, OK);
    assert_int_equal(crossings[1].error, OK);
    assert_true(crossings[0].round_trips + crossings[1].round_trips > 2); /* there was one */
    assert_int_equal(ask_number("SELECT sum(legs) FROM pet"), 12);
}

static void
a_table_altered_under_a_prepared_statement_is_no_error(void **state)
{
    static const struct db_statement all = {"all_pets", "SELECT * FROM pet"};
    struct fixture *fixture = *state;
    struct db_rows *rows = NULL;
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &all, &rows));
    postgres_kit_run(postgres, "ALTER TABLE pet ADD COLUMN colour text; INSERT INTO pet (name, legs, colour) VALUES ('Rex', 4, 'brown')");
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &all, &rows));
    assert_same_text(db_text(rows, 0, 3), "brown");
}

static void
a_statement_that_could_not_be_prepared_may_work_later(void **state)
{
    static const struct db_statement early = {"early", "SELECT n FROM not_yet"};
    struct fixture *fixture = *state;
    struct db_rows *rows = NULL;
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS not_yet");
    assert_int_equal(DB_QUERY0(fixture->db, fixture->rq, &early, &rows), ERR_INTERNAL);
    failure_clear(fixture->rq);
    postgres_kit_run(postgres, "CREATE TABLE not_yet AS SELECT 5 AS n");
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &early, &rows));
    assert_int_equal(db_int(rows, 0, 0), 5);
}

static void
query_under_a_used_name(void *at)
{
    static const struct db_statement other = {"insert_pet", "SELECT $1, $2::int"};
    struct fixture *fixture = at;
    (void)!DB_QUERY(fixture->db, fixture->rq, &other, NULL, DB_TEXT("Mia"), DB_INT(4));
}

static void
two_statements_of_one_name_are_our_bug(void **state)
{
    struct fixture *fixture = *state;
    assert_ok(fixture->rq, DB_QUERY(fixture->db, fixture->rq, &insert_pet, NULL, DB_TEXT("Rex"), DB_INT(4)));
    assert_true(aborts(query_under_a_used_name, fixture));
}

/* More than the socket's buffers hold, both ways at once: a writer that does not read would hang here. */
static void
large_questions_and_answers_do_not_block_each_other(void **state)
{
    static const struct db_statement mirror = {"mirror", "SELECT $1"};
    enum { LARGE = 1024 * 1024, STEPS = 8 };
    struct fixture *fixture = *state;
    uint8_t *many = calloc(1, LARGE);
    struct db_value value = DB_BYTES(BYTES(many, LARGE));
    struct db_rows *rows[STEPS];
    struct db_step steps[STEPS];
    for (int i = 0; i < STEPS; i++)
        steps[i] = (struct db_step){.statement = &mirror, .values = &value, .value_count = 1, .ret_rows = &rows[i]};
    set_deadline(fixture->rq, 60000);
    assert_ok(fixture->rq, db_atomic(fixture->db, fixture->rq, steps, STEPS));
    for (int i = 0; i < STEPS; i++)
        assert_int_equal(db_bytes(rows[i], 0, 0).len, LARGE);
    free(many);
}

#define WITH_PETS(name) cmocka_unit_test_setup_teardown(name, open_with_pets, close_fixture)

int
main(void)
{
    const struct CMUnitTest cases[] = {
        WITH_PETS(rows_come_back_and_are_counted),
        WITH_PETS(several_steps_are_one_round_trip_even_at_first_use),
        WITH_PETS(one_refused_step_undoes_all),
        WITH_PETS(each_kind_of_refusal_has_its_error),
        WITH_PETS(a_refusal_at_the_commit_is_a_refusal),
        WITH_PETS(a_passing_serialisation_failure_is_not_seen),
        WITH_PETS(a_lasting_serialisation_failure_is_busy),
        WITH_PETS(a_real_deadlock_is_retried),
        WITH_PETS(a_table_altered_under_a_prepared_statement_is_no_error),
        WITH_PETS(a_statement_that_could_not_be_prepared_may_work_later),
        WITH_PETS(two_statements_of_one_name_are_our_bug),
        WITH_PETS(large_questions_and_answers_do_not_block_each_other),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
