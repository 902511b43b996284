/* Takes a policy away that nobody is bound to. */
#include "acme.h"

enum error
delete_acme_policy(struct acme *acme, struct request *rq, const Pb__DeleteAcmePolicyRequest *input, Pb__DeleteAcmePolicyReply *ret_reply)
{
    request_note(rq, "policy", "%s", input->name);
    if (text_equal(input->name, default_policy))
        return fail(rq, ERR_BAD_REQUEST, "the policy \"%s\" stays: it is what / and /acme/directory offer; it can be changed and disabled",
                    default_policy);
    return store_delete_policy(acme, rq, input->name);
}
