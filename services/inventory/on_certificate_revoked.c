/* Heard when ra has revoked a certificate; it may come before the news of the certificate itself. */
#include "inventory.h"

enum error
on_certificate_revoked(void *context, struct request *rq, const struct event *events, size_t count)
{
    request_note(rq, "events", "%zu", count);
    return store_add_revocations(context, rq, events, count);
}
