/* Takes a credential away. Its accounts have what they need of it and stay. */
#include "acme.h"

struct removal {
    const struct acme *acme;
    const char *name;
};

static enum error
remove_eab(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct removal *removal = context;
    struct acme within = acme_within(removal->acme, db);
    Pb__EabCredential **before;
    size_t count;

    enum error error = store_list_eabs(&within, rq, removal->name, &before, &count);
    if (!error)
        error = store_delete_eab(&within, rq, removal->name);
    if (error)
        return error;
    change->action = "deleted";
    change->before = count == 0 ? NULL : &before[0]->base;
    return OK;
}

enum error
delete_eab(struct acme *acme, struct request *rq, const Pb__DeleteEabRequest *input, Pb__DeleteEabReply *ret_reply)
{
    struct configuration_change change = {.what = "acme eab credential", .name = input->name, .by = input->operator_};

    request_note(rq, "eab", "%.100s", input->name);
    return configuration_write(acme->outbox, acme->db, rq, remove_eab, &(struct removal){acme, input->name}, &change);
}
