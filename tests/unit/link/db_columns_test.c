/* Rows that become columns, read back by the server that takes them apart. */
#include "unit/link/db_fixture.h"

static const enum db_type types[] = {DB_IS_TEXT, DB_IS_BYTES, DB_IS_INT, DB_IS_BIGINT, DB_IS_TIME};
static const struct db_statement take_apart = {
    "take_apart", "SELECT t, encode(b, 'hex'), i, l, extract(epoch FROM z)::bigint FROM unnest($1::text[], $2::bytea[], $3::int[], $4::bigint[], "
                  "$5::timestamptz[]) WITH ORDINALITY AS r (t, b, i, l, z, n) ORDER BY n"};

static struct db_rows *
there_and_back(struct fixture *fixture, const struct db_columns *columns)
{
    struct db_value values[COUNT_OF(types)];
    struct db_rows *rows = NULL;

    db_columns_take(columns, values);
    assert_ok(fixture->rq, db_query(fixture->db, fixture->rq, &take_apart, values, COUNT_OF(values), &rows));
    return rows;
}

static void
rows_come_back_in_their_order(void **state)
{
    struct fixture *fixture = *state;
    struct db_columns *columns = db_columns_new(fixture->rq->arena, types, COUNT_OF(types));
    enum { MANY = 100 };

    for (int i = 0; i < MANY; i++)
        DB_ADD(columns, i % 3 == 0 ? DB_TEXT(NULL) : DB_TEXT(arena_format(fixture->rq->arena, "row %d", i)), DB_BYTES(BYTES("\1\2", 2)), DB_INT(-i),
               DB_BIGINT(INT64_C(10000000000) + i), DB_TIME_S(1000000000 + i));
    struct db_rows *rows = there_and_back(fixture, columns);
    assert_int_equal(db_count(rows), MANY);
    for (size_t i = 0; i < MANY; i++) {
        if (i % 3 == 0)
            assert_true(db_is_null(rows, i, 0));
        else
            assert_same_text(db_text(rows, i, 0), arena_format(fixture->rq->arena, "row %zu", i));
        assert_same_text(db_text(rows, i, 1), "0102");
        assert_int_equal(db_int(rows, i, 2), -(int64_t)i);
        assert_int_equal(db_int(rows, i, 3), INT64_C(10000000000) + (int64_t)i);
        assert_int_equal(db_int(rows, i, 4), 1000000000 + (int64_t)i);
    }
}

static void
no_row_is_empty_arrays(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(db_count(there_and_back(fixture, db_columns_new(fixture->rq->arena, types, COUNT_OF(types)))), 0);
}

int
main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(rows_come_back_in_their_order),
        CASE(no_row_is_empty_arrays),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
