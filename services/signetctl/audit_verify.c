/*
 * audit verify: recomputes the whole chain from the stored texts and checks every signature.
 *
 * It trusts nothing that the database derived: leaves come from the bodies, roots from the leaves, heads from the roots; positions run 1, 2, 3 …
 * and seals 1, 2, 3 … without gap. What a chain cannot show by itself is that its end was cut off, or that all of it was made anew with another
 * key: for that, write down a head and the key's fingerprint, and give them with --head and --key next time.
 */
#include <string.h>

#include "base/text.h"
#include "pki/audit_chain.h"
#include "pki/merkle.h"
#include "pki/public_key.h"
#include "signetctl.h"

#define SEALS_AT_ONCE 100
#define RECORDS_MAX 100000 /* of one seal */

struct walk {
    uint64_t seals, records, unsealed;
    uint8_t head[32];
    struct bytes known_head; /* --head, or none */
    bool known_head_seen;
    char key_sha256[65]; /* --key, or that of the first seal; "" until then */
};

static const struct db_statement select_seals = {
    "select_seals", "SELECT seal, first_position, last_position, root, previous_head, sealed_at_us, head, signature, public_key FROM audit.seal"
                    " WHERE seal > $1 AND head IS NOT NULL ORDER BY seal LIMIT $2"};

static const struct db_statement select_records = {
    "select_records", "SELECT position, seal, body FROM audit.record WHERE position BETWEEN $1 AND $2 ORDER BY position LIMIT $3"};

/* Of one moment, while sealing goes on: what waits, and what claims a place that no seal covers. */
static const struct db_statement count_rest = {
    "count_rest", "SELECT (SELECT count(*) FROM audit.record r LEFT JOIN audit.seal s USING (seal) WHERE s.head IS NULL),"
                  " (SELECT count(*) FROM audit.seal WHERE head IS NULL),"
                  " (SELECT count(*) FROM audit.record r WHERE position IS NOT NULL AND NOT EXISTS"
                  "   (SELECT FROM audit.seal s WHERE s.seal = r.seal AND r.position BETWEEN s.first_position AND s.last_position))"};

static enum error
unverified(struct request *rq, uint64_t seal, const char *what)
{
    (void)fail(rq, ERR_CONFLICT, "the audit log does NOT verify: seal %llu: %s", (unsigned long long)seal, what);
    return fail_reason(rq, "unverified");
}

static bool
is_32(struct bytes bytes)
{
    return bytes.len == 32;
}

/* The Merkle root of the records as they are stored now. */
static enum error
recompute_root(struct ctl *ctl, struct request *rq, const struct audit_seal *seal, struct merkle_hash *ret_root)
{
    uint64_t count = seal->last_position - seal->first_position + 1, i;
    AUTO_STRUCT(request, batch) = request_new();
    struct merkle_hash *leaves;
    struct db_rows *rows;
    enum error error;

    if (seal->last_position < seal->first_position || count > RECORDS_MAX)
        return unverified(rq, seal->seal, "its positions make no sense");
    error = DB_QUERY(ctl->db, batch, &select_records, &rows, DB_BIGINT((int64_t)seal->first_position), DB_BIGINT((int64_t)seal->last_position),
                     DB_BIGINT(RECORDS_MAX));
    if (error)
        return fail_privately(rq, error, batch->failure.message, "%s", batch->failure.detail);
    if (db_count(rows) != count)
        return unverified(rq, seal->seal, "records are missing");
    leaves = arena_array(batch->arena, count, sizeof(*leaves));
    for (i = 0; i < count; i++) {
        if ((uint64_t)db_int(rows, i, 0) != seal->first_position + i || (uint64_t)db_int(rows, i, 1) != seal->seal)
            return unverified(rq, seal->seal, "records are out of order");
        leaves[i] = merkle_leaf(bytes_of_text(db_text(rows, i, 2)));
    }
    *ret_root = merkle_root(leaves, count);
    return OK;
}

static enum error
check_signature(struct request *rq, struct walk *walk, uint64_t seal, const uint8_t head[32], struct bytes signature, struct bytes spki)
{
    struct public_key key;
    uint8_t digest[32];
    const char *fingerprint;

    if (public_key_parse(rq, spki, &key) != OK) {
        failure_clear(rq);
        return unverified(rq, seal, "its key cannot be read");
    }
    public_key_sha256(&key, digest);
    fingerprint = bytes_hex(rq->arena, BYTES(digest, sizeof(digest)), 0);
    if (walk->key_sha256[0] == '\0')
        (void)snprintf(walk->key_sha256, sizeof(walk->key_sha256), "%s", fingerprint);
    if (!text_equal(walk->key_sha256, fingerprint))
        return unverified(rq, seal, "it was signed with another key");
    if (!signature_verify(&key, SIG_ECDSA_SHA256, BYTES(head, 32), signature))
        return unverified(rq, seal, "its signature is wrong");
    return OK;
}

