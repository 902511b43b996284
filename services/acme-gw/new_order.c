/*
 * A client says which names it wants in a certificate (RFC 8555 §7.4). Recorded with one authorisation per name and its challenges, in one round
 * trip. The order is `pending` until validation.c has made every authorisation valid; names that the policy approves beforehand are valid already.
 */
#include "acme.h"

#include <string.h>

#include "base/base64.h"
#include "base/clock.h"

#define TOKEN_OCTETS 32 /* RFC 8555 §8.1 asks for 128 bits of entropy at least */
#define PREAPPROVED_TYPE "http-01"
#define NAMES_ON_LOOP 10

static enum error
check_can_be_proven(struct acme *acme, struct request *rq, const struct policy *policy, const struct identifier *name)
{
    if (policy_preapproves(policy, name) || !text_is_empty(challenge_types_offer(acme, rq->arena, name, policy->challenge_types)))
        return OK;
    return refuse(rq, ERR_BAD_NAME, "rejectedIdentifier", "%s: none of the challenges of the policy %s can prove such a name", name->value,
                  policy->name);
}

enum error
account_allows_name(struct request *rq, const struct account *account, const struct identifier *name)
{
    if (account->allowed_name_count == 0 || name_matches(account->allowed_names, account->allowed_name_count, name))
        return OK;
    return refuse(rq, ERR_BAD_NAME, "rejectedIdentifier", "%s: the account's external account binding under the policy %s does not allow this name",
                  name->value, account->policy);
}

static enum error
take_name(struct acme *acme, struct request *rq, const struct policy *policy, const struct account *account, const json_t *json,
          struct identifier *ret_name, const char **ret_ancestor)
{
    enum error error = name_from_json(rq, json, ret_name);

    if (!error)
        error = policy_has_type(rq, policy, ret_name->type);
    if (!error)
        error = subdomain_take_ancestor(rq, json, ret_name, ret_ancestor);
    if (!error)
        error = public_suffix_check(rq, policy, ret_name, *ret_ancestor);
    if (!error)
        error = account_allows_name(rq, account, ret_name);
    return error ? error : check_can_be_proven(acme, rq, policy, ret_name);
}

/* RFC 8555 §6.7.1: the refusal just recorded is one of possibly many. */
static json_t *
subproblem(struct request *rq, const json_t *identifier)
{
    json_t *problem = json_loads(problem_format(rq->arena, rq->failure.reason, rq->failure.message), 0, NULL);

    (void)json_object_del(problem, "status");
    (void)json_object_set_new(problem, "identifier", json_deep_copy(identifier));
    return problem;
}

/* All that is wrong is told at once, each with the identifier that it is about. */
static enum error
refuse_names(struct request *rq, const struct policy *policy, const json_t *subproblems, size_t asked, const char *type)
{
    size_t count = json_array_size(subproblems);
    AUTO(json_t, members) = json_pack("{s:O}", "subproblems", subproblems);

    rq->failure_members = json_format(rq->arena, members);
    return refuse(rq, ERR_BAD_NAME, type, "the policy %s refuses %zu of the %zu identifiers; the first one: %s", policy->name, count, asked,
                  json_text(json_array_get(subproblems, 0), "detail"));
}

static enum error
take_each_name(struct acme *acme, struct request *rq, const struct policy *policy, const struct account *account, const json_t *list,
               struct identifier *names, const char **ancestors)
{
    size_t count = json_array_size(list);
    AUTO(json_t, subproblems) = json_array();
    const char *type = NULL;

    for (size_t i = 0; i < count; i++) {
        enum error error = take_name(acme, rq, policy, account, json_array_get(list, i), &names[i], &ancestors[i]);
        if (error && (error != ERR_BAD_NAME || count == 1))
            return error;
        if (!error)
            continue;
        const char *this_type = arena_text(rq->arena, rq->failure.reason);
        type = type == NULL || text_equal(type, this_type) ? this_type : "compound";
        (void)json_array_append_new(subproblems, subproblem(rq, json_array_get(list, i)));
        failure_clear(rq);
    }
    return type == NULL ? OK : refuse_names(rq, policy, subproblems, count, type);
}

static enum error
take_names(struct acme *acme, struct request *rq, const struct policy *policy, const struct account *account, const json_t *payload,
           struct order *order)
{
    const json_t *list = json_object_get(payload, "identifiers");
    size_t count = json_array_size(list);

