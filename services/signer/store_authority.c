/* The SQL of CAs: rows of ca.authority with their chains, from 'creating' to 'active'. */
#include "signer.h"

#include <assert.h>
#include <string.h>

#include "base/text.h"

/* An attempt longer than this has died: CreateCa's own deadline is 60 s. */
#define ATTEMPT_LASTS "interval '90 seconds'"
#define PREDECESSORS_MAX "8"

#define AUTHORITY_COLUMNS                                                                                                                     \
    "name, status, subject, key_uri, key_type, digest, coalesce(parent, ''), coalesce(evidence, ''), csr_only, is_default, id, path_length, " \
    "serial, "                                                                                                                                \
    "public_key, csr, certificate, not_before, not_after, created_at, coalesce(successor, ''), revoked_at, "                                  \
    "coalesce(reason, 0), EXISTS (SELECT FROM ca.authority child WHERE child.parent = authority.name)"
enum {
    COLUMN_NAME,
    COLUMN_STATUS,
    COLUMN_SUBJECT,
    COLUMN_KEY_URI,
    COLUMN_KEY_TYPE,
    COLUMN_DIGEST,
    COLUMN_PARENT,
    COLUMN_EVIDENCE,
    COLUMN_CSR_ONLY,
    COLUMN_IS_DEFAULT,
    COLUMN_ID,
    COLUMN_PATH_LENGTH,
    COLUMN_SERIAL,
    COLUMN_PUBLIC_KEY,
    COLUMN_CSR,
    COLUMN_CERTIFICATE,
    COLUMN_NOT_BEFORE,
    COLUMN_NOT_AFTER,
    COLUMN_CREATED_AT,
    COLUMN_SUCCESSOR,
    COLUMN_REVOKED_AT,
    COLUMN_REASON,
    COLUMN_HAS_CHILDREN
};

static const char *const status_names[] = {
    [AUTHORITY_CREATING] = "creating",
    [AUTHORITY_WAITING] = "waiting-for-certificate",
    [AUTHORITY_ACTIVE] = "active",
    [AUTHORITY_RETIRED] = "retired",
};

const char *
authority_status_name(enum authority_status status)
{
    return status_names[status];
}

static enum authority_status
status_of(const char *name)
{
    size_t i = 0;

    while (i <= AUTHORITY_RETIRED && !text_equal(status_names[i], name))
        i++;
    assert(i <= AUTHORITY_RETIRED);
    return (enum authority_status)i;
}

static struct authority_row
read_row(const struct db_rows *rows, size_t row)
{
    return (struct authority_row){
        .name = db_text(rows, row, COLUMN_NAME),
        .status = status_of(db_text(rows, row, COLUMN_STATUS)),
        .subject = db_bytes(rows, row, COLUMN_SUBJECT),
        .key_uri = db_text(rows, row, COLUMN_KEY_URI),
        .key_type = db_text(rows, row, COLUMN_KEY_TYPE),
        .digest = db_text(rows, row, COLUMN_DIGEST),
        .parent = db_text(rows, row, COLUMN_PARENT),
        .evidence = db_text(rows, row, COLUMN_EVIDENCE),
        .csr_only = db_bool(rows, row, COLUMN_CSR_ONLY),
        .is_default = db_bool(rows, row, COLUMN_IS_DEFAULT),
        .id = (int)db_int(rows, row, COLUMN_ID),
        .path_length = (int)db_int(rows, row, COLUMN_PATH_LENGTH),
        .serial = db_bytes(rows, row, COLUMN_SERIAL),
        .public_key = db_bytes(rows, row, COLUMN_PUBLIC_KEY),
        .csr = db_bytes(rows, row, COLUMN_CSR),
        .certificate = db_bytes(rows, row, COLUMN_CERTIFICATE),
        .not_before_s = db_time_s(rows, row, COLUMN_NOT_BEFORE),
        .not_after_s = db_time_s(rows, row, COLUMN_NOT_AFTER),
        .created_at_s = db_time_s(rows, row, COLUMN_CREATED_AT),
        .successor = db_text(rows, row, COLUMN_SUCCESSOR),
        .revoked_at_s = db_time_s(rows, row, COLUMN_REVOKED_AT),
        .revocation_reason = (int)db_int(rows, row, COLUMN_REASON),
        .has_children = db_bool(rows, row, COLUMN_HAS_CHILDREN),
    };
}

