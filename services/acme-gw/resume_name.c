/* Lets a name be tried again that was paused, or that has failed too often lately. */
#include "acme.h"

enum error
resume_name(struct acme *acme, struct request *rq, const Pb__ResumeNameRequest *input, Pb__ResumeNameReply *ret_reply)
{
    struct network network;
    struct identifier name;
    size_t resumed = 0;

    request_note(rq, "name", "%.253s", input->name);
    bool is_device = name_pattern_is_device(input->name);
    enum error error = OK;
    if (is_device)
        name = name_from_column(rq->arena, input->name);
    else
        error = identifier_parse(rq, network_parse(input->name, &network) ? IDENTIFIER_IP : IDENTIFIER_DNS, input->name, &name);
    if (!error)
        error = store_resume_name(acme, rq, name_to_column(rq->arena, &name), input->account_id, &resumed);
    if (error)
        return error;
    if (resumed == 0)
        return fail(rq, ERR_NOT_FOUND, "the name %s has not failed lately%s", name.value, input->account_id[0] != '\0' ? " for this account" : "");
    ret_reply->resumed = (uint32_t)resumed;
    return OK;
}
