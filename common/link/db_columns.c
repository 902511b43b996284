/* Rows on their way into a statement over arrays. Kept as they come, turned into columns at the end; the arena frees everything. */
#include "link/db.h"

#include <assert.h>
#include <string.h>

#define FIRST_ROOM 8

struct db_columns {
    struct arena *arena;
    const enum db_type *types;
    size_t width;
    struct db_value *values; /* row after row */
    size_t rows, room;
};

struct db_columns *
db_columns_new(struct arena *arena, const enum db_type *types, size_t count)
{
    struct db_columns *columns = arena_alloc(arena, sizeof *columns);

    assert(count <= DB_COLUMNS_MAX);
    *columns = (struct db_columns){.arena = arena, .types = types, .width = count};
    return columns;
}

void
db_columns_add(struct db_columns *columns, const struct db_value *row, size_t count)
{
    assert(count == columns->width);
    for (size_t i = 0; i < count; i++)
        assert(row[i].type == columns->types[i]);
    if (columns->rows == columns->room) {
        size_t room = columns->room == 0 ? FIRST_ROOM : columns->room * 2;
        struct db_value *values = arena_array(columns->arena, room * columns->width, sizeof *values);
        if (columns->rows > 0)
            memcpy(values, columns->values, columns->rows * columns->width * sizeof *values);
        columns->values = values;
        columns->room = room;
    }
    memcpy(columns->values + columns->rows * columns->width, row, count * sizeof *row);
    columns->rows++;
}

static struct db_value
texts_of(const struct db_columns *columns, size_t column)
{
    const char **texts = arena_array(columns->arena, columns->rows, sizeof *texts);

    /* The octets of DB_TEXT are a whole C string. */
    for (size_t row = 0; row < columns->rows; row++)
        texts[row] = (const char *)columns->values[row * columns->width + column].bytes.at;
    return DB_TEXT_ARRAY(texts, columns->rows);
}

static struct db_value
bytes_of(const struct db_columns *columns, size_t column)
{
    struct bytes *all = arena_array(columns->arena, columns->rows, sizeof *all);

    for (size_t row = 0; row < columns->rows; row++)
        all[row] = columns->values[row * columns->width + column].bytes;
    return DB_BYTES_ARRAY(all, columns->rows);
}

static struct db_value
ints_of(const struct db_columns *columns, size_t column)
{
    int32_t *numbers = arena_array(columns->arena, columns->rows, sizeof *numbers);

    for (size_t row = 0; row < columns->rows; row++)
        numbers[row] = (int32_t)columns->values[row * columns->width + column].number;
    return DB_INT_ARRAY(numbers, columns->rows);
}

static struct db_value
longs_of(const struct db_columns *columns, size_t column)
{
    int64_t *numbers = arena_array(columns->arena, columns->rows, sizeof *numbers);

    for (size_t row = 0; row < columns->rows; row++)
        numbers[row] = columns->values[row * columns->width + column].number;
    return columns->types[column] == DB_IS_TIME ? DB_TIME_ARRAY(numbers, columns->rows) : DB_BIGINT_ARRAY(numbers, columns->rows);
}

void
db_columns_take(const struct db_columns *columns, struct db_value *ret_values)
{
    for (size_t i = 0; i < columns->width; i++) {
        enum db_type type = columns->types[i];
        assert(type == DB_IS_TEXT || type == DB_IS_BYTES || type == DB_IS_INT || type == DB_IS_BIGINT || type == DB_IS_TIME);
        ret_values[i] = type == DB_IS_TEXT    ? texts_of(columns, i)
                        : type == DB_IS_BYTES ? bytes_of(columns, i)
                        : type == DB_IS_INT   ? ints_of(columns, i)
                                              : longs_of(columns, i);
    }
}
