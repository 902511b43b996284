/* profile VERB --kind KIND: the profiles of the gateways of devices. Each kind is a file of its own, with a table of its verbs. */
#include <string.h>

#include "base/text.h"
#include "profile.h"

static const struct profile_kind *const kinds[] = {&profile_est, &profile_scep};

#define KIND_COUNT (sizeof(kinds) / sizeof(kinds[0]))

/* NULL: a profile of this kind has no such verb. */
static const struct profile_verb *
find_verb(const struct profile_kind *kind, const char *name)
{
    const struct profile_verb *verb;

    for (verb = kind->verbs; verb->name != NULL; verb++)
        if (text_equal(verb->name, name))
            return verb;
    return NULL;
}

/* The one that is named; unnamed, the only one that has the verb. NULL with the refusal recorded. */
static const struct profile_kind *
find_kind(struct ctl *ctl, struct request *rq)
{
    const char *name = argument(ctl, "kind");
    struct buffer known = buffer_in(rq->arena);
    const struct profile_kind *only = NULL;
    size_t i, count = 0;

    for (i = 0; i < KIND_COUNT; i++) {
        if (name != NULL && text_equal(kinds[i]->name, name))
            return kinds[i];
        buffer_append_format(&known, "%s%s", i ? ", " : "", kinds[i]->name);
        if (find_verb(kinds[i], ctl->command->verb) != NULL) {
            only = kinds[i];
            count++;
        }
    }
    if (name == NULL && count == 1)
        return only;
    (void)argument_refused(rq, "--kind says which gateway: %s", buffer_text(&known));
    return NULL;
}

static bool
has_field(const struct profile_kind *kind, const char *name)
{
    return protobuf_c_message_descriptor_get_field_by_name(kind->fields, name) != NULL || (kind->beside != NULL && text_equal(kind->beside, name));
}

bool
profile_option_fits(struct arena *arena, const char *kind, const char *option)
{
    bool is_of_kind = false, is_of_another = false;
    char *field = arena_text(arena, option), *at;
    size_t i;

    while ((at = strchr(field, '-')) != NULL)
        *at = '_';
    for (i = 0; i < KIND_COUNT; i++) {
        bool is_it = kind != NULL && text_equal(kinds[i]->name, kind);
        is_of_kind |= is_it && has_field(kinds[i], field);
        is_of_another |= kind != NULL && !is_it && has_field(kinds[i], field);
    }
    return is_of_kind || !is_of_another;
}

/* The options of all kinds stand in one table: what only another kind has must not seem to hold for this one. */
static enum error
check_options(struct ctl *ctl, struct request *rq, const struct profile_kind *kind)
{
    size_t i;

    for (i = 0; i < ctl->arguments.option_count; i++) {
        const char *option = ctl->arguments.options[i].name;
        if (!profile_option_fits(rq->arena, kind->name, option))
            return argument_refused(rq, "--%s: a profile of the kind %s has no such field", option, kind->name);
    }
    return OK;
}

enum error
profile_check_names(struct ctl *ctl, struct request *rq, const char *template, const char *issuer)
{
    enum error error = check_template_name(ctl, rq, "template", template);

    return error ? error : check_ca_name(ctl, rq, "issuer", issuer);
}

static enum error
list_all(struct ctl *ctl, struct request *rq)
{
    enum error error = OK;
    size_t i;

    for (i = 0; !error && i < KIND_COUNT; i++) {
        printf("%s--kind %s\n", i ? "\n" : "", kinds[i]->name);
        error = find_verb(kinds[i], "list")->run(ctl, rq);
    }
    return error;
}

enum error
profile_run(struct ctl *ctl, struct request *rq)
{
    if (text_equal(ctl->command->verb, "list") && argument(ctl, "kind") == NULL && !ctl->json)
        return list_all(ctl, rq);
    const struct profile_kind *kind = find_kind(ctl, rq);
    if (kind == NULL)
        return rq->failure.kind;
    const struct profile_verb *verb = find_verb(kind, ctl->command->verb);
    if (verb == NULL)
        return argument_refused(rq, "a profile of the kind %s has no \"%s\"", kind->name, ctl->command->verb);
    enum error error = check_options(ctl, rq, kind);
    return error ? error : verb->run(ctl, rq);
}
