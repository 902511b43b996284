/* Called when an operator makes or changes a profile. Checks it, stores it; this replica has it in force when it answers, the others a moment later.
 */
#include "est.h"

enum error
store_est_profile(struct est *est, struct request *rq, const Pb__StoreEstProfileRequest *input, Pb__StoreEstProfileReply *ret_reply)
{
    bool created;

    if (input->profile == NULL)
        return fail(rq, ERR_BAD_REQUEST, "profile is missing");
    request_note(rq, "profile", "%.60s", input->profile->name);
    enum error error = profile_check(rq, input->profile);
    if (!error)
        error = store_put_profile(est, rq, input->profile, input->create, &created);
    if (error)
        return error;
    profiles_changed(est, rq);
    ret_reply->created = created;
    return OK;
}
