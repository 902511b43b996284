/* status: asks every instance at once; what does not answer is shown too. */
#include <stdlib.h>
#include <string.h>

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

static int
compare(const void *a, const void *b)
{
    const Pb__ReportReply *const *one = a, *const *other = b;
    int order = strcmp((*one)->service, (*other)->service);

    return order != 0 ? order : strcmp((*one)->instance, (*other)->instance);
}

static bool
has_answered(const Pb__ReportReply *const *reports, size_t count, const char *service)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(reports[i]->service, service))
            return true;
    return false;
}

static const Pb__ReportReply *
no_answer(struct arena *arena, const char *service)
{
    Pb__ReportReply *report = arena_alloc(arena, sizeof(*report));

    pb__report_reply__init(report);
    report->service = service;
    report->reason = "no answer";
    report->lag = -1;
    return report;
}

/* In one order, whoever was the fastest; and of each service at least one. */
static const Pb__ReportReply **
gather(struct arena *arena, const ProtobufCMessage *const *replies, size_t *count)
{
    size_t answered = *count;
    const Pb__ReportReply **reports = arena_array(arena, answered + SERVICE_COUNT, sizeof(*reports));

    for (size_t i = 0; i < answered; i++)
        reports[i] = (const Pb__ReportReply *)replies[i];
    for (size_t i = 0; i < SERVICE_COUNT; i++)
        if (!has_answered(reports, answered, services[i]))
            reports[(*count)++] = no_answer(arena, services[i]);
    qsort(reports, *count, sizeof(*reports), compare);
    return reports;
}

static void
print_table(struct request *rq, const Pb__ReportReply *const *reports, size_t count)
{
    static const char *const heads[] = {"SERVICE", "INSTANCE", "HEALTH", "VERSION", "UP", "LAG", "ADMIN", "REASON"};
    struct table *table = table_new(rq->arena, heads, sizeof(heads) / sizeof(heads[0]));

    for (size_t i = 0; i < count; i++) {
        const Pb__ReportReply *report = reports[i];
        bool is_there = report->instance[0] != '\0';
        const char *const cells[] = {report->service,
                                     report->instance,
                                     report->ready ? "ready"
                                     : is_there    ? "NOT READY"
                                                   : "NO ANSWER",
                                     report->version,
                                     is_there ? duration(rq->arena, report->uptime_s) : "",
                                     report->lag < 0 ? "" : arena_format(rq->arena, "%lld", (long long)report->lag),
                                     report->admin,
                                     is_there ? report->reason : ""};
        table_row(table, cells);
    }
    table_print(table, stdout);
}

static json_t *
reports_json(struct request *rq, const Pb__ReportReply *const *reports, size_t count)
{
    json_t *list = json_array();

    for (size_t i = 0; i < count; i++)
        json_array_append_new(list, message_json(rq->arena, &reports[i]->base));
    return list;
}

enum error
status(struct ctl *ctl, struct request *rq)
{
    Pb__ReportRequest request = PB__REPORT_REQUEST__INIT;
    const ProtobufCMessage **replies;
    bool healthy = true;
    size_t count;
    enum error error = ctl_bus(ctl, rq);

    if (!error)
        error = rpc_survey(ctl->bus, rq, "signet.health.report", &request.base, &pb__report_reply__descriptor, WAIT_MS, &count, &replies);
    if (error)
        return error;
    const Pb__ReportReply **reports = gather(rq->arena, replies, &count);
    for (size_t i = 0; i < count; i++)
        healthy = healthy && reports[i]->ready;
    if (ctl->json)
        json_print(json_pack("{s:o, s:b}", "services", reports_json(rq, reports, count), "healthy", healthy));
    else
        print_table(rq, reports, count);
    return healthy ? OK : fail(rq, ERR_UNAVAILABLE, "not every service is ready");
}
