/* Heard when a certificate was issued: what was answered about its serial number before is no longer said. */
#include "ocsp_responder.h"

enum error
on_certificate_issued(void *context, struct request *rq, const struct event *events, size_t count)
{
    struct responder *responder = context;
    size_t i;

    for (i = 0; i < count; i++) {
        const Pb__CertificateIssued *issued = (const Pb__CertificateIssued *)events[i].message;
        cache_drop(responder->cache, message_bytes(issued->serial));
    }
    return OK;
}
