/*
 * The piece of work that every handler gets. The skeletons begin it with the caller's trace, handlers note and fail, the skeletons end it:
 * one log line, one count, and the arena is gone.
 */
#include "base/request.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/log.h"
#include "base/text.h"

/* Defined for the analyzer, which must not see the definitions through them. */
#undef fail
#undef fail_privately
#undef fail_layer
#undef fail_reason
#undef fail_retry_after

#define TRACE_DIGITS 32
#define SPAN_DIGITS 16
#define TRACEPARENT_LEN 55 /* "00-" trace "-" span "-01" */

static void (*hear_end)(const struct request *rq, enum error result);

void
request_on_end(void (*hear)(const struct request *rq, enum error result))
{
    hear_end = hear;
}

static bool
is_lower_hex(const char *text, size_t len)
{
    return strspn(text, "0123456789abcdef") >= len;
}

static bool
is_all_zero(const char *text, size_t len)
{
    return strspn(text, "0") >= len;
}

/* W3C Trace Context §3.2: a later version may have more behind the flags, version ff is forbidden, ids of zeros are invalid. */
static bool
traceparent_is_valid(const char *header)
{
    if (header == NULL || strnlen(header, TRACEPARENT_LEN) < TRACEPARENT_LEN)
        return false;
    const char *trace = header + 3, *span = trace + TRACE_DIGITS + 1, *flags = span + SPAN_DIGITS + 1;
    char behind = header[TRACEPARENT_LEN];
    if (header[2] != '-' || trace[TRACE_DIGITS] != '-' || span[SPAN_DIGITS] != '-')
        return false;
    if (!is_lower_hex(header, 2) || !is_lower_hex(trace, TRACE_DIGITS) || !is_lower_hex(span, SPAN_DIGITS) || !is_lower_hex(flags, 2))
        return false;
    if (strncmp(header, "ff", 2) == 0 || is_all_zero(trace, TRACE_DIGITS) || is_all_zero(span, SPAN_DIGITS))
        return false;
    return behind == '\0' || (behind == '-' && strncmp(header, "00", 2) != 0);
}

static void
make_id(char *ret_id, size_t digits)
{
    static const char hex[] = "0123456789abcdef";
    uint8_t random[TRACE_DIGITS / 2];

    random_bytes(random, digits / 2);
    for (size_t i = 0; i < digits; i++)
        ret_id[i] = hex[i % 2 == 0 ? random[i / 2] >> 4 : random[i / 2] & 15];
    ret_id[digits] = '\0';
}

static void
draw_missing_ids(struct request *rq)
{
    if (rq->trace_id[0] == '\0')
        make_id(rq->trace_id, TRACE_DIGITS);
    if (rq->span_id[0] == '\0')
        make_id(rq->span_id, SPAN_DIGITS);
}

/* Field by field: the texts of the failure alone are larger than a cached answer, and nobody reads behind their first NUL. */
void
request_begin_in(struct request *rq, struct arena *arena, const char *kind, const char *step, const char *traceparent)
{
    assert(arena != NULL && kind != NULL && step != NULL);
    rq->arena = arena;
    rq->kind = kind;
    rq->step = step;
    rq->caller = "";
    rq->trace_id[0] = rq->parent_id[0] = rq->span_id[0] = '\0';
    rq->started_us = clock_monotonic_us();
    rq->deadline_ms = 0;
    rq->sql_round_trips = 0;
    rq->failure.kind = OK;
    rq->failure.layer[0] = rq->failure.reason[0] = rq->failure.message[0] = rq->failure.detail[0] = '\0';
    rq->failure.retry_after_s = 0;
    rq->failure_members = NULL;
    rq->note_count = 0;
    if (traceparent_is_valid(traceparent)) {
        memcpy(rq->trace_id, traceparent + 3, TRACE_DIGITS);
        rq->trace_id[TRACE_DIGITS] = '\0';
        memcpy(rq->parent_id, traceparent + 3 + TRACE_DIGITS + 1, SPAN_DIGITS);
        rq->parent_id[SPAN_DIGITS] = '\0';
    }
}

void
request_begin(struct request *rq, const char *kind, const char *step, const char *traceparent)
{
    *rq = (struct request){0};
    request_begin_in(rq, arena_new(), kind, step, traceparent);
    draw_missing_ids(rq);
}

/* A client's fault is daily bread; trouble around us is a warning; only what we did wrong is an error. */
static enum log_level
severity(enum error result)
{
    switch (result) {
    case OK:
    case ERR_BAD_REQUEST:
    case ERR_BAD_CSR:
    case ERR_BAD_NAME:
    case ERR_UNAUTHENTICATED:
    case ERR_DENIED:
    case ERR_NOT_FOUND:
    case ERR_CONFLICT:
    case ERR_TOO_LARGE:
    case ERR_RATE_LIMITED:
        return LOG_LEVEL_INFO;
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
        return LOG_LEVEL_WARNING;
    case ERR_INTERNAL:
    case ERR_COUNT:
        return LOG_LEVEL_ERROR;
    }
    return LOG_LEVEL_ERROR;
}

