/* One account, for who has to decide about it: whose it is, where it comes from, what it has in work. */
#include "acme.h"

enum error
show_acme_account(struct acme *acme, struct request *rq, const Pb__ShowAcmeAccountRequest *input, Pb__ShowAcmeAccountReply *ret_reply)
{
    const char *id;

    enum error error = store_find_account_named(acme, rq, input->account, &id);
    if (error)
        return error;
    request_note(rq, "account", "%s", id);
    return store_show_account(acme, rq, id, ret_reply);
}
