/* Ends a credential, and with `cascade` everything that its accounts could still do. */
#include "acme.h"

struct revocation {
    const struct acme *acme;
    const char *name;
    bool cascade;
    size_t accounts;
};

static enum error
revoke(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct revocation *revocation = context;
    struct acme within = acme_within(revocation->acme, db);

    enum error error = store_revoke_eab(&within, rq, revocation->name, revocation->cascade, &revocation->accounts);
    if (error)
        return error;
    change->action = "revoked";
    change->also = arena_format(rq->arena, "%zu accounts", revocation->accounts);
    return OK;
}

enum error
revoke_eab(struct acme *acme, struct request *rq, const Pb__RevokeEabRequest *input, Pb__RevokeEabReply *ret_reply)
{
    struct revocation revocation = {.acme = acme, .name = input->name, .cascade = input->cascade};
    struct configuration_change change = {.what = "acme eab credential", .name = input->name, .by = input->operator_};

    request_note(rq, "eab", "%.100s", input->name);
    enum error error = configuration_write(acme->outbox, acme->db, rq, revoke, &revocation, &change);
    if (error)
        return error;
    request_note(rq, "accounts", "%zu", revocation.accounts);
    ret_reply->accounts = (uint32_t)revocation.accounts;
    return OK;
}
