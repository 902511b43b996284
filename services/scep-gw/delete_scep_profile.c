/* rpc DeleteScepProfile: called by `signetctl profile delete`. What it issued stays valid; the key of its RA is destroyed a moment later
 * (retire_ra.c). */
#include "base/text.h"
#include "scep.h"

struct removal {
    const struct scep *scep;
    const char *name, *operator_;
};

static enum error
remove_profile(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct removal *removal = context;
    struct scep within = scep_within(removal->scep, db);
    struct profiles profiles;

    enum error error = store_list_profiles(&within, rq, &profiles);
    if (error == OK)
        error = store_delete_profile(&within, rq, removal->name, removal->operator_);
    if (error != OK)
        return error;
    change->action = "deleted";
    for (size_t i = 0; i < profiles.count; i++)
        if (text_equal(profiles.at[i].about->name, removal->name))
            change->before = &profiles.at[i].about->base;
    return OK;
}

enum error
delete_scep_profile(struct scep *scep, struct request *rq, const Pb__DeleteScepProfileRequest *request, Pb__DeleteScepProfileReply *ret_reply)
{
    struct configuration_change change = {.what = "scep profile", .name = request->name, .by = request->operator_};

    (void)ret_reply;
    request_note(rq, "profile", "%.60s", request->name);
    enum error error =
        configuration_write(scep->outbox, scep->db, rq, remove_profile, &(struct removal){scep, request->name, request->operator_}, &change);
    if (error == OK)
        profiles_changed(scep, rq);
    return error;
}
