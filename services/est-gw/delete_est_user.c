/* Called when an operator takes a user of a profile away: his next request is refused. */
#include "est.h"

enum error
delete_est_user(struct est *est, struct request *rq, const Pb__DeleteEstUserRequest *input, Pb__DeleteEstUserReply *ret_reply)
{
    (void)ret_reply;
    request_note(rq, "profile", "%.60s", input->profile);
    request_note(rq, "user", "%.100s", input->user);
    return store_delete_user(est, rq, input->profile, input->user);
}
