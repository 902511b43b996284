/*
 * The admin listener of every process: /metrics for Prometheus, /healthz (the process is alive), /readyz (what it depends on answers). All from
 * memory; not for strangers, so it listens on loopback unless told otherwise.
 */
#include <string.h>

#include "link/metrics.h"
#include "link/service_internal.h"

static enum error
metrics(void *context, struct http_exchange *x)
{
    struct buffer page = buffer_in(x->rq.arena);

    service_metrics_refresh(context);
    metrics_render(&page);
    return http_answer(x, 200, "text/plain; version=0.0.4; charset=utf-8", buffer_bytes(&page));
}

static enum error
healthz(void *context, struct http_exchange *x)
{
    return http_answer_text(x, 200, "text/plain; charset=utf-8", "ok\n");
}

static enum error
readyz(void *context, struct http_exchange *x)
{
    struct service *service = context;
    bool ready;

    const char *page = readiness_json(service->readiness, x->rq.arena, &ready);
    http_header_out(x, "Cache-Control", "no-store");
    if (!ready)
        http_header_out(x, "Retry-After", "1");
    return http_answer_text(x, ready ? 200 : 503, "application/json", page);
}

static const struct http_route routes[] = {
    {"GET", "/metrics", metrics, ON_LOOP},
    {"GET", "/healthz", healthz, ON_LOOP},
    {"GET", "/readyz", readyz, ON_LOOP},
};

enum error
admin_open(struct service *service, struct request *rq)
{
    const struct http_server_options options = {
        .name = "admin",
        .listen = service->common.admin_listen,
        .routes = routes,
        .route_count = sizeof routes / sizeof routes[0],
        .context = service,
        .connection_limit = 64,
        .quiet = true,
    };
    char host[256];
    int port;

    enum error error = http_server_open(rq, &options, &service->admin);
    if (error != OK || !config_split_address(options.listen, host, &port))
        return error;
    snprintf(service->admin_address, sizeof service->admin_address, strchr(host, ':') == NULL ? "%.60s:%d" : "[%.60s]:%d", host,
             http_server_port(service->admin));
    return OK;
}
