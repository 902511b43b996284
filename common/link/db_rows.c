/*
 * Rows as the server sent them, in binary, read in place. A column of another type than asked for is our own mistake (a statement and
 * its reader disagree), so it asserts.
 */
#include <assert.h>
#include <endian.h>
#include <stdlib.h>
#include <string.h>

#include "link/db_internal.h"

#define POSTGRES_EPOCH_US INT64_C(946684800000000)

enum {
    OID_BOOL = 16,
    OID_BYTEA = 17,
    OID_NAME = 19,
    OID_INT8 = 20,
    OID_INT2 = 21,
    OID_INT4 = 23,
    OID_TEXT = 25,
    OID_JSON = 114,
    OID_TEXT_ARRAY = 1009,
    OID_BPCHAR = 1042,
    OID_VARCHAR = 1043,
    OID_TIMESTAMPTZ = 1184,
    OID_UUID = 2950,
    OID_JSONB = 3802
};

struct db_rows {
    PGresult *result;
    struct arena *arena;
};

static void
clear_result(void *result)
{
    PQclear(result);
}

struct db_rows *
db_rows_new(struct arena *arena, PGresult *result)
{
    struct db_rows *rows = arena_alloc(arena, sizeof(*rows));
    *rows = (struct db_rows){.result = result, .arena = arena};
    arena_defer(arena, clear_result, result);
    return rows;
}

const struct db_rows *
db_rows_view(const struct db_rows *rows, struct arena *arena)
{
    struct db_rows *view = arena_alloc(arena, sizeof(*view));
    *view = (struct db_rows){.result = rows->result, .arena = arena};
    return view;
}

size_t
db_count(const struct db_rows *rows)
{
    return (size_t)PQntuples(rows->result);
}

size_t
db_affected(const struct db_rows *rows)
{
    return strtoul(PQcmdTuples(rows->result), NULL, 10);
}

/* The cell's bytes; at == NULL for SQL NULL. libpq puts a NUL behind them. */
static struct bytes
cell(const struct db_rows *rows, size_t row, size_t column)
{
    assert(row < db_count(rows) && column < (size_t)PQnfields(rows->result));
    if (PQgetisnull(rows->result, (int)row, (int)column))
        return BYTES_NONE;
    return BYTES(PQgetvalue(rows->result, (int)row, (int)column), (size_t)PQgetlength(rows->result, (int)row, (int)column));
}

static Oid
type_of(const struct db_rows *rows, size_t column)
{
    return PQftype(rows->result, (int)column);
}

bool
db_is_null(const struct db_rows *rows, size_t row, size_t column)
{
    return cell(rows, row, column).at == NULL;
}

static const char *
format_uuid(struct arena *arena, struct bytes uuid)
{
    assert(uuid.len == 16);
    const char *hex = bytes_hex(arena, uuid, 0);
    return arena_format(arena, "%.8s-%.4s-%.4s-%.4s-%.12s", hex, hex + 8, hex + 12, hex + 16, hex + 20);
}

const char *
db_text(const struct db_rows *rows, size_t row, size_t column)
{
    struct bytes at = cell(rows, row, column);
    if (at.at == NULL)
        return NULL;
    switch (type_of(rows, column)) {
    case OID_TEXT:
    case OID_VARCHAR:
    case OID_BPCHAR:
    case OID_NAME:
    case OID_JSON:
        return (const char *)at.at;
    case OID_JSONB:
        assert(at.len >= 1 && at.at[0] == 1); /* the version of the format, then text */
        return (const char *)at.at + 1;
    case OID_UUID:
        return format_uuid(rows->arena, at);
    }
    assert(!"the column is no text");
    return NULL;
}

struct bytes
db_bytes(const struct db_rows *rows, size_t row, size_t column)
{
    struct bytes at = cell(rows, row, column);
    assert(type_of(rows, column) == OID_BYTEA);
    return at;
}

static int64_t
big_endian_64(struct bytes from)
{
    uint64_t wire;
    assert(from.len == sizeof(wire));
    memcpy(&wire, from.at, sizeof(wire));
    return (int64_t)be64toh(wire);
}

/* The next four bytes of an array; the server's word is not trusted further than its length. */
static int32_t
take_32(struct bytes *from)
{
    uint32_t wire;
    assert(from->len >= sizeof(wire));
    memcpy(&wire, from->at, sizeof(wire));
    *from = BYTES(from->at + sizeof(wire), from->len - sizeof(wire));
    return (int32_t)be32toh(wire);
}

static const char *
take_element(struct arena *arena, struct bytes *from)
{
    int32_t len = take_32(from);
    if (len < 0)
        return NULL;
    assert((size_t)len <= from->len);
    const char *text = bytes_text(arena, BYTES(from->at, (size_t)len));
    *from = BYTES(from->at + len, from->len - (size_t)len);
    return text;
}

size_t
db_text_array(const struct db_rows *rows, size_t row, size_t column, const char *const **ret_texts)
{
    struct bytes at = cell(rows, row, column);
    assert(type_of(rows, column) == OID_TEXT_ARRAY);
    *ret_texts = NULL;
    if (at.at == NULL)
        return 0;
    int32_t dimensions = take_32(&at);
    (void)take_32(&at); /* whether there are nulls */
    (void)take_32(&at); /* the type of the elements */
    assert(dimensions <= 1);
    if (dimensions == 0)
        return 0;
    int32_t count = take_32(&at);
    (void)take_32(&at); /* the first index */
    assert(count >= 0 && (size_t)count <= at.len / sizeof(int32_t));
    const char **texts = arena_array(rows->arena, (size_t)count, sizeof(*texts));
    for (int32_t i = 0; i < count; i++)
        texts[i] = take_element(rows->arena, &at);
    *ret_texts = texts;
    return (size_t)count;
}

int64_t
db_int(const struct db_rows *rows, size_t row, size_t column)
{
    struct bytes at = cell(rows, row, column);
    Oid type = type_of(rows, column);
    assert(type == OID_INT2 || type == OID_INT4 || type == OID_INT8);
    if (at.at == NULL)
        return 0;
    if (type == OID_INT8)
        return big_endian_64(at);
    if (type == OID_INT4)
        return take_32(&at);
    assert(at.len == sizeof(int16_t));
    return (int16_t)((uint16_t)at.at[0] << 8 | at.at[1]);
}

bool
db_bool(const struct db_rows *rows, size_t row, size_t column)
{
    struct bytes at = cell(rows, row, column);
    assert(type_of(rows, column) == OID_BOOL);
    return at.at != NULL && at.at[0] != 0;
}

int64_t
db_time_us(const struct db_rows *rows, size_t row, size_t column)
{
    struct bytes at = cell(rows, row, column);
    assert(type_of(rows, column) == OID_TIMESTAMPTZ);
    if (at.at == NULL)
        return 0;
    int64_t unix_us;
    if (__builtin_add_overflow(big_endian_64(at), POSTGRES_EPOCH_US, &unix_us))
        return INT64_MAX; /* 'infinity' */
    return unix_us;
}

int64_t
db_time_s(const struct db_rows *rows, size_t row, size_t column)
{
    int64_t unix_us = db_time_us(rows, row, column);
    return unix_us / 1000000 - (unix_us % 1000000 < 0);
}
