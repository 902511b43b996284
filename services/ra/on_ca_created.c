/*
 * Heard when the signer has a new CA. Its making goes on record in the audit log, whose only writer is ra; and requests that name it are
 * understood from now on.
 */
#include "ra.h"

enum error
on_ca_created(void *context, struct request *rq, const struct event *events, size_t count)
{
    struct ra *ra = context;

    for (size_t i = 0; i < count; i++) {
        const Pb__CaCreated *created = (const Pb__CaCreated *)events[i].message;
        enum error error = store_heard(ra, rq, events[i].id, audit_ca_created(rq, created));

        request_note(rq, "ca", "%s", created->name);
        if (error)
            return error;
    }
    return directory_refresh(ra, rq);
}
