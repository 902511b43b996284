/* rpc GetScepRa: called by scep-gw for GetCACert, and to know whom its requests are for. */
#include "signer.h"

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
    return OK;
}
