/*
 * Keeps the policies in memory: read at start, after every NOTIFY on acme_policy, and on a slow timer in case one was lost. Handlers ask here which
 * policy a request is under, and whether it may be.
 */
#include "acme.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/snapshot.h"
#include "link/service.h"

#define POLICY_PAUSE_MS 30000
#define POLICY_DEADLINE_MS 10000

static const char *const eab_rules[] = {[EAB_NONE] = "none", [EAB_OPTIONAL] = "optional", [EAB_REQUIRED] = "required"};

const char *
eab_rule_name(enum eab_rule rule)
{
    return eab_rules[rule];
}

bool
eab_rule_find(const char *name, enum eab_rule *ret_rule)
{
    for (enum eab_rule rule = EAB_NONE; rule <= EAB_REQUIRED; rule++) {
        if (!text_equal(name, eab_rules[rule]))
            continue;
        *ret_rule = rule;
        return true;
    }
    return false;
}

/* ---- the snapshot ---- */

enum error
policies_reload(struct acme *acme, struct request *rq)
{
    AUTO_STRUCT(request, own) = request_new(); /* its arena becomes the snapshot's */
    struct policies *policies = arena_alloc(own->arena, sizeof *policies);

    own->deadline_ms = clock_monotonic_ms() + POLICY_DEADLINE_MS;
    enum error error = store_load_policies(acme, own, policies);
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    snapshot_put(acme->policies, TAKE(own->arena), policies);
    return OK;
}

static void
turn(void *context, struct request *rq)
{
    if (policies_reload(context, rq) != OK)
        request_note(rq, "policies", "not reloaded; the last ones stay in force");
}

static void
heard_of_change(void *context, const char *payload)
{
    struct acme *acme = context;

    (void)payload;
    service_wake(acme->policy_loop);
}

static enum error
check_known(void *context, struct request *rq)
{
    return policies_are_known(context, rq) ? OK : fail(rq, ERR_UNAVAILABLE, "the policies were not read yet");
}

enum error
policies_follow(struct acme *acme, struct service *service, struct request *rq)
{
    acme->policy_loop = service_every(service, "acme.policies", POLICY_PAUSE_MS, turn, acme);
    service_ready_when(service, "policies", check_known, acme);
    return db_listen(acme->db, rq, "acme_policy", heard_of_change, acme);
}

bool
policies_are_known(struct acme *acme, struct request *rq)
{
    return snapshot_hold(acme->policies, rq) != NULL;
}

/* ---- which policy a request is under ---- */

static int
compare(const void *name, const void *policy)
{
    return strcmp(name, ((const struct policy *)policy)->name);
}

enum error
policy_load(struct acme *acme, struct request *rq, const char *name, const struct policy **ret_policy)
{
    const struct policies *policies = snapshot_hold(acme->policies, rq);

    if (policies == NULL) {
        enum error error = policies_reload(acme, rq);
        if (error)
            return error;
        policies = snapshot_hold(acme->policies, rq);
    }
    const struct policy *found = bsearch(name, policies->at, policies->count, sizeof *found, compare);
    if (found == NULL)
        return fail(rq, ERR_NOT_FOUND, "there is no ACME policy \"%.40s\" here", name);
    *ret_policy = found;
    return OK;
}

enum error
policy_check_client(struct http_exchange *x, const struct policy *policy)
{
    if (policy->disabled)
        return refuse(&x->rq, ERR_DENIED, "unauthorized", "the policy %s is disabled", policy->name);
    if (policy->client_network_count > 0 && !networks_cover_text(policy->clients, policy->client_network_count, x->peer))
        return refuse(&x->rq, ERR_DENIED, "unauthorized", "the policy %s is not for clients at %s", policy->name, x->peer);
    return OK;
}

static const char *
name_in_path(const struct http_exchange *x)
{
    return text_starts_with(x->route->path, "/acme/{policy}/") ? x->params[0] : DEFAULT_POLICY;
}

enum error
policy_of_path(struct acme *acme, struct http_exchange *x, const struct policy **ret_policy)
{
    const struct policy *policy;

    enum error error = policy_load(acme, &x->rq, name_in_path(x), &policy);
    if (!error)
        error = policy_check_client(x, policy);
    if (!error)
        *ret_policy = policy;
    return error;
}

enum error
policy_of_account(struct acme *acme, struct http_exchange *x, const struct account *account, const struct policy **ret_policy)
{
    if (!text_equal(account->policy, name_in_path(x)))
        return refuse(&x->rq, ERR_DENIED, "unauthorized", "the account was made under the policy %s and stays with it: its directory is %s",
                      account->policy, policy_url(acme, x->rq.arena, account->policy, "directory"));
    return policy_of_path(acme, x, ret_policy);
}

/* ---- what it says ---- */

enum error
policy_has_type(struct request *rq, const struct policy *policy, enum identifier_type type)
{
    if (policy->identifier_types & 1u << type)
        return OK;
    return refuse(rq, ERR_BAD_NAME, "unsupportedIdentifier", "identifiers of type \"%s\" are not served under the policy %s",
                  identifier_type_name(type), policy->name);
}

bool
policy_preapproves(const struct policy *policy, const struct identifier *name)
{
    return name_matches(policy->preapproved_names, policy->preapproved_count, name);
}

enum error
policy_check_preapproved(struct request *rq, const struct policy *policy, const struct order *order)
{
    for (size_t i = 0; i < order->preapproved_count; i++) {
        struct identifier name = name_from_column(rq->arena, order->preapproved[i]);
        if (!policy_preapproves(policy, &name))
            return refuse(rq, ERR_DENIED, "unauthorized", "the policy %s approves %s beforehand no more, and nobody has proven it", policy->name,
                          name.value);
    }
    return OK;
}

const char *
policy_channel(struct arena *arena, const char *name)
{
    return text_equal(name, DEFAULT_POLICY) ? "acme" : arena_format(arena, "acme/%s", name);
}
