/*
 * What PostgreSQL's answer means for the caller: SQLSTATEs (appendix A of its manual) to our kinds of error. The texts of the server are for the
 * log only; a constraint's name is told as the reason, so that a service can say which rule was broken.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/db_internal.h"

enum { ATTEMPTS_MOST = 12, PAUSE_MOST_MS = 64 };

static const char *
field(const PGresult *refusal, int code)
{
    const char *text = refusal == NULL ? NULL : PQresultErrorField(refusal, code);
    return text == NULL ? "" : text;
}

static bool
state_is(const PGresult *refusal, const char *state)
{
    return strcmp(field(refusal, PG_DIAG_SQLSTATE), state) == 0;
}

static bool
state_class_is(const PGresult *refusal, const char *class)
{
    return text_starts_with(field(refusal, PG_DIAG_SQLSTATE), class);
}

/* "cached plan must not change result type": a migration altered the table; 0A000 alone says many other things. */
static bool
plan_is_stale(const PGresult *refusal)
{
    return state_is(refusal, "0A000") && strcmp(field(refusal, PG_DIAG_SOURCE_FUNCTION), "RevalidateCachedQuery") == 0;
}

static bool
statement_is_forgotten(const PGresult *refusal)
{
    return state_is(refusal, "26000"); /* DEALLOCATE or DISCARD by somebody between us and the server */
}

bool
db_refusal_is_passing(const PGresult *refusal)
{
    return state_is(refusal, "40001") || state_is(refusal, "40P01") || plan_is_stale(refusal) || statement_is_forgotten(refusal);
}

static bool
server_is_read_only(const PGresult *refusal)
{
    return state_is(refusal, "25006");
}

bool
db_refusal_spoils(const PGresult *refusal)
{
    return plan_is_stale(refusal) || statement_is_forgotten(refusal) || server_is_read_only(refusal) || state_class_is(refusal, "57P");
}

bool
db_pause_before_retry(struct request *rq, int attempt)
{
    if (attempt + 1 >= ATTEMPTS_MOST)
        return false;
    int most_ms = attempt >= 6 ? PAUSE_MOST_MS : 1 << attempt;
    unsigned jitter;
    random_bytes(&jitter, sizeof(jitter));
    int pause_ms = (int)(jitter % (unsigned)most_ms) + 1;
    if (request_time_left_ms(rq, pause_ms + 1) <= pause_ms)
        return false;
    clock_sleep_ms(pause_ms);
    return true;
}

static enum error
fail_refused(struct request *rq, const PGresult *refusal, const char *what)
{
    const char *state = field(refusal, PG_DIAG_SQLSTATE);
    const char *said = field(refusal, PG_DIAG_MESSAGE_PRIMARY);
    const char *constraint = field(refusal, PG_DIAG_CONSTRAINT_NAME);

    if (state_is(refusal, "23505") || state_is(refusal, "23503") || state_is(refusal, "23514") || state_is(refusal, "23P01")) {
        fail_privately(rq, ERR_CONFLICT, "the change contradicts what is stored", "%s: SQLSTATE %s, constraint %s: %s", what, state, constraint,
                       said);
        return fail_reason(rq, constraint);
    }
    if (db_refusal_is_passing(refusal)) {
        fail_privately(rq, ERR_BUSY, "too many changes at once; repeat the request later", "%s: SQLSTATE %s again and again: %s", what, state, said);
        return fail_retry_after(rq, DB_BUSY_RETRY_AFTER_S);
    }
    if (state_class_is(refusal, "08") || state_class_is(refusal, "53") || state_class_is(refusal, "58") || state_class_is(refusal, "57P") ||
        server_is_read_only(refusal)) {
        fail_privately(rq, ERR_UNAVAILABLE, "the database cannot work now; repeat the request later", "%s: SQLSTATE %s: %s", what, state, said);
        return fail_retry_after(rq, DB_RETRY_AFTER_S);
    }
    if (state_is(refusal, "57014"))
        return fail_privately(rq, ERR_TIMEOUT, "the database took too long", "%s: SQLSTATE %s: %s", what, state, said);
    return fail_privately(rq, ERR_INTERNAL, "internal error", "%s: SQLSTATE %s: %s", what, state, said);
}

static const char *
client_text(const PGresult *refusal)
{
    return refusal == NULL ? "no answer" : PQresultErrorMessage(refusal);
}

enum error
db_fail(struct request *rq, enum db_outcome outcome, const PGresult *refusal, const char *what)
{
    switch (outcome) {
    case DB_ANSWERED:
        return fail_refused(rq, refusal, what);
    case DB_ABORTED:
        fail_privately(rq, ERR_UNAVAILABLE, "the connection to the database was lost; repeat the request", "%s: SQLSTATE %s: %s", what,
                       field(refusal, PG_DIAG_SQLSTATE), client_text(refusal));
        return fail_retry_after(rq, DB_RETRY_AFTER_S);
    case DB_UNKNOWN:
        return fail_privately(rq, ERR_TIMEOUT, "the database was lost before it answered; repeat the request", "%s: outcome unknown: %s", what,
                              client_text(refusal));
    case DB_LATE:
        return fail_privately(rq, ERR_TIMEOUT, "the database did not answer in time; repeat the request", "%s: deadline passed, cancelled", what);
    }
    assert(!"no such outcome");
    return ERR_INTERNAL;
}
