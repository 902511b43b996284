/* Heard when the signer has a new CA: it is answered for from now on. */
#include "ocsp_responder.h"

enum error
on_ca_created(void *context, struct request *rq, const struct event *events, size_t count)
{
    return issuers_refresh(context, rq);
}
