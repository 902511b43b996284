/* rpc SaveScepProfile: called by `signetctl profile`. The signer is asked for the profile's RA certificate at once, so that a CA that does not exist
 * is said now, and the first device does not wait until a key is made. */
#include "scep.h"

enum error
save_scep_profile(struct scep *scep, struct request *rq, const Pb__SaveScepProfileRequest *request, Pb__SaveScepProfileReply *ret_reply)
{
    struct ra_certificates ras;
    struct profile profile;
    bool changed = false;

    if (request->profile == NULL)
        return fail(rq, ERR_BAD_REQUEST, "there is no profile in the request");
    enum error error = profile_check(rq, request->profile, &profile);
    if (error != OK)
        return error;
    request_note(rq, "profile", "%s", request->profile->name);
    error = ra_certificates_load(scep, rq, &profile, &ras);
    if (error == OK)
        error = store_save_profile(scep, rq, request->profile, request->create, &changed);
    if (error == OK)
        error = profiles_refresh(scep, rq);
    ret_reply->changed = changed;
    return error;
}
