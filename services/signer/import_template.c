/*
 * rpc ImportTemplate: called by `signetctl template import`. A changed template is a new version; an equal one changes nothing. What certificates
 * look like is decided here, so that each version goes on record with who made it.
 */
#include "signer.h"

#include "link/message.h"

static bool
is_equal(struct request *rq, const Pb__Template *a, const Pb__Template *b)
{
    Pb__Template left = *a, right = *b;

    left.version = right.version = 0;
    return bytes_equal(message_pack(rq->arena, &left.base), message_pack(rq->arena, &right.base));
}

struct import {
    const Pb__Template *template;
    uint32_t version; /* that it has, new or not */
};

static enum error
write_template(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct import *import = context;
    Pb__Template **newest, *made = arena_alloc(rq->arena, sizeof *made);
    size_t count;

    enum error error = store_list_templates(db, rq, import->template->name, 0, &newest, &count);
    if (error != OK)
        return error;
    if (count > 0 && is_equal(rq, newest[0], import->template)) {
        import->version = newest[0]->version;
        return OK;
    }
    error = store_add_template(db, rq, import->template, &import->version);
    if (error != OK)
        return error;
    *made = *import->template;
    made->version = import->version;
    change->action = count > 0 ? "changed" : "created";
    change->before = count > 0 ? &newest[0]->base : NULL;
    change->after = &made->base;
    return OK;
}

enum error
import_template(struct signer *signer, struct request *rq, const Pb__ImportTemplateRequest *request, Pb__ImportTemplateReply *ret_reply)
{
    struct configuration_change change = {.what = "template", .by = request->operator_};
    struct import import = {.template = request->template_};
    struct template checked;

    if (request->template_ == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the request has no template");
    request_note(rq, "template", "%s", request->template_->name);
    change.name = request->template_->name;
    enum error error = template_check(rq, rq->arena, request->template_, &checked);
    if (error == OK)
        error = configuration_write(signer->outbox, signer->db, rq, write_template, &import, &change);
    if (error != OK)
        return error;
    template_use_forget(signer->template_use);
    ret_reply->version = import.version;
    ret_reply->changed = change.action != NULL;
    return OK;
}
