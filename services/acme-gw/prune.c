/*
 * Forgets what is of no use any more: orders that expired without a certificate, or whose certificate did; authorisations that no order is left of,
 * with their challenges; which of the certificates that expired were made by automatic renewal; and what an operator said of the renewal of those. A
 * pass looks at some pages of the tables, in any one replica at a time; sql/015_prune.sql, 018_prune_in_one_pass.sql, 025_prune_issued.sql and
 * 026_renewal_windows.sql say what may go. Accounts stay, also those that were deactivated or revoked: their keys are not to come back as new ones.
 */
#include "acme.h"

#define PAGES_AT_ONCE 250 /* 2 MB, some 3,000 orders: a tenth of a second when all of them go, and a tenth of that when none does */
#define PASSES 4
#define PASSES_MOST 20 /* while there is something to forget: 60,000 orders a minute */

#define WINDOWS_AT_ONCE 1000

void
prune_turn(void *context, struct request *rq)
{
    struct acme *acme = context;
    int64_t orders = 0, authorizations = 0, gone = 0, windows = 0;

    for (int pass = 0; pass < PASSES || (gone > 0 && pass < PASSES_MOST); pass++) {
        int64_t orders_now = 0, authorizations_now = 0;
        if (store_prune(acme, rq, acme->config.keep_days, PAGES_AT_ONCE, &orders_now, &authorizations_now) != OK)
            return; /* what went wrong is in rq, and the loop logs it */
        gone = orders_now + authorizations_now;
        orders += orders_now;
        authorizations += authorizations_now;
    }
    if (orders + authorizations > 0) {
        request_note(rq, "orders", "%lld", (long long)orders);
        request_note(rq, "authorizations", "%lld", (long long)authorizations);
    }
    if (store_prune_windows(acme, rq, acme->config.keep_days, WINDOWS_AT_ONCE, &windows) == OK && windows > 0)
        request_note(rq, "renewal_windows", "%lld", (long long)windows);
}
