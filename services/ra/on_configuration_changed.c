/* Heard when an operator has changed something at a gateway. It goes on record in the audit log, whose only writer is ra; an event that comes again
 * does not. */
#include "ra.h"

enum error
on_configuration_changed(void *context, struct request *rq, const struct event *events, size_t count)
{
    struct ra *ra = context;

    for (size_t i = 0; i < count; i++) {
        const Pb__ConfigurationChanged *changed = (const Pb__ConfigurationChanged *)events[i].message;
        enum error error = store_heard(ra, rq, events[i].id, audit_configuration_changed(rq, changed));

        request_note(rq, "what", "%.40s", changed->what);
        request_note(rq, "name", "%.100s", changed->name);
        if (error)
            return error;
    }
    return OK;
}
