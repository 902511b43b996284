/* The credentials for external account binding, without their keys. */
#include "acme.h"

enum error
list_eabs(struct acme *acme, struct request *rq, const Pb__ListEabsRequest *input, Pb__ListEabsReply *ret_reply)
{
    return store_list_eabs(acme, rq, input->name, &ret_reply->credentials, &ret_reply->n_credentials);
}
