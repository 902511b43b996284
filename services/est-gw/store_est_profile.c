/* Called when an operator makes or changes a profile. Checks it, stores it; this replica has it in force when it answers, the others a moment later.
 */
#include "est.h"

struct put {
    const struct est *est;
    const Pb__StoreEstProfileRequest *input;
    bool created;
};

static enum error
write_profile(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct put *put = context;
    struct est within = est_within(put->est, db);
    const Pb__EstProfile *before, *after;
    struct bytes *anchors;
    size_t anchor_count;

    enum error error = store_find_profile(&within, rq, put->input->profile->name, &before);
    if (!error && put->input->read != NULL)
        error = configuration_check_read(rq, change, &put->input->read->base, before == NULL ? NULL : &before->base);
    if (!error)
        error = store_put_profile(&within, rq, put->input->profile, put->input->create, &put->created);
    if (!error)
        error = client_crl_anchor_ids(rq, put->input->profile, &anchors, &anchor_count);
    if (!error)
        error = store_keep_client_crls(&within, rq, put->input->profile->name, anchors, anchor_count);
    if (!error)
        error = store_find_profile(&within, rq, put->input->profile->name, &after);
    if (error)
        return error;
    if (before != NULL && configuration_compare(rq->arena, &before->base, &after->base, &(char **){NULL}) == 0)
        return OK;
    change->action = put->created ? "created" : "changed";
    change->before = before == NULL ? NULL : &before->base;
    change->after = &after->base;
    return OK;
}

enum error
store_est_profile(struct est *est, struct request *rq, const Pb__StoreEstProfileRequest *input, Pb__StoreEstProfileReply *ret_reply)
{
    struct configuration_change change = {.what = "est profile", .by = input->operator_};
    struct put put = {.est = est, .input = input};

    if (input->profile == NULL)
        return fail(rq, ERR_BAD_REQUEST, "profile is missing");
    change.name = input->profile->name;
    request_note(rq, "profile", "%.60s", input->profile->name);
    enum error error = profile_check(rq, input->profile);
    if (!error)
        error = configuration_write(est->outbox, est->db, rq, write_profile, &put, &change);
    if (error)
        return error;
    profiles_changed(est, rq);
    ret_reply->created = put.created;
    ret_reply->changed = change.action != NULL;
    return OK;
}
