/*
 * rpc ListCas: called by everybody who needs to know our CAs, every few seconds. One round trip for all of them, with their chains. Where the keys
 * are, and how the token keeps them, is for the operator alone.
 */
#include "signer.h"

#include "base/text.h"

static Pb__Ca *
tell(struct request *rq, const struct authority_row *row)
{
    Pb__Ca *ca = ca_profile_message(rq, row);

    if (text_equal(rq->caller, "signetctl"))
        return ca;
    ca->key_uri = ca->evidence = "";
    ca->csr = (ProtobufCBinaryData){0};
    return ca;
}

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
        ret_reply->cas[ret_reply->n_cas++] = tell(rq, &rows[i]);
    return OK;
}