    if (count == 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"identifiers\" must be an array with at least one identifier");
    if (count > policy->identifiers_max)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "an order has at most %zu identifiers under the policy %s, this one has %zu",
                      policy->identifiers_max, policy->name, count);
    struct identifier *asked = arena_array(rq->arena, count, sizeof *asked), *names = arena_array(rq->arena, count, sizeof *names);
    const char **ancestors = arena_array(rq->arena, count, sizeof *ancestors);
    enum error error = take_each_name(acme, rq, policy, account, list, asked, ancestors);
    if (error)
        return error;
    memcpy(names, asked, count * sizeof *names);
    order->names = names;
    order->name_count = count;
    names_sort(names, &order->name_count);
    order->ancestors = subdomain_sort_ancestors(rq->arena, order, asked, ancestors, count);
    return OK;
}

/* The templates that the account's external account binding allows. */
static enum error
check_template(struct request *rq, const struct policy *policy, const struct account *account, const struct order *order)
{
    const struct profile *profile = profile_find(policy, order->profile);
    const char *template_name = profile != NULL ? profile->template_name : policy->template_name;

    for (size_t i = 0; i < account->allowed_template_count; i++)
        if (text_equal(account->allowed_templates[i], template_name))
            return OK;
    if (account->allowed_template_count == 0)
        return OK;
    return refuse(rq, ERR_DENIED, "unauthorized", "the account's external account binding does not allow certificates of the template %s",
                  template_name);
}

static char *
new_token(struct arena *arena)
{
    uint8_t octets[TOKEN_OCTETS];

    random_bytes(octets, sizeof octets);
    return base64url_encode(arena, BYTES(octets, sizeof octets));
}

struct challenge
new_challenge(struct acme *acme, struct arena *arena, const struct policy *policy, const struct identifier *name, bool subdomains,
              const char *authorization_id)
{
    struct identifier proven = subdomains ? name_all_below(arena, name) : *name;

    return (struct challenge){.id = authorization_id, /* there is one for each, so that one id finds both */
                              .authorization_id = authorization_id,
                              .type = challenge_types_offer(acme, arena, &proven, policy->challenge_types),
                              .token = new_token(arena),
                              .name = *name,
                              .subdomains = subdomains};
}

/* That of the names before which is to hold for all below this one. */
static const struct challenge *
find_shared(const struct challenge *challenges, size_t count, const struct identifier *ancestor)
{
    for (size_t i = 0; i < count; i++)
        if (challenges[i].subdomains && identifier_equal(&challenges[i].name, ancestor))
            return &challenges[i];
    return NULL;
}

/* Each name with an authorisation and its challenges, which may be those of a name before. What is approved beforehand may be beyond any challenge;
 * clients want to see one, though. */
static struct challenge *
new_challenges(struct acme *acme, struct request *rq, const struct policy *policy, struct order *order)
{
    const char **ids = arena_array(rq->arena, order->name_count + 1, sizeof *ids);
    const char **preapproved = arena_array(rq->arena, order->name_count, sizeof *preapproved);
    struct challenge *challenges = arena_array(rq->arena, order->name_count, sizeof *challenges);

    for (size_t i = 0; i < order->name_count; i++) {
        struct identifier name = order->names[i];
        bool is_preapproved = policy_preapproves(policy, &name);
        if (is_preapproved)
            preapproved[order->preapproved_count++] = name_to_column(rq->arena, &name);
        bool subdomains = !is_preapproved && subdomain_find_ancestor(acme, rq->arena, policy, order, i, &name);
        const struct challenge *shared = subdomains ? find_shared(challenges, i, &name) : NULL;
        challenges[i] = shared != NULL ? *shared : new_challenge(acme, rq->arena, policy, &name, subdomains, new_id_by_time(rq->arena));
        if (text_is_empty(challenges[i].type))
            challenges[i].type = PREAPPROVED_TYPE;
        ids[i] = challenges[i].authorization_id;
    }
    order->authorization_ids = ids;
    order->authorization_count = order->name_count;
    order->preapproved = preapproved;
    if (order->preapproved_count > 0)
        request_note(rq, "preapproved", "%zu of %zu by policy %s", order->preapproved_count, order->name_count, policy->name);
    return challenges;
}

static bool
has_authorization(const struct order *order, const char *id)
{
    for (size_t i = 0; i < order->authorization_count; i++)
        if (text_equal(order->authorization_ids[i], id))
            return true;
    return false;
}

