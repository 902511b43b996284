/* The policies as their rows are: what `signetctl acme policy list`, show and export tell. */
#include "acme.h"

enum error
list_acme_policies(struct acme *acme, struct request *rq, const Pb__ListAcmePoliciesRequest *input, Pb__ListAcmePoliciesReply *ret_reply)
{
    return store_list_policies(acme, rq, input->name, &ret_reply->policies, &ret_reply->n_policies);
}
