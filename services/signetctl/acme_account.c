/* acme account list, show: who has an ACME account. How one is ended is in acme_account_revoke.c. */
#include <stdio.h>

#include "base/clock.h"
#include "base/text.h"
#include "signetctl.h"

#define LIMIT_MAX 100

static void
add_account(struct request *rq, struct table *table, const void *element)
{
    const Pb__AcmeAccount *one = element;
    const char *const cells[] = {one->id,
                                 one->status,
                                 one->policy,
                                 clock_format_rfc3339(rq->arena, one->created_at_s),
                                 one->client_address,
                                 one->last_order_at_s == 0 ? "" : clock_format_rfc3339(rq->arena, one->last_order_at_s),
                                 one->eab,
                                 list_joined(rq->arena, (const char *const *)one->contacts, one->n_contacts)};
    table_row(table, cells);
}

static const struct listing accounts = {.heads = {"ACCOUNT", "STATUS", "POLICY", "CREATED", "FROM", "LAST ORDER", "CREDENTIAL", "CONTACTS"},
                                        .add_row = add_account};

/* That nothing was found must not be for a policy that there is not. */
static enum error
check_policy(struct ctl *ctl, struct request *rq, const char *name)
{
    Pb__ListAcmePoliciesRequest request = PB__LIST_ACME_POLICIES_REQUEST__INIT;
    const Pb__ListAcmePoliciesReply *reply;

    if (name[0] == '\0')
        return OK;
    request.name = name;
    enum error error = CTL_CALL(ctl, rq, acme_admin, ListAcmePolicies, &request, &reply);
    return error ? error : list_check_found(rq, name, reply->n_policies, "ACME policy", "acme policy list");
}

enum error
acme_account_list(struct ctl *ctl, struct request *rq)
{
    Pb__ListAcmeAccountsRequest request = PB__LIST_ACME_ACCOUNTS_REQUEST__INIT;
    const Pb__ListAcmeAccountsReply *reply;
    int64_t limit;
    enum error error = argument_number(ctl, rq, "limit", 1, LIMIT_MAX, LIMIT_MAX, &limit);

    if (error)
        return error;
    request.policy = argument_or(ctl, "policy", "");
    request.status = argument_or(ctl, "status", "");
    request.eab = argument_or(ctl, "eab", "");
    request.contact = argument_or(ctl, "contact", "");
    request.cursor = argument_or(ctl, "cursor", "");
    request.limit = (uint32_t)limit;
    error = CTL_CALL(ctl, rq, acme_admin, ListAcmeAccounts, &request, &reply);
    if (!error && reply->n_accounts == 0)
        error = check_policy(ctl, rq, request.policy);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    list_print(rq, &accounts, (const void *const *)reply->accounts, reply->n_accounts);
    if (reply->next_cursor[0] != '\0')
        fprintf(stderr, "there are more: --cursor %s\n", reply->next_cursor);
    return OK;
}

static const char *
or_none(const char *text)
{
    return text[0] == '\0' ? NULL : text;
}

enum error
acme_account_show(struct ctl *ctl, struct request *rq)
{
    Pb__ShowAcmeAccountRequest request = PB__SHOW_ACME_ACCOUNT_REQUEST__INIT;
    const Pb__ShowAcmeAccountReply *reply;
    struct arena *arena = rq->arena;

    request.account = ctl->arguments.words[0];
    enum error error = CTL_CALL(ctl, rq, acme_admin, ShowAcmeAccount, &request, &reply);
    if (error || answer_json(ctl, rq, &reply->base))
        return error;
    const Pb__AcmeAccount *one = reply->account;
    const char *const facts[][2] = {
        {"account", one->id},
        {"status", one->status},
        {"policy", one->policy},
        {"key thumbprint", one->key_thumbprint},
        {"former keys",
         reply->former_keys == 0 ? NULL : arena_format(arena, "%u: see signetctl audit show --action account.key", reply->former_keys)},
        {"contacts", or_none(list_joined(arena, (const char *const *)one->contacts, one->n_contacts))},
        {"credential", one->eab_key_id[0] == '\0' ? NULL : arena_format(arena, "%s (key id %s)", one->eab, one->eab_key_id)},
        {"owner", or_none(one->owner)},
        {"principal", one->principal[0] == '\0' ? NULL : arena_format(arena, "eab:%s", one->principal)},
        {"created", arena_format(arena, "%s from %s", clock_format_rfc3339(arena, one->created_at_s), one->client_address)},
        {"last order", one->last_order_at_s == 0 ? "none" : clock_format_rfc3339(arena, one->last_order_at_s)},
        {"open orders", arena_format(arena, "%u", reply->open_orders)},
        {"orders in work", arena_format(arena, "%u", reply->orders_in_work)},
    };
    table_facts(stdout, facts, sizeof facts / sizeof facts[0]);
    return OK;
}
