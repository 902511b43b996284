/* Takes a policy away that nobody is bound to. */
#include "acme.h"

struct removal {
    const struct acme *acme;
    const char *name;
};

static enum error
remove_policy(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct removal *removal = context;
    struct acme within = acme_within(removal->acme, db);
    Pb__AcmePolicy **before;
    size_t count;

    enum error error = store_list_policies(&within, rq, removal->name, &before, &count);
    if (!error)
        error = store_delete_policy(&within, rq, removal->name);
    if (error)
        return error;
    change->action = "deleted";
    change->before = count == 0 ? NULL : &before[0]->base;
    return OK;
}

enum error
delete_acme_policy(struct acme *acme, struct request *rq, const Pb__DeleteAcmePolicyRequest *input, Pb__DeleteAcmePolicyReply *ret_reply)
{
    struct configuration_change change = {.what = "acme policy", .name = input->name, .by = input->operator_};

    request_note(rq, "policy", "%s", input->name);
    if (text_equal(input->name, DEFAULT_POLICY))
        return fail(rq, ERR_BAD_REQUEST, "the policy \"%s\" stays: it is what / and /acme/directory offer; it can be changed and disabled",
                    DEFAULT_POLICY);
    return configuration_write(acme->outbox, acme->db, rq, remove_policy, &(struct removal){acme, input->name}, &change);
}
