/* Called when an operator takes the CRLs of a profile away: its CAs are not asked any more, or one of them has begun to count anew. */
#include "est.h"

struct removal {
    const struct est *est;
    const char *profile;
    size_t deleted;
};

static enum error
remove_crls(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct removal *removal = context;
    struct est within = est_within(removal->est, db);
    const Pb__EstProfile *profile;

    enum error error = store_find_profile(&within, rq, removal->profile, &profile);
    if (!error && profile == NULL)
        return fail(rq, ERR_NOT_FOUND, "there is no EST profile named \"%.60s\": see signetctl profile list --kind est", removal->profile);
    if (!error)
        error = store_delete_client_crls(&within, rq, removal->profile, &removal->deleted);
    if (error || removal->deleted == 0)
        return error;
    change->action = "deleted";
    change->also = arena_format(rq->arena, "%zu", removal->deleted);
    return OK;
}

enum error
delete_est_crls(struct est *est, struct request *rq, const Pb__DeleteEstCrlsRequest *input, Pb__DeleteEstCrlsReply *ret_reply)
{
    struct configuration_change change = {.what = "est client crl", .name = input->profile, .by = input->operator_};
    struct removal removal = {.est = est, .profile = input->profile};

    request_note(rq, "profile", "%.60s", input->profile);
    enum error error = configuration_write(est->outbox, est->db, rq, remove_crls, &removal, &change);
    if (error)
        return error;
    profiles_changed(est, rq);
    ret_reply->deleted = (uint32_t)removal.deleted;
    return OK;
}
