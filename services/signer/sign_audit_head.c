/*
 * rpc SignAuditHead: called by ra's sealer for each batch of audit records. The head (pki/audit_chain.h) binds the batch's Merkle root to its place
 * in the chain; `signetctl audit verify` computes it again. The audit key lives on the token and signs nothing else.
 */
#include "signer.h"

#include <string.h>

#include "pki/audit_chain.h"

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

static struct bytes
compute_head(struct arena *arena, const Pb__SignAuditHeadRequest *request)
{
    struct audit_seal seal = {.seal = request->seal,
                              .first_position = request->first_position,
                              .last_position = request->last_position,
                              .sealed_at_us = request->sealed_at_us};
    uint8_t *head = arena_alloc(arena, HASH_LEN);

    memcpy(seal.root, request->root.data, HASH_LEN);
    memcpy(seal.previous_head, request->previous_head.data, HASH_LEN);
    audit_head(&seal, head);
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