static const struct db_statement list_authorities = {"list_authorities",
                                                     "SELECT " AUTHORITY_COLUMNS " FROM ca.authority WHERE $1 = '' OR name = $1 ORDER BY id"};
static const struct db_statement list_chains = {
    "list_chains", "SELECT authority, certificate FROM ca.chain WHERE $1 = '' OR authority = $1 ORDER BY authority, position"};

static const struct db_statement list_alternates = {"list_alternates",
                                                    "SELECT authority, position, certificate FROM ca.alternate_chain WHERE $1 = '' OR authority = $1 "
                                                    "ORDER BY authority, added_at, sha256, position"};

static void
add_alternate(struct authority_row *rows, size_t count, const struct db_rows *found, size_t at)
{
    for (size_t i = 0; i < count; i++) {
        struct authority_row *row = &rows[i];
        if (!text_equal(row->name, db_text(found, at, 0)))
            continue;
        if (db_int(found, at, 1) == 0 && row->alternate_count < ALTERNATES_MAX)
            row->alternate_count++;
        struct way_up *way = &row->alternates[row->alternate_count - 1];
        if (way->count == (size_t)db_int(found, at, 1) && way->count <= CHAIN_MAX)
            way->certificates[way->count++] = db_bytes(found, at, 2);
    }
}

static void
add_chain(struct authority_row *rows, size_t count, const char *authority, struct bytes certificate)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(rows[i].name, authority) && rows[i].chain_count < CHAIN_MAX)
            rows[i].chain[rows[i].chain_count++] = certificate;
}

enum error
store_list_authorities(struct signer *signer, struct request *rq, const char *name, struct authority_row **ret_rows, size_t *ret_count)
{
    struct db_rows *found = NULL, *chains = NULL, *alternates = NULL;
    const struct db_step steps[] = {DB_STEP(&list_authorities, &found, DB_TEXT(name)), DB_STEP(&list_chains, &chains, DB_TEXT(name)),
                                    DB_STEP(&list_alternates, &alternates, DB_TEXT(name))};

    enum error error = db_atomic(signer->db, rq, steps, 3);
    if (error != OK)
        return error;
    size_t count = db_count(found);
    struct authority_row *rows = arena_array(rq->arena, count, sizeof *rows);
    for (size_t i = 0; i < count; i++)
        rows[i] = read_row(found, i);
    for (size_t i = 0; i < db_count(chains); i++)
        add_chain(rows, count, db_text(chains, i, 0), db_bytes(chains, i, 1));
    for (size_t i = 0; i < db_count(alternates); i++)
        add_alternate(rows, count, alternates, i);
    *ret_rows = rows;
    *ret_count = count;
    return OK;
}

enum error
store_find_authority(struct signer *signer, struct request *rq, const char *name, bool *ret_found, struct authority_row *ret_row)
{
    struct authority_row *rows;
    size_t count;

    assert(!text_is_empty(name));
    enum error error = store_list_authorities(signer, rq, name, &rows, &count);
    if (error != OK)
        return error;
    *ret_found = count > 0;
    if (count > 0)
        *ret_row = rows[0];
    return OK;
}

static const struct db_statement begin_authority = {
    "begin_authority",
    "INSERT INTO ca.authority (name, status, subject, key_uri, key_type, digest, parent, csr_only, path_length, serial, not_before, not_after) "
    "VALUES ($1, 'creating', $2, $3, $4, $5, nullif($6, ''), $7, $8, $9, $10, $11) ON CONFLICT (name) DO NOTHING"};

enum error
store_begin_authority(struct signer *signer, struct request *rq, const struct authority_row *row, bool *ret_begun)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(signer->db, rq, &begin_authority, &rows, DB_TEXT(row->name), DB_BYTES(row->subject), DB_TEXT(row->key_uri),
                                DB_TEXT(row->key_type), DB_TEXT(row->digest), DB_TEXT(row->parent), DB_BOOL(row->csr_only), DB_INT(row->path_length),
                                DB_BYTES(row->serial), DB_TIME_S(row->not_before_s), DB_TIME_S(row->not_after_s));

    if (error != OK)
        return error;
    *ret_begun = db_affected(rows) == 1;
    return OK;
}

