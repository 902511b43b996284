/* rpc GetScepRa: called by scep-gw for GetCACert, and to know whom its requests are for. */
#include "signer.h"

static enum error
add_predecessors(struct signer *signer, struct request *rq, const char *issuer, Pb__GetScepRaReply *reply)
{
    struct authority_row *rows;
    size_t count;

    enum error error = store_list_predecessors(signer, rq, issuer, &rows, &count);
    if (error != OK)
        return error;
    reply->predecessors = arena_array(rq->arena, count, sizeof *reply->predecessors);
    for (size_t i = 0; i < count; i++) {
        Pb__PredecessorCa *predecessor = arena_alloc(rq->arena, sizeof *predecessor);
        pb__predecessor_ca__init(predecessor);
        predecessor->name = rows[i].name;
        predecessor->certificate = message_data(rows[i].certificate);
        reply->predecessors[reply->n_predecessors++] = predecessor;
    }
    return OK;
}

enum error
get_scep_ra(struct signer *signer, struct request *rq, const Pb__GetScepRaRequest *request, Pb__GetScepRaReply *ret_reply)
{
    const struct authority *authority;
    const struct delegate *ra;

    enum error error = scep_ra_of(signer, rq, request->profile, request->issuer, &ra);
    if (error == OK)
        error = authority_load(signer, rq, request->issuer, &authority);
    if (error != OK)
        return error;
    ret_reply->certificate = message_data(ra->certificate.der);
    ret_reply->not_after_s = ra->certificate.not_after_s;
    ret_reply->chain = arena_array(rq->arena, authority->row.chain_count + 1, sizeof *ret_reply->chain);
    ret_reply->chain[ret_reply->n_chain++] = message_data(authority->certificate.der);
    for (size_t i = 0; i < authority->row.chain_count; i++)
        ret_reply->chain[ret_reply->n_chain++] = message_data(authority->row.chain[i]);
    ret_reply->successor = authority->row.successor;
    return add_predecessors(signer, rq, request->issuer, ret_reply);
}
