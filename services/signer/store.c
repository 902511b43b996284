/* The SQL of everything but CAs, delegates and templates: CRL numbers and entries, keys beside the CAs'. */
#include "signer.h"

#include <assert.h>
#include <string.h>

/* An attempt at making a key that is older than this has died: generation is bounded by SIGNET_SIGNER_HSM_GENERATE_MS. */
#define ATTEMPT_LASTS "interval '90 seconds'"

/* ---- CRLs ---- */

/* What was lost with a database that is an older copy of itself, with ease: a CRL each second for 136 years. */
#define CRL_NUMBER_JUMP_MOST (INT64_C(1) << 32)

enum error
store_next_crl_number(struct signer *signer, struct request *rq, const char *authority, int64_t after, int64_t *ret_number)
{
    /* The row's lock makes callers stand in line; the commit is before the signature. Numbers only grow: who could have them jump could end them. */
    static const struct db_statement next_crl_number = {
        "next_crl_number", "INSERT INTO ca.crl_number AS n (authority, number) SELECT $1::text, $2::bigint + 1"
                           " WHERE $2 <= $3::bigint OR EXISTS (SELECT FROM ca.crl_number WHERE authority = $1)"
                           " ON CONFLICT (authority) DO UPDATE SET number = greatest(n.number, $2) + 1 WHERE $2 - n.number <= $3 RETURNING number"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &next_crl_number, &rows, DB_TEXT(authority), DB_BIGINT(after), DB_BIGINT(CRL_NUMBER_JUMP_MOST));
    if (error != OK)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_CONFLICT, "the last CRL number is said to be %lld, which is further on than any CRLs of %s explain", (long long)after,
                    authority);
    *ret_number = db_int(rows, 0, 0);
    return OK;
}

enum error
store_list_revoked(struct signer *signer, struct request *rq, const char *authority, int64_t alive_at_s, struct bytes after, size_t most,
                   struct crl_entry **ret_entries, size_t *ret_count)
{
    static const struct db_statement list_revoked = {
        "list_revoked",
        /* Each in its order first: so a page costs what is in it, and not a look at all that follows. */
        "(SELECT serial, revoked_at, reason, invalidity_at FROM ra.revoked_serial WHERE issuer = $1 AND not_after >= $2 AND serial > $3"
        " ORDER BY serial LIMIT $4) UNION ALL (SELECT serial, revoked_at, reason, NULL FROM ca.authority WHERE parent = $1"
        " AND revoked_at IS NOT NULL AND not_after >= $2 AND serial > $3 ORDER BY serial LIMIT $4) ORDER BY serial LIMIT $4"};
    struct db_rows *rows;

    enum error error =
        DB_QUERY(signer->db, rq, &list_revoked, &rows, DB_TEXT(authority), DB_TIME_S(alive_at_s), DB_BYTES(after), DB_BIGINT((int64_t)most));
    if (error != OK)
        return error;
    size_t count = db_count(rows);
    struct crl_entry *entries = arena_array(rq->arena, count, sizeof *entries);
    for (size_t i = 0; i < count; i++)
        entries[i] = (struct crl_entry){.serial = db_bytes(rows, i, 0),
                                        .revoked_at_s = db_time_s(rows, i, 1),
                                        .reason = (int)db_int(rows, i, 2),
                                        .invalidity_s = db_time_s(rows, i, 3)};
    *ret_entries = entries;
    *ret_count = count;
    return OK;
}

enum error
store_put_crl(struct signer *signer, struct request *rq, const char *authority, int64_t number, struct bytes sha256, struct bytes der)
{
    static const struct db_statement put_crl = {
        "put_crl", "INSERT INTO ca.crl AS c (authority, number, sha256, der) VALUES ($1, $2, $3, $4) ON CONFLICT (authority) DO UPDATE"
                   " SET number = excluded.number, sha256 = excluded.sha256, der = excluded.der, signed_at = now() WHERE c.number < excluded.number"};

    return DB_QUERY(signer->db, rq, &put_crl, NULL, DB_TEXT(authority), DB_BIGINT(number), DB_BYTES(sha256), DB_BYTES(der));
}

/* ---- keys beside the CAs' ---- */

