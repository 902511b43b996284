/* rpc ListScepProfiles: called by `signetctl profile`. Secrets are told of, never told. */
#include "base/text.h"
#include "scep.h"

static Pb__ScepProfileState *
state_of(struct request *rq, const struct profile *profile)
{
    Pb__ScepProfileState *state = arena_alloc(rq->arena, sizeof *state);

    pb__scep_profile_state__init(state);
    state->profile = (Pb__ScepProfile *)profile->about;
    state->has_passphrase = profile->passphrase.len > 0;
    state->has_admin_password = profile->admin_password.len > 0;
    state->changed_at_s = profile->changed_at_s;
    return state;
}

enum error
list_scep_profiles(struct scep *scep, struct request *rq, const Pb__ListScepProfilesRequest *request, Pb__ListScepProfilesReply *ret_reply)
{
    struct profiles profiles;

    enum error error = store_list_profiles(scep, rq, &profiles);
    if (error != OK)
        return error;
    ret_reply->profiles = arena_array(rq->arena, profiles.count, sizeof *ret_reply->profiles);
    for (size_t i = 0; i < profiles.count; i++)
        if (text_is_empty(request->name) || text_equal(request->name, profiles.at[i].about->name))
            ret_reply->profiles[ret_reply->n_profiles++] = state_of(rq, &profiles.at[i]);
    return OK;
}
