/* Called when an operator removes a profile. Its users go with it; what it issued stays valid, and can be renewed through no other profile. */
#include "est.h"

enum error
delete_est_profile(struct est *est, struct request *rq, const Pb__DeleteEstProfileRequest *input, Pb__DeleteEstProfileReply *ret_reply)
{
    (void)ret_reply;
    request_note(rq, "profile", "%.60s", input->name);
    enum error error = store_delete_profile(est, rq, input->name);
    if (!error)
        profiles_changed(est, rq);
    return error;
}