enum error
store_find_service_key(struct signer *signer, struct request *rq, const char *name, bool *ret_found, struct service_key *ret_key)
{
    static const struct db_statement find_service_key = {"find_service_key",
                                                         "SELECT key_uri, public_key, retired_at IS NOT NULL FROM ca.service_key"
                                                         " WHERE name = $1 AND (public_key IS NOT NULL OR retired_at IS NOT NULL)"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &find_service_key, &rows, DB_TEXT(name));
    if (error != OK)
        return error;
    *ret_found = db_count(rows) > 0;
    if (*ret_found && db_bool(rows, 0, 2))
        return fail(rq, ERR_NOT_FOUND, "the key %s was destroyed", name);
    if (*ret_found)
        *ret_key = (struct service_key){.uri = db_text(rows, 0, 0), .spki = db_bytes(rows, 0, 1)};
    return OK;
}

enum error
store_retire_service_key(struct signer *signer, struct request *rq, const char *name, struct retired_key *ret_key)
{
    static const struct db_statement retire_service_key = {
        "retire_service_key",
        "INSERT INTO ca.service_key AS k (name, key_uri, retired_at) VALUES ($1, 'none:' || $1, now()) ON CONFLICT (name) DO UPDATE"
        " SET retired_at = coalesce(k.retired_at, now()) RETURNING CASE WHEN k.key_uri = 'none:' || $1 THEN '' ELSE k.key_uri END,"
        " k.public_key IS NULL AND k.key_uri <> 'none:' || $1 AND k.begun_at > now() - " ATTEMPT_LASTS ", k.destroyed_at IS NOT NULL"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &retire_service_key, &rows, DB_TEXT(name));
    if (error == OK)
        *ret_key = (struct retired_key){.uri = db_text(rows, 0, 0), .being_made = db_bool(rows, 0, 1), .destroyed = db_bool(rows, 0, 2)};
    return error;
}

enum error
store_destroy_service_key(struct db *db, struct request *rq, const char *name, const char *profile, bool *ret_destroyed)
{
    static const struct db_statement forget = {"forget_scep_ra_certificates", "DELETE FROM ca.scep_ra_certificate WHERE profile = $1"};
    static const struct db_statement destroy = {"destroy_service_key",
                                                "UPDATE ca.service_key SET destroyed_at = now() WHERE name = $1 AND destroyed_at IS NULL"};
    struct db_rows *rows;

    enum error error = DB_QUERY(db, rq, &forget, NULL, DB_TEXT(profile));
    if (error == OK)
        error = DB_QUERY(db, rq, &destroy, &rows, DB_TEXT(name));
    if (error == OK)
        *ret_destroyed = db_affected(rows) > 0;
    return error;
}

enum error
store_claim_service_key(struct signer *signer, struct request *rq, const char *name, const char *new_uri, const char **ret_uri)
{
    /* Whoever died may have made it on the token already: it is found there under the URI that is on record. */
    static const struct db_statement claim_service_key = {
        "claim_service_key", "INSERT INTO ca.service_key AS k (name, key_uri) VALUES ($1, $2) ON CONFLICT (name) DO UPDATE SET begun_at = now() "
                             "WHERE k.public_key IS NULL AND k.retired_at IS NULL AND k.begun_at < now() - " ATTEMPT_LASTS " RETURNING k.key_uri"};
    struct db_rows *rows;

    enum error error = DB_QUERY(signer->db, rq, &claim_service_key, &rows, DB_TEXT(name), DB_TEXT(new_uri));
    if (error != OK)
        return error;
    *ret_uri = db_count(rows) == 1 ? db_text(rows, 0, 0) : NULL;
    return OK;
}

enum error
store_set_service_key(struct signer *signer, struct request *rq, const char *name, const char *uri, const struct made_key *key)
{
    static const struct db_statement set_service_key = {
        "set_service_key", "UPDATE ca.service_key SET public_key = $3, evidence = $4 WHERE name = $1 AND key_uri = $2 AND public_key IS NULL"};

    return DB_QUERY(signer->db, rq, &set_service_key, NULL, DB_TEXT(name), DB_TEXT(uri), DB_BYTES(key->spki), DB_TEXT(key->evidence));
}
