/* A real server on a free port for each program of the HTTP tests, and the handlers that several of them use. */
#ifndef SIGNET_TESTS_UNIT_LINK_HTTP_FIXTURE_H
#define SIGNET_TESTS_UNIT_LINK_HTTP_FIXTURE_H

#include "unit/kit.h"

#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "base/log.h"
#include "kit/http_kit.h"
#include "link/http_server.h"

#define CLOSE_MOST_MS 10000

static struct http_server *server;
static int port;

/* Handlers that meet the test at gates. */
static sem_t begun, let_go;

static inline void
wait_for(sem_t *gate)
{
    while (sem_wait(gate) != 0)
        continue;
}

static inline void
open_server(const struct http_server_options *options)
{
    AUTO_STRUCT(request, rq) = request_new();

    sem_init(&begun, 0, 0);
    sem_init(&let_go, 0, 0);
    if (http_server_open(rq, options, &server) != OK)
        fail_msg("%s", rq->failure.message);
    port = http_server_port(server);
}

static inline int
close_server(void **state)
{
    http_server_close(TAKE(server), CLOSE_MOST_MS);
    return 0;
}

#endif
