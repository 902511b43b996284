/* Every type to a real PostgreSQL and back, with its edges; db_value.c and db_rows.c are each other's proof only where the server agrees,
 * so each case also compares with the server's own text. */
#include "unit/link/db_fixture.h"

/* Sends `value` for `sql` ("SELECT $1, …, ($1)::text") and gives the row. */
static struct db_rows *
echo(struct fixture *fixture, const struct db_statement *statement, struct db_value value)
{
    struct db_rows *rows = NULL;
    assert_ok(fixture->rq, db_query(fixture->db, fixture->rq, statement, &value, 1, &rows));
    assert_int_equal(db_count(rows), 1);
    return rows;
}

static void
text_comes_back_as_it_went(void **state)
{
    static const struct db_statement statement = {"text", "SELECT $1, octet_length($1), $1::varchar, $1::name"};
    const char *const texts[] = {"", "a", "Grüße, 'quoted' \\ and \"more\"\n", "日本語"};
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        struct db_rows *rows = echo(*state, &statement, DB_TEXT(texts[i]));
        assert_same_text(db_text(rows, 0, 0), texts[i]);
        assert_int_equal(db_int(rows, 0, 1), strlen(texts[i]));
        assert_same_text(db_text(rows, 0, 2), texts[i]);
        assert_same_text(db_text(rows, 0, 3), texts[i]);
    }
}

static void
three_megabytes_come_back_whole(void **state)
{
    static const struct db_statement statement = {"three_megabytes", "SELECT $1"};
    enum { LONG = 3 * 1024 * 1024 };
    uint8_t *many = malloc(LONG);
    for (size_t i = 0; i < LONG; i++)
        many[i] = (uint8_t)(i * 31 + i / 256);
    struct db_rows *rows = echo(*state, &statement, DB_BYTES(BYTES(many, LONG)));
    assert_true(bytes_equal(db_bytes(rows, 0, 0), BYTES(many, LONG)));
    free(many);
}

static void
bytes_come_back_as_they_went(void **state)
{
    static const struct db_statement statement = {"bytes", "SELECT $1, encode($1, 'hex')"};
    struct db_rows *rows = echo(*state, &statement, DB_BYTES(BYTES("\0\1\377\\", 4)));
    assert_true(bytes_equal(db_bytes(rows, 0, 0), BYTES("\0\1\377\\", 4)));
    assert_same_text(db_text(rows, 0, 1), "0001ff5c");

    rows = echo(*state, &statement, DB_BYTES(BYTES("", 0)));
    assert_false(db_is_null(rows, 0, 0));
    assert_int_equal(db_bytes(rows, 0, 0).len, 0);
}

static void
numbers_come_back_as_they_went(void **state)
{
    static const struct db_statement small = {"small", "SELECT $1, $1::text, pg_typeof($1)::text"};
    static const struct db_statement normal = {"normal", "SELECT $1, $1::text, pg_typeof($1)::text"};
    static const struct db_statement big = {"big", "SELECT $1, $1::text, pg_typeof($1)::text"};
    const struct {
        const struct db_statement *statement;
        struct db_value value;
        const char *text, *type;
    } cases[] = {
        {&small, DB_SMALLINT(0), "0", "smallint"},
        {&small, DB_SMALLINT(INT16_MIN), "-32768", "smallint"},
        {&small, DB_SMALLINT(INT16_MAX), "32767", "smallint"},
        {&normal, DB_INT(-1), "-1", "integer"},
        {&normal, DB_INT(INT32_MIN), "-2147483648", "integer"},
        {&normal, DB_INT(INT32_MAX), "2147483647", "integer"},
        {&big, DB_BIGINT(-2), "-2", "bigint"},
        {&big, DB_BIGINT(INT64_MIN), "-9223372036854775808", "bigint"},
        {&big, DB_BIGINT(INT64_MAX), "9223372036854775807", "bigint"},
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct db_rows *rows = echo(*state, cases[i].statement, cases[i].value);
        assert_true(db_int(rows, 0, 0) == cases[i].value.number);
        assert_same_text(db_text(rows, 0, 1), cases[i].text);
        assert_same_text(db_text(rows, 0, 2), cases[i].type);
    }
}

static void
truth_comes_back_as_it_went(void **state)
{
    static const struct db_statement statement = {"truth", "SELECT $1, $1::text"};
    struct db_rows *rows = echo(*state, &statement, DB_BOOL(true));
    assert_true(db_bool(rows, 0, 0));
    assert_same_text(db_text(rows, 0, 1), "true");
    rows = echo(*state, &statement, DB_BOOL(false));
    assert_false(db_bool(rows, 0, 0));
    assert_same_text(db_text(rows, 0, 1), "false");
}

