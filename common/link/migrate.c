/*
 * Called by `signetctl migrate`, and by nothing else: services never change tables. Each file runs in a transaction of its own that first takes the
 * advisory lock, then looks whether somebody else was faster; so any number of operators may start it at once. If it dies, it goes on where it was.
 */
#include "link/migrate.h"

#include <string.h>

#include <openssl/evp.h>

/* Any number that nothing else in this database locks. */
#define MIGRATION_LOCK INT64_C(0x7369676e6574)

enum { SHA256_LEN = 32 };

static const struct db_statement lock = {"migrate_lock", "SELECT pg_advisory_xact_lock($1)"};
static const struct db_statement find = {"migrate_find", "SELECT sha256, to_char(applied_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS') || ' UTC' "
                                                         "FROM public.signet_migration WHERE schema = $1 AND number = $2"};
static const struct db_statement find_last = {"migrate_find_last", "SELECT max(number) FROM public.signet_migration WHERE schema = $1"};
static const struct db_statement record = {"migrate_record",
                                           "INSERT INTO public.signet_migration (schema, number, name, sha256) VALUES ($1, $2, $3, $4)"};

static const char table_sql[] = "CREATE TABLE IF NOT EXISTS public.signet_migration ("
                                "schema text NOT NULL, number int NOT NULL, name text NOT NULL, sha256 bytea NOT NULL, "
                                "applied_at timestamptz NOT NULL DEFAULT now(), PRIMARY KEY (schema, number))";

struct turn {
    const struct migration *migration;
    bool applied;
};

static const char *
file_name(struct request *rq, const struct migration *migration)
{
    return arena_format(rq->arena, "%s/%03d_%s.sql", migration->schema, migration->number, migration->name);
}

static struct bytes
digest(struct request *rq, const char *sql)
{
    uint8_t *sha256 = arena_alloc(rq->arena, SHA256_LEN);
    if (EVP_Digest(sql, strlen(sql), sha256, NULL, EVP_sha256(), NULL) != 1)
        abort();
    return BYTES(sha256, SHA256_LEN);
}

/* The database's words are for the operator here. */
static enum error
fail_as_migration(struct request *rq, enum error error, const struct migration *migration)
{
    if (error != ERR_INTERNAL && error != ERR_CONFLICT)
        return error;
    const char *why = arena_text(rq->arena, rq->failure.detail[0] != '\0' ? rq->failure.detail : rq->failure.message);
    failure_clear(rq);
    return fail(rq, error, "%s was not applied: %s", file_name(rq, migration), why);
}

static enum error
check_unchanged(struct request *rq, const struct migration *migration, const struct db_rows *found)
{
    if (bytes_equal(db_bytes(found, 0, 0), digest(rq, migration->sql)))
        return OK;
    return fail(rq, ERR_CONFLICT, "%s is not what was applied at %s: restore the file, and put the change into a new one", file_name(rq, migration),
                db_text(found, 0, 1));
}

static enum error
check_next(struct db *db, struct request *rq, const struct migration *migration)
{
    struct db_rows *last;
    enum error error = DB_QUERY(db, rq, &find_last, &last, DB_TEXT(migration->schema));
    if (error)
        return error;
    if (db_int(last, 0, 0) > migration->number)
        return fail(rq, ERR_CONFLICT, "%s comes too late: number %d of the same schema is applied already; give it a higher number",
                    file_name(rq, migration), (int)db_int(last, 0, 0));
    return OK;
}

static enum error
apply(struct db *db, struct request *rq, const struct migration *migration)
{
    enum error error = check_next(db, rq, migration);
    if (error)
        return error;
    error = db_script(db, rq, migration->sql);
    if (error)
        return fail_as_migration(rq, error, migration);
    return DB_QUERY(db, rq, &record, NULL, DB_TEXT(migration->schema), DB_INT(migration->number), DB_TEXT(migration->name),
                    DB_BYTES(digest(rq, migration->sql)));
}

static enum error
take_turn(struct db *db, struct request *rq, void *context)
{
    struct turn *turn = context;
    struct db_rows *found;
    turn->applied = false;
    enum error error = DB_QUERY(db, rq, &lock, NULL, DB_BIGINT(MIGRATION_LOCK));
    if (error)
        return error;
    error = DB_QUERY(db, rq, &find, &found, DB_TEXT(turn->migration->schema), DB_INT(turn->migration->number));
    if (error)
        return error;
    if (db_count(found) > 0)
        return check_unchanged(rq, turn->migration, found);
    error = apply(db, rq, turn->migration);
    turn->applied = error == OK;
    return error;
}

static enum error
make_table(struct db *db, struct request *rq, void *context)
{
    enum error error = DB_QUERY(db, rq, &lock, NULL, DB_BIGINT(MIGRATION_LOCK));
    if (error)
        return error;
    return db_script(db, rq, table_sql);
}

enum error
migrate(struct db *db, struct request *rq, const struct migration *migrations, size_t count,
        void (*applied)(void *context, const struct migration *migration), void *context)
{
    enum error error = db_transaction(db, rq, make_table, NULL);
    if (error)
        return error;
    for (size_t i = 0; i < count; i++) {
        struct turn turn = {.migration = &migrations[i]};
        error = db_transaction(db, rq, take_turn, &turn);
        if (error)
            return error;
        if (turn.applied)
            applied(context, turn.migration);
    }
    return OK;
}
