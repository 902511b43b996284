/* Lets a name be tried again that was paused, or that has failed too often lately. */
#include "acme.h"

struct resumption {
    const struct acme *acme;
    const char *column, *account_id;
    size_t accounts;
};

static enum error
resume(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct resumption *resumption = context;
    struct acme within = acme_within(resumption->acme, db);

    enum error error = store_resume_name(&within, rq, resumption->column, resumption->account_id, &resumption->accounts);
    if (error || resumption->accounts == 0)
        return error;
    change->action = "resumed";
    change->also = arena_format(rq->arena, "%zu accounts", resumption->accounts);
    return OK;
}

enum error
resume_name(struct acme *acme, struct request *rq, const Pb__ResumeNameRequest *input, Pb__ResumeNameReply *ret_reply)
{
    struct network network;
    struct identifier name;
    struct resumption resumption = {.acme = acme, .account_id = input->account_id};
    struct configuration_change change = {.what = "acme name", .name = input->name, .by = input->operator_};

    request_note(rq, "name", "%.253s", input->name);
    bool is_device = name_pattern_is_device(input->name);
    enum error error = OK;
    if (is_device)
        name = name_from_column(rq->arena, input->name);
    else
        error = identifier_parse(rq, network_parse(input->name, &network) ? IDENTIFIER_IP : IDENTIFIER_DNS, input->name, &name);
    if (error)
        return error;
    resumption.column = name_to_column(rq->arena, &name);
    error = configuration_write(acme->outbox, acme->db, rq, resume, &resumption, &change);
    if (error)
        return error;
    if (resumption.accounts == 0)
        return fail(rq, ERR_NOT_FOUND, "the name %s has not failed lately%s", name.value, input->account_id[0] != '\0' ? " for this account" : "");
    ret_reply->resumed = (uint32_t)resumption.accounts;
    return OK;
}
