/*
 * Profiles (draft-ietf-acme-profiles): names under which an order may choose a template and a lifetime. Data of the policy; those of the default
 * policy are the gateway's setting until it has its own.
 */
#include "acme.h"

#include <string.h>

#define VALIDITY_MAX_DAYS 36500

static bool
read_profile(struct arena *arena, const char *text, struct profile *ret_profile)
{
    const char *equals = strchr(text, '='), *colon = strrchr(text, ':');
    int64_t days = 0;

    if (equals == NULL || equals == text || colon == NULL || colon <= equals + 1 || !text_parse_number(colon + 1, 0, VALIDITY_MAX_DAYS, &days))
        return false;
    *ret_profile = (struct profile){.name = arena_format(arena, "%.*s", (int)(equals - text), text),
                                    .template_name = arena_format(arena, "%.*s", (int)(colon - equals - 1), equals + 1),
                                    .validity_days = (int)days};
    return true;
}

static const struct profile *
find(const struct profile *profiles, size_t count, const char *name)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(profiles[i].name, name))
            return &profiles[i];
    return NULL;
}

enum error
profiles_parse(struct request *rq, const char *what, char *const *texts, size_t count, struct profile **ret_profiles)
{
    struct profile *profiles = arena_array(rq->arena, count, sizeof *profiles);

    for (size_t i = 0; i < count; i++) {
        if (!read_profile(rq->arena, texts[i], &profiles[i]))
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.100s\" is not of the form name=template:days", what, texts[i]);
        if (find(profiles, i, profiles[i].name) != NULL)
            return fail(rq, ERR_BAD_REQUEST, "%s: there are two of the name \"%.60s\"", what, profiles[i].name);
    }
    *ret_profiles = profiles;
    return OK;
}

const struct profile *
profile_find(const struct policy *policy, const char *name)
{
    return find(policy->profiles, policy->profile_count, name);
}
