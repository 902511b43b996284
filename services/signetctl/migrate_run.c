/* migrate: tables, then rights, then the stream of events and who follows it. Safe to repeat, and to run twice at once. */
#include "base/text.h"
#include "link/events.h"
#include "link/migrate.h"
#include "signetctl.h"

/* What services hear (deploy/bus/permissions) in all their absences; they have no right to make this themselves. */
static const struct {
    const char *service, *event;
} hearers[] = {
    {"crl-publisher", "ca.created"},
    {"crl-publisher", "certificate.revoked"},
    {"inventory", "certificate.issued"},
    {"inventory", "certificate.revoked"},
    {"ra", "ca.created"},
    {"ra", "configuration.changed"},
    {"ra", "account.changed"},
};

struct progress {
    struct ctl *ctl;
    json_t *applied;
};

static void
tell(void *context, const struct migration *migration)
{
    struct progress *progress = context;

    if (progress->ctl->json)
        json_array_append_new(progress->applied, json_sprintf("%s/%03d_%s", migration->schema, migration->number, migration->name));
    else
        printf("applied %s/%03d_%s\n", migration->schema, migration->number, migration->name);
}

static enum error
ensure_consumer(struct ctl *ctl, struct request *rq, const char *service, const char *event)
{
    char *durable = arena_format(rq->arena, "%s-%s", service, event);

    for (char *at = durable; *at != '\0'; at++)
        if (*at == '.')
            *at = '-';
    return events_ensure_consumer(ctl->bus, rq, durable, arena_format(rq->arena, "signet.event.%s", event));
}

static enum error
make_streams(struct ctl *ctl, struct request *rq)
{
    enum error error = ctl_bus(ctl, rq);

    if (!error)
        error = events_ensure_streams(ctl->bus, rq);
    for (size_t i = 0; !error && i < sizeof hearers / sizeof hearers[0]; i++)
        error = ensure_consumer(ctl, rq, hearers[i].service, hearers[i].event);
    return error;
}

enum error
migrate_run(struct ctl *ctl, struct request *rq)
{
    struct progress progress = {.ctl = ctl, .applied = json_array()};
    enum error error = ctl_database(ctl, rq);

    if (!error)
        error = migrate(ctl->db, rq, signet_migrations, signet_migration_count, tell, &progress);
    if (!error)
        error = db_script(ctl->db, rq, signet_grants_sql);
    if (!error && !text_is_empty(ctl->config.nats_url))
        error = make_streams(ctl, rq);
    if (!error && ctl->json)
        json_print(json_pack("{s:O}", "applied", progress.applied));
    else if (!error)
        puts("the database is at this version");
    json_decref(progress.applied);
    return error;
}
