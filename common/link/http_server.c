/*
 * Opens and closes an HTTP server: fills in the defaults, configures h2o with one handler for every path, starts the loops and the workers.
 * http_internal.h says which file does what.
 */
#include "link/http_server.h"

#include <assert.h>
#include <stdlib.h>
#include <sys/resource.h>

#include "base/clock.h"
#include "http_internal.h"

#define DEFAULT_QUEUE_LIMIT 256
#define DEFAULT_BODY_MAX (64 * 1024)
#define DEFAULT_REQUEST_TIMEOUT_MS 10000
#define DEFAULT_HANDLER_TIMEOUT_MS 30000
#define DEFAULT_WRITE_TIMEOUT_MS 10000
#define DEFAULT_CONNECTION_LIMIT 4096
#define DESCRIPTORS_FOR_OTHERS 128 /* database, bus, files, listeners, pipes */

static void
fill_in(int *option, int fallback)
{
    if (*option == 0)
        *option = fallback;
}

static void
fill_in_defaults(struct http_server_options *options)
{
    fill_in(&options->loops, 1);
    fill_in(&options->queue_limit, DEFAULT_QUEUE_LIMIT);
    fill_in(&options->request_timeout_ms, DEFAULT_REQUEST_TIMEOUT_MS);
    fill_in(&options->handler_timeout_ms, DEFAULT_HANDLER_TIMEOUT_MS);
    fill_in(&options->write_timeout_ms, DEFAULT_WRITE_TIMEOUT_MS);
    fill_in(&options->connection_limit, DEFAULT_CONNECTION_LIMIT);
    if (options->body_max == 0)
        options->body_max = DEFAULT_BODY_MAX;
    assert(options->name != NULL && options->listen != NULL);
    assert(options->loops > 0 && options->loops <= HTTP_LOOPS_MAX);
}

static char *
step_name(const struct http_route *route)
{
    char *step = NULL;

    if (asprintf(&step, "%s %s", route->method, route->path) < 0)
        abort();
    return step;
}

static void
prepare_routes(struct http_server *server)
{
    const struct http_server_options *options = &server->options;

    server->body_max = options->body_max;
    server->steps = calloc(options->route_count + 1, sizeof *server->steps);
    if (server->steps == NULL)
        abort();
    for (size_t i = 0; i < options->route_count; i++) {
        const struct http_route *route = &options->routes[i];
        assert(route->path[0] == '/');
        assert(route->where == ON_LOOP || options->workers > 0);
        server->steps[i] = step_name(route);
        if (route->body_max > server->body_max)
            server->body_max = route->body_max;
    }
}

/* With the descriptor table full, accept fails and the loop spins: stay below it, whatever was asked for. */
static int
connection_limit(int wanted)
{
    struct rlimit limit;

    if (getrlimit(RLIMIT_NOFILE, &limit) != 0 || limit.rlim_cur == RLIM_INFINITY)
        return wanted;
    rlim_t room = limit.rlim_cur > 2 * DESCRIPTORS_FOR_OTHERS ? limit.rlim_cur - DESCRIPTORS_FOR_OTHERS : limit.rlim_cur / 2;
    return (rlim_t)wanted < room ? wanted : (int)room;
}

static void
configure_h2o(struct http_server *server)
{
    h2o_globalconf_t *config = &server->config;

    h2o_config_init(config);
    config->server_name = h2o_iovec_init("", 0);
    config->http1.req_timeout = (uint64_t)server->options.request_timeout_ms;
    config->handshake_timeout = (uint64_t)server->options.request_timeout_ms;
    /* HTTP/2 is out of reach, so its drain has nothing to do but to leave a timer behind. */
    config->http1.upgrade_to_http2 = 0;
    config->http2.callbacks = (h2o_protocol_callbacks_t){NULL, NULL};
    /* h2o refuses a chunked body of exactly its limit; ours is exact, in http_exchange.c. */
    config->max_request_entity_size = server->body_max + 1;
    server->host = h2o_config_register_host(config, h2o_iovec_init(H2O_STRLIT("default")), 65535);
    http_exchange_register(server);
    http_send_register(server);
}

static void
server_free(struct http_server *server)
{
    for (int i = 0; i < server->loop_count; i++)
        if (server->loops[i].listen_fd >= 0)
            close(server->loops[i].listen_fd);
    for (size_t i = 0; i < server->options.route_count; i++)
        free(server->steps[i]);
    free(server->steps);
    workers_free(server->workers);
    http_tls_free(server->tls);
    h2o_config_dispose(&server->config);
    free(server->loops);
    free(server);
}

static enum error
start(struct request *rq, struct http_server *server)
{
    enum error error = OK;

    if (server->options.tls_cert_file != NULL && server->options.tls_cert_file[0] != '\0')
        error = http_tls_open(rq, &server->options, &server->tls);
    if (error == OK)
        error = http_listen(rq, server);
    if (error != OK)
        return error;
    for (int i = 0; i < server->loop_count; i++)
        http_loop_start(&server->loops[i]);
    return OK;
}

enum error
http_server_open(struct request *rq, const struct http_server_options *options, struct http_server **ret_server)
{
    struct http_server *server = calloc(1, sizeof *server);

    if (server == NULL)
        abort();
    server->options = *options;
    fill_in_defaults(&server->options);
    prepare_routes(server);
    configure_h2o(server);
    server->connection_limit = connection_limit(server->options.connection_limit);
    server->loop_count = server->options.loops;
    server->loops = calloc((size_t)server->loop_count, sizeof *server->loops);
    if (server->loops == NULL)
        abort();
    for (int i = 0; i < server->loop_count; i++)
        server->loops[i] = (struct http_loop){.server = server, .number = i, .listen_fd = -1};
    if (server->options.workers > 0)
        server->workers = workers_new(server->options.name, server->options.workers, server->options.queue_limit, NULL);
    enum error error = start(rq, server);
    if (error != OK) {
        server_free(server);
        return error;
    }
    *ret_server = server;
    return OK;
}

int
http_server_port(const struct http_server *server)
{
    return server->port;
}

enum error
http_server_trust_clients(struct request *rq, struct http_server *server, const struct bytes *anchors, size_t count)
{
    assert(server->options.tls_client_asked);
    return server->tls == NULL ? OK : http_tls_trust(rq, server->tls, anchors, count);
}

void
http_server_close(struct http_server *server, int most_ms)
{
    bool clean = true;

    if (server == NULL)
        return;
    atomic_store(&server->drain_until_ms, clock_monotonic_ms() + most_ms);
    for (int i = 0; i < server->loop_count; i++)
        h2o_multithread_send_message(&server->loops[i].receiver, &server->loops[i].drain_message);
    for (int i = 0; i < server->loop_count; i++) {
        pthread_join(server->loops[i].thread, NULL);
        clean = clean && server->loops[i].clean;
    }
    /* A handler that is still running holds its exchange and will report to its loop: then the memory stays until the process ends. */
    if (clean)
        server_free(server);
}
