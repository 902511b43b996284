/* Forgetting: all that is old, in small transactions; nothing that is young, and nothing that another holds. */
#include "unit/link/db_fixture.h"

#include "link/prune.h"

static const struct db_statement forget = {"forget", PRUNE_ROWS("diary", "written_at < now() - make_interval(days => $1)")};

static int
open_with_diary(void **state)
{
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS diary; CREATE TABLE diary (page int PRIMARY KEY, written_at timestamptz NOT NULL);"
                               "INSERT INTO diary SELECT n, now() - interval '31 days' FROM generate_series(1, 2500) n;"
                               "INSERT INTO diary SELECT n, now() - interval '29 days' FROM generate_series(2501, 2600) n");
    return open_fixture(state);
}

static void
assert_left(const char *expected)
{
    char *left = postgres_kit_ask(postgres, "SELECT count(*) FROM diary");

    assert_string_equal(left, expected);
    free(left);
}

static void
what_is_old_is_forgotten_and_what_is_young_is_kept(void **state)
{
    struct fixture *fixture = *state;
    struct prune prune = {.db = fixture->db, .forget = &forget, .keep_days = 30};
    size_t count = 0;

    assert_ok(fixture->rq, prune_now(&prune, fixture->rq, &count));
    assert_int_equal(count, 2500);
    assert_left("100");
    assert_ok(fixture->rq, prune_now(&prune, fixture->rq, &count));
    assert_int_equal(count, 0);
    prune.keep_days = 28;
    assert_ok(fixture->rq, prune_now(&prune, fixture->rq, &count));
    assert_left("0");
}

static enum error
prune_beside(struct db *db, struct request *rq, void *context)
{
    static const struct db_statement hold = {"hold", "SELECT page FROM diary WHERE page <= 7 FOR UPDATE"};
    size_t count = 0;

    assert_ok(rq, DB_QUERY0(db, rq, &hold, NULL));
    assert_ok(rq, prune_now(context, rq, &count));
    assert_int_equal(count, 2493);
    return OK;
}

static void
what_another_holds_is_left_for_later(void **state)
{
    struct fixture *fixture = *state;
    struct prune prune = {.db = fixture->db, .forget = &forget, .keep_days = 30};
    size_t count = 0;

    assert_ok(fixture->rq, db_transaction(fixture->db, fixture->rq, prune_beside, &prune));
    assert_left("107");
    assert_ok(fixture->rq, prune_now(&prune, fixture->rq, &count));
    assert_int_equal(count, 7);
}

static void
trouble_is_told(void **state)
{
    struct fixture *fixture = *state;
    struct prune prune = {.db = fixture->db, .forget = &forget, .keep_days = 30};
    size_t count = 0;

    postgres_kit_run(postgres, "DROP TABLE diary");
    assert_int_equal(prune_now(&prune, fixture->rq, &count), ERR_INTERNAL);
}

#define DIARY_CASE(name) cmocka_unit_test_setup_teardown(name, open_with_diary, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        DIARY_CASE(what_is_old_is_forgotten_and_what_is_young_is_kept),
        DIARY_CASE(what_another_holds_is_left_for_later),
        DIARY_CASE(trouble_is_told),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
