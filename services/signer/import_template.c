/* rpc ImportTemplate: called by `signetctl template import`. A changed template is a new version; an equal one changes nothing. */
#include "signer.h"

#include "link/message.h"

static bool
is_equal(struct request *rq, const Pb__Template *a, const Pb__Template *b)
{
    Pb__Template left = *a, right = *b;

    left.version = right.version = 0;
    return bytes_equal(message_pack(rq->arena, &left.base), message_pack(rq->arena, &right.base));
}

enum error
import_template(struct signer *signer, struct request *rq, const Pb__ImportTemplateRequest *request, Pb__ImportTemplateReply *ret_reply)
{
    struct template checked;
    Pb__Template **newest;
    size_t count;

    if (request->template_ == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the request has no template");
    request_note(rq, "template", "%s", request->template_->name);
    enum error error = template_check(rq, rq->arena, request->template_, &checked);
    if (error == OK)
        error = store_list_templates(signer, rq, request->template_->name, 0, &newest, &count);
    if (error != OK)
        return error;
    if (count > 0 && is_equal(rq, newest[0], request->template_)) {
        ret_reply->version = newest[0]->version;
        return OK;
    }
    error = store_add_template(signer, rq, request->template_, &ret_reply->version);
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        fail(rq, ERR_UNAVAILABLE, "somebody else imported this template at the same moment; look at it, and repeat");
        return fail_retry_after(rq, 1);
    }
    ret_reply->changed = error == OK;
    return error;
}
