/* Called when an operator removes a profile. Its users go with it; what it issued stays valid, and can be renewed through no other profile. */
#include "est.h"

struct removal {
    const struct est *est;
    const char *name;
};

static enum error
remove_profile(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct removal *removal = context;
    struct est within = est_within(removal->est, db);
    const Pb__EstProfile *before;

    enum error error = store_find_profile(&within, rq, removal->name, &before);
    if (!error)
        error = store_delete_profile(&within, rq, removal->name);
    if (error)
        return error;
    change->action = "deleted";
    change->before = before == NULL ? NULL : &before->base;
    return OK;
}

enum error
delete_est_profile(struct est *est, struct request *rq, const Pb__DeleteEstProfileRequest *input, Pb__DeleteEstProfileReply *ret_reply)
{
    struct configuration_change change = {.what = "est profile", .name = input->name, .by = input->operator_};

    (void)ret_reply;
    request_note(rq, "profile", "%.60s", input->name);
    enum error error = configuration_write(est->outbox, est->db, rq, remove_profile, &(struct removal){est, input->name}, &change);
    if (error)
        return error;
    logins_forget(est->logins);
    profiles_changed(est, rq);
    return OK;
}
