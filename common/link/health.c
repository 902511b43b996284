/* Answers `signetctl status`: every instance of every service says on signet.health.report.<caller> who it is and whether it is ready. */
#include "link/service_internal.h"

#include <unistd.h>

#include "base/clock.h"
#include "link/events.h"
#include "link/rpc.h"
#include "signet/v1/health.pb-c.h"

/* The followers' and the service's own; -1 when one of them is not known. */
static int64_t
lag_of(const struct service *service)
{
    int64_t followers = events_lag(service->bus);
    int64_t own = service->lag == NULL ? 0 : service->lag(service->lag_context);

    return followers < 0 || own < 0 ? -1 : followers + own;
}

static enum error
report(void *context, struct request *rq, const Pb__ReportRequest *input, Pb__ReportReply *ret_reply)
{
    struct service *service = context;
    char *reason = arena_alloc(rq->arena, SERVICE_REASON_ROOM);

    ret_reply->ready = readiness_verdict(service->readiness, reason);
    ret_reply->reason = reason;
    ret_reply->service = service->about->name;
    ret_reply->instance = service->instance;
    ret_reply->version = SIGNET_VERSION;
    ret_reply->uptime_s = (clock_monotonic_ms() - service->started_ms) / 1000;
    ret_reply->lag = lag_of(service);
    ret_reply->admin = service->admin_address;
    ret_reply->pid = (int32_t)getpid();
    return OK;
}

RPC_HANDLER(Health, Report, report)

void
health_serve(struct service *service, struct bus *bus)
{
    static Pb__Health_Service table = PB__HEALTH__INIT(serve_);
    const struct rpc_options options = {.threads = 1, .queue_limit = 64, .every_instance = true};

    service_must(service, service->rq, rpc_serve(bus, service->rq, &table.base, service, &options));
}
