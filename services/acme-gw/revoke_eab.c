/* Ends a credential, and with `cascade` everything that its accounts could still do. */
#include "acme.h"

enum error
revoke_eab(struct acme *acme, struct request *rq, const Pb__RevokeEabRequest *input, Pb__RevokeEabReply *ret_reply)
{
    size_t accounts = 0;

    request_note(rq, "eab", "%.100s", input->name);
    enum error error = store_revoke_eab(acme, rq, input->name, input->cascade, &accounts);
    if (error)
        return error;
    request_note(rq, "accounts", "%zu", accounts);
    ret_reply->accounts = (uint32_t)accounts;
    return OK;
}
