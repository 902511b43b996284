/* The policies as their rows are: what `signetctl acme policy list`, show and export tell. */
#include "acme.h"

enum error
list_acme_policies(struct acme *acme, struct request *rq, const Pb__ListAcmePoliciesRequest *input, Pb__ListAcmePoliciesReply *ret_reply)
{
    enum error error = store_list_policies(acme, rq, input->name, &ret_reply->policies, &ret_reply->n_policies);

    for (size_t i = 0; !error && text_is_empty(input->name) && i < ret_reply->n_policies; i++) {
        Pb__AcmePolicy *policy = ret_reply->policies[i];
        policy->apple_roots = policy->step_roots = policy->tpm_roots = "";
    }
    return error;
}