static const struct db_statement resume_authority = {
    "resume_authority", "UPDATE ca.authority SET begun_at = now() WHERE name = $1 AND status = 'creating' AND begun_at < now() - " ATTEMPT_LASTS};

enum error
store_resume_authority(struct signer *signer, struct request *rq, const char *name, bool *ret_ours)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(signer->db, rq, &resume_authority, &rows, DB_TEXT(name));

    if (error != OK)
        return error;
    *ret_ours = db_affected(rows) == 1;
    return OK;
}

enum error
store_release_authority(struct signer *signer, struct request *rq, const char *name)
{
    static const struct db_statement release_authority = {"release_authority",
                                                          "UPDATE ca.authority SET begun_at = '-infinity' WHERE name = $1 AND status = 'creating'"};

    return DB_QUERY(signer->db, rq, &release_authority, NULL, DB_TEXT(name));
}

enum error
store_abandon_authority(struct signer *signer, struct request *rq, const char *name)
{
    static const struct db_statement abandon_authority = {"abandon_authority",
                                                          "DELETE FROM ca.authority WHERE name = $1 AND status = 'creating' AND public_key IS NULL"};

    return DB_QUERY(signer->db, rq, &abandon_authority, NULL, DB_TEXT(name));
}

/* A key has many URIs (with its id or without): what it is, its public half tells. Two CAs of one key are refused by an index. */
enum error
store_set_authority_key(struct signer *signer, struct request *rq, const char *name, const struct made_key *key)
{
    static const struct db_statement set_authority_key = {
        "set_authority_key", "UPDATE ca.authority SET public_key = $2, evidence = $3 WHERE name = $1 AND status = 'creating'"
                             " AND public_key IS NULL AND NOT EXISTS (SELECT FROM ca.service_key WHERE public_key = $2)"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &set_authority_key, &rows, DB_TEXT(name), DB_BYTES(key->spki), DB_TEXT(key->evidence));
    if (error == ERR_CONFLICT || (error == OK && db_affected(rows) == 0)) {
        failure_clear(rq);
        return fail(rq, ERR_DENIED, "the key is that of another CA, or signs OCSP responses or the audit log: a CA needs a key of its own");
    }
    return error;
}

enum error
store_set_authority_csr(struct signer *signer, struct request *rq, const char *name, struct bytes csr)
{
    static const struct db_statement set_authority_csr = {
        "set_authority_csr", "UPDATE ca.authority SET csr = $2, status = 'waiting-for-certificate' WHERE name = $1 AND status = 'creating'"};

    return DB_QUERY(signer->db, rq, &set_authority_csr, NULL, DB_TEXT(name), DB_BYTES(csr));
}

/* The first intermediate becomes the default: a template that names no CA needs one. */
static const struct db_statement activate_authority = {
    "activate_authority",
    "UPDATE ca.authority SET status = 'active', certificate = $2, serial = $3, not_before = $4, not_after = $5, path_length = $6,"
    " is_default = $7 AND NOT EXISTS (SELECT FROM ca.authority WHERE is_default)"
    " WHERE name = $1 AND status IN ('creating', 'waiting-for-certificate')"};
static const struct db_statement add_chain_certificates = {
    "add_chain_certificates", "INSERT INTO ca.chain (authority, position, certificate) SELECT $1, ordinality - 1, certificate "
                              "FROM unnest($2::bytea[]) WITH ORDINALITY AS c (certificate, ordinality)"};

struct activation {
    const struct authority_row *row;
    struct db_step announce;
};

/* One certificate, its own chain, one event: of two who come at one moment, with different certificates perhaps, the second changes nothing. */
static enum error
activate(struct db *db, struct request *rq, void *context)
{
    const struct activation *activation = context;
    const struct authority_row *row = activation->row;
    const struct db_step *announce = &activation->announce;
    bool is_intermediate = row->chain_count > 0;
    struct db_rows *updated;

    enum error error = DB_QUERY(db, rq, &activate_authority, &updated, DB_TEXT(row->name), DB_BYTES(row->certificate), DB_BYTES(row->serial),
                                DB_TIME_S(row->not_before_s), DB_TIME_S(row->not_after_s), DB_INT(row->path_length), DB_BOOL(is_intermediate));
    if (error == OK && db_affected(updated) == 0)
        return fail(rq, ERR_CONFLICT, "the CA %s was completed or given up by somebody else at the same moment", row->name);
    if (error == OK)
        error = DB_QUERY(db, rq, &add_chain_certificates, NULL, DB_TEXT(row->name), DB_BYTES_ARRAY(row->chain, row->chain_count));
    return error == OK ? db_query(db, rq, announce->statement, announce->values, announce->value_count, NULL) : error;
}

