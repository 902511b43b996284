/* The SQL of enrolments that wait for a person. Used by approve.c, withdraw.c and list_pending.c. */
#include "ra.h"

/* Opened, it is recover.c's work, which begins with what is due. Its key may have been blocked while it waited. */
static const struct db_statement approve_intent = {
    "approve_intent", "WITH approved AS ("
                      " UPDATE ra.intent SET status = 'open', due_at = now() WHERE id = $1 AND coalesce(status, '') = 'pending'"
                      " AND NOT EXISTS (SELECT FROM ra.blocked_key WHERE spki_sha256 = $3) RETURNING id"
                      ") INSERT INTO audit.record (body) SELECT $2 FROM approved"};
static const struct db_statement deny_intent = {"deny_intent",
                                                "WITH denied AS ("
                                                " UPDATE ra.intent SET status = 'refused', closed_at = now(), refusal_kind = $3, refusal = $4"
                                                " WHERE id = $1 AND coalesce(status, '') = 'pending' RETURNING id"
                                                ") INSERT INTO audit.record (body) SELECT $2 FROM denied"};

enum error
store_approve_intent(struct ra *ra, struct request *rq, struct bytes id, const uint8_t key_sha256[32], const char *record, bool *ret_changed)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &approve_intent, &rows, DB_BYTES(id), DB_TEXT(record), DB_BYTES(BYTES(key_sha256, 32)));

    if (!error)
        *ret_changed = db_affected(rows) == 1;
    return error;
}

enum error
store_deny_intent(struct ra *ra, struct request *rq, struct bytes id, const char *reason, const char *record, bool *ret_changed)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &deny_intent, &rows, DB_BYTES(id), DB_TEXT(record), DB_TEXT(error_name(ERR_DENIED)), DB_TEXT(reason));

    if (!error)
        *ret_changed = db_affected(rows) == 1;
    return error;
}

/*
 * One that is open and leased, or so young that the request that made it lives, is being signed: a certificate that somebody has signed already must
 * find its intent open. What recovery has had in hand, and has put back, waits for a signer.
 */
static const struct db_statement withdraw_intent = {
    "withdraw_intent", "WITH withdrawn AS ("
                       " UPDATE ra.intent SET status = 'refused', closed_at = now(), refusal_kind = $3, refusal = $4"
                       " WHERE id = $1 AND (coalesce(status, '') = 'pending' OR (coalesce(status, '') = 'open'"
                       " AND (leased_until IS NULL OR leased_until <= now()) AND (attempts > 0 OR due_at <= now()))) RETURNING id"
                       ") INSERT INTO audit.record (body) SELECT $2 FROM withdrawn"};

enum error
store_withdraw_intent(struct ra *ra, struct request *rq, struct bytes id, const char *reason, const char *record, bool *ret_changed)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &withdraw_intent, &rows, DB_BYTES(id), DB_TEXT(record), DB_TEXT(error_name(ERR_DENIED)), DB_TEXT(reason));

    if (!error)
        *ret_changed = db_affected(rows) == 1;
    return error;
}

enum error
store_find_intent_by_id(struct ra *ra, struct request *rq, struct bytes id, bool *ret_found)
{
    static const struct db_statement find_intent_by_id = {"find_intent_by_id", "SELECT 1 FROM ra.intent WHERE id = $1"};
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &find_intent_by_id, &rows, DB_BYTES(id));

    if (!error)
        *ret_found = db_count(rows) == 1;
    return error;
}

enum error
store_list_pending(struct ra *ra, struct request *rq, int most, struct waiting **ret_waiting, size_t *ret_count)
{
    static const struct db_statement list_pending = {
        "list_pending", "SELECT id, channel, principal_kind, principal_id, client_address, intent, created_at FROM ra.intent WHERE status = 'pending'"
                        " ORDER BY created_at LIMIT $1"};
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &list_pending, &rows, DB_INT(most));

    if (error)
        return error;
    struct waiting *waiting = arena_array(rq->arena, db_count(rows), sizeof *waiting);
    for (size_t i = 0; i < db_count(rows); i++)
        waiting[i] = (struct waiting){
            .id = db_bytes(rows, i, 0),
            .channel = db_text(rows, i, 1),
            .principal_kind = db_text(rows, i, 2),
            .principal_id = db_text(rows, i, 3),
            .client_address = db_text(rows, i, 4),
            .packed = db_bytes(rows, i, 5),
            .created_at_s = db_time_s(rows, i, 6),
        };
    *ret_waiting = waiting;
    *ret_count = db_count(rows);
    return OK;
}
