/* Called when an operator takes a user of a profile away: his next request is refused. */
#include "est.h"

struct removal {
    const struct est *est;
    const Pb__DeleteEstUserRequest *input;
};

static enum error
remove_user(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct removal *removal = context;
    struct est within = est_within(removal->est, db);

    enum error error = store_delete_user(&within, rq, removal->input->profile, removal->input->user);
    if (!error)
        change->action = "deleted";
    return error;
}

enum error
delete_est_user(struct est *est, struct request *rq, const Pb__DeleteEstUserRequest *input, Pb__DeleteEstUserReply *ret_reply)
{
    struct configuration_change change = {
        .what = "est user", .name = arena_format(rq->arena, "%s/%s", input->profile, input->user), .by = input->operator_};

    (void)ret_reply;
    request_note(rq, "profile", "%.60s", input->profile);
    request_note(rq, "user", "%.100s", input->user);
    enum error error = configuration_write(est->outbox, est->db, rq, remove_user, &(struct removal){est, input}, &change);
    if (!error)
        logins_forget(est->logins);
    return error;
}
