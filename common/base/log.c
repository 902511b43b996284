/*
 * The one place that writes log lines. A line is built whole in an arena of its own and leaves with one write(2), so that lines of threads
 * and of processes that share a pipe do not mix. Whatever octets a value holds, the line is valid JSON and valid UTF-8.
 */
#include "base/log.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/bytes.h"
#include "base/clock.h"
#include "base/request.h"
#include "base/text.h"

#define VALUE_MAX 2048 /* octets of one value; strangers choose some of them */

static struct {
    enum log_level least;
    char service[64];
    char instance[128];
} opened = {.least = LOG_LEVEL_INFO};

static const char *const level_names[] = {
    [LOG_LEVEL_DEBUG] = "debug",
    [LOG_LEVEL_INFO] = "info",
    [LOG_LEVEL_WARNING] = "warning",
    [LOG_LEVEL_ERROR] = "error",
};

void
log_open(const char *service, const char *instance, enum log_level least)
{
    snprintf(opened.service, sizeof opened.service, "%s", service);
    snprintf(opened.instance, sizeof opened.instance, "%s", instance);
    opened.least = least;
}

/* Octets at the front that stand for themselves: most values are nothing else. */
static size_t
plain_run(const uint8_t *at, size_t len)
{
    size_t run = 0;

    while (run < len && at[run] >= 0x20 && at[run] < 0x7f && at[run] != '"' && at[run] != '\\')
        run++;
    return run;
}

static void
append_character(struct buffer *line, const uint8_t *at, size_t len)
{
    static const char shorts[] = "\b\f\n\r\t\"\\", letters[] = "bfnrt\"\\";
    const char *found = *at == '\0' ? NULL : strchr(shorts, *at);

    if (found != NULL)
        buffer_append_format(line, "\\%c", letters[found - shorts]);
    else if (*at < 0x20 || *at == 0x7f)
        buffer_append_format(line, "\\u%04x", *at);
    else
        buffer_append(line, at, len);
}

/* RFC 8259 §7. What is not UTF-8 becomes U+FFFD, what is too long ends in "…". */
static void
append_quoted(struct buffer *line, const char *text)
{
    size_t len = strnlen(text, VALUE_MAX + 3); /* a character that begins before the limit has up to three octets beyond it */
    size_t shown = len > VALUE_MAX ? VALUE_MAX : len;

    buffer_append_text(line, "\"");
    for (size_t i = 0; i < shown;) {
        const uint8_t *at = (const uint8_t *)text + i;
        size_t plain = plain_run(at, shown - i);
        if (plain > 0) {
            buffer_append(line, at, plain);
            i += plain;
            continue;
        }
        size_t character = text_utf8_length(BYTES(at, len - i));
        if (character == 0)
            buffer_append_text(line, "\xef\xbf\xbd");
        else
            append_character(line, at, character);
        i += character == 0 ? 1 : character;
    }
    buffer_append_text(line, len > VALUE_MAX ? "…\"" : "\"");
}

static void
append_field(struct buffer *line, const char *key, const char *value)
{
    buffer_append_text(line, ",");
    append_quoted(line, key);
    buffer_append_text(line, ":");
    append_quoted(line, value == NULL ? "" : value);
}

static void
append_field_if_any(struct buffer *line, const char *key, const char *value)
{
    if (!text_is_empty(value))
        append_field(line, key, value);
}

static struct buffer
begin_line(struct arena *arena, enum log_level level)
{
    struct buffer line = buffer_in(arena);
    int64_t now_us = clock_now_us();
    const char *to_the_second = clock_format_rfc3339(arena, now_us / 1000000);

    buffer_append_format(&line, "{\"time\":\"%.19s.%06dZ\"", to_the_second, (int)(now_us % 1000000));
    append_field(&line, "level", level_names[level]);
    append_field(&line, "service", opened.service);
    append_field(&line, "instance", opened.instance);
    return line;
}

/* A log that cannot be written is not worth a failed request: what does not go out is lost. */
static void
write_line(struct buffer *line)
{
    buffer_append_text(line, "}\n");
    struct bytes rest = buffer_bytes(line);

    while (rest.len > 0) {
        ssize_t written = write(STDERR_FILENO, rest.at, rest.len);
        if (written < 0 && errno == EINTR)
            continue;
        if (written <= 0)
            return;
        rest = BYTES(rest.at + written, rest.len - (size_t)written);
    }
}

void
log_line(enum log_level level, const char *step, ...)
{
    if (level < opened.least)
        return;
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer line = begin_line(arena, level);
    va_list pairs;

    append_field(&line, "step", step);
    va_start(pairs, step);
    for (const char *key = va_arg(pairs, const char *); key != NULL; key = va_arg(pairs, const char *))
        append_field(&line, key, va_arg(pairs, const char *));
    va_end(pairs);
    write_line(&line);
}

void
log_request(enum log_level level, const struct request *rq, const char *result)
{
    if (level < opened.least)
        return;
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer line = begin_line(arena, level);

    append_field(&line, "trace", rq->trace_id);
    append_field(&line, "span", rq->span_id);
    append_field_if_any(&line, "parent", rq->parent_id);
    append_field(&line, "kind", rq->kind);
    append_field(&line, "step", rq->step);
    append_field_if_any(&line, "caller", rq->caller);
    append_field(&line, "result", result);
    int64_t took_us = clock_monotonic_us() - rq->started_us;
    buffer_append_format(&line, ",\"ms\":%lld.%03d", (long long)(took_us / 1000), (int)(took_us % 1000));
    /* A refusal that the handler has dealt with is not what became of the request. */
    if (strcmp(result, error_name(OK)) != 0) {
        append_field_if_any(&line, "layer", rq->failure.layer);
        append_field_if_any(&line, "reason", rq->failure.reason);
        append_field_if_any(&line, "message", rq->failure.message);
        append_field_if_any(&line, "detail", rq->failure.detail);
    }
    if (rq->sql_round_trips > 0)
        buffer_append_format(&line, ",\"sql\":%u", rq->sql_round_trips);
    for (size_t i = 0; i < rq->note_count; i++)
        append_field(&line, rq->notes[i].key, rq->notes[i].value);
    write_line(&line);
}
