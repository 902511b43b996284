/* Takes a set of rate limits away that no policy names. */
#include "acme.h"

enum error
delete_acme_limits(struct acme *acme, struct request *rq, const Pb__DeleteAcmeLimitsRequest *input, Pb__DeleteAcmeLimitsReply *ret_reply)
{
    request_note(rq, "limits", "%.40s", input->name);
    if (text_equal(input->name, default_policy))
        return fail(rq, ERR_BAD_REQUEST, "the limits \"%s\" stay: they are those of new policies; they can be changed", default_policy);
    return store_delete_limits(acme, rq, input->name);
}