static void
times_come_back_as_they_went(void **state)
{
    static const struct db_statement statement = {"time", "SELECT $1, to_char($1 AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US')"};
    const struct {
        struct db_value value;
        const char *text;
        int64_t seconds;
    } cases[] = {
        {DB_TIME_S(0), "1970-01-01 00:00:00.000000", 0},
        {DB_TIME_S(946684800), "2000-01-01 00:00:00.000000", 946684800},
        {DB_TIME_S(1795218655), "2026-11-20 23:50:55.000000", 1795218655},
        {DB_TIME_US(1795218655123456), "2026-11-20 23:50:55.123456", 1795218655},
        {DB_TIME_US(-1), "1969-12-31 23:59:59.999999", -1},
        {DB_TIME_S(253402300799), "9999-12-31 23:59:59.000000", 253402300799}, /* RFC 5280 §4.1.2.5: no well-defined expiration date */
    };
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct db_rows *rows = echo(*state, &statement, cases[i].value);
        assert_true(db_time_us(rows, 0, 0) == cases[i].value.number);
        assert_true(db_time_s(rows, 0, 0) == cases[i].seconds);
        assert_same_text(db_text(rows, 0, 1), cases[i].text);
    }
}

static void
infinite_time_is_the_latest(void **state)
{
    static const struct db_statement statement = {"infinity", "SELECT 'infinity'::timestamptz"};
    struct fixture *fixture = *state;
    struct db_rows *rows;
    assert_ok(fixture->rq, DB_QUERY0(fixture->db, fixture->rq, &statement, &rows));
    assert_true(db_time_us(rows, 0, 0) == INT64_MAX);
}

static void
uuid_and_json_come_back_as_text(void **state)
{
    static const struct db_statement statement = {"uuid_json", "SELECT $1::uuid, $2::json, $2::jsonb"};
    struct fixture *fixture = *state;
    struct db_rows *rows;
    assert_ok(fixture->rq, DB_QUERY(fixture->db, fixture->rq, &statement, &rows, DB_TEXT("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11"),
                                    DB_TEXT("{\"b\":1,  \"a\":null}")));
    assert_same_text(db_text(rows, 0, 0), "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11");
    assert_same_text(db_text(rows, 0, 1), "{\"b\":1,  \"a\":null}");
    assert_same_text(db_text(rows, 0, 2), "{\"a\": null, \"b\": 1}");
}

static void
null_of_every_type_is_null(void **state)
{
    static const struct db_statement statement = {"nulls",
                                                  "SELECT $1::text, $2::bytea, $3::bigint, $4::boolean, $5::timestamptz, $6::uuid, $7::text[]"};
    struct fixture *fixture = *state;
    struct db_rows *rows;
    assert_ok(fixture->rq, DB_QUERY(fixture->db, fixture->rq, &statement, &rows, DB_TEXT(NULL), DB_BYTES(BYTES_NONE), DB_NULL, DB_NULL, DB_NULL,
                                    DB_NULL, DB_NULL));
    for (size_t column = 0; column < 7; column++)
        assert_true(db_is_null(rows, 0, column));
    const char *const *none;
    assert_null(db_text(rows, 0, 0));
    assert_null(db_bytes(rows, 0, 1).at);
    assert_int_equal(db_int(rows, 0, 2), 0);
    assert_false(db_bool(rows, 0, 3));
    assert_int_equal(db_time_us(rows, 0, 4), 0);
    assert_null(db_text(rows, 0, 5));
    assert_int_equal(db_text_array(rows, 0, 6, &none), 0);
}

static void
one_statement_takes_null_first_and_values_later(void **state)
{
    static const struct db_statement statement = {"null_first", "SELECT coalesce($1, '\\x00'::bytea)"};
    struct db_rows *rows = echo(*state, &statement, DB_NULL);
    assert_true(bytes_equal(db_bytes(rows, 0, 0), BYTES("\0", 1)));
    rows = echo(*state, &statement, DB_BYTES(BYTES("\7", 1)));
    assert_true(bytes_equal(db_bytes(rows, 0, 0), BYTES("\7", 1)));
    rows = echo(*state, &statement, DB_BYTES(BYTES_NONE));
    assert_true(bytes_equal(db_bytes(rows, 0, 0), BYTES("\0", 1)));
}

static void
a_narrow_number_fits_a_wide_column(void **state)
{
    static const struct db_statement insert = {"narrow", "INSERT INTO wide (n) VALUES ($1) RETURNING n"};
    postgres_kit_run(postgres, "DROP TABLE IF EXISTS wide; CREATE TABLE wide (n bigint)");
    struct db_rows *rows = echo(*state, &insert, DB_INT(-7));
    assert_int_equal(db_int(rows, 0, 0), -7);
    rows = echo(*state, &insert, DB_BIGINT(INT64_MIN));
    assert_true(db_int(rows, 0, 0) == INT64_MIN);
}

