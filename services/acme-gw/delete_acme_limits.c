/* Takes a set of rate limits away that no policy names. */
#include "acme.h"

struct removal {
    const struct acme *acme;
    const char *name;
};

static enum error
remove_limits(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct removal *removal = context;
    struct acme within = acme_within(removal->acme, db);
    Pb__AcmeLimits **before;
    size_t count;

    enum error error = store_list_limits(&within, rq, removal->name, &before, &count);
    if (!error)
        error = store_delete_limits(&within, rq, removal->name);
    if (error)
        return error;
    change->action = "deleted";
    change->before = count == 0 ? NULL : &before[0]->base;
    return OK;
}

enum error
delete_acme_limits(struct acme *acme, struct request *rq, const Pb__DeleteAcmeLimitsRequest *input, Pb__DeleteAcmeLimitsReply *ret_reply)
{
    struct configuration_change change = {.what = "acme limits", .name = input->name, .by = input->operator_};

    request_note(rq, "limits", "%.40s", input->name);
    if (text_equal(input->name, DEFAULT_POLICY))
        return fail(rq, ERR_BAD_REQUEST, "the limits \"%s\" stay: they are those of new policies; they can be changed", DEFAULT_POLICY);
    return configuration_write(acme->outbox, acme->db, rq, remove_limits, &(struct removal){acme, input->name}, &change);
}
