/*
 * Seals the audit log. A turn takes all records that have no place in the chain yet, gives them positions, computes the batch's Merkle root and
 * commits that as a seal without signature; then the signer signs its head. Issuance never waits for any of this.
 *
 * Replicas exclude each other by an advisory lock while they choose a batch. If this dies before the signature, the next turn, of any replica,
 * sends the very same seal to the signer again: one number never has two contents.
 */
#include "ra.h"

#include <string.h>

#include "base/clock.h"
#include "pki/audit_chain.h"
#include "pki/merkle.h"

#define SEAL_DEADLINE_MS 10000
#define SEAL_TURNS_MAX 100 /* full batches in one turn of the loop */

struct choice {
    struct seal seal; /* number 0: nothing to do */
    size_t records;
};

static void
fill_seal(struct request *rq, const struct seal *last, const struct unsealed *records, struct seal *ret_seal)
{
    struct merkle_hash *leaves = arena_array(rq->arena, records->count, sizeof *leaves);
    struct merkle_hash *root = arena_alloc(rq->arena, sizeof *root);
    static const struct merkle_hash before_the_first;

    for (size_t i = 0; i < records->count; i++)
        leaves[i] = merkle_leaf(records->bodies[i]);
    *root = merkle_root(leaves, records->count);
    *ret_seal = (struct seal){
        .number = last->number + 1,
        .first_position = last->last_position + 1,
        .last_position = last->last_position + (int64_t)records->count,
        .sealed_at_us = clock_now_us(),
        .root = BYTES(root->octets, sizeof root->octets),
        .previous_head = last->number == 0 ? BYTES(before_the_first.octets, sizeof before_the_first.octets) : last->head,
    };
}

static enum error
choose(struct db *db, struct request *rq, void *context)
{
    struct choice *choice = context;
    struct unsealed records;
    struct seal last;
    bool locked;
    enum error error = store_lock_seals(db, rq, &locked);

    *choice = (struct choice){0};
    if (error || !locked)
        return error;
    error = store_last_seal(db, rq, &last);
    if (error)
        return error;
    if (last.number > 0 && last.head.at == NULL) { /* its sealer died, or the signer was away */
        choice->seal = last;
        choice->records = (size_t)(last.last_position - last.first_position + 1);
        return OK;
    }
    error = store_unsealed(db, rq, &records);
    if (error || records.count == 0)
        return error;
    fill_seal(rq, &last, &records, &choice->seal);
    choice->records = records.count;
    return store_seal(db, rq, &choice->seal, &records);
}

/* A head that is not the hash of what was sent would break the chain for good: it is not stored. */
static enum error
check_head(struct request *rq, const struct seal *seal, const Pb__SignAuditHeadReply *reply)
{
    struct audit_seal sealed = {
        .seal = (uint64_t)seal->number,
        .first_position = (uint64_t)seal->first_position,
        .last_position = (uint64_t)seal->last_position,
        .sealed_at_us = seal->sealed_at_us,
    };
    uint8_t head[32];

    memcpy(sealed.root, seal->root.at, sizeof sealed.root);
    memcpy(sealed.previous_head, seal->previous_head.at, sizeof sealed.previous_head);
    audit_head(&sealed, head);
    if (!bytes_equal(message_bytes(reply->head), BYTES(head, sizeof head)) || reply->signature.len == 0 || reply->public_key.len == 0)
        return fail_privately(rq, ERR_INTERNAL, "internal error", "the signer's head of seal %lld is not that of the batch", (long long)seal->number);
    return OK;
}

enum error
seal_turn(struct ra *ra, struct request *rq, size_t *ret_sealed)
{
    Pb__SignAuditHeadRequest request = PB__SIGN_AUDIT_HEAD_REQUEST__INIT;
    const Pb__SignAuditHeadReply *reply;
    struct choice choice;
    enum error error = db_transaction(ra->db, rq, choose, &choice);
    if (error)
        return error;
    *ret_sealed = choice.records;
    if (choice.seal.number == 0)
        return OK;

    request.seal = (uint64_t)choice.seal.number;
    request.first_position = (uint64_t)choice.seal.first_position;
    request.last_position = (uint64_t)choice.seal.last_position;
    request.root = message_data(choice.seal.root);
    request.previous_head = message_data(choice.seal.previous_head);
    request.sealed_at_us = choice.seal.sealed_at_us;
    error = RPC_CALL(ra->bus, rq, signer, SignAuditHead, &request, &reply);
    if (!error)
        error = check_head(rq, &choice.seal, reply);
    if (error)
        return error;
    return store_signed_seal(ra->db, rq, choice.seal.number, reply);
}

/* Each batch in a request of its own, so that a long backlog needs no more memory than a short one. */
static void
turn(void *context, struct request *loop_rq)
{
    size_t sealed = SEAL_BATCH_MAX;

    for (int i = 0; i < SEAL_TURNS_MAX && sealed == SEAL_BATCH_MAX; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        rq->deadline_ms = clock_monotonic_ms() + SEAL_DEADLINE_MS;
        if (seal_turn(context, rq, &sealed) != OK) {
            loop_rq->failure = rq->failure;
            return;
        }
    }
}

void
seal_open(struct ra *ra)
{
    service_every(ra->service, "ra.seal", ra->config.seal_pause_ms, turn, ra);
}