static void
arrays_arrive_as_the_server_writes_them(void **state)
{
    static const char *const texts[] = {"a", "", NULL, "b,\"c\""};
    static const struct bytes spans[] = {{(const uint8_t *)"\0\1", 2}, {NULL, 0}, {(const uint8_t *)"", 0}};
    static const int32_t ints[] = {1, INT32_MIN, INT32_MAX};
    static const int64_t bigints[] = {INT64_MIN, 0, INT64_MAX};
    static const int64_t times[] = {0, 1795218655123456};
    static const struct db_statement statement = {"array", "SELECT $1::text, cardinality($1), array_ndims($1)"};
    const struct {
        struct db_value value;
        const char *text;
    } cases[] = {
        {DB_TEXT_ARRAY(texts, 4), "{a,\"\",NULL,\"b,\\\"c\\\"\"}"},
        {DB_TEXT_ARRAY(texts, 2), "{a,\"\"}"},
        {DB_TEXT_ARRAY(NULL, 0), "{}"},
        {DB_BYTES_ARRAY(spans, 3), "{\"\\\\x0001\",NULL,\"\\\\x\"}"},
        {DB_BYTES_ARRAY(NULL, 0), "{}"},
        {DB_INT_ARRAY(ints, 3), "{1,-2147483648,2147483647}"},
        {DB_INT_ARRAY(NULL, 0), "{}"},
        {DB_BIGINT_ARRAY(bigints, 3), "{-9223372036854775808,0,9223372036854775807}"},
        {DB_BIGINT_ARRAY(NULL, 0), "{}"},
        {DB_TIME_ARRAY(times, 2), "{\"1970-01-01 00:00:00+00\",\"2026-11-20 23:50:55.123456+00\"}"},
        {DB_TIME_ARRAY(NULL, 0), "{}"},
    };
    postgres_kit_run(postgres, "ALTER ROLE postgres SET timezone = 'UTC'");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct db_rows *rows = echo(*state, &statement, cases[i].value);
        assert_same_text(db_text(rows, 0, 0), cases[i].text);
        assert_int_equal(db_int(rows, 0, 1), cases[i].value.count);
        assert_true(cases[i].value.count == 0 ? db_is_null(rows, 0, 2) : db_int(rows, 0, 2) == 1);
    }
}

static void
text_arrays_come_back(void **state)
{
    static const struct db_statement statement = {"text_array", "SELECT $1, '{}'::text[]"};
    static const char *const texts[] = {"host.example", "", NULL, "日本"};
    struct db_rows *rows = echo(*state, &statement, DB_TEXT_ARRAY(texts, 4));
    const char *const *back = NULL;
    assert_int_equal(db_text_array(rows, 0, 0, &back), 4);
    assert_same_text(back[0], "host.example");
    assert_same_text(back[1], "");
    assert_null(back[2]);
    assert_same_text(back[3], "日本");
    assert_int_equal(db_text_array(rows, 0, 1, &back), 0);
}

static void
a_thousand_elements_and_rows_keep_their_order(void **state)
{
    static const struct db_statement statement = {"unnest", "SELECT n, position FROM unnest($1) WITH ORDINALITY AS x(n, position)"};
    int32_t numbers[1000];
    for (int i = 0; i < 1000; i++)
        numbers[i] = 7 * i - 3;
    struct fixture *fixture = *state;
    struct db_rows *rows;
    assert_ok(fixture->rq, DB_QUERY(fixture->db, fixture->rq, &statement, &rows, DB_INT_ARRAY(numbers, 1000)));
    assert_int_equal(db_count(rows), 1000);
    for (size_t i = 0; i < 1000; i++) {
        assert_int_equal(db_int(rows, i, 0), numbers[i]);
        assert_int_equal(db_int(rows, i, 1), i + 1);
    }
}

static void
read_text_as_number(void *rows)
{
    (void)db_int(rows, 0, 0);
}

static void
read_beyond_the_last_row(void *rows)
{
    (void)db_text(rows, 1, 0);
}

static void
reading_the_wrong_type_or_row_is_our_bug(void **state)
{
    static const struct db_statement statement = {"bug", "SELECT $1"};
    struct db_rows *rows = echo(*state, &statement, DB_TEXT("12"));
    assert_same_text(db_text(rows, 0, 0), "12");
    assert_true(aborts(read_text_as_number, rows));
    assert_true(aborts(read_beyond_the_last_row, rows));
}

int
main(void)
{
    const struct CMUnitTest cases[] = {
        CASE(text_comes_back_as_it_went),
        CASE(three_megabytes_come_back_whole),
        CASE(bytes_come_back_as_they_went),
        CASE(numbers_come_back_as_they_went),
        CASE(truth_comes_back_as_it_went),
        CASE(times_come_back_as_they_went),
        CASE(infinite_time_is_the_latest),
        CASE(uuid_and_json_come_back_as_text),
        CASE(null_of_every_type_is_null),
        CASE(one_statement_takes_null_first_and_values_later),
        CASE(a_narrow_number_fits_a_wide_column),
        CASE(arrays_arrive_as_the_server_writes_them),
        CASE(text_arrays_come_back),
        CASE(a_thousand_elements_and_rows_keep_their_order),
        CASE(reading_the_wrong_type_or_row_is_our_bug),
    };
    return cmocka_run_group_tests(cases, start_postgres, stop_postgres);
}
