/* profile VERB --kind KIND: the profiles of the gateways of devices. Each kind is a file of its own, with a table of its verbs. */
#include "base/text.h"
#include "profile.h"

static const struct profile_kind *const kinds[] = {&profile_est, &profile_scep};

/* NULL with the refusal recorded. */
static const struct profile_kind *
find_kind(struct ctl *ctl, struct request *rq)
{
    const char *name = argument(ctl, "kind");
    struct buffer known = buffer_in(rq->arena);
    size_t i;

    for (i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        if (text_equal(kinds[i]->name, name))
            return kinds[i];
        buffer_append_format(&known, "%s%s", i ? ", " : "", kinds[i]->name);
    }
    (void)argument_refused(rq, "--kind says which gateway: %s", buffer_text(&known));
    return NULL;
}

enum error
profile_run(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    size_t i;

    if (kind == NULL)
        return rq->failure.kind;
    for (i = 0; kind->verbs[i].name != NULL; i++)
        if (text_equal(kind->verbs[i].name, ctl->command->verb))
            return kind->verbs[i].run(ctl, rq);
    return argument_refused(rq, "a profile of the kind %s has no \"%s\"", kind->name, ctl->command->verb);
}
