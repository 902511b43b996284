/* rpc NameSuccessor: an operator prepares the rollover of a CA, or takes it back. */
#include "signer.h"

#include "base/text.h"

static enum error
load_active(struct signer *signer, struct request *rq, const char *name, struct authority_row *ret_row)
{
    bool found;

    enum error error = store_find_authority(signer, rq, name, &found, ret_row);
    if (error != OK)
        return error;
    if (!found)
        return fail(rq, ERR_NOT_FOUND, "there is no CA \"%s\"", name);
    if (ret_row->status != AUTHORITY_ACTIVE)
        return fail(rq, ERR_CONFLICT, "the CA %s is %s", name, authority_status_name(ret_row->status));
    return OK;
}

static enum error
check_successor(struct signer *signer, struct request *rq, const struct authority_row *row, const char *name)
{
    struct authority_row successor;

    if (text_equal(row->name, name))
        return fail(rq, ERR_BAD_REQUEST, "a CA does not succeed itself");
    enum error error = load_active(signer, rq, name, &successor);
    if (error != OK)
        return error;
    if (successor.not_after_s < row->not_after_s)
        return fail(rq, ERR_BAD_REQUEST, "the CA %s ends before %s does: it cannot take over from it", name, row->name);
    return OK;
}

/* Announced as the difference of two requests: that of now, and the one that would have named what was until now. */
static enum error
write_successor(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const Pb__NameSuccessorRequest *request = context;
    const char *successor = NULL;
    bool named = false;

    enum error error = store_name_successor(db, rq, request->name, request->successor, &named, &successor);
    if (error != OK)
        return error;
    if (!named)
        return fail(rq, ERR_CONFLICT, "the CA %s is to be succeeded by %s itself", request->successor, request->name);
    if (text_equal(successor, request->successor))
        return OK;
    Pb__NameSuccessorRequest *before = arena_alloc(rq->arena, sizeof *before);
    *before = *request;
    before->successor = successor;
    change->action = "changed";
    change->before = &before->base;
    change->after = &request->base;
    return OK;
}

enum error
name_successor(struct signer *signer, struct request *rq, const Pb__NameSuccessorRequest *request, Pb__NameSuccessorReply *ret_reply)
{
    struct configuration_change change = {.what = "ca", .name = request->name, .by = request->operator_};
    struct authority_row row;
    bool found;

    request_note(rq, "ca", "%s", request->name);
    request_note(rq, "successor", "%s", request->successor);
    if (text_is_empty(request->name))
        return fail(rq, ERR_BAD_REQUEST, "the request names no CA");
    enum error error = load_active(signer, rq, request->name, &row);
    if (error == OK && !text_is_empty(request->successor))
        error = check_successor(signer, rq, &row, request->successor);
    if (error == OK)
        error = configuration_write(signer->outbox, signer->db, rq, write_successor, (void *)request, &change);
    if (error != OK)
        return error;
    authority_cache_forget(signer->authorities);
    error = store_find_authority(signer, rq, request->name, &found, &row);
    if (error == OK)
        ret_reply->ca = ca_profile_message(rq, &row);
    return error;
}
