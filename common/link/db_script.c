/* Several SQL commands in one text: migrations and grants. Their errors are for the operator who wrote or runs them, so they name the line. */
#include <stdlib.h>

#include "link/db_internal.h"

/* PG_DIAG_STATEMENT_POSITION counts characters from 1 in the whole text. */
static const char *
script_place(struct request *rq, const PGresult *refusal, const char *sql)
{
    const char *position = refusal == NULL ? NULL : PQresultErrorField(refusal, PG_DIAG_STATEMENT_POSITION);
    if (position == NULL)
        return "script";
    long characters = strtol(position, NULL, 10);
    int line = 1;
    for (const char *at = sql; *at != '\0' && characters > 1; at++) {
        line += *at == '\n';
        characters -= (at[1] & 0xc0) != 0x80; /* UTF-8: not before a continuation octet */
    }
    return arena_format(rq->arena, "script, line %d", line);
}

static enum error
fail_script(struct request *rq, enum db_outcome outcome, const PGresult *refusal, const char *sql)
{
    return db_fail(rq, outcome, refusal, script_place(rq, refusal, sql));
}

static enum error
script_alone(struct db_pool *pool, struct request *rq, const char *sql)
{
    struct db_connection *connection;
    enum error error = db_pool_take(pool, rq, &connection);
    if (error)
        return error;
    AUTO(PGresult, refusal) = NULL;
    enum db_outcome outcome = db_exchange_script(connection, rq, rq->deadline_ms, sql, &refusal);
    if (outcome == DB_ANSWERED && PQtransactionStatus(connection->pg) != PQTRANS_IDLE)
        connection->broken = true; /* it left a transaction open: closing rolls it back */
    db_pool_give(pool, connection);
    return outcome == DB_ANSWERED && refusal == NULL ? OK : fail_script(rq, outcome, refusal, sql);
}

static enum error
begin_now(struct db_transaction *transaction, struct request *rq)
{
    struct db_exchange exchange = {.begins = true};
    enum db_outcome outcome = db_exchange_run(transaction->connection, rq, rq->deadline_ms, &exchange);
    enum error error = OK;
    if (outcome == DB_ANSWERED && exchange.refusal == NULL)
        transaction->begun = true;
    else
        error = db_fail(rq, outcome, exchange.refusal, "BEGIN");
    db_exchange_clear(&exchange);
    return error;
}

static enum error
script_within(struct db_transaction *transaction, struct request *rq, const char *sql)
{
    if (transaction->failed)
        return db_fail(rq, DB_ABORTED, NULL, "script");
    enum error error = transaction->begun ? OK : begin_now(transaction, rq);
    if (error) {
        transaction->failed = true;
        return error;
    }
    AUTO(PGresult, refusal) = NULL;
    enum db_outcome outcome = db_exchange_script(transaction->connection, rq, rq->deadline_ms, sql, &refusal);
    if (outcome == DB_ANSWERED && refusal == NULL && PQtransactionStatus(transaction->connection->pg) == PQTRANS_INTRANS)
        return OK;
    transaction->failed = true;
    transaction->again = db_refusal_is_passing(refusal);
    if (outcome == DB_ANSWERED && refusal == NULL) {
        transaction->connection->broken = true;
        return fail(rq, ERR_INTERNAL, "the script ends the transaction that it runs in: remove its BEGIN, COMMIT or ROLLBACK");
    }
    return fail_script(rq, outcome, refusal, sql);
}

enum error
db_script(struct db *db, struct request *rq, const char *sql)
{
    return db->transaction == NULL ? script_alone(db->pool, rq, sql) : script_within(db->transaction, rq, sql);
}