enum error
store_activate_authority(struct signer *signer, struct request *rq, const struct authority_row *row, const char *event_id,
                         const ProtobufCMessage *event)
{
    struct activation activation = {.row = row, .announce = outbox_step(signer->outbox, rq, event_id, "signet.event.ca.created", event)};

    enum error error = db_transaction(signer->db, rq, activate, &activation);
    if (error == OK)
        outbox_wake(signer->outbox);
    return error;
}

static const struct db_statement insert_alternate = {
    "insert_alternate", "INSERT INTO ca.alternate_chain (authority, sha256, position, certificate) SELECT $1, $2, ordinality - 1, certificate "
                        "FROM unnest($3::bytea[]) WITH ORDINALITY AS up (certificate, ordinality) ON CONFLICT DO NOTHING"};

enum error
store_add_alternate(struct db *db, struct request *rq, const char *name, const struct way_up *way, bool *ret_added)
{
    struct buffer all = buffer_in(rq->arena);
    struct db_rows *added;
    uint8_t sha256[32];

    for (size_t i = 0; i < way->count; i++)
        buffer_append(&all, way->certificates[i].at, way->certificates[i].len);
    certificate_sha256(buffer_bytes(&all), sha256);
    enum error error = DB_QUERY(db, rq, &insert_alternate, &added, DB_TEXT(name), DB_BYTES(BYTES(sha256, sizeof sha256)),
                                DB_BYTES_ARRAY(way->certificates, way->count));
    if (error == OK)
        *ret_added = db_affected(added) > 0; /* a row for each of its certificates */
    return error;
}

/* ---- succession ---- */

enum error
store_name_successor(struct db *db, struct request *rq, const char *name, const char *successor, bool *ret_named, const char **ret_before)
{
    static const struct db_statement name_successor = {
        "name_successor", "WITH RECURSIVE later AS (SELECT successor FROM ca.authority WHERE name = $2"
                          " UNION SELECT a.successor FROM ca.authority a JOIN later ON a.name = later.successor),"
                          " before AS (SELECT name, coalesce(successor, '') AS successor FROM ca.authority WHERE name = $1 FOR UPDATE)"
                          " UPDATE ca.authority a SET successor = nullif($2, '') FROM before WHERE a.name = before.name"
                          " AND NOT EXISTS (SELECT FROM later WHERE later.successor = $1) RETURNING before.successor"};
    struct db_rows *rows;

    enum error error = DB_QUERY(db, rq, &name_successor, &rows, DB_TEXT(name), DB_TEXT(successor));
    if (error != OK)
        return error;
    *ret_named = db_count(rows) == 1;
    if (*ret_named)
        *ret_before = db_text(rows, 0, 0);
    return OK;
}

enum error
store_list_predecessors(struct signer *signer, struct request *rq, const char *name, struct authority_row **ret_rows, size_t *ret_count)
{
    static const struct db_statement list_predecessors = {
        "list_predecessors", "WITH RECURSIVE before AS (SELECT a.* FROM ca.authority a WHERE successor = $1"
                             " UNION SELECT a.* FROM ca.authority a JOIN before b ON a.successor = b.name)"
                             " SELECT " AUTHORITY_COLUMNS " FROM before AS authority WHERE certificate IS NOT NULL AND revoked_at IS NULL AND name "
                             "<> $1 ORDER BY not_after DESC LIMIT " PREDECESSORS_MAX};
    struct db_rows *found;

    enum error error = DB_QUERY(signer->db, rq, &list_predecessors, &found, DB_TEXT(name));
    if (error != OK)
        return error;
    struct authority_row *rows = arena_array(rq->arena, db_count(found), sizeof *rows);
    for (size_t i = 0; i < db_count(found); i++)
        rows[i] = read_row(found, i);
    *ret_rows = rows;
    *ret_count = db_count(found);
    return OK;
}
