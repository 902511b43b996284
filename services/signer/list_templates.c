/* rpc ListTemplates: called by ra and signetctl. */
#include "signer.h"

#include "base/text.h"

enum error
list_templates(struct signer *signer, struct request *rq, const Pb__ListTemplatesRequest *request, Pb__ListTemplatesReply *ret_reply)
{
    if (request->version != 0 && text_is_empty(request->name))
        return fail(rq, ERR_BAD_REQUEST, "a version needs the name of its template");
    return store_list_templates(signer->db, rq, request->name, request->version, &ret_reply->templates, &ret_reply->n_templates);
}
