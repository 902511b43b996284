/*
 * PostgreSQL through libpq: a pool of connections that heal, named statements prepared on first use, and one round trip for
 * everything that belongs together.
 *
 *     static const struct db_statement find_account = {"find_account", "SELECT key, status FROM acme.account WHERE id = $1"};
 *
 *     struct db_rows *rows;
 *     enum error error = DB_QUERY(db, rq, &find_account, &rows, DB_BYTES(id));
 *     if (error) return error;
 *     if (db_count(rows) == 0) return fail(rq, ERR_NOT_FOUND, "no such account");
 *     struct bytes key = db_bytes(rows, 0, 0);
 *
 * Rows live in rq's arena (freed with it); every value is transferred in binary. db_atomic sends several statements in one pipeline
 * with one Sync: one round trip, one transaction, all or nothing.
 *
 * Errors: connection trouble, disk full, shutdown: ERR_UNAVAILABLE with retry_after_s; no free connection before the deadline: ERR_BUSY;
 * unique, foreign-key or check violation: ERR_CONFLICT with the constraint's name (its first 39 characters) in failure.reason; anything else
 * ERR_INTERNAL with SQLSTATE in the detail. Serialisation failures and deadlocks are retried inside (40001, 40P01); ERR_BUSY when they last. When a
 * connection dies after the Sync was sent, the outcome is unknown: ERR_TIMEOUT; repeat with the same idempotency key. So it is when the request's
 * deadline passes while the server works (the statement is cancelled). Without a deadline the answer is waited for as long as the connection lives.
 * Threads: any; a connection serves one call at a time. Every call counts in rq->sql_round_trips.
 */
#ifndef SIGNET_LINK_DB_H
#define SIGNET_LINK_DB_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/bytes.h"
#include "base/request.h"

struct db;
struct db_rows;

struct db_options {
    const char *name;          /* application_name */
    const char *url;           /* libpq URL or conninfo, without password; its settings win over ours (time-outs, keepalives, `options`) */
    const char *password_file; /* "" for none */
    int connections;
};

/* Returns at once; connections are made when needed, one eagerly in the background. */
enum error db_open(struct request *rq, const struct db_options *options, struct db **ret_db) MUST_CHECK;
void db_close(struct db *db);

/* Readiness: OK, or ERR_UNAVAILABLE with the reason. */
enum error db_check(void *db, struct request *rq);

struct db_statement {
    const char *name; /* unique within the service: the same name is always the same SQL */
    const char *sql;  /* $1, $2, … */
};

enum db_type {
    DB_IS_NULL = 0,
    DB_IS_TEXT,
    DB_IS_BYTES,
    DB_IS_INT,
    DB_IS_SMALLINT,
    DB_IS_BIGINT,
    DB_IS_BOOL,
    DB_IS_TIME,
    DB_IS_TEXT_ARRAY,
    DB_IS_BYTES_ARRAY,
    DB_IS_INT_ARRAY,
    DB_IS_BIGINT_ARRAY,
    DB_IS_TIME_ARRAY
};

struct db_value {
    enum db_type type;
    struct bytes bytes; /* text and bytea */
    int64_t number;     /* numbers, bool; for time: Unix microseconds */
    const void *array;  /* const char *const *, const struct bytes *, const int32_t *, const int64_t *; times: const int64_t * Unix microseconds */
    size_t count;
};

