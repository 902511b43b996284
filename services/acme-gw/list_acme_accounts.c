/* The accounts of all policies, newest first, a page at a time. */
#include "acme.h"

#include <string.h>

#define FILTER_MAX CONTACT_MAX

int
account_page(uint32_t limit)
{
    return limit == 0 || limit > ACCOUNTS_PAGE_MAX ? ACCOUNTS_PAGE_MAX : (int)limit;
}

static enum error
check_filters(struct request *rq, const Pb__ListAcmeAccountsRequest *input)
{
    const char *const filters[] = {input->policy, input->eab, input->contact};
    static const char *const states[] = {"", "valid", "deactivated", "revoked"};

    for (size_t i = 0; i < sizeof filters / sizeof filters[0]; i++)
        if (strlen(filters[i]) > FILTER_MAX)
            return fail(rq, ERR_BAD_REQUEST, "a filter may have %d characters", FILTER_MAX);
    for (size_t i = 0; i < sizeof states / sizeof states[0]; i++)
        if (text_equal(input->status, states[i]))
            return OK;
    return fail(rq, ERR_BAD_REQUEST, "the status of an account is valid, deactivated or revoked, not \"%.40s\"", input->status);
}

enum error
list_acme_accounts(struct acme *acme, struct request *rq, const Pb__ListAcmeAccountsRequest *input, Pb__ListAcmeAccountsReply *ret_reply)
{
    struct page_place after;

    enum error error = check_filters(rq, input);
    if (!error)
        error = page_place_parse(rq, input->cursor, &after);
    return error ? error : store_list_accounts(acme, rq, input, &after, account_page(input->limit), ret_reply);
}
