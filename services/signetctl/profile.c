/*
 * profile list, show, export, create, set, import, delete, and what belongs to passwords: the profiles of the gateways of devices. Each kind is a
 * file of its own and a line of the table.
 */
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

/* What not every kind has is refused by name. */
static enum error
run(struct ctl *ctl, struct request *rq, const struct profile_kind *kind, enum error (*act)(struct ctl *ctl, struct request *rq))
{
    if (act == NULL)
        return argument_refused(rq, "a profile of the kind %s has no \"%s\"", kind->name, ctl->command->verb);
    return act(ctl, rq);
}

enum error
profile_list(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->list);
}

enum error
profile_show(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->show);
}

enum error
profile_create(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->create);
}

enum error
profile_set(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->set);
}

enum error
profile_import(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->import);
}

enum error
profile_delete(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->delete_);
}

enum error
profile_reset_password(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->reset_password);
}

enum error
profile_rotate_passphrase(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->rotate_passphrase);
}

enum error
profile_delete_user(struct ctl *ctl, struct request *rq)
{
    const struct profile_kind *kind = find_kind(ctl, rq);
    return kind == NULL ? rq->failure.kind : run(ctl, rq, kind, kind->delete_user);
}
