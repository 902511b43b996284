/*
 * db_query and db_atomic: values to wire, a connection, one exchange, rows. What the server refuses for a reason that passes is sent again as a
 * whole, because nothing of it was kept.
 */
#include <assert.h>

#include "link/db_internal.h"

static const char *
name_of(const struct db_exchange *exchange)
{
    if (exchange->refused != NULL)
        return exchange->refused->name;
    return exchange->count > 0 ? exchange->commands[0].statement->name : "BEGIN";
}

static void
hand_over_rows(struct request *rq, struct db_exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        struct db_command *command = &exchange->commands[i];
        if (command->ret_rows != NULL)
            *command->ret_rows = db_rows_new(rq->arena, TAKE(command->result));
    }
}

static enum error
run_alone(struct db_pool *pool, struct request *rq, struct db_exchange *exchange)
{
    for (int attempt = 0;; attempt++) {
        struct db_connection *connection;
        enum error error = db_pool_take(pool, rq, &connection);
        if (error)
            return error;
        enum db_outcome outcome = db_exchange_run(connection, rq, rq->deadline_ms, exchange);
        db_pool_give(pool, connection);
        if (outcome == DB_ANSWERED && exchange->refusal == NULL) {
            hand_over_rows(rq, exchange);
            return OK;
        }
        if (!db_refusal_is_passing(exchange->refusal) || !db_pause_before_retry(rq, attempt))
            return db_fail(rq, outcome, exchange->refusal, name_of(exchange));
        db_exchange_clear(exchange);
    }
}

/* The retry is db_transaction's. Nothing is committed here, so a lost connection is no mystery. */
static enum error
run_within(struct db_transaction *transaction, struct request *rq, struct db_exchange *exchange)
{
    if (transaction->failed)
        return db_fail(rq, DB_ABORTED, NULL, name_of(exchange));
    exchange->begins = !transaction->begun;
    enum db_outcome outcome = db_exchange_run(transaction->connection, rq, rq->deadline_ms, exchange);
    if (outcome == DB_ANSWERED)
        transaction->begun = true;
    if (outcome == DB_ANSWERED && exchange->refusal == NULL) {
        hand_over_rows(rq, exchange);
        return OK;
    }
    transaction->failed = true;
    transaction->again = db_refusal_is_passing(exchange->refusal);
    return db_fail(rq, outcome == DB_UNKNOWN ? DB_ABORTED : outcome, exchange->refusal, name_of(exchange));
}

enum error
db_atomic(struct db *db, struct request *rq, const struct db_step *steps, size_t step_count)
{
    assert(step_count > 0);
    struct db_exchange exchange = {.count = step_count};
    exchange.commands = arena_array(rq->arena, step_count, sizeof(*exchange.commands));
    for (size_t i = 0; i < step_count; i++)
        db_command_encode(rq->arena, &steps[i], &exchange.commands[i]);

    enum error error = db->transaction == NULL ? run_alone(db->pool, rq, &exchange) : run_within(db->transaction, rq, &exchange);
    db_exchange_clear(&exchange);
    return error;
}

enum error
db_query(struct db *db, struct request *rq, const struct db_statement *statement, const struct db_value *values, size_t value_count,
         struct db_rows **ret_rows)
{
    struct db_step step = {.statement = statement, .values = values, .value_count = value_count, .ret_rows = ret_rows};
    return db_atomic(db, rq, &step, 1);
}
