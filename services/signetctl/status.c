/* status: asks every instance at once; what does not answer is shown too. */
#include "base/text.h"
#include "link/rpc.h"
#include "signet/v1/health.pb-c.h"
#include "signetctl.h"

#define WAIT_MS 500

static const char *const services[] = {"acme-gw", "crl-publisher", "est-gw", "inventory", "ocsp-responder", "ra", "scep-gw", "signer", "validator"};
#define SERVICE_COUNT (sizeof(services) / sizeof(services[0]))

static const char *
duration(struct arena *arena, int64_t seconds)
{
    if (seconds < 120)
        return arena_format(arena, "%lld s", (long long)seconds);
    if (seconds < 7200)
        return arena_format(arena, "%lld min", (long long)seconds / 60);
    return arena_format(arena, "%lld h", (long long)seconds / 3600);
}

static size_t
add_answers(struct request *rq, struct table *table, const char *service, const Pb__ReportReply *const *replies, size_t count, bool *healthy)
{
    size_t i, found = 0;

    for (i = 0; i < count; i++) {
        const Pb__ReportReply *reply = replies[i];
        if (!text_equal(reply->service, service))
            continue;
        const char *const cells[] = {reply->service,
                                     reply->instance,
                                     reply->ready ? "ready" : "NOT READY",
                                     reply->version,
                                     duration(rq->arena, reply->uptime_s),
                                     reply->lag < 0 ? "" : arena_format(rq->arena, "%lld", (long long)reply->lag),
                                     reply->admin,
                                     reply->reason};
        table_row(table, cells);
        *healthy = *healthy && reply->ready;
        found++;
    }
    return found;
}

enum error
status(struct ctl *ctl, struct request *rq)
{
    static const char *const heads[] = {"SERVICE", "INSTANCE", "HEALTH", "VERSION", "UP", "LAG", "ADMIN", "REASON"};
    Pb__ReportRequest request = PB__REPORT_REQUEST__INIT;
    const ProtobufCMessage **replies;
    bool healthy = true;
    size_t count, i;
    struct table *table;
    json_t *list = NULL;
    enum error error = ctl_bus(ctl, rq);

    if (!error)
        error = rpc_survey(ctl->bus, rq, "signet.health.report", &request.base, &pb__report_reply__descriptor, WAIT_MS, &count, &replies);
    if (error)
        return error;
    table = table_new(rq->arena, heads, sizeof(heads) / sizeof(heads[0]));
    for (i = 0; i < SERVICE_COUNT; i++) {
        if (add_answers(rq, table, services[i], (const Pb__ReportReply *const *)replies, count, &healthy) == 0) {
            const char *const cells[] = {services[i], "", "NO ANSWER", "", "", "", "", ""};
            table_row(table, cells);
            healthy = false;
        }
    }
    if (ctl->json) {
        list = json_array();
        for (i = 0; i < count; i++)
            json_array_append_new(list, message_json(rq->arena, replies[i]));
        json_print(json_pack("{s:o, s:b}", "services", list, "healthy", healthy));
    } else {
        table_print(table, stdout);
    }
    return healthy ? OK : fail(rq, ERR_UNAVAILABLE, "not every service is ready");
}
