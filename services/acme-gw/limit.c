/*
 * What may be done how often: before an account is made, in one round trip; with the recording of an order, in the same. Who is refused is told the
 * rule and the time; a name that failed without end waits for an operator (signetctl acme resume).
 */
#include "acme.h"

#include <string.h>

/* Clients give up when they are told to come back in a day (acme.sh); who comes too early is told again. */
#define RETRY_AFTER_MAX_S 600
#define SPENDINGS_MAX (IDENTIFIERS_MAX + 1)

static const char *
key_of(struct arena *arena, const struct policy *policy, const char *rule, const char *subject)
{
    return arena_format(arena, "%s %s %s", policy->limits->name, rule, subject);
}

static struct spending
spending_of(struct arena *arena, const struct policy *policy, const char *rule, const char *subject, struct limit limit)
{
    return (struct spending){.key = key_of(arena, policy, rule, subject), .rule = rule, .subject = subject, .limit = limit};
}

static enum error
refuse_limited(struct request *rq, const struct policy *policy, const struct obstacle *obstacle)
{
    AUTO(json_t, members) = json_pack("{s:s}", "rule", obstacle->rule);

    request_note(rq, "rule", "%s", obstacle->rule);
    request_note(rq, "policy", "%s", policy->name);
    rq->failure_members = json_format(rq->arena, members);
    if (obstacle->paused)
        (void)refuse(rq, ERR_RATE_LIMITED, "rateLimited",
                     "%s: the name %s has failed so often for this account that it is paused; have the operator of this server resume it",
                     obstacle->rule, obstacle->subject);
    else if (obstacle->wait_s == 0)
        (void)refuse(rq, ERR_RATE_LIMITED, "rateLimited", "%s: the account has as many as the policy %s allows", obstacle->rule, policy->name);
    else
        (void)refuse(rq, ERR_RATE_LIMITED, "rateLimited", "%s: %s has had its share under the policy %s; the next is taken in %d s", obstacle->rule,
                     obstacle->subject, policy->name, obstacle->wait_s);
    /* What does not pass with time alone may have passed by then, too. */
    bool passes_sooner = obstacle->wait_s > 0 && obstacle->wait_s < RETRY_AFTER_MAX_S;
    return fail_retry_after(rq, passes_sooner ? obstacle->wait_s : RETRY_AFTER_MAX_S);
}

enum error
limit_request(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    enum error error = request_limit_admit(acme->limit, x);

    if (error)
        x->rq.failure_members = "{\"rule\":\"requests-per-address\"}";
    return error;
}

/* Who has one address of a /64 has all of them. */
static const char *
whom_it_stands_for(struct arena *arena, const char *address)
{
    struct address parsed;

    if (!address_parse(address, &parsed) || address_is_v4(&parsed))
        return address;
    return arena_format(arena, "%s/64", bytes_hex(arena, BYTES(parsed.octets, 8), 0));
}

enum error
limit_new_account(struct acme *acme, struct http_exchange *x, const struct policy *policy)
{
    struct request *rq = &x->rq;
    struct obstacle obstacle = {0};

    if (policy->limits->new_accounts.count == 0)
        return OK;
    struct spending spending =
        spending_of(rq->arena, policy, "new-accounts-per-address", whom_it_stands_for(rq->arena, x->peer), policy->limits->new_accounts);
    enum error error = store_spend(acme, rq, &spending, 1, &obstacle);
    if (error)
        return error;
    return obstacle.rule == NULL ? OK : refuse_limited(rq, policy, &obstacle);
}

/* ---- orders ---- */

static bool
has_key(const struct spending *spendings, size_t count, const char *key)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(spendings[i].key, key))
            return true;
    return false;
}

/* Each registered domain once, however many of its names are asked for. */
static size_t
add_domains(struct arena *arena, const struct policy *policy, const struct identifier *names, size_t name_count, bool only_asked,
            struct spending *spendings, size_t count)
{
    struct limit limit = policy->limits->certificates;

    for (size_t i = 0; limit.count > 0 && i < name_count; i++) {
        struct spending one = spending_of(arena, policy, "certificates-per-domain", registered_domain(&names[i]), limit);
        one.only_asked = only_asked;
        if (!has_key(spendings, count, one.key))
            spendings[count++] = one;
    }
    return count;
}

/* An order takes its turn; the domains' are taken by its certificate, so that what comes to nothing costs them none. A replacement (RFC 9773) counts
 * for nothing. */
static size_t
spendings_of_order(struct arena *arena, const struct policy *policy, const struct order *order, struct spending *spendings)
{
    size_t count = 0;

    if (order->replaces != NULL)
        return 0;
    if (policy->limits->new_orders.count > 0)
        spendings[count++] = spending_of(arena, policy, "new-orders-per-account", order->account_id, policy->limits->new_orders);
    return add_domains(arena, policy, order->names, order->name_count, true, spendings, count);
}

/* Others may have had their certificates since the order came. */
enum error
limit_claim(struct acme *acme, struct request *rq, const char *policy_name, const struct identifier *names, size_t count, struct claim *claim)
{
    struct spending *spendings = arena_array(rq->arena, SPENDINGS_MAX, sizeof *spendings);
    const struct policy *policy;
    enum error error = policy_load(acme, rq, policy_name, &policy);

    if (error)
        return error;
    claim->spendings = spendings;
    claim->spending_count = add_domains(rq->arena, policy, names, count, true, spendings, 0);
    return OK;
}

