/* Heard when ra has stored a certificate. Adds it to the catalogue; hearing it twice changes nothing. */
#include "inventory.h"

enum error
on_certificate_issued(void *context, struct request *rq, const struct event *events, size_t count)
{
    request_note(rq, "events", "%zu", count);
    return store_add_certificates(context, rq, events, count);
}
