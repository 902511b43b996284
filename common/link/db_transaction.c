/*
 * db_transaction: one connection for the length of `work`. BEGIN travels with the first statement, so a transaction costs one round trip more than
 * its statements. A death before COMMIT is sent leaves nothing behind; only a death at the COMMIT itself leaves the outcome unknown.
 */
#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "link/db_internal.h"

enum { ROLLBACK_MOST_MS = 1000 };

static const struct db_statement commit_statement = {"db_commit", "COMMIT"};
static const struct db_statement rollback_statement = {"db_rollback", "ROLLBACK"};

static enum db_outcome
run_one(struct db_transaction *transaction, struct request *rq, int64_t deadline_ms, const struct db_statement *statement,
        struct db_exchange *exchange)
{
    struct db_step step = {.statement = statement};
    struct db_command *command = arena_alloc(rq->arena, sizeof(*command));
    db_command_encode(rq->arena, &step, command);
    *exchange = (struct db_exchange){.commands = command, .count = 1};
    return db_exchange_run(transaction->connection, rq, deadline_ms, exchange);
}

static enum error
commit(struct db_transaction *transaction, struct request *rq)
{
    struct db_exchange exchange;
    enum db_outcome outcome = run_one(transaction, rq, rq->deadline_ms, &commit_statement, &exchange);
    enum error error = OK;
    if (outcome == DB_ABORTED)
        outcome = DB_UNKNOWN; /* the server may end a connection after the commit, before its answer */
    if (outcome != DB_ANSWERED || exchange.refusal != NULL) {
        transaction->again = db_refusal_is_passing(exchange.refusal);
        error = db_fail(rq, outcome, exchange.refusal, commit_statement.name);
    }
    db_exchange_clear(&exchange);
    return error;
}

static void
roll_back(struct db_transaction *transaction, struct request *rq)
{
    struct db_exchange exchange;
    enum db_outcome outcome = run_one(transaction, rq, clock_monotonic_ms() + ROLLBACK_MOST_MS, &rollback_statement, &exchange);
    if (outcome != DB_ANSWERED || exchange.refusal != NULL)
        transaction->connection->broken = true; /* closing it rolls back too */
    db_exchange_clear(&exchange);
}

static enum error
end(struct db_transaction *transaction, struct request *rq, enum error result)
{
    if (!transaction->begun || transaction->connection->broken)
        return result;
    if (result == OK)
        return commit(transaction, rq);
    roll_back(transaction, rq);
    return result;
}

enum error
db_transaction(struct db *db, struct request *rq, enum error (*work)(struct db *db, struct request *rq, void *context), void *context)
{
    assert(db->transaction == NULL && "a transaction within a transaction");
    for (int attempt = 0;; attempt++) {
        struct db_transaction transaction = {0};
        struct db inner = {.pool = db->pool, .transaction = &transaction};
        enum error result = db_pool_take(db->pool, rq, &transaction.connection);
        if (result)
            return result;
        result = work(&inner, rq, context);
        assert((result != OK || !transaction.failed) && "a statement failed, and `work` went on");
        result = end(&transaction, rq, result);
        db_pool_give(db->pool, transaction.connection);
        if (!transaction.again || !db_pause_before_retry(rq, attempt))
            return result;
        failure_clear(rq);
    }
}
