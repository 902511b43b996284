/*
 * Values on their way to the server, in PostgreSQL's binary format: big-endian numbers, times as microseconds since 2000-01-01, arrays with
 * their header. The type of every value is declared (Parse), so that the server never has to guess what the bytes mean; therefore
 * the types are a part of the prepared statement's key.
 */
#include <assert.h>
#include <endian.h>
#include <limits.h>
#include <string.h>

#include "base/text.h"
#include "link/db_internal.h"

/* 2000-01-01 minus 1970-01-01. */
#define POSTGRES_EPOCH_US INT64_C(946684800000000)

enum { VALUES_MOST = 65535 }; /* the protocol counts them in 16 bits */

static const struct {
    Oid oid;
    Oid element; /* of an array */
    char letter; /* in the key */
} types[] = {
    [DB_IS_NULL] = {.oid = 0, .letter = 'n'}, /* the server infers it */
    [DB_IS_TEXT] = {.oid = 25, .letter = 't'},
    [DB_IS_BYTES] = {.oid = 17, .letter = 'b'},
    [DB_IS_INT] = {.oid = 23, .letter = 'i'},
    [DB_IS_SMALLINT] = {.oid = 21, .letter = 's'},
    [DB_IS_BIGINT] = {.oid = 20, .letter = 'l'},
    [DB_IS_BOOL] = {.oid = 16, .letter = 'o'},
    [DB_IS_TIME] = {.oid = 1184, .letter = 'z'},
    [DB_IS_TEXT_ARRAY] = {.oid = 1009, .element = 25, .letter = 'T'},
    [DB_IS_BYTES_ARRAY] = {.oid = 1001, .element = 17, .letter = 'B'},
    [DB_IS_INT_ARRAY] = {.oid = 1007, .element = 23, .letter = 'I'},
    [DB_IS_BIGINT_ARRAY] = {.oid = 1016, .element = 20, .letter = 'L'},
    [DB_IS_TIME_ARRAY] = {.oid = 1185, .element = 1184, .letter = 'Z'},
};

struct db_value
db_value_text(const char *text)
{
    return (struct db_value){.type = DB_IS_TEXT, .bytes = text == NULL ? BYTES_NONE : bytes_of_text(text)};
}

struct db_value
db_value_bytes(struct bytes bytes)
{
    return (struct db_value){.type = DB_IS_BYTES, .bytes = bytes};
}

static void
append_16(struct buffer *to, int64_t number)
{
    assert(number >= INT16_MIN && number <= INT16_MAX);
    uint16_t wire = htobe16((uint16_t)number);
    buffer_append(to, &wire, sizeof(wire));
}

static void
append_32(struct buffer *to, int64_t number)
{
    assert(number >= INT32_MIN && number <= INT32_MAX);
    uint32_t wire = htobe32((uint32_t)number);
    buffer_append(to, &wire, sizeof(wire));
}

static void
append_64(struct buffer *to, int64_t number)
{
    uint64_t wire = htobe64((uint64_t)number);
    buffer_append(to, &wire, sizeof(wire));
}

static void
append_time(struct buffer *to, int64_t unix_us)
{
    assert(unix_us >= INT64_MIN + POSTGRES_EPOCH_US);
    append_64(to, unix_us - POSTGRES_EPOCH_US);
}

/* -1 instead of a length is NULL. */
static void
append_element_bytes(struct buffer *to, struct bytes element)
{
    assert(element.len <= INT_MAX);
    append_32(to, element.at == NULL ? -1 : (int64_t)element.len);
    if (element.at != NULL)
        buffer_append(to, element.at, element.len);
}

static struct bytes
element_bytes(const struct db_value *value, size_t index)
{
    if (value->type == DB_IS_BYTES_ARRAY)
        return ((const struct bytes *)value->array)[index];
    const char *text = ((const char *const *)value->array)[index];
    return text == NULL ? BYTES_NONE : bytes_of_text(text);
}

static bool
has_null_element(const struct db_value *value)
{
    if (value->type != DB_IS_TEXT_ARRAY && value->type != DB_IS_BYTES_ARRAY)
        return false;
    for (size_t i = 0; i < value->count; i++) {
        if (element_bytes(value, i).at == NULL)
            return true;
    }
    return false;
}

