/* migrate: tables, then rights, then the stream of events. Safe to repeat, and to run twice at once. */
#include "base/text.h"
#include "link/events.h"
#include "link/migrate.h"
#include "signetctl.h"

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

enum error
migrate_run(struct ctl *ctl, struct request *rq)
{
    struct progress progress = {.ctl = ctl, .applied = json_array()};
    enum error error = ctl_database(ctl, rq);

    if (!error)
        error = migrate(ctl->db, rq, signet_migrations, signet_migration_count, tell, &progress);
    if (!error)
        error = db_script(ctl->db, rq, signet_grants_sql);
    if (!error && !text_is_empty(ctl->config.nats_url)) {
        error = ctl_bus(ctl, rq);
        if (!error)
            error = events_ensure_streams(ctl->bus, rq);
    }
    if (!error && ctl->json)
        json_print(json_pack("{s:O}", "applied", progress.applied));
    else if (!error)
        puts("the database is at this version");
    json_decref(progress.applied);
    return error;
}
