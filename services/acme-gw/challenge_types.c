/*
 * The ways to prove a name: one table that says which type is for which kind of identifier, and what its challenge object shows beside the usual.
 * What a type means is the validator's business.
 */
#include "acme.h"

static const struct challenge_type {
    const char *name;
    bool for_hosts, for_wildcards, for_addresses;
} types[] = {
    {"http-01", .for_hosts = true, .for_addresses = true}, /* RFC 8555 §8.3, RFC 8738 */
};

static bool
is_for(const struct challenge_type *type, const struct identifier *name)
{
    if (name->type == IDENTIFIER_IP)
        return type->for_addresses;
    return text_starts_with(name->value, "*.") ? type->for_wildcards : type->for_hosts;
}

/* `list`: "http-01, dns-01"; an empty one has all. */
static bool
is_listed(struct arena *arena, const char *list, const char *name)
{
    size_t count;
    char **names = text_split(arena, text_is_empty(list) ? "" : list, ',', &count);

    for (size_t i = 0; i < count; i++)
        if (text_equal(names[i], name))
            return true;
    return count == 0;
}

bool
challenge_type_is_known(const char *type)
{
    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (text_equal(types[i].name, type))
            return true;
    return false;
}

const char *
challenge_types_offer(struct acme *acme, struct arena *arena, const struct identifier *name, const char *allowed)
{
    struct buffer offered = buffer_in(arena);

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++)
        if (is_for(&types[i], name) && is_listed(arena, acme->config.challenges, types[i].name) && is_listed(arena, allowed, types[i].name))
            buffer_append_format(&offered, "%s%s", offered.len == 0 ? "" : " ", types[i].name);
    return buffer_text(&offered);
}