/* The client looks at them next. Those that were proven before are in the database alone, and those that need no proof are hardly looked at. */
static void
remember_authorizations(struct acme *acme, struct arena *arena, const struct order *order, const struct challenge *offered, int64_t expires_at_s)
{
    for (size_t i = 0; i < order->name_count; i++) {
        if (order->preapproved_count > 0 || !has_authorization(order, offered[i].authorization_id))
            continue;
        struct authorization authorization = {.id = offered[i].authorization_id,
                                              .name = offered[i].name,
                                              .subdomains = offered[i].subdomains,
                                              .status = AUTHORIZATION_PENDING,
                                              .expires_at_s = expires_at_s};
        char **types = text_split(arena, offered[i].type, ' ', &authorization.challenge_count);
        struct challenge *challenges = arena_array(arena, authorization.challenge_count, sizeof *challenges);
        for (size_t c = 0; c < authorization.challenge_count; c++) {
            challenges[c] = offered[i];
            challenges[c].type = types[c];
            challenges[c].status = CHALLENGE_PENDING;
        }
        authorization.challenges = challenges;
        authorization_cache_put(acme->authorizations, order->account_id, &authorization);
    }
}

/* An order from its wish to its answer. */
struct making {
    struct acme *acme;
    struct http_exchange *x;
    const struct policy *policy;
    const struct challenge *challenges;
    struct order order;
    int64_t expires_at_s; /* of its own authorizations */
    struct new_order new;
};

static enum error
answer_made(struct making *making)
{
    struct request *rq = &making->x->rq;

    remember_authorizations(making->acme, rq->arena, &making->order, making->challenges, making->expires_at_s);
    return order_answer(making->acme, making->x, 201, &making->order);
}

static void
made_together(void *item, enum error error)
{
    struct making *making = ((struct new_order *)item)->whose;

    if (!error)
        error = limit_refuse_order(&making->x->rq, making->policy, &making->new);
    if (!error)
        error = answer_made(making);
    http_finish(making->x, error);
}

/* With others that come at the same time; whatever reads more than memory before, or locks more than its own rows, does so on a worker. */
static enum error
make_together(struct making *making)
{
    struct http_exchange *x = making->x;

    if (!limit_goes_together(making->policy, &making->order))
        return http_defer(x);
    http_leave(x);
    making->order.client_address = x->peer;
    making->new = limit_of_order(&x->rq, making->policy, making->challenges, &making->order);
    making->new.whose = making;
    commit_queue_post(making->acme->new_orders, &x->rq, &making->new, made_together);
    return OK;
}

/* On the loop nothing may wait: neither for the policies nor for the certificate that is to be replaced; and what takes long makes others wait. */
static bool
is_for_worker(struct acme *acme, struct http_exchange *x, const json_t *payload)
{
    return x->on_loop && (!policies_are_known(acme, &x->rq) || json_object_get(payload, "replaces") != NULL ||
                          json_array_size(json_object_get(payload, "identifiers")) > NAMES_ON_LOOP);
}

enum error
new_order(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct making *making = arena_alloc(rq->arena, sizeof *making);
    struct order *order = &making->order;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (!error && is_for_worker(acme, x, signed_.payload))
        return http_defer(x);
    *making = (struct making){.acme = acme, .x = x};
    if (!error)
        error = policy_of_account(acme, x, signed_.account, &making->policy);
    if (!error)
        error = take_names(acme, rq, making->policy, signed_.account, signed_.payload, order);
    if (error)
        return error;
    order->id = new_id_by_time(rq->arena);
    order->expires_at_s = clock_now_s() + ORDER_LIFETIME_S;
    order->client_address = x->peer;
    order->account_id = signed_.account->id;
    order->policy = making->policy->name;
    order->owner = signed_.account->owner;
    order->principal = signed_.account->principal;
    making->challenges = new_challenges(acme, rq, making->policy, order);
    request_note(rq, "order", "%s", order->id);
    error = order_wishes_take(acme, rq, making->policy, signed_.payload, order);
    if (!error)
        error = check_template(rq, making->policy, signed_.account, order);
    making->expires_at_s = order->expires_at_s;
    if (!error && x->on_loop)
        return make_together(making);
    if (!error)
        error = limit_insert_order(acme, rq, making->policy, making->challenges, order);
    return error ? error : answer_made(making);
}
