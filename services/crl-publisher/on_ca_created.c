/* Heard when the signer has a new CA. The event does not tell the certificates above it, so the signer's list is taken anew. */
#include "crl_publisher.h"

enum error
on_ca_created(void *context, struct request *rq, const struct event *events, size_t count)
{
    return authorities_refresh(context, rq);
}
