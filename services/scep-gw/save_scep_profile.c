/* rpc SaveScepProfile: called by `signetctl profile`. The signer is asked for the profile's RA certificate at once, so that a CA that does not exist
 * is said now, and the first device does not wait until a key is made. Before the key there is a row that will have it destroyed (retire_ra.c); the
 * transaction that makes the profile takes the row away. */
#include "base/clock.h"
#include "base/text.h"
#include "link/lease.h"
#include "scep.h"

struct save {
    const struct scep *scep;
    const Pb__SaveScepProfileRequest *request;
    const struct profile *profile;
    bool changed, created;
};

#define RA_ANNOUNCED_S 600

static enum error
write_profile(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct save *save = context;
    struct scep within = scep_within(save->scep, db);
    const Pb__ScepProfile *profile = save->request->profile;
    const ProtobufCMessage *before = NULL;
    const char *incarnation = NULL;
    struct profiles profiles;

    enum error error = store_list_profiles(&within, rq, &profiles);
    for (size_t i = 0; error == OK && i < profiles.count; i++)
        if (text_equal(profiles.at[i].about->name, profile->name))
            before = &profiles.at[i].about->base;
    if (error == OK && save->request->read != NULL)
        error = configuration_check_read(rq, change, &save->request->read->base, before);
    if (error == OK)
        error = store_find_incarnation(&within, rq, profile->name, &incarnation);
    if (error == OK)
        error = store_save_profile(&within, rq, profile, save->profile->incarnation, save->request->create, &save->changed);
    if (error != OK || !save->changed)
        return error;
    error = store_set_pull(&within, rq, profile->name, (int)profile->intune_revocation_minutes);
    if (error != OK)
        return error;
    save->created = incarnation == NULL; /* one that cannot be read any more is there, too */
    change->before = before;
    change->action = save->created ? "created" : "changed";
    change->after = &profile->base;
    return save->created ? store_keep_ra(&within, rq, save->profile->ra) : OK;
}

/* Of the profile that is there, or a new one. */
static enum error
choose_incarnation(struct scep *scep, struct request *rq, const char *operator_, struct profile *profile)
{
    const char *name = profile->about->name;
    uint8_t drawn[INCARNATION_LEN / 2];

    enum error error = store_find_incarnation(scep, rq, name, &profile->incarnation);
    if (error != OK)
        return error;
    if (profile->incarnation != NULL) {
        profile->ra = profile_ra(rq->arena, name, profile->incarnation);
        return OK;
    }
    random_bytes(drawn, sizeof drawn);
    profile->incarnation = bytes_hex(rq->arena, BYTES(drawn, sizeof drawn), 0);
    profile->ra = profile_ra(rq->arena, name, profile->incarnation);
    return store_announce_ra(scep, rq, profile->ra, operator_, RA_ANNOUNCED_S);
}

enum error
save_scep_profile(struct scep *scep, struct request *rq, const Pb__SaveScepProfileRequest *request, Pb__SaveScepProfileReply *ret_reply)
{
    struct ra_certificates ras;
    struct profile profile;
    struct configuration_change change = {.what = "scep profile", .by = request->operator_};
    struct save save = {.scep = scep, .request = request, .profile = &profile};

    if (request->profile == NULL)
        return fail(rq, ERR_BAD_REQUEST, "there is no profile in the request");
    enum error error = profile_check(rq, request->profile, &profile);
    if (error != OK)
        return error;
    change.name = request->profile->name;
    request_note(rq, "profile", "%s", request->profile->name);
    error = choose_incarnation(scep, rq, request->operator_, &profile);
    if (error == OK)
        error = ra_certificates_load(scep, rq, &profile, &ras);
    if (error == OK)
        error = configuration_write(scep->outbox, scep->db, rq, write_profile, &save, &change);
    if (error != OK)
        return error;
    profiles_changed(scep, rq);
    if (scep->pulls != NULL)
        lease_wake(scep->pulls);
    ret_reply->changed = save.changed;
    ret_reply->created = save.created;
    return OK;
}
