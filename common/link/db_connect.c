/*
 * Makes and ends one connection to PostgreSQL. The pool and the listeners call this outside every lock, because it waits for the network.
 * A peer that is gone without a word is noticed by keepalives and tcp_user_timeout; a client that is gone is noticed by the server's
 * client_connection_check_interval, so that a killed process does not leave a statement holding locks.
 */
#include <assert.h>
#include <errno.h>
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/config.h"
#include "base/text.h"
#include "link/db_internal.h"

enum { CONNECT_MOST_MS = 5000 };

/* What stands before the URL may be overridden by it, what stands after may not. */
#define SERVER_OPTIONS "-c client_connection_check_interval=1000 -c idle_in_transaction_session_timeout=60000"

static void
ignore_notice(void *context, const PGresult *notice)
{
}

static void
set_reason(char reason[DB_REASON_SIZE], const char *text)
{
    snprintf(reason, DB_REASON_SIZE, "%.*s", DB_REASON_SIZE - 1, text);
    reason[strcspn(reason, "\n")] = '\0';
}

enum db_wait
db_connection_wait(const struct db_connection *connection, short events, int64_t deadline_ms, short *ret_events)
{
    struct pollfd on = {.fd = PQsocket(connection->pg), .events = events};
    for (;;) {
        int64_t left_ms = deadline_ms == 0 ? -1 : deadline_ms - clock_monotonic_ms();
        if (deadline_ms != 0 && left_ms <= 0)
            return DB_WAIT_LATE;
        int ready = poll(&on, 1, left_ms > INT32_MAX ? INT32_MAX : (int)left_ms);
        assert(ready >= 0 || errno == EINTR);
        if (ready > 0) {
            *ret_events = on.revents;
            return DB_WAIT_READY;
        }
    }
}

static bool
finish_connecting(struct db_connection *connection, int64_t deadline_ms, char reason[DB_REASON_SIZE])
{
    PostgresPollingStatusType state = PGRES_POLLING_WRITING;
    while (state != PGRES_POLLING_OK) {
        short events;
        if (state == PGRES_POLLING_FAILED || PQstatus(connection->pg) == CONNECTION_BAD) {
            set_reason(reason, PQerrorMessage(connection->pg));
            return false;
        }
        if (db_connection_wait(connection, state == PGRES_POLLING_READING ? POLLIN : POLLOUT, deadline_ms, &events) == DB_WAIT_LATE) {
            set_reason(reason, "the database does not answer while connecting");
            return false;
        }
        state = PQconnectPoll(connection->pg);
    }
    return true;
}

static PGconn *
start_connecting(const struct db_options *options, const char *password)
{
    const char *const keywords[] = {"connect_timeout",     "tcp_user_timeout", "keepalives", "keepalives_idle",
                                    "keepalives_interval", "keepalives_count", "options",    "dbname",
                                    "application_name",    "client_encoding",  "password",   NULL};
    const char *const values[] = {"5", "10000", "1", "10", "5", "3", SERVER_OPTIONS, options->url, options->name, "UTF8", password, NULL};
    return PQconnectStartParams(keywords, values, 1);
}

/* An empty password counts as none for libpq. */
static bool
read_password(const char *file, struct secret **ret_password, char reason[DB_REASON_SIZE])
{
    if (text_is_empty(file)) {
        *ret_password = secret_new(1);
        return true;
    }
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(secret, read) = NULL;
    if (config_read_secret(rq, file, &read)) {
        set_reason(reason, rq->failure.detail[0] != '\0' ? rq->failure.detail : rq->failure.message);
        return false;
    }
    struct secret *password = secret_new(read->len + 1); /* with a NUL */
    memcpy(password->at, read->at, read->len);
    *ret_password = password;
    return true;
}

struct db_connection *
db_connect(const struct db_options *options, int64_t deadline_ms, char reason[DB_REASON_SIZE])
{
    int64_t latest_ms = clock_monotonic_ms() + CONNECT_MOST_MS;
    if (deadline_ms == 0 || deadline_ms > latest_ms)
        deadline_ms = latest_ms;

    AUTO_STRUCT(secret, password) = NULL;
    if (!read_password(options->password_file, &password, reason))
        return NULL;
    struct db_connection *connection = calloc(1, sizeof(*connection));
    PGconn *pg = start_connecting(options, (const char *)password->at);
    if (connection == NULL || pg == NULL)
        abort();
    connection->pg = pg;
    PQsetNoticeReceiver(pg, ignore_notice, NULL); /* or libpq prints them */
    if (!finish_connecting(connection, deadline_ms, reason)) {
        db_disconnect(connection);
        return NULL;
    }
    if (PQsetnonblocking(pg, 1) != 0 || PQenterPipelineMode(pg) != 1) {
        set_reason(reason, PQerrorMessage(pg));
        db_disconnect(connection);
        return NULL;
    }
    return connection;
}

static void
cancel(struct db_connection *connection)
{
    char why[256];
    PGcancel *request = PQgetCancel(connection->pg);
    if (request == NULL)
        return;
    (void)PQcancel(request, why, sizeof(why)); /* at worst the server finds out by itself, a second after we close */
    PQfreeCancel(request);
}

void
db_disconnect(struct db_connection *connection)
{
    if (connection->running)
        cancel(connection);
    PQfinish(connection->pg);
    for (size_t i = 0; i < connection->prepared_count; i++) {
        free(connection->prepared[i].key);
        free(connection->prepared[i].sql);
    }
    free(connection->prepared);
    free(connection);
}

bool
db_connection_is_quiet(const struct db_connection *connection)
{
    struct pollfd on = {.fd = PQsocket(connection->pg), .events = POLLIN | POLLRDHUP};
    return PQstatus(connection->pg) == CONNECTION_OK && poll(&on, 1, 0) == 0;
}