struct db_value db_value_text(const char *text);    /* NULL: SQL NULL */
struct db_value db_value_bytes(struct bytes bytes); /* at == NULL: SQL NULL */
#define DB_NULL ((struct db_value){.type = DB_IS_NULL})
#define DB_TEXT(text_) db_value_text(text_)
#define DB_BYTES(bytes_) db_value_bytes(bytes_)
#define DB_SMALLINT(n_) ((struct db_value){.type = DB_IS_SMALLINT, .number = (n_)}) /* int2 */
#define DB_INT(n_) ((struct db_value){.type = DB_IS_INT, .number = (n_)})           /* int4 */
#define DB_BIGINT(n_) ((struct db_value){.type = DB_IS_BIGINT, .number = (n_)})     /* int8 */
#define DB_BOOL(b_) ((struct db_value){.type = DB_IS_BOOL, .number = (b_)})
#define DB_TIME_S(s_) ((struct db_value){.type = DB_IS_TIME, .number = (int64_t)(s_)*1000000}) /* timestamptz */
#define DB_TIME_US(us_) ((struct db_value){.type = DB_IS_TIME, .number = (us_)})
#define DB_TEXT_ARRAY(at_, n_) ((struct db_value){.type = DB_IS_TEXT_ARRAY, .array = (at_), .count = (n_)})
#define DB_BYTES_ARRAY(at_, n_) ((struct db_value){.type = DB_IS_BYTES_ARRAY, .array = (at_), .count = (n_)})
#define DB_INT_ARRAY(at_, n_) ((struct db_value){.type = DB_IS_INT_ARRAY, .array = (at_), .count = (n_)})
#define DB_BIGINT_ARRAY(at_, n_) ((struct db_value){.type = DB_IS_BIGINT_ARRAY, .array = (at_), .count = (n_)})
#define DB_TIME_ARRAY(at_, n_) ((struct db_value){.type = DB_IS_TIME_ARRAY, .array = (at_), .count = (n_)})

/*
 * The type of a value is declared to the server exactly as given here; nothing is guessed from the column. So a bigint column takes DB_INT too, but
 * a column that is no text (uuid, jsonb, inet, interval, an enum) wants a cast in the SQL: `$1::uuid`, `$2::jsonb`. A null that comes from
 * DB_TEXT(NULL) or DB_BYTES(BYTES_NONE) keeps its type; DB_NULL has none, and the server infers it from the SQL. A statement that is called with
 * other types is prepared once for each. A column that db_text, db_int … do not know (numeric, inet, an enum) is cast in the SQL too:
 * `sum(n)::bigint`.
 */

/* One statement, one round trip. `ret_rows` may be NULL. */
enum error db_query(struct db *db, struct request *rq, const struct db_statement *statement, const struct db_value *values, size_t value_count,
                    struct db_rows **ret_rows) MUST_CHECK;
#define DB_QUERY(db, rq, statement, ret_rows, ...)                            \
    db_query((db), (rq), (statement), (const struct db_value[]){__VA_ARGS__}, \
             sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), (ret_rows))
#define DB_QUERY0(db, rq, statement, ret_rows) db_query((db), (rq), (statement), NULL, 0, (ret_rows))

/* Several statements, one round trip, one transaction. */
struct db_step {
    const struct db_statement *statement;
    const struct db_value *values;
    size_t value_count;
    struct db_rows **ret_rows; /* NULL when not wanted */
};
#define DB_STEP(statement_, ret_rows_, ...)                                                                              \
    {                                                                                                                    \
        .statement = (statement_), .values = (const struct db_value[]){__VA_ARGS__},                                     \
        .value_count = sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value), .ret_rows = (ret_rows_) \
    }
enum error db_atomic(struct db *db, struct request *rq, const struct db_step *steps, size_t step_count) MUST_CHECK;

/*
 * Many rows for one statement, which takes them apart again by unnest: a row is added as its values are written, and goes over the wire as a part of
 * one array for each column.
 *
 *     static const enum db_type types[] = {DB_IS_TEXT, DB_IS_INT};
 *     struct db_columns *ages = db_columns_new(rq->arena, types, 2);
 *     for (…)
 *         DB_ADD(ages, DB_TEXT(name), DB_INT(age));
 *     struct db_value values[2];
 *     db_columns_take(ages, values);               // DB_TEXT_ARRAY, DB_INT_ARRAY, for `unnest($1::text[], $2::int[])`
 *
 * Texts and bytes may be null, numbers and times not. Types are DB_IS_TEXT, _BYTES, _INT, _BIGINT and _TIME. Everything lives in the arena.
 */
