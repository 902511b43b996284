/* Heard when a certificate was revoked: what was answered about its serial number before is no longer said. */
#include "ocsp_responder.h"

enum error
on_certificate_revoked(void *context, struct request *rq, const struct event *events, size_t count)
{
    struct responder *responder = context;
    size_t i;

    for (i = 0; i < count; i++) {
        const Pb__CertificateRevoked *revoked = (const Pb__CertificateRevoked *)events[i].message;
        cache_drop(responder->cache, message_bytes(revoked->serial));
    }
    return OK;
}
