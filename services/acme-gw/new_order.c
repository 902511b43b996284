/*
 * A client says which names it wants in a certificate (RFC 8555 §7.4). Recorded with one authorisation per name and its challenges, in one round
 * trip. The order is `pending` until validation.c has made every authorisation valid; names that the policy approves beforehand are valid already.
 */
#include "acme.h"

#include "base/base64.h"
#include "base/clock.h"

#define TOKEN_OCTETS 32 /* RFC 8555 §8.1 asks for 128 bits of entropy at least */
#define PREAPPROVED_TYPE "http-01"

static enum error
check_can_be_proven(struct acme *acme, struct request *rq, const struct policy *policy, const struct identifier *name)
{
    if (policy_preapproves(policy, name) || !text_is_empty(challenge_types_offer(acme, rq->arena, name, policy->challenge_types)))
        return OK;
    return refuse(rq, ERR_BAD_NAME, "rejectedIdentifier", "%s: none of the challenges of the policy %s can prove such a name", name->value,
                  policy->name);
}

static enum error
take_names(struct acme *acme, struct request *rq, const struct policy *policy, const json_t *payload, struct identifier **ret_names,
           size_t *ret_count)
{
    const json_t *list = json_object_get(payload, "identifiers");
    size_t count = json_array_size(list);

    if (count == 0)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"identifiers\" must be an array with at least one identifier");
    if (count > policy->identifiers_max)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "an order has at most %zu identifiers under the policy %s, this one has %zu",
                      policy->identifiers_max, policy->name, count);
    struct identifier *names = arena_array(rq->arena, count, sizeof *names);
    for (size_t i = 0; i < count; i++) {
        enum error error = name_from_json(rq, json_array_get(list, i), &names[i]);
        if (!error)
            error = check_can_be_proven(acme, rq, policy, &names[i]);
        if (error)
            return error;
    }
    names_sort(names, &count);
    *ret_names = names;
    *ret_count = count;
    return OK;
}

static char *
new_token(struct arena *arena)
{
    uint8_t octets[TOKEN_OCTETS];

    random_bytes(octets, sizeof octets);
    return base64url_encode(arena, BYTES(octets, sizeof octets));
}

struct challenge
new_challenge(struct acme *acme, struct arena *arena, const struct policy *policy, const struct identifier *name, const char *authorization_id)
{
    return (struct challenge){.id = new_id(arena),
                              .authorization_id = authorization_id,
                              .type = challenge_types_offer(acme, arena, name, policy->challenge_types),
                              .token = new_token(arena)};
}

/* Each name with an authorisation and its challenges. What is approved beforehand may be beyond any challenge; clients want to see one, though. */
static struct challenge *
new_challenges(struct acme *acme, struct request *rq, const struct policy *policy, struct order *order)
{
    const char **ids = arena_array(rq->arena, order->name_count + 1, sizeof *ids);
    const char **preapproved = arena_array(rq->arena, order->name_count, sizeof *preapproved);
    struct challenge *challenges = arena_array(rq->arena, order->name_count, sizeof *challenges);

    for (size_t i = 0; i < order->name_count; i++) {
        const struct identifier *name = &order->names[i];
        ids[i] = new_id(rq->arena);
        if (policy_preapproves(policy, name))
            preapproved[order->preapproved_count++] = name_to_column(rq->arena, name);
        challenges[i] = new_challenge(acme, rq->arena, policy, name, ids[i]);
        if (text_is_empty(challenges[i].type))
            challenges[i].type = PREAPPROVED_TYPE;
    }
    order->authorization_ids = ids;
    order->authorization_count = order->name_count;
    order->preapproved = preapproved;
    if (order->preapproved_count > 0)
        request_note(rq, "preapproved", "%zu of %zu by policy %s", order->preapproved_count, order->name_count, policy->name);
    return challenges;
}

enum error
new_order(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    const struct policy *policy;
    struct identifier *names = NULL;
    size_t count = 0;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (!error)
        error = policy_of_account(acme, x, signed_.account, &policy);
    if (!error)
        error = take_names(acme, rq, policy, signed_.payload, &names, &count);
    if (error)
        return error;
    struct order order = {.id = new_id(rq->arena),
                          .account_id = signed_.account->id,
                          .names = names,
                          .name_count = count,
                          .policy = policy->name,
                          .expires_at_s = clock_now_s() + ORDER_LIFETIME_S,
                          .client_address = x->peer};
    const struct challenge *challenges = new_challenges(acme, rq, policy, &order);
    order.status = order.preapproved_count == count ? ORDER_READY : ORDER_PENDING;
    request_note(rq, "order", "%s", order.id);
    error = order_wishes_take(acme, rq, policy, signed_.payload, &order);
    if (!error)
        error = store_insert_order(acme, rq, challenges, count, &order);
    if (error)
        return error;
    return order_answer(acme, x, 201, &order);
}