static void
append_array_header(struct buffer *to, const struct db_value *value)
{
    append_32(to, value->count == 0 ? 0 : 1); /* dimensions */
    append_32(to, has_null_element(value));
    append_32(to, types[value->type].element);
    if (value->count == 0)
        return;
    append_32(to, (int64_t)value->count);
    append_32(to, 1); /* the first index */
}

static void
append_value(struct buffer *to, const struct db_value *value)
{
    switch (value->type) {
    case DB_IS_NULL:
    case DB_IS_TEXT:
    case DB_IS_BYTES:
        return; /* sent from where they are */
    case DB_IS_SMALLINT:
        append_16(to, value->number);
        return;
    case DB_IS_INT:
        append_32(to, value->number);
        return;
    case DB_IS_BIGINT:
        append_64(to, value->number);
        return;
    case DB_IS_BOOL:
        buffer_append(to, value->number != 0 ? "\1" : "\0", 1);
        return;
    case DB_IS_TIME:
        append_time(to, value->number);
        return;
    case DB_IS_TEXT_ARRAY:
    case DB_IS_BYTES_ARRAY:
        append_array_header(to, value);
        for (size_t i = 0; i < value->count; i++)
            append_element_bytes(to, element_bytes(value, i));
        return;
    case DB_IS_INT_ARRAY:
        append_array_header(to, value);
        for (size_t i = 0; i < value->count; i++) {
            append_32(to, sizeof(int32_t));
            append_32(to, ((const int32_t *)value->array)[i]);
        }
        return;
    case DB_IS_BIGINT_ARRAY:
        append_array_header(to, value);
        for (size_t i = 0; i < value->count; i++) {
            append_32(to, sizeof(int64_t));
            append_64(to, ((const int64_t *)value->array)[i]);
        }
        return;
    case DB_IS_TIME_ARRAY:
        append_array_header(to, value);
        for (size_t i = 0; i < value->count; i++) {
            append_32(to, sizeof(int64_t));
            append_time(to, ((const int64_t *)value->array)[i]);
        }
        return;
    }
    assert(!"a value of no known type");
}

static const char *
statement_key(struct arena *arena, const struct db_step *step)
{
    size_t name_len = strlen(step->statement->name);
    char *key = arena_alloc(arena, name_len + 1 + step->value_count + 1);
    memcpy(key, step->statement->name, name_len);
    key[name_len] = '/';
    for (size_t i = 0; i < step->value_count; i++) {
        assert((size_t)step->values[i].type < sizeof(types) / sizeof(types[0]));
        key[name_len + 1 + i] = types[step->values[i].type].letter;
    }
    return key;
}

static bool
is_borrowed(const struct db_value *value)
{
    return value->type == DB_IS_TEXT || value->type == DB_IS_BYTES;
}

static bool
is_null(const struct db_value *value)
{
    return value->type == DB_IS_NULL || (is_borrowed(value) && value->bytes.at == NULL);
}

void
db_command_encode(struct arena *arena, const struct db_step *step, struct db_command *ret_command)
{
    size_t count = step->value_count;
    assert(count <= VALUES_MOST);
    struct db_command command = {.statement = step->statement, .count = (int)count, .ret_rows = step->ret_rows};
    command.key = statement_key(arena, step);
    command.hash = text_hash(command.key); /* only a short cut before the keys are compared */
    command.types = arena_array(arena, count, sizeof(Oid));
    command.values = arena_array(arena, count, sizeof(char *));
    command.lengths = arena_array(arena, count, sizeof(int));
    command.formats = arena_array(arena, count, sizeof(int));

    struct buffer wire = buffer_in(arena);
    for (size_t i = 0; i < count; i++) {
        size_t before = wire.len;
        append_value(&wire, &step->values[i]);
        size_t len = is_borrowed(&step->values[i]) ? step->values[i].bytes.len : wire.len - before;
        assert(len <= INT_MAX);
        command.types[i] = types[step->values[i].type].oid;
        command.lengths[i] = (int)len;
        command.formats[i] = 1;
    }
    /* Only now the buffer stays where it is. */
    const uint8_t *at = wire.at;
    for (size_t i = 0; i < count; i++) {
        if (is_null(&step->values[i]))
            continue;
        command.values[i] = (const char *)(is_borrowed(&step->values[i]) ? step->values[i].bytes.at : at);
        if (!is_borrowed(&step->values[i]))
            at += command.lengths[i];
    }
    *ret_command = command;
}
