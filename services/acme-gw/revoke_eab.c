/*
 * Ends a credential, and with `cascade` its accounts, with what they have in work. The accounts outlive the credential: those of one that was deleted
 * can be ended by its name, too.
 */
#include "acme.h"

#include <string.h>

struct revocation {
    const struct acme *acme;
    const char *name;
    bool cascade;
    struct account_end end;
};

/* Nothing was revoked, because it is not there. */
static enum error
check_was_there(struct acme *within, struct request *rq, const struct revocation *revocation)
{
    bool was_there = false;

    enum error error = store_is_bound_by(within, rq, revocation->name, &was_there);
    if (error || (was_there && revocation->cascade))
        return error;
    if (was_there)
        return fail(rq, ERR_NOT_FOUND, "the credential \"%s\" was deleted before; --cascade revokes the accounts that were made with it",
                    revocation->name);
    return fail(rq, ERR_NOT_FOUND, "there is no credential \"%s\": see signetctl acme eab list", revocation->name);
}

static enum error
revoke(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    struct revocation *revocation = context;
    struct acme within = acme_within(revocation->acme, db);
    bool found = false;

    enum error error = store_revoke_eab(&within, rq, revocation->name, &found);
    if (!error && !found)
        error = check_was_there(&within, rq, revocation);
    if (!error && revocation->cascade)
        error = store_revoke_bound_accounts(&within, rq, revocation->name, &revocation->end);
    if (error)
        return error;
    change->action = "revoked";
    change->also = arena_format(rq->arena, "%zu accounts", revocation->end.accounts);
    return OK;
}

enum error
revoke_eab(struct acme *acme, struct request *rq, const Pb__RevokeEabRequest *input, Pb__RevokeEabReply *ret_reply)
{
    struct revocation revocation = {.acme = acme, .name = input->name, .cascade = input->cascade, .end = {.operator_name = input->operator_}};
    struct configuration_change change = {.what = "acme eab credential", .name = input->name, .by = input->operator_};

    if (text_is_empty(input->name) || strlen(input->name) > EAB_NAME_MAX)
        return fail(rq, ERR_NOT_FOUND, "a credential's name has 1 to %d octets: see signetctl acme eab list", EAB_NAME_MAX);
    request_note(rq, "eab", "%.100s", input->name);
    revocation.end.why = arena_format(rq->arena, "with the credential %s", input->name);
    enum error error = configuration_write(acme->outbox, acme->db, rq, revoke, &revocation, &change);
    if (error)
        return error;
    request_note(rq, "accounts", "%zu", revocation.end.accounts);
    ret_reply->accounts = (uint32_t)revocation.end.accounts;
    ret_reply->more = revocation.end.accounts == REVOKE_ACCOUNTS_MAX;
    return OK;
}
