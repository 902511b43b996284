/* Heard when an account at a gateway was made, has changed or has ended. It goes on record in the audit log, whose only writer is ra; an event that
 * comes again does not. */
#include "ra.h"

enum error
on_account_changed(void *context, struct request *rq, const struct event *events, size_t count)
{
    struct ra *ra = context;

    for (size_t i = 0; i < count; i++) {
        const Pb__AccountChanged *changed = (const Pb__AccountChanged *)events[i].message;
        enum error error = store_heard(ra, rq, events[i].id, audit_account_changed(rq, changed));

        request_note(rq, "account", "%.60s", changed->account);
        request_note(rq, "what", "%.40s", changed->action);
        if (error)
            return error;
    }
    return OK;
}