#define DB_COLUMNS_MAX 32
struct db_columns;
struct db_columns *db_columns_new(struct arena *arena, const enum db_type *types, size_t count);
void db_columns_add(struct db_columns *columns, const struct db_value *row, size_t count);
#define DB_ADD(columns_, ...) \
    db_columns_add((columns_), (const struct db_value[]){__VA_ARGS__}, sizeof((const struct db_value[]){__VA_ARGS__}) / sizeof(struct db_value))
/* One array for each column, in the order of the types. */
void db_columns_take(const struct db_columns *columns, struct db_value *ret_values);

/* A transaction that must look before it writes. Ends by itself (rollback) when `work` returns an error; retried as a whole on
 * serialisation failure, so `work` must have no other side effects. Inside, use the given db only; after a refused statement nothing more can be
 * done: return the error. The isolation is the database's (READ COMMITTED): lock what you looked at, with FOR UPDATE or an advisory lock. */
enum error db_transaction(struct db *db, struct request *rq, enum error (*work)(struct db *db, struct request *rq, void *context), void *context)
    MUST_CHECK;

/* Results. Columns by position; a wrong type is our bug and asserts. */
size_t db_count(const struct db_rows *rows);
size_t db_affected(const struct db_rows *rows); /* rows touched by INSERT, UPDATE, DELETE */
/* The same rows for another thread: what has to be converted (uuid, arrays) lives in its arena. `rows` must outlive the view. */
const struct db_rows *db_rows_view(const struct db_rows *rows, struct arena *arena);
bool db_is_null(const struct db_rows *rows, size_t row, size_t column);
const char *db_text(const struct db_rows *rows, size_t row, size_t column);   /* text, varchar, json(b), uuid as text; NULL for SQL NULL */
struct bytes db_bytes(const struct db_rows *rows, size_t row, size_t column); /* bytea; borrowed from rows */
int64_t db_int(const struct db_rows *rows, size_t row, size_t column);        /* int2, int4, int8; 0 for NULL */
bool db_bool(const struct db_rows *rows, size_t row, size_t column);
int64_t db_time_s(const struct db_rows *rows, size_t row, size_t column); /* timestamptz → Unix seconds; 0 for NULL */
int64_t db_time_us(const struct db_rows *rows, size_t row, size_t column);

/* text[]: in rq's arena; a null element is NULL, SQL NULL has no elements. */
size_t db_text_array(const struct db_rows *rows, size_t row, size_t column, const char *const **ret_texts);

/* Several SQL commands in one text, without values: for migrations. */
enum error db_script(struct db *db, struct request *rq, const char *sql) MUST_CHECK;

/* LISTEN: calls `heard` on a thread of its own for each NOTIFY on the channel, and once after each connect (payload NULL: look for
 * yourself, something may have been missed). Ends with db_close. */
enum error db_listen(struct db *db, struct request *rq, const char *channel, void (*heard)(void *context, const char *payload), void *context)
    MUST_CHECK;
/* The same for who remembers things until he hears that they have changed: every other second `complete` says until when (clock_monotonic_ms)
 * everything that was announced has been heard. When it falls silent the connection is lost, perhaps without a word. */
enum error db_listen_surely(struct db *db, struct request *rq, const char *channel, void (*heard)(void *context, const char *payload),
                            void (*complete)(void *context, int64_t until_ms), void *context) MUST_CHECK;
/* What was read from a row is as good as the row still: no change of it was heard of, and everything until `heard_ms` was, or a few seconds ago. All
 * times are clock_monotonic_ms; `heard_ms` is what `complete` has said last, or 0. */
#define DB_GOOD_FOR_MS 5000
static inline bool
db_still_holds(int64_t read_ms, int64_t heard_ms, int64_t now_ms)
{
    return now_ms - (read_ms > heard_ms ? read_ms : heard_ms) <= DB_GOOD_FOR_MS;
}

#endif
