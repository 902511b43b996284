/*
 * Numbered SQL files, built into signetctl, applied once each, in order, under an advisory lock, each in its own transaction together with its
 * row in public.signet_migration(schema, number, name, sha256, applied_at). A file that changed after it was applied is refused.
 */
#ifndef SIGNET_LINK_MIGRATE_H
#define SIGNET_LINK_MIGRATE_H

#include "link/db.h"

struct migration {
    const char *schema; /* "ra" */
    int number;         /* 1 for 001_tables.sql */
    const char *name;   /* "tables" */
    const char *sql;
};

/* `applied` is called for each migration that was applied now. */
enum error migrate(struct db *db, struct request *rq, const struct migration *migrations, size_t count,
                   void (*applied)(void *context, const struct migration *migration), void *context) MUST_CHECK;

/* What deploy/database/embed-sql.sh made of services/<name>/sql/NNN_name.sql (in order) and of the grants in deploy/database; linked into signetctl
 * only. */
extern const struct migration signet_migrations[];
extern const size_t signet_migration_count;
extern const char signet_grants_sql[];

#endif