static enum error
check_seal(struct ctl *ctl, struct request *rq, struct walk *walk, const struct db_rows *rows, size_t row)
{
    struct bytes root = db_bytes(rows, row, 3), previous = db_bytes(rows, row, 4), head = db_bytes(rows, row, 6);
    struct audit_seal seal = {
        .seal = (uint64_t)db_int(rows, row, 0),
        .first_position = (uint64_t)db_int(rows, row, 1),
        .last_position = (uint64_t)db_int(rows, row, 2),
        .sealed_at_us = db_int(rows, row, 5),
    };
    struct merkle_hash computed;
    uint8_t computed_head[32];
    enum error error;

    if (seal.seal != walk->seals + 1)
        return unverified(rq, walk->seals + 1, "it is missing");
    if (seal.first_position != walk->records + 1)
        return unverified(rq, seal.seal, "it does not begin where the one before ended");
    if (!is_32(root) || !is_32(previous) || !is_32(head) || memcmp(previous.at, walk->head, 32) != 0)
        return unverified(rq, seal.seal, "it does not follow the one before");
    error = recompute_root(ctl, rq, &seal, &computed);
    if (error)
        return error;
    if (memcmp(computed.octets, root.at, 32) != 0)
        return unverified(rq, seal.seal, "a record in it was changed");

    memcpy(seal.root, root.at, 32);
    memcpy(seal.previous_head, previous.at, 32);
    audit_head(&seal, computed_head);
    if (memcmp(computed_head, head.at, 32) != 0)
        return unverified(rq, seal.seal, "its head is not the hash of what it says");
    error = check_signature(rq, walk, seal.seal, computed_head, db_bytes(rows, row, 7), db_bytes(rows, row, 8));
    if (error)
        return error;
    memcpy(walk->head, computed_head, 32);
    walk->seals = seal.seal;
    walk->records = seal.last_position;
    walk->known_head_seen = walk->known_head_seen || bytes_equal(walk->known_head, BYTES(computed_head, 32));
    return OK;
}

static enum error
walk_seals(struct ctl *ctl, struct request *rq, struct walk *walk)
{
    size_t count = SEALS_AT_ONCE, i;

    while (count == SEALS_AT_ONCE) {
        AUTO_STRUCT(request, page) = request_new();
        struct db_rows *rows;
        enum error error = DB_QUERY(ctl->db, page, &select_seals, &rows, DB_BIGINT((int64_t)walk->seals), DB_BIGINT(SEALS_AT_ONCE));

        for (i = 0; !error && i < db_count(rows); i++)
            error = check_seal(ctl, page, walk, rows, i);
        if (error) {
            rq->failure = page->failure;
            return error;
        }
        count = db_count(rows);
    }
    return OK;
}

/* Beside the walk: nothing may claim a place in the chain that no seal covers. */
static enum error
check_rest(struct ctl *ctl, struct request *rq, struct walk *walk)
{
    struct db_rows *rows;
    enum error error = DB_QUERY0(ctl->db, rq, &count_rest, &rows);

    if (error)
        return error;
    walk->unsealed = (uint64_t)db_int(rows, 0, 0);
    if (db_int(rows, 0, 1) > 1)
        return unverified(rq, walk->seals + 1, "more than one seal waits for its signature");
    if (db_int(rows, 0, 2) > 0)
        return unverified(rq, walk->seals, "records claim places that no seal covers");
    if (walk->known_head.at != NULL && !walk->known_head_seen)
        return unverified(rq, walk->seals, "the head given with --head is not in the chain: its end was cut off");
    return OK;
}

static void
report(struct ctl *ctl, struct request *rq, const struct walk *walk)
{
    const char *head = bytes_hex(rq->arena, BYTES(walk->head, 32), 0);

    if (ctl->json) {
        json_print(json_pack("{s:b, s:I, s:I, s:I, s:s, s:s}", "verified", 1, "seals", (json_int_t)walk->seals, "records", (json_int_t)walk->records,
                             "unsealed", (json_int_t)walk->unsealed, "head", head, "key_sha256", walk->key_sha256));
        return;
    }
    printf("the audit log verifies: %llu records in %llu seals, nothing changed, removed or reordered; %llu not sealed yet\n",
           (unsigned long long)walk->records, (unsigned long long)walk->seals, (unsigned long long)walk->unsealed);
    printf("head  %s\nkey   %s\n", head, walk->key_sha256);
}

enum error
audit_verify(struct ctl *ctl, struct request *rq)
{
    const char *known_head = argument(ctl, "head"), *known_key = argument(ctl, "key");
    struct walk walk = {0};
    struct bytes key;
    enum error error;

    if (known_head != NULL && (!bytes_from_hex(rq->arena, known_head, &walk.known_head) || walk.known_head.len != 32))
        return argument_refused(rq, "--head is 32 octets in hexadecimal, as audit verify prints it");
    if (known_key != NULL && (!bytes_from_hex(rq->arena, known_key, &key) || key.len != 32))
        return argument_refused(rq, "--key is 32 octets in hexadecimal, as audit verify prints it");
    /* The head of a log without seals is told too, and every log begins with it. */
    walk.known_head_seen = bytes_equal(walk.known_head, BYTES(walk.head, sizeof(walk.head)));
    if (known_key != NULL)
        (void)snprintf(walk.key_sha256, sizeof(walk.key_sha256), "%s", bytes_hex(rq->arena, key, 0));
    rq->deadline_ms = 0; /* a long log takes long */
    error = ctl_database(ctl, rq);
    if (!error)
        error = walk_seals(ctl, rq, &walk);
    if (!error)
        error = check_rest(ctl, rq, &walk);
    if (!error)
        report(ctl, rq, &walk);
    return error;
}
