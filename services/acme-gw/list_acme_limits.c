/* The sets of rate limits as their rows are. */
#include "acme.h"

enum error
list_acme_limits(struct acme *acme, struct request *rq, const Pb__ListAcmeLimitsRequest *input, Pb__ListAcmeLimitsReply *ret_reply)
{
    return store_list_limits(acme, rq, input->name, &ret_reply->limits, &ret_reply->n_limits);
}
