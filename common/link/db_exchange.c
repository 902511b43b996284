/*
 * One round trip in libpq's pipeline mode: every statement that must be prepared, every statement, one Sync; then all answers. Between two
 * Syncs the server runs everything in one implicit transaction and commits at the Sync, so the moment at which a connection is lost decides what
 * may be said: an error in the place of a statement's answer came before the commit, silence after the Sync may have come behind it.
 */
#include <assert.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link/db_internal.h"

/* ---- prepared statements ---- */

static size_t
add_prepared(struct db_connection *connection, const struct db_command *command)
{
    if (connection->prepared_count == connection->prepared_room) {
        size_t room = connection->prepared_room == 0 ? 32 : connection->prepared_room * 2;
        struct db_prepared *more = reallocarray(connection->prepared, room, sizeof(*more));
        if (more == NULL)
            abort();
        connection->prepared = more;
        connection->prepared_room = room;
    }
    struct db_prepared new = {.hash = command->hash, .key = strdup(command->key), .sql = strdup(command->statement->sql)};
    if (new.key == NULL || new.sql == NULL)
        abort();
    connection->prepared[connection->prepared_count] = new;
    return connection->prepared_count++;
}

static size_t
find_or_add_prepared(struct db_connection *connection, const struct db_command *command)
{
    for (size_t i = 0; i < connection->prepared_count; i++) {
        const struct db_prepared *known = &connection->prepared[i];
        if (known->hash != command->hash || strcmp(known->key, command->key) != 0)
            continue;
        assert(strcmp(known->sql, command->statement->sql) == 0 && "two statements of one name");
        return i;
    }
    return add_prepared(connection, command);
}

/* Is it in this exchange already? The server takes a Parse of the same name only once. */
static bool
prepared_by_earlier(const struct db_exchange *exchange, size_t index)
{
    for (size_t i = 0; i < index; i++) {
        if (exchange->commands[i].prepares && exchange->commands[i].slot == exchange->commands[index].slot)
            return true;
    }
    return false;
}

/* ---- sending ---- */

static bool
send_command(struct db_connection *connection, struct db_exchange *exchange, size_t index)
{
    struct db_command *command = &exchange->commands[index];
    command->slot = find_or_add_prepared(connection, command);
    command->prepares = !connection->prepared[command->slot].ready && !prepared_by_earlier(exchange, index);
    char name[24];
    snprintf(name, sizeof(name), "s%zu", command->slot);
    if (command->prepares && PQsendPrepare(connection->pg, name, command->statement->sql, command->count, command->types) != 1)
        return false;
    return PQsendQueryPrepared(connection->pg, name, command->count, command->values, command->lengths, command->formats, 1) == 1;
}

static bool
send_all(struct db_connection *connection, struct db_exchange *exchange)
{
    if (exchange->begins && PQsendQueryParams(connection->pg, "BEGIN", 0, NULL, NULL, NULL, NULL, 1) != 1)
        return false;
    for (size_t i = 0; i < exchange->count; i++) {
        if (!send_command(connection, exchange, i))
            return false;
    }
    return PQpipelineSync(connection->pg) == 1;
}

/* Reads while it writes: a server whose answers nobody takes stops reading. A lost connection shows itself in the answers. */
static enum db_wait
flush(struct db_connection *connection, int64_t deadline_ms)
{
    while (PQflush(connection->pg) == 1) {
        short events;
        if (db_connection_wait(connection, POLLIN | POLLOUT, deadline_ms, &events) == DB_WAIT_LATE)
            return DB_WAIT_LATE;
        if ((events & POLLIN) != 0)
            (void)PQconsumeInput(connection->pg);
    }
    return DB_WAIT_READY;
}

/* ---- receiving ---- */

static enum db_wait
next_result(struct db_connection *connection, int64_t deadline_ms, PGresult **ret_result)
{
    while (PQisBusy(connection->pg)) {
        short events;
        if (db_connection_wait(connection, POLLIN, deadline_ms, &events) == DB_WAIT_LATE)
            return DB_WAIT_LATE;
        if (PQconsumeInput(connection->pg) != 1)
            break; /* PQgetResult tells */
    }
    *ret_result = PQgetResult(connection->pg);
    return DB_WAIT_READY;
}

static enum db_outcome
lost(struct db_connection *connection, const PGresult *refusal)
{
    connection->broken = true;
    return refusal != NULL && PQresultErrorField(refusal, PG_DIAG_SQLSTATE) != NULL ? DB_ABORTED : DB_UNKNOWN;
}

static enum db_outcome
late(struct db_connection *connection)
{
    connection->broken = true;
    connection->running = true;
    return DB_LATE;
}

/* The answer to one message. The first error is kept; what the server skipped after it is not an answer. */
static enum db_outcome
receive_one(struct db_connection *connection, int64_t deadline_ms, struct db_exchange *exchange, const struct db_statement *statement,
            PGresult **ret_result)
{
    AUTO(PGresult, result) = NULL;
    if (next_result(connection, deadline_ms, &result) == DB_WAIT_LATE)
        return late(connection);
    if (result == NULL)
        return lost(connection, exchange->refusal);
    ExecStatusType status = PQresultStatus(result);
    if (status == PGRES_FATAL_ERROR && exchange->refusal == NULL) {
        exchange->refusal = TAKE(result);
        exchange->refused = statement;
    }
    if (PQstatus(connection->pg) != CONNECTION_OK)
        return lost(connection, exchange->refusal);

    PGresult *end = NULL; /* libpq ends the answer to each message with NULL */
    if (next_result(connection, deadline_ms, &end) == DB_WAIT_LATE)
        return late(connection);
    assert(end == NULL && "a statement with more than one answer");
    if (status == PGRES_COMMAND_OK || status == PGRES_TUPLES_OK)
        *ret_result = TAKE(result);
    return DB_ANSWERED;
}

