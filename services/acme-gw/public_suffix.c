/*
 * Where registries end and their customers begin, by the list of publicsuffix.org that the system has: what rate limits count by, how far up records
 * of others count, and what no client can have all of (CA/Browser Forum Baseline Requirements §3.2.2.6).
 */
#include "acme.h"

#include <libpsl.h>

const char *
registered_domain(const struct identifier *name)
{
    const psl_ctx_t *suffixes = psl_builtin();
    const char *host = text_starts_with(name->value, "*.") ? name->value + 2 : name->value;

    if (name->type != IDENTIFIER_DNS || suffixes == NULL)
        return host;
    const char *domain = psl_registrable_domain(suffixes, host);
    return domain == NULL ? host : domain;
}

/* What the list does not know ("internal", "corp") belongs to no registry; what a company lends below its own domain is that company's to prove. */
bool
is_public_suffix(const char *domain)
{
    const psl_ctx_t *suffixes = psl_builtin();

    return suffixes != NULL && psl_is_public_suffix2(suffixes, domain, PSL_TYPE_ICANN | PSL_TYPE_NO_STAR_RULE);
}

enum error
public_suffix_check(struct request *rq, const struct policy *policy, const struct identifier *name, const char *ancestor)
{
    const char *domain = text_starts_with(name->value, "*.") ? name->value + 2 : ancestor;

    if (name->type != IDENTIFIER_DNS || domain == NULL || !is_public_suffix(domain))
        return OK;
    struct identifier all_below = {.type = IDENTIFIER_DNS, .value = arena_format(rq->arena, "*.%s", domain)};
    if (policy_preapproves(policy, &all_below))
        return OK;
    return refuse(rq, ERR_BAD_NAME, "rejectedIdentifier", "%s: all below %s, under which others register their names, cannot be proven", name->value,
                  domain);
}
