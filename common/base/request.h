/*
 * One piece of work from outside: an HTTP request, a bus call, an event, a leased row, a command.
 *
 * It carries the arena, the deadline, the trace, who asks, what went wrong, and the fields of its one log line.
 * The skeletons (rpc, http_server, events, lease) begin it, and end it with exactly one line; handlers only add fields:
 *
 *     request_note(rq, "serial", "%s", serial_hex);
 *     return fail(rq, ERR_CONFLICT, "the certificate was revoked before, at %s", when);
 *
 * Library layers return errors; they never log. Threads: one at a time.
 */
#ifndef SIGNET_BASE_REQUEST_H
#define SIGNET_BASE_REQUEST_H

#include <stdbool.h>
#include <stdint.h>

#include "base/arena.h"
#include "base/auto.h"
#include "base/error.h"

struct failure {
    enum error kind;
    char layer[16];     /* AUTH-001 … AUTH-004, or "" */
    char reason[40];    /* a protocol's own word where the kind is too coarse ("badNonce"), or "" */
    int retry_after_s;  /* 0: none given */
    char message[1000]; /* for the client: what happened, to what, what to do next; one line of valid UTF-8 whatever was formatted into it */
    char detail[400];   /* for the log only: library texts, addresses, SQLSTATE */
};

#define REQUEST_NOTES_MAX 24

struct request_note {
    const char *key;
    const char *value; /* in the arena */
};

struct request {
    struct arena *arena;
    const char *kind;   /* what kind of work, for the log: "rpc", "http", "event", "lease", "command" */
    const char *step;   /* the handler: "ra.Enroll", "POST /acme/new-order" */
    const char *caller; /* bus user, account or peer address; "" while unknown */
    char trace_id[33];  /* W3C trace-id, 32 hex digits */
    char parent_id[17]; /* the caller's span, or "" */
    char span_id[17];
    int64_t started_us;  /* monotonic */
    int64_t deadline_ms; /* monotonic clock; 0: none */
    unsigned sql_round_trips;
    struct failure failure;
    const char *failure_members; /* NULL, or a protocol's own additions to what the client is told: a JSON object, in the arena */
    size_t note_count;
    struct request_note notes[REQUEST_NOTES_MAX];
};

/* New arena, new span, new trace unless `traceparent` (may be NULL) is a valid W3C header value. */
void request_begin(struct request *rq, const char *kind, const char *step, const char *traceparent);

/* Writes the one log line of this request and counts it, then frees the arena. Severity follows the kind of failure. */
void request_end(struct request *rq, enum error result);

/* Hears of every ended request, for metrics. Set once, before threads start; NULL: nobody. */
void request_on_end(void (*hear)(const struct request *rq, enum error result));

/* Frees without a line: for health probes and empty polls. */
void request_drop(struct request *rq);

/* The pair for answers from memory, thousands a second: the arena is the caller's, who resets and reuses it; trace and span are drawn only when
 * something asks for them (a log line, request_traceparent). Ending tells request_on_end, and writes the line unless it is `quiet` and OK. */
void request_begin_in(struct request *rq, struct arena *arena, const char *kind, const char *step, const char *traceparent);
void request_end_in(struct request *rq, enum error result, bool quiet);

/* For tests and start-up code: begins without a step, ends without a line. */
struct request *request_new(void);
void request_free(struct request *rq);
DEFINE_AUTO_STRUCT(request, request_free);

void request_note(struct request *rq, const char *key, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* "00-<trace>-<span>-01", in the arena. */
const char *request_traceparent(struct request *rq);

/* Milliseconds left, at most `most_ms`; 0 when the deadline has passed. */
int request_time_left_ms(const struct request *rq, int most_ms);

/* Records the refusal and returns its kind. The first refusal wins, and its kind is returned again: call it once, where it is found. */
enum error fail(struct request *rq, enum error kind, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* The same with a private detail for the log and a message that says nothing of the inside. */
enum error fail_privately(struct request *rq, enum error kind, const char *message, const char *format, ...) __attribute__((format(printf, 4, 5)));

/* Refinements of the refusal just recorded; each returns the recorded kind. */
enum error fail_layer(struct request *rq, const char *layer);
enum error fail_reason(struct request *rq, const char *reason);
enum error fail_retry_after(struct request *rq, int seconds);

/* Forgets a failure that the handler has dealt with. */
void failure_clear(struct request *rq);

/* clang's analyzer sees prototypes only, and would follow every path on which a refusal is OK. */
#ifdef __clang_analyzer__
#define fail(rq, kind, ...) ((void)(fail)((rq), (kind), __VA_ARGS__), (kind))
#define fail_privately(rq, kind, ...) ((void)(fail_privately)((rq), (kind), __VA_ARGS__), (kind))
#define fail_layer(rq, layer) ((void)(fail_layer)((rq), (layer)), ERR_INTERNAL)
#define fail_reason(rq, reason) ((void)(fail_reason)((rq), (reason)), ERR_INTERNAL)
#define fail_retry_after(rq, seconds) ((void)(fail_retry_after)((rq), (seconds)), ERR_INTERNAL)
#endif

#endif
