/* Authorisations that are about more than one order: made before any, given up, or looked at because somebody wants to revoke. */
#include "acme.h"

#include "store.h"

static const struct db_statement insert_authorization = {
    "insert_authorization",
    "INSERT INTO acme.authorization (id, account_id, name, expires_at, subdomains) SELECT $1, $2, $3, $4, $5 WHERE NOT EXISTS "
    "(SELECT FROM acme.authorization a WHERE a.account_id = $2 AND a.name = $3 AND (a.subdomains OR NOT $5) AND " IS_PROVEN " "
    "AND a.expires_at > now() + interval '" AUTHORIZATION_REST "')"};
static const struct db_statement insert_its_challenge = {
    "insert_its_challenge", "INSERT INTO acme.challenge (id, authorization_id, offered, token) SELECT $1, a.id, string_to_array($3, ' '), $4 "
                            "FROM acme.authorization a WHERE a.id = $2"};
static const struct db_statement find_authorization = {
    "find_authorization",
    "SELECT a.id FROM acme.authorization a WHERE a.id = $1 UNION ALL (SELECT a.id FROM acme.authorization a "
    "WHERE a.account_id = $2 AND a.name = $3 AND (a.subdomains OR NOT $4) AND " IS_PROVEN " ORDER BY a.expires_at DESC LIMIT 1)"};
static const struct db_statement deactivate = {
    "deactivate_authorization",
    "UPDATE acme.authorization SET status = 'deactivated' WHERE id = $1 AND account_id = $2 AND status IN ('pending', 'valid')"};
/* RFC 8555 §7.1.6. Orders live for a week: what is older has expired anyway. An order that finds the authorisation still valid at this moment is
 * stopped when it is claimed. */
static const struct db_statement invalidate_orders = {
    "invalidate_orders", "UPDATE acme.orders SET status = 'invalid', problem = $3 WHERE account_id = $2 AND created_at > now() - interval '8 days' "
                         "AND status IN ('pending', 'ready') AND $1 = ANY (authorization_ids)"};
static const struct db_statement count_proven = {
    "count_proven", "SELECT count(*) FROM unnest($2::text[], $3::text[]) AS w (name, covers) WHERE EXISTS (SELECT FROM acme.authorization a WHERE "
                    "a.account_id = $1 AND " COVERS_IT " AND a.expires_at > now() AND " IS_PROVEN ")"};

enum error
store_insert_authorization(struct acme *acme, struct request *rq, const char *account_id, const struct authorization *authorization,
                           const char **ret_id)
{
    const struct challenge *challenge = authorization->challenges;
    const char *name = name_to_column(rq->arena, &authorization->name);
    struct db_rows *found = NULL;
    struct db_step steps[] = {
        DB_STEP(&insert_authorization, NULL, DB_TEXT(authorization->id), DB_TEXT(account_id), DB_TEXT(name), DB_TIME_S(authorization->expires_at_s),
                DB_BOOL(authorization->subdomains)),
        DB_STEP(&insert_its_challenge, NULL, DB_TEXT(challenge->id), DB_TEXT(authorization->id), DB_TEXT(challenge->type), DB_TEXT(challenge->token)),
        DB_STEP(&find_authorization, &found, DB_TEXT(authorization->id), DB_TEXT(account_id), DB_TEXT(name), DB_BOOL(authorization->subdomains)),
    };

    enum error error = db_atomic(acme->db, rq, steps, 3);
    if (error)
        return error;
    /* Deactivated between the first statement and the last. */
    if (db_count(found) == 0)
        return fail(rq, ERR_BUSY, "the authorization of this name is being changed; ask again");
    *ret_id = db_text(found, 0, 0);
    return OK;
}

enum error
store_deactivate_authorization(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *problem)
{
    struct db_step steps[] = {
        DB_STEP(&deactivate, NULL, DB_TEXT(id), DB_TEXT(account_id)),
        DB_STEP(&invalidate_orders, NULL, DB_TEXT(id), DB_TEXT(account_id), DB_TEXT(problem)),
    };
    return db_atomic(acme->db, rq, steps, 2);
}

enum error
store_names_are_proven(struct acme *acme, struct request *rq, const char *account_id, const struct identifier *names, size_t count, bool *ret_proven)
{
    struct db_rows *rows;

    enum error error =
        DB_QUERY(acme->db, rq, &count_proven, &rows, DB_TEXT(account_id), DB_TEXT_ARRAY(names_to_columns(rq->arena, names, count), count),
                 DB_TEXT_ARRAY(subdomain_covers(rq->arena, names, count, true), count));
    if (!error)
        *ret_proven = db_int(rows, 0, 0) == (int64_t)count;
    return error;
}
