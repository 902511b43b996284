/*
 * The inside of db.h, shared by the db_*.c files and nobody else.
 *
 * db_query / db_atomic (db_atomic.c) encode the values (db_value.c), take a connection (db_pool.c, which makes it in db_connect.c), run one
 * exchange over it (db_exchange.c), and turn the answer into rows (db_rows.c) or a failure (db_error.c). db_transaction.c does the same over one
 * connection that it keeps. db_listen.c has connections of its own.
 */
#ifndef SIGNET_LINK_DB_INTERNAL_H
#define SIGNET_LINK_DB_INTERNAL_H

#include <pthread.h>

#include <libpq-fe.h>

#include "link/db.h"

DEFINE_AUTO(PGresult, PQclear);

/* ---- one connection: db_connect.c ---- */

/* A statement that this connection's server process knows; it is called s<index> there. */
struct db_prepared {
    uint64_t hash;
    char *key; /* name and types of the values: the same statement with other types is another one */
    char *sql;
    bool ready; /* the server has confirmed it */
};

struct db_connection {
    PGconn *pg; /* always non-blocking and in pipeline mode */
    struct db_prepared *prepared;
    size_t prepared_count, prepared_room;
    bool broken;                /* close it, do not use it again */
    bool running;               /* the server may still work on what we gave up: cancel before closing */
    struct db_connection *next; /* in a list of the pool */
};

#define DB_REASON_SIZE 400
enum { DB_RETRY_AFTER_S = 2, DB_BUSY_RETRY_AFTER_S = 1 };

/* `deadline_ms` is on the monotonic clock. NULL: `reason` says why. */
struct db_connection *db_connect(const struct db_options *options, int64_t deadline_ms, char reason[DB_REASON_SIZE]);
/* Tells the server to stop what it still runs (this opens a connection of its own and may take a while), then closes. */
void db_disconnect(struct db_connection *connection);
/* False when the server has closed it, or said something that nobody asked for. */
bool db_connection_is_quiet(const struct db_connection *connection);

enum db_wait { DB_WAIT_READY, DB_WAIT_LATE };
/* Waits for the socket; `deadline_ms` 0: for ever. `ret_events` as from poll. */
enum db_wait db_connection_wait(const struct db_connection *connection, short events, int64_t deadline_ms, short *ret_events);

/* ---- the pool: db_pool.c ---- */

struct db_listener;

struct db_pool {
    struct db_options options;
    pthread_mutex_t mutex;
    pthread_cond_t returned;      /* for callers: a connection came back, was lost or could not be made */
    pthread_cond_t duty;          /* for the keeper */
    struct db_connection *idle;   /* the latest used first */
    struct db_connection *doomed; /* given up in the middle: the keeper cancels and closes them */
    int open;                     /* idle, in use and being made */
    int failures;                 /* to connect, in a row */
    int64_t retry_at_ms;          /* no connect before */
    char reason[DB_REASON_SIZE];  /* of the last failure to connect */
    bool closing;
    pthread_t keeper;
    struct db_listener *listeners;
};

struct db_transaction;

/* What callers hold: a pool, or inside db_transaction one connection of it. */
struct db {
    struct db_pool *pool;
    struct db_transaction *transaction; /* NULL outside */
};

enum error db_pool_take(struct db_pool *pool, struct request *rq, struct db_connection **ret_connection) MUST_CHECK;
/* Broken ones are closed; cancelling is left to the keeper. */
void db_pool_give(struct db_pool *pool, struct db_connection *connection);
/* 100 ms, 200 ms, … 2 s, with jitter. */
int db_backoff_ms(int failures);
void db_listeners_stop(struct db_pool *pool);

/* ---- one round trip: db_value.c, db_exchange.c ---- */

/* A statement with its values as they go over the wire. */
struct db_command {
    const struct db_statement *statement;
    const char *key;
    uint64_t hash;
    int count;
    Oid *types;
    const char **values;
    int *lengths;
    int *formats;
    bool prepares;    /* a Parse was sent before it in this exchange */
    size_t slot;      /* in connection->prepared */
    PGresult *result; /* of the exchange; owned by it */
    struct db_rows **ret_rows;
};

void db_command_encode(struct arena *arena, const struct db_step *step, struct db_command *ret_command);

enum db_outcome {
    DB_ANSWERED, /* `refusal` says whether with yes or no */
    DB_ABORTED,  /* the connection was lost before anything could be committed; `refusal` has the server's last words, or NULL */
    DB_UNKNOWN,  /* the connection was lost after the Sync went out: committed or not, nobody knows */
    DB_LATE      /* the deadline passed while the server worked */
};

struct db_exchange {
    bool begins; /* BEGIN is sent first: the transaction stays open after the Sync */
    struct db_command *commands;
    size_t count;
    PGresult *refusal;                  /* the server's first error, or NULL */
    const struct db_statement *refused; /* the statement it belongs to, or NULL */
};

enum db_outcome db_exchange_run(struct db_connection *connection, struct request *rq, int64_t deadline_ms, struct db_exchange *exchange);
/* Several commands in one text, in the simple protocol. Leaves the connection in pipeline mode again. */
enum db_outcome db_exchange_script(struct db_connection *connection, struct request *rq, int64_t deadline_ms, const char *sql,
                                   PGresult **ret_refusal);
void db_exchange_clear(struct db_exchange *exchange);

/* ---- what it means: db_error.c, db_rows.c ---- */

/* The whole transaction may be tried again: serialisation failure, deadlock, a plan that a migration made stale. */
bool db_refusal_is_passing(const PGresult *refusal);
/* The connection should not serve another call (it prepared a plan that is stale, or it leads to a server that became a standby). */
bool db_refusal_spoils(const PGresult *refusal);
/* Records the failure. `what` names the statement for the log. */
enum error db_fail(struct request *rq, enum db_outcome outcome, const PGresult *refusal, const char *what);
/* Sleeps a little, longer each time; false when it is not worth another attempt. */
bool db_pause_before_retry(struct request *rq, int attempt);

/* Takes the result; it is cleared with the arena. */
struct db_rows *db_rows_new(struct arena *arena, PGresult *result);

/* ---- db_transaction.c ---- */

struct db_transaction {
    struct db_connection *connection;
    bool begun;
    bool failed; /* the server has rolled it back, or the connection is lost */
    bool again;  /* … for a reason that passes */
};

#endif