enum error
limit_refuse_claim(struct acme *acme, struct request *rq, const struct order *order, const struct claim *claim)
{
    struct obstacle obstacle = {0};
    const struct policy *policy;

    if (order->replaces != NULL || claim->spending_count == 0)
        return OK;
    enum error error = policy_load(acme, rq, order->policy, &policy);
    if (!error)
        error = store_find_spent(acme, rq, claim->spendings, claim->spending_count, &obstacle);
    if (error)
        return error;
    return obstacle.rule == NULL ? OK : refuse_limited(rq, policy, &obstacle);
}

void
limit_count_certificate(struct acme *acme, struct request *rq, const struct order *order, struct issued *issued)
{
    struct spending *spendings = arena_array(rq->arena, SPENDINGS_MAX, sizeof *spendings);
    const struct policy *policy;

    if (order->replaces != NULL)
        return;
    if (policy_load(acme, rq, order->policy, &policy) != OK) {
        failure_clear(rq); /* who took the policy away wants nothing counted */
        return;
    }
    issued->spendings = spendings;
    issued->spending_count = add_domains(rq->arena, policy, order->names, order->name_count, false, spendings, 0);
}

static bool
has_quotas(const struct policy *policy)
{
    return policy->orders_per_account > 0 || policy->certificates_per_account > 0;
}

bool
limit_goes_together(const struct policy *policy, const struct order *order)
{
    return !has_quotas(policy) && order->replaces == NULL;
}

struct new_order
limit_of_order(struct request *rq, const struct policy *policy, const struct challenge *challenges, struct order *order)
{
    struct spending *spendings = arena_array(rq->arena, SPENDINGS_MAX, sizeof *spendings);

    return (struct new_order){.order = order,
                              .challenges = challenges,
                              .spendings = spendings,
                              .spending_count = spendings_of_order(rq->arena, policy, order, spendings),
                              .failures = policy->limits->failed_authorizations,
                              .subdomains_count = policy->subdomain_auth,
                              .quotas_of = has_quotas(policy) && order->replaces == NULL ? policy : NULL,
                              .rq = rq};
}

enum error
limit_refuse_order(struct request *rq, const struct policy *policy, const struct new_order *new_order)
{
    return new_order->obstacle.rule == NULL ? OK : refuse_limited(rq, policy, &new_order->obstacle);
}

enum error
limit_insert_order(struct acme *acme, struct request *rq, const struct policy *policy, const struct challenge *challenges, struct order *order)
{
    struct new_order new = limit_of_order(rq, policy, challenges, order);

    enum error error = store_insert_order(acme, rq, &new);
    return error ? error : limit_refuse_order(rq, policy, &new);
}

/* An authorisation without an order is as much work as an order, and no certificate yet. */
enum error
limit_new_authorization(struct acme *acme, struct request *rq, const struct policy *policy, const char *account_id, const struct identifier *name)
{
    struct spending spending = spending_of(rq->arena, policy, "new-orders-per-account", account_id, policy->limits->new_orders);
    struct obstacle obstacle = {0};
    enum error error = OK;

    if (has_quotas(policy))
        error = store_check_quotas(acme, rq, policy, account_id, &obstacle);
    if (!error && obstacle.rule == NULL)
        error = store_spend_authorization(acme, rq, policy, account_id, name, &spending, &obstacle);
    if (error)
        return error;
    return obstacle.rule == NULL ? OK : refuse_limited(rq, policy, &obstacle);
}

void
limits_sweep(void *context, struct request *rq)
{
    if (store_sweep_limits(context, rq) != OK)
        request_note(rq, "limits", "not swept");
}

/* ---- the page ---- */

static void
put_limit(struct buffer *page, const char *rule, struct limit limit)
{
    if (limit.count > 0)
        buffer_append_format(page, "%s: %d in %d s\n", rule, limit.count, limit.period_s);
}

enum error
limits_page(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    const struct policy *policy;
    struct buffer page = buffer_in(x->rq.arena);

    if (x->on_loop && !policies_are_known(acme, &x->rq))
        return http_defer(x);
    enum error error = policy_of_path(acme, x, &policy);
    if (error)
        return error;
    buffer_append_format(&page,
                         "Limits under the policy %s. A problem of the type rateLimited names the rule, and Retry-After a time to try again.\n\n",
                         policy->name);
    put_limit(&page, "new-accounts-per-address", policy->limits->new_accounts);
    put_limit(&page, "new-orders-per-account", policy->limits->new_orders);
    put_limit(&page, "certificates-per-domain", policy->limits->certificates);
    put_limit(&page, "failed-authorizations-per-name", policy->limits->failed_authorizations);
    if (policy->limits->failures_before_pause > 0)
        buffer_append_format(&page, "paused-names: after %d failures one after the other a name is paused until the operator resumes it\n",
                             policy->limits->failures_before_pause);
    if (acme->config.limit.requests_per_minute > 0)
        buffer_append_format(&page, "requests-per-address: %d a minute, %d at once\n", acme->config.limit.requests_per_minute,
                             acme->config.limit.requests_burst);
    return http_answer_text(x, 200, "text/plain; charset=utf-8", buffer_text(&page));
}
