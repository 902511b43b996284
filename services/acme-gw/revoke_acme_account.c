/*
 * An operator ends an account (RFC 8555 §7.1.2, "revoked"): its key was stolen, or nobody answers for it any more. All replicas refuse its requests
 * at once. Its open orders end with it; those in work are taken back from ra at their next turn (finalize.c).
 */
#include "acme.h"

#include <string.h>

#define WHY_MAX 200
#define OPERATOR_MAX 200

struct revocation {
    const struct acme *acme;
    const char *account_id;
    struct account_end end;
};

static enum error
revoke(struct db *db, struct request *rq, void *context)
{
    struct revocation *revocation = context;
    struct acme within = acme_within(revocation->acme, db);

    return store_revoke_account(&within, rq, revocation->account_id, &revocation->end);
}

static enum error
check_texts(struct request *rq, const Pb__RevokeAcmeAccountRequest *input)
{
    if (text_is_empty(input->operator_) || strlen(input->operator_) > OPERATOR_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the operator's name has 1 to %d octets", OPERATOR_MAX);
    if (strlen(input->why) > WHY_MAX)
        return fail(rq, ERR_TOO_LARGE, "the reason is longer than %d octets", WHY_MAX);
    return OK;
}

enum error
revoke_acme_account(struct acme *acme, struct request *rq, const Pb__RevokeAcmeAccountRequest *input, Pb__RevokeAcmeAccountReply *ret_reply)
{
    struct revocation revocation = {.acme = acme, .end = {.operator_name = input->operator_, .why = input->why}};
    Pb__ShowAcmeAccountReply now = PB__SHOW_ACME_ACCOUNT_REPLY__INIT;

    enum error error = check_texts(rq, input);
    if (!error)
        error = store_find_account_named(acme, rq, input->account, &revocation.account_id);
    if (error)
        return error;
    request_note(rq, "account", "%s", revocation.account_id);
    error = db_transaction(acme->db, rq, revoke, &revocation);
    if (error)
        return error;
    account_cache_forget(acme->accounts, revocation.account_id);
    outbox_wake(acme->outbox);
    error = store_show_account(acme, rq, revocation.account_id, &now);
    if (error)
        return error;
    ret_reply->account = revocation.account_id;
    ret_reply->changed = revocation.end.accounts == 1;
    ret_reply->status = now.account->status;
    ret_reply->orders_ended = (uint32_t)revocation.end.orders;
    ret_reply->orders_in_work = now.orders_in_work;
    return OK;
}
