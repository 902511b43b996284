/*
 * Forgets what came to nothing long ago: orders that expired without a certificate, authorisations that no order is left of, challenges; and which of
 * the certificates that expired were made by automatic renewal. A turn looks at some pages of the tables, in any one replica at a time;
 * sql/015_prune.sql and 018_prune_in_one_pass.sql say what may go. Accounts stay, also those that were deactivated or
 * revoked: their keys are not to come back as new ones.
 */
#include "acme.h"

#define PAGES_AT_ONCE 1000 /* 8 MB of each table */

void
prune_turn(void *context, struct request *rq)
{
    struct acme *acme = context;
    int64_t orders = 0, authorizations = 0;

    if (store_prune(acme, rq, acme->config.keep_days, PAGES_AT_ONCE, &orders, &authorizations) != OK)
        return; /* what went wrong is in rq, and the loop logs it */
    if (orders + authorizations > 0) {
        request_note(rq, "orders", "%lld", (long long)orders);
        request_note(rq, "authorizations", "%lld", (long long)authorizations);
    }
}
