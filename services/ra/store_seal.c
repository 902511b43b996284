/* The SQL of the audit chain: records without a position, and seals. Used by seal.c. */
#include "ra.h"

#include "pki/merkle.h"

static const struct db_statement lock_seals = {"lock_seals", "SELECT pg_try_advisory_xact_lock(hashtext('audit.seal'))"};

enum error
store_lock_seals(struct db *db, struct request *rq, bool *ret_locked)
{
    struct db_rows *rows;
    enum error error = DB_QUERY0(db, rq, &lock_seals, &rows);

    if (error)
        return error;
    *ret_locked = db_bool(rows, 0, 0);
    return OK;
}

static const struct db_statement last_seal = {
    "last_seal", "SELECT seal, first_position, last_position, sealed_at_us, root, previous_head, head FROM audit.seal ORDER BY seal DESC LIMIT 1"};

enum error
store_last_seal(struct db *db, struct request *rq, struct seal *ret_seal)
{
    struct db_rows *rows;
    enum error error = DB_QUERY0(db, rq, &last_seal, &rows);

    if (error)
        return error;
    *ret_seal = (struct seal){0};
    if (db_count(rows) == 1)
        *ret_seal = (struct seal){
            .number = db_int(rows, 0, 0),
            .first_position = db_int(rows, 0, 1),
            .last_position = db_int(rows, 0, 2),
            .sealed_at_us = db_int(rows, 0, 3),
            .root = db_bytes(rows, 0, 4),
            .previous_head = db_bytes(rows, 0, 5),
            .head = db_is_null(rows, 0, 6) ? BYTES_NONE : db_bytes(rows, 0, 6),
        };
    return OK;
}

static const struct db_statement list_unsealed = {"list_unsealed", "SELECT id, body FROM audit.record WHERE position IS NULL ORDER BY id LIMIT $1"};

enum error
store_unsealed(struct db *db, struct request *rq, struct unsealed *ret_unsealed)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(db, rq, &list_unsealed, &rows, DB_INT(SEAL_BATCH_MAX));
    if (error)
        return error;

    size_t count = db_count(rows);
    int64_t *ids = arena_array(rq->arena, count, sizeof *ids);
    struct bytes *bodies = arena_array(rq->arena, count, sizeof *bodies);
    for (size_t i = 0; i < count; i++) {
        ids[i] = db_int(rows, i, 0);
        bodies[i] = bytes_of_text(db_text(rows, i, 1));
    }
    *ret_unsealed = (struct unsealed){.ids = ids, .bodies = bodies, .count = count};
    return OK;
}

static const struct db_statement place_records = {
    "place_records", "UPDATE audit.record r SET seal = $1, position = $2 + p.place - 1 FROM unnest($3::bigint[]) WITH ORDINALITY AS p (id, place)"
                     " WHERE r.id = p.id AND r.position IS NULL"};
static const struct db_statement insert_seal = {
    "insert_seal", "INSERT INTO audit.seal (seal, first_position, last_position, root, previous_head, sealed_at_us) VALUES ($1, $2, $3, $4, $5, $6)"};

enum error
store_seal(struct db *db, struct request *rq, const struct seal *seal, const struct unsealed *records)
{
    struct db_rows *placed;
    enum error error = DB_QUERY(db, rq, &place_records, &placed, DB_BIGINT(seal->number), DB_BIGINT(seal->first_position),
                                DB_BIGINT_ARRAY(records->ids, records->count));

    if (error)
        return error;
    if (db_affected(placed) != records->count)
        return fail_privately(rq, ERR_INTERNAL, "internal error", "seal %lld: %zu of %zu records placed", (long long)seal->number,
                              db_affected(placed), records->count);
    return DB_QUERY(db, rq, &insert_seal, NULL, DB_BIGINT(seal->number), DB_BIGINT(seal->first_position), DB_BIGINT(seal->last_position),
                    DB_BYTES(seal->root), DB_BYTES(seal->previous_head), DB_BIGINT(seal->sealed_at_us));
}

static const struct db_statement sign_seal = {
    "sign_seal", "UPDATE audit.seal SET head = $2, signature = $3, public_key = $4, key_uri = $5 WHERE seal = $1 AND head IS NULL"};

enum error
store_signed_seal(struct db *db, struct request *rq, int64_t number, const Pb__SignAuditHeadReply *signed_head)
{
    return DB_QUERY(db, rq, &sign_seal, NULL, DB_BIGINT(number), DB_BYTES(message_bytes(signed_head->head)),
                    DB_BYTES(message_bytes(signed_head->signature)), DB_BYTES(message_bytes(signed_head->public_key)), DB_TEXT(signed_head->key_uri));
}