void
request_end_in(struct request *rq, enum error result, bool quiet)
{
    if (!quiet || result != OK) {
        draw_missing_ids(rq);
        log_request(severity(result), rq, error_name(result));
    }
    if (hear_end != NULL)
        hear_end(rq, result);
}

void
request_end(struct request *rq, enum error result)
{
    request_end_in(rq, result, false);
    request_drop(rq);
}

void
request_drop(struct request *rq)
{
    arena_free(TAKE(rq->arena));
}

struct request *
request_new(void)
{
    struct request *rq = malloc(sizeof *rq);

    if (rq == NULL)
        abort();
    request_begin(rq, "command", "", NULL);
    return rq;
}

void
request_free(struct request *rq)
{
    if (rq == NULL)
        return;
    request_drop(rq);
    free(rq);
}

void
request_note(struct request *rq, const char *key, const char *format, ...)
{
    size_t i = 0;
    va_list values;

    while (i < rq->note_count && strcmp(rq->notes[i].key, key) != 0)
        i++;
    assert(i < REQUEST_NOTES_MAX);
    va_start(values, format);
    rq->notes[i] = (struct request_note){.key = key, .value = arena_vformat(rq->arena, format, values)};
    va_end(values);
    if (i == rq->note_count)
        rq->note_count++;
}

const char *
request_traceparent(struct request *rq)
{
    draw_missing_ids(rq);
    return arena_format(rq->arena, "00-%s-%s-01", rq->trace_id, rq->span_id);
}

int
request_time_left_ms(const struct request *rq, int most_ms)
{
    if (rq->deadline_ms == 0)
        return most_ms;
    int64_t left_ms = rq->deadline_ms - clock_monotonic_ms();
    if (left_ms <= 0)
        return 0;
    return left_ms < most_ms ? (int)left_ms : most_ms;
}

/*
 * What goes to a client also goes through headers and JSON: octets of strangers in it, or a character cut in two by the end of the room,
 * must break neither. Works in place, since '?' and ' ' are never longer than what they replace.
 */
static void
make_one_clean_line(char *text)
{
    size_t len = strlen(text);

    for (size_t i = 0; i < len;) {
        size_t character = text_utf8_length(BYTES(text + i, len - i));
        if (character == 0)
            text[i] = '?';
        else if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f)
            text[i] = ' ';
        i += character == 0 ? 1 : character;
    }
}

static void format_line(char *to, size_t room, const char *format, va_list values) __attribute__((format(printf, 3, 0)));

static void
format_line(char *to, size_t room, const char *format, va_list values)
{
    vsnprintf(to, room, format, values);
    make_one_clean_line(to);
}

enum error
fail(struct request *rq, enum error kind, const char *format, ...)
{
    va_list values;

    assert(kind != OK && kind < ERR_COUNT);
    if (rq->failure.kind != OK)
        return rq->failure.kind;
    rq->failure.kind = kind;
    va_start(values, format);
    format_line(rq->failure.message, sizeof rq->failure.message, format, values);
    va_end(values);
    return kind;
}

enum error
fail_privately(struct request *rq, enum error kind, const char *message, const char *format, ...)
{
    va_list values;

    if (rq->failure.kind != OK)
        return rq->failure.kind;
    va_start(values, format);
    format_line(rq->failure.detail, sizeof rq->failure.detail, format, values);
    va_end(values);
    return fail(rq, kind, "%s", message);
}

enum error
fail_layer(struct request *rq, const char *layer)
{
    assert(rq->failure.kind != OK);
    snprintf(rq->failure.layer, sizeof rq->failure.layer, "%s", layer);
    make_one_clean_line(rq->failure.layer);
    return rq->failure.kind;
}

enum error
fail_reason(struct request *rq, const char *reason)
{
    assert(rq->failure.kind != OK);
    snprintf(rq->failure.reason, sizeof rq->failure.reason, "%s", reason);
    make_one_clean_line(rq->failure.reason);
    return rq->failure.kind;
}

enum error
fail_retry_after(struct request *rq, int seconds)
{
    assert(rq->failure.kind != OK);
    rq->failure.retry_after_s = seconds < 0 ? 0 : seconds;
    return rq->failure.kind;
}

void
failure_clear(struct request *rq)
{
    rq->failure = (struct failure){.kind = OK};
    rq->failure_members = NULL;
}
