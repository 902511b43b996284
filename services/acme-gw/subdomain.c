/*
 * Authorisations that hold for all names below theirs, too (RFC 9444): what clients may ask, which names of an order are proven together, and what
 * covers a name. Used when orders and authorisations are made; the rest of the gateway sees one authorisation as any other.
 *
 * Such a proof comes from the DNS alone: who answers at one host's port 80 or 443 has shown nothing about the names below it. The validator is asked
 * as for a wildcard. CAA (caa_recheck.c) is looked at for each name that a certificate will have, not for the domain where the proof was.
 */
#include "acme.h"

#include <string.h>

static bool
is_offered(struct acme *acme, struct arena *arena, const struct policy *policy, const struct identifier *domain)
{
    struct identifier all_below = name_all_below(arena, domain);

    return policy->subdomain_auth && !text_is_empty(challenge_types_offer(acme, arena, &all_below, policy->challenge_types));
}

/* ---- what clients ask ---- */

enum error
subdomain_take_ancestor(struct request *rq, const json_t *json, const struct identifier *name, const char **ret_ancestor)
{
    const json_t *member = json_object_get(json, "ancestorDomain");
    struct identifier ancestor;

    if (member == NULL)
        return OK;
    if (name->type != IDENTIFIER_DNS || !json_is_string(member))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"ancestorDomain\" is a domain name, for an identifier of the type \"dns\"");
    const char *why = identifier_read(rq->arena, IDENTIFIER_DNS, json_string_value(member), &ancestor);
    if (why != NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the ancestorDomain of %s %s", name->value, why);
    if (!dns_name_is_below(name->value, ancestor.value))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "%s does not lie below its ancestorDomain %s", name->value, ancestor.value);
    *ret_ancestor = ancestor.value;
    return OK;
}

enum error
subdomain_take_wish(struct acme *acme, struct request *rq, const struct policy *policy, const json_t *json, const struct identifier *name,
                    bool *ret_wanted)
{
    const json_t *member = json_object_get(json, "subdomainAuthAllowed");

    if (member != NULL && (name->type != IDENTIFIER_DNS || !json_is_boolean(member)))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"subdomainAuthAllowed\" is true or false, for an identifier of the type \"dns\"");
    /* RFC 9444 §4.2: where it is not offered, the name alone is authorised. */
    *ret_wanted = json_is_true(member) && is_offered(acme, rq->arena, policy, name) && public_suffix_check(rq, policy, name, name->value) == OK;
    failure_clear(rq);
    return OK;
}

/* ---- the names of an order ---- */

const char **
subdomain_sort_ancestors(struct arena *arena, const struct order *order, const struct identifier *asked, const char *const *ancestors, size_t count)
{
    const char **sorted = arena_array(arena, order->name_count, sizeof *sorted);

    for (size_t i = 0; i < order->name_count; i++)
        for (size_t k = 0; sorted[i] == NULL && k < count; k++)
            if (identifier_equal(&order->names[i], &asked[k]))
                sorted[i] = ancestors[k];
    return sorted;
}

/* That of the name; or the name itself, where others of the order are to be proven by it. */
static const char *
ancestor_of(const struct order *order, size_t i)
{
    if (order->ancestors[i] != NULL || order->names[i].type != IDENTIFIER_DNS)
        return order->ancestors[i];
    for (size_t k = 0; k < order->name_count; k++)
        if (text_equal(order->ancestors[k], order->names[i].value))
            return order->ancestors[k];
    return NULL;
}

bool
subdomain_find_ancestor(struct acme *acme, struct arena *arena, const struct policy *policy, const struct order *order, size_t i,
                        struct identifier *ret_ancestor)
{
    struct identifier ancestor = {.type = IDENTIFIER_DNS, .value = ancestor_of(order, i)};

    if (ancestor.value == NULL || !is_offered(acme, arena, policy, &ancestor))
        return false;
    *ret_ancestor = ancestor;
    return true;
}

/* ---- what covers a name ---- */

static const char *
covers_of(struct arena *arena, const struct identifier *name, bool above_counts)
{
    const char *own = name_to_column(arena, name);
    struct buffer covers = buffer_in(arena);

    if (name->type != IDENTIFIER_DNS || !above_counts)
        return own;
    buffer_append_text(&covers, own);
    for (const char *dot = strchr(name->value, '.'); dot != NULL; dot = strchr(dot + 1, '.'))
        buffer_append_format(&covers, " %s", name_to_column(arena, &(struct identifier){.type = IDENTIFIER_DNS, .value = dot + 1}));
    return buffer_text(&covers);
}

const char **
subdomain_covers(struct arena *arena, const struct identifier *names, size_t count, bool above_counts)
{
    const char **covers = arena_array(arena, count, sizeof *covers);

    for (size_t i = 0; i < count; i++)
        covers[i] = covers_of(arena, &names[i], above_counts);
    return covers;
}
