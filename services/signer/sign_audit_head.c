/*
 * rpc SignAuditHead: called by ra's sealer for each batch of audit records. The head binds the batch's Merkle root to its place in the chain; it is
 * what `signetctl audit verify` computes again:
 *
 *     head = SHA-256("signet-audit-head-v1" NUL || seal || first_position || last_position || root || previous_head || sealed_at_us)
 *
 * with numbers as 8 octets, big-endian. The audit key lives on the token and signs nothing else.
 */
#include "signer.h"

#include <openssl/sha.h>
#include <string.h>

#define HEAD_PREFIX "signet-audit-head-v1" /* and its NUL */
#define HASH_LEN 32

static bool
is_zero(struct bytes octets)
{
    size_t i = 0;

    while (i < octets.len && octets.at[i] == 0)
        i++;
    return i == octets.len;
}

static enum error
check_request(struct request *rq, const Pb__SignAuditHeadRequest *request)
{
    if (request->seal == 0 || request->first_position == 0 || request->last_position < request->first_position)
        return fail(rq, ERR_BAD_REQUEST, "seals and positions count from 1, and a seal has at least one record");
    if (request->root.len != HASH_LEN || request->previous_head.len != HASH_LEN)
        return fail(rq, ERR_BAD_REQUEST, "root and previous head have %d octets", HASH_LEN);
    if ((request->seal == 1) != is_zero(message_bytes(request->previous_head)) || (request->seal == 1) != (request->first_position == 1))
        return fail(rq, ERR_BAD_REQUEST, "exactly the first seal has no previous head and begins at position 1");
    if (request->sealed_at_us <= 0)
        return fail(rq, ERR_BAD_REQUEST, "the seal has no time");
    return OK;
}

static void
append_number(struct buffer *to, uint64_t number)
{
    uint8_t octets[8];

    for (int i = 0; i < 8; i++)
        octets[i] = (uint8_t)(number >> (56 - 8 * i));
    buffer_append(to, octets, sizeof octets);
}

static struct bytes
compute_head(struct arena *arena, const Pb__SignAuditHeadRequest *request)
{
    struct buffer message = buffer_in(arena);
    uint8_t *head = arena_alloc(arena, HASH_LEN);

    buffer_append(&message, HEAD_PREFIX, sizeof HEAD_PREFIX);
    append_number(&message, request->seal);
    append_number(&message, request->first_position);
    append_number(&message, request->last_position);
    buffer_append(&message, request->root.data, request->root.len);
    buffer_append(&message, request->previous_head.data, request->previous_head.len);
    append_number(&message, (uint64_t)request->sealed_at_us);
    SHA256(message.at, message.len, head);
    return BYTES(head, HASH_LEN);
}

static void
close_key(void *key)
{
    hsm_key_close(key);
}

enum error
sign_audit_head(struct signer *signer, struct request *rq, const Pb__SignAuditHeadRequest *request, Pb__SignAuditHeadReply *ret_reply)
{
    struct token_key *key = arena_alloc(rq->arena, sizeof *key);
    struct service_key named;
    struct bytes signature;

    request_note(rq, "seal", "%llu", (unsigned long long)request->seal);
    enum error error = check_request(rq, request);
    if (error == OK)
        error = service_key_load(signer, rq, "audit", &named);
    if (error == OK)
        error = hsm_key_open(rq, named.uri, named.spki, SIG_ECDSA_SHA256, key);
    if (error != OK)
        return error;
    arena_defer(rq->arena, close_key, key);
    struct bytes head = compute_head(rq->arena, request);
    error = hsm_key_sign(signer, rq, key, head, &signature);
    if (error != OK)
        return error;
    ret_reply->head = message_data(head);
    ret_reply->signature = message_data(signature);
    ret_reply->public_key = message_data(named.spki);
    ret_reply->key_uri = (char *)named.uri;
    return OK;
}
