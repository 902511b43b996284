/* Migrations on a real server: once each, in order, unchanged. */
#include "unit/link/db_fixture.h"

#include <pthread.h>

#include "link/migrate.h"

static int
open_empty(void **state)
{
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS signet_migration; DROP SCHEMA IF EXISTS farm, zoo CASCADE");
    return open_fixture(state);
}

static const struct migration farm_1 = {"farm", 1, "tables", "CREATE SCHEMA farm;\nCREATE TABLE farm.cow (name text);\n"};
static const struct migration zoo_1 = {"zoo", 1, "tables", "CREATE SCHEMA zoo;\nCREATE TABLE zoo.lion (name text);\n"};
static const struct migration farm_2 = {"farm", 2, "animals",
                                        "CREATE VIEW farm.animal AS SELECT name FROM farm.cow UNION SELECT name FROM zoo.lion;\n"};

static void
count(void *context, const struct migration *migration)
{
    ++*(int *)context;
}

static void
applies_each_once_in_order(void **state)
{
    struct fixture *fixture = *state;
    const struct migration all[] = {farm_1, zoo_1, farm_2};
    int applied = 0;
    assert_ok(fixture->rq, migrate(fixture->db, fixture->rq, all, 2, count, &applied));
    assert_int_equal(applied, 2);
    assert_ok(fixture->rq, migrate(fixture->db, fixture->rq, all, 3, count, &applied));
    assert_int_equal(applied, 3);
    assert_ok(fixture->rq, migrate(fixture->db, fixture->rq, all, 3, count, &applied));
    assert_int_equal(applied, 3);
    assert_int_equal(ask_number("SELECT count(*) FROM farm.animal"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM signet_migration WHERE name IN ('tables', 'animals') AND octet_length(sha256) = 32"), 3);
}

static void
refuses_a_file_that_changed_after_it_was_applied(void **state)
{
    struct fixture *fixture = *state;
    const struct migration changed = {"farm", 1, "tables", "CREATE SCHEMA farm;\nCREATE TABLE farm.cow (name text, age int);\n"};
    int applied = 0;
    assert_ok(fixture->rq, migrate(fixture->db, fixture->rq, &farm_1, 1, count, &applied));
    assert_int_equal(migrate(fixture->db, fixture->rq, &changed, 1, count, &applied), ERR_CONFLICT);
    assert_true(strstr(fixture->rq->failure.message, "farm/001_tables.sql") != NULL);
    assert_int_equal(applied, 1);
}

static void
refuses_a_number_below_one_that_is_applied(void **state)
{
    struct fixture *fixture = *state;
    const struct migration late = {"farm", 2, "late", "CREATE TABLE farm.late (n int)"}, third = {"farm", 3, "third", "SELECT 1"};
    const struct migration before[] = {farm_1, third}, after[] = {farm_1, late, third};
    int applied = 0;
    assert_ok(fixture->rq, migrate(fixture->db, fixture->rq, before, 2, count, &applied));
    assert_int_equal(migrate(fixture->db, fixture->rq, after, 3, count, &applied), ERR_CONFLICT);
    assert_true(strstr(fixture->rq->failure.message, "farm/002_late.sql") != NULL);
    assert_int_equal(applied, 2);
}

static void
a_broken_file_leaves_nothing_and_says_where(void **state)
{
    struct fixture *fixture = *state;
    const struct migration broken = {"zoo", 1, "broken", "CREATE SCHEMA zoo;\nCREATE TABLE zoo.lion (name text);\nCREATE TABEL zoo.tiger ();\n"};
    const struct migration all[] = {farm_1, broken};
    int applied = 0;
    assert_int_equal(migrate(fixture->db, fixture->rq, all, 2, count, &applied), ERR_INTERNAL);
    assert_true(strstr(fixture->rq->failure.message, "zoo/001_broken.sql") != NULL);
    assert_true(strstr(fixture->rq->failure.message, "line 3") != NULL);
    assert_true(strstr(fixture->rq->failure.message, "TABEL") != NULL);
    assert_int_equal(applied, 1);
    assert_int_equal(ask_number("SELECT count(*) FROM pg_namespace WHERE nspname = 'zoo'"), 0);

    failure_clear(fixture->rq); /* mended, it goes on where it was */
    const struct migration mended[] = {farm_1, zoo_1};
    assert_ok(fixture->rq, migrate(fixture->db, fixture->rq, mended, 2, count, &applied));
    assert_int_equal(applied, 2);
}

static void
refuses_a_file_that_commits_by_itself(void **state)
{
    struct fixture *fixture = *state;
    const struct migration commits = {"farm", 1, "commits", "CREATE SCHEMA farm; COMMIT"};
    int applied = 0;
    assert_int_equal(migrate(fixture->db, fixture->rq, &commits, 1, count, &applied), ERR_INTERNAL);
    assert_true(strstr(fixture->rq->failure.message, "COMMIT") != NULL);
    assert_int_equal(applied, 0);
}

struct runner {
    struct db *db;
    int applied;
    enum error error;
};

static void *
operate(void *at)
{
    struct runner *who = at;
    AUTO_STRUCT(request, rq) = request_new();
    const struct migration all[] = {farm_1, zoo_1, farm_2};
    who->error = migrate(who->db, rq, all, 3, count, &who->applied);
    return NULL;
}

static void
several_at_once_apply_each_once(void **state)
{
    enum { RUNNERS = 4 };
    AUTO_STRUCT(request, rq) = request_new();
    struct db *db = open_pool(rq, postgres_kit_url(postgres), "", RUNNERS);
    pthread_t threads[RUNNERS];
    struct runner runners[RUNNERS];
    int applied = 0;
    for (int i = 0; i < RUNNERS; i++) {
        runners[i] = (struct runner){.db = db};
        assert_int_equal(pthread_create(&threads[i], NULL, operate, &runners[i]), 0);
    }
    for (int i = 0; i < RUNNERS; i++) {
        pthread_join(threads[i], NULL);
        assert_int_equal(runners[i].error, OK);
        applied += runners[i].applied;
    }
    assert_int_equal(applied, 3);
    db_close(db);
}

#define ON_EMPTY(name) cmocka_unit_test_setup_teardown(name, open_empty, close_fixture)

int
main(void)
{
    const struct CMUnitTest cases[] = {
        ON_EMPTY(applies_each_once_in_order),
        ON_EMPTY(refuses_a_file_that_changed_after_it_was_applied),
        ON_EMPTY(refuses_a_number_below_one_that_is_applied),
        ON_EMPTY(a_broken_file_leaves_nothing_and_says_where),
        ON_EMPTY(refuses_a_file_that_commits_by_itself),
        ON_EMPTY(several_at_once_apply_each_once),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