/* The commit happens here, so it can also be refused here: deferred constraints, serialisation. Then the error comes before the Sync's answer. */
static enum db_outcome
receive_sync(struct db_connection *connection, int64_t deadline_ms, struct db_exchange *exchange)
{
    AUTO(PGresult, refusal) = NULL;
    for (int ends = 0; ends < 2;) {
        AUTO(PGresult, result) = NULL;
        if (next_result(connection, deadline_ms, &result) == DB_WAIT_LATE)
            return late(connection);
        if (PQstatus(connection->pg) != CONNECTION_OK)
            break;
        if (PQresultStatus(result) == PGRES_PIPELINE_SYNC) {
            if (refusal != NULL)
                exchange->refusal = TAKE(refusal);
            return DB_ANSWERED;
        }
        if (result == NULL)
            ends++;
        else if (refusal == NULL)
            refusal = TAKE(result);
    }
    return lost(connection, exchange->refusal);
}

static enum db_outcome
receive_command(struct db_connection *connection, int64_t deadline_ms, struct db_exchange *exchange, struct db_command *command)
{
    if (command->prepares) {
        AUTO(PGresult, prepared) = NULL;
        enum db_outcome outcome = receive_one(connection, deadline_ms, exchange, command->statement, &prepared);
        if (outcome != DB_ANSWERED)
            return outcome;
        connection->prepared[command->slot].ready = prepared != NULL;
    }
    return receive_one(connection, deadline_ms, exchange, command->statement, &command->result);
}

static enum db_outcome
receive_all(struct db_connection *connection, int64_t deadline_ms, struct db_exchange *exchange)
{
    enum db_outcome outcome = DB_ANSWERED;
    if (exchange->begins) {
        AUTO(PGresult, begun) = NULL;
        outcome = receive_one(connection, deadline_ms, exchange, NULL, &begun);
    }
    for (size_t i = 0; i < exchange->count && outcome == DB_ANSWERED; i++)
        outcome = receive_command(connection, deadline_ms, exchange, &exchange->commands[i]);
    if (outcome != DB_ANSWERED)
        return outcome;
    return receive_sync(connection, deadline_ms, exchange);
}

enum db_outcome
db_exchange_run(struct db_connection *connection, struct request *rq, int64_t deadline_ms, struct db_exchange *exchange)
{
    rq->sql_round_trips++;
    if (!send_all(connection, exchange)) {
        connection->broken = true;
        return DB_ABORTED; /* without its Sync nothing is committed */
    }
    if (flush(connection, deadline_ms) == DB_WAIT_LATE)
        return late(connection);
    enum db_outcome outcome = receive_all(connection, deadline_ms, exchange);
    if (exchange->refusal != NULL && db_refusal_spoils(exchange->refusal))
        connection->broken = true;
    return outcome;
}

void
db_exchange_clear(struct db_exchange *exchange)
{
    for (size_t i = 0; i < exchange->count; i++) {
        PQclear(exchange->commands[i].result);
        exchange->commands[i].result = NULL;
    }
    PQclear(exchange->refusal);
    exchange->refusal = NULL;
    exchange->refused = NULL;
}

/* ---- scripts ---- */

static enum db_outcome
receive_script(struct db_connection *connection, int64_t deadline_ms, PGresult **ret_refusal)
{
    for (;;) {
        AUTO(PGresult, result) = NULL;
        if (next_result(connection, deadline_ms, &result) == DB_WAIT_LATE)
            return late(connection);
        if (result == NULL)
            return PQstatus(connection->pg) == CONNECTION_OK ? DB_ANSWERED : lost(connection, *ret_refusal);
        ExecStatusType status = PQresultStatus(result);
        if (status == PGRES_COPY_IN || status == PGRES_COPY_OUT) { /* nobody is there to feed it; libpq would say so for ever */
            connection->broken = true;
            return DB_ABORTED;
        }
        if (status == PGRES_FATAL_ERROR && *ret_refusal == NULL)
            *ret_refusal = TAKE(result);
    }
}

enum db_outcome
db_exchange_script(struct db_connection *connection, struct request *rq, int64_t deadline_ms, const char *sql, PGresult **ret_refusal)
{
    rq->sql_round_trips++;
    if (PQexitPipelineMode(connection->pg) != 1 || PQsendQuery(connection->pg, sql) != 1) {
        connection->broken = true;
        return DB_ABORTED;
    }
    if (flush(connection, deadline_ms) == DB_WAIT_LATE)
        return late(connection);
    enum db_outcome outcome = receive_script(connection, deadline_ms, ret_refusal);
    if (outcome == DB_ANSWERED && PQenterPipelineMode(connection->pg) != 1)
        connection->broken = true;
    return outcome;
}
