/* rpc ListCas: called by everybody who needs to know our CAs, every few seconds. One round trip for all of them, with their chains. */
#include "signer.h"

enum error
list_cas(struct signer *signer, struct request *rq, const Pb__ListCasRequest *request, Pb__ListCasReply *ret_reply)
{
    struct authority_row *rows;
    size_t count;

    enum error error = store_list_authorities(signer, rq, request->name, &rows, &count);
    if (error != OK)
        return error;
    ret_reply->cas = arena_array(rq->arena, count, sizeof *ret_reply->cas);
    for (size_t i = 0; i < count; i++)
        ret_reply->cas[ret_reply->n_cas++] = ca_profile_message(rq, &rows[i]);
    return OK;
}
