/* The SQL of revocations: one look and one transaction. */
#include "ra.h"

static const struct db_statement find_certificate = {
    "find_certificate", "SELECT c.issuer, c.certificate, c.not_after, c.principal_kind, c.principal_id, r.revoked_at, r.reason"
                        " FROM ra.certificate c LEFT JOIN ra.revocation r ON r.expiry_month = c.expiry_month AND r.serial = c.serial"
                        " WHERE c.expiry_month = $1 AND c.serial = $2"};

enum error
store_find_certificate(struct ra *ra, struct request *rq, int expiry_month, struct bytes serial, bool *ret_found, struct revocation *ret_revocation)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &find_certificate, &rows, DB_INT(expiry_month), DB_BYTES(serial));

    if (error)
        return error;
    *ret_found = db_count(rows) == 1;
    if (!*ret_found)
        return OK;
    *ret_revocation = (struct revocation){
        .serial = serial,
        .expiry_month = expiry_month,
        .issuer = db_text(rows, 0, 0),
        .certificate = db_bytes(rows, 0, 1),
        .not_after_s = db_time_s(rows, 0, 2),
        .holder_kind = db_text(rows, 0, 3),
        .holder_id = db_text(rows, 0, 4),
        .revoked = !db_is_null(rows, 0, 5),
        .revoked_at_s = db_time_s(rows, 0, 5),
        .reason = (int)db_int(rows, 0, 6),
    };
    return OK;
}

static const struct db_statement insert_revocation = {
    "insert_revocation",
    "WITH revoked AS ("
    " INSERT INTO ra.revocation (expiry_month, serial, issuer, revoked_at, reason, invalidity_at, not_after, channel, principal_kind, principal_id, "
    "authority)"
    " VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11) ON CONFLICT (expiry_month, serial) DO NOTHING RETURNING serial"
    "), recorded AS ("
    " INSERT INTO audit.record (body) SELECT $12 FROM revoked"
    ") INSERT INTO ra.outbox (event_id, subject, body) SELECT $13, $14, $15 FROM revoked"};

static const struct db_statement block_key = {
    "block_key", "WITH blocked AS ("
                 " INSERT INTO ra.blocked_key (spki_sha256, why) VALUES ($1, $2) ON CONFLICT (spki_sha256) DO NOTHING RETURNING 1"
                 ") INSERT INTO audit.record (body) SELECT $3 FROM blocked"};

/* The row, or its new reason, and the key that is blocked with it, if one is; `step` wants its rows. False: it was so before, or is otherwise now. */
static enum error
write_revocation(struct ra *ra, struct request *rq, const struct db_step *step, const struct revocation *revocation,
                 const struct revocation_records *records, bool *ret_stored)
{
    struct bytes key = BYTES(revocation->key_sha256, sizeof revocation->key_sha256);
    const struct db_step steps[] = {
        *step,
        DB_STEP(&block_key, NULL, DB_BYTES(key), DB_TEXT(revocation->authority), DB_TEXT(records->key_blocked)),
    };
    enum error error = db_atomic(ra->db, rq, steps, records->key_blocked == NULL ? 1 : 2);

    if (error)
        return error;
    *ret_stored = db_affected(*step->ret_rows) == 1;
    return OK;
}

enum error
store_revoke(struct ra *ra, struct request *rq, const struct revocation *revocation, const struct revocation_records *records,
             const struct announcement *announcement, bool *ret_stored)
{
    struct db_rows *rows = NULL;
    const struct db_step step =
        DB_STEP(&insert_revocation, &rows, DB_INT(revocation->expiry_month), DB_BYTES(revocation->serial), DB_TEXT(revocation->issuer),
                DB_TIME_S(revocation->revoked_at_s), DB_SMALLINT(revocation->reason),
                revocation->invalidity_s == 0 ? DB_NULL : DB_TIME_S(revocation->invalidity_s), DB_TIME_S(revocation->not_after_s),
                DB_TEXT(revocation->channel), DB_TEXT(revocation->principal_kind), DB_TEXT(revocation->principal_id), DB_TEXT(revocation->authority),
                DB_TEXT(records->revoked), DB_TEXT(announcement->event_id), DB_TEXT(announcement->subject), DB_BYTES(announcement->body));
    return write_revocation(ra, rq, &step, revocation, records, ret_stored);
}

static const struct db_statement change_reason = {"change_reason",
                                                  "WITH changed AS ("
                                                  " UPDATE ra.revocation SET reason = $3, invalidity_at = coalesce($5, invalidity_at)"
                                                  " WHERE expiry_month = $1 AND serial = $2 AND reason = $4 RETURNING serial"
                                                  "), recorded AS ("
                                                  " INSERT INTO audit.record (body) SELECT $6 FROM changed"
                                                  ") INSERT INTO ra.outbox (event_id, subject, body) SELECT $7, $8, $9 FROM changed"};

enum error
store_change_reason(struct ra *ra, struct request *rq, const struct revocation *revocation, const struct revocation_records *records,
                    const struct announcement *announcement, bool *ret_stored)
{
    struct db_rows *rows = NULL;
    const struct db_step step =
        DB_STEP(&change_reason, &rows, DB_INT(revocation->expiry_month), DB_BYTES(revocation->serial), DB_SMALLINT(revocation->reason),
                DB_SMALLINT(revocation->former_reason), revocation->invalidity_s == 0 ? DB_NULL : DB_TIME_S(revocation->invalidity_s),
                DB_TEXT(records->revoked), DB_TEXT(announcement->event_id), DB_TEXT(announcement->subject), DB_BYTES(announcement->body));
    return write_revocation(ra, rq, &step, revocation, records, ret_stored);
}

enum error
store_block_key(struct ra *ra, struct request *rq, const struct revocation *revocation, const char *record)
{
    return DB_QUERY(ra->db, rq, &block_key, NULL, DB_BYTES(BYTES(revocation->key_sha256, sizeof revocation->key_sha256)),
                    DB_TEXT(revocation->authority), DB_TEXT(record));
}
