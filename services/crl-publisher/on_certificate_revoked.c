/* Heard when ra has revoked certificates, also those of while we were away: each CA named gets a new CRL. Hearing it twice costs one CRL more. */
#include "crl_publisher.h"

enum error
on_certificate_revoked(void *context, struct request *rq, const struct event *events, size_t count)
{
    const char **issuers = arena_array(rq->arena, count, sizeof(*issuers));
    size_t i;

    for (i = 0; i < count; i++)
        issuers[i] = ((const Pb__CertificateRevoked *)events[i].message)->issuer;
    request_note(rq, "events", "%zu", count);
    return schedule_soon(context, rq, issuers, count);
}
