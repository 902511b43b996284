/*
 * A name is proven before anybody orders a certificate for it (RFC 8555 §7.4.1). What the account has proven lately is given back as it is. A
 * wildcard cannot be authorised so: the authorisation is for the identifier as it stands, and for all below it where policy and client say so
 * (RFC 9444 §4.2).
 */
#include "acme.h"

#include "base/clock.h"

static enum error
take_name(struct request *rq, const struct policy *policy, const json_t *payload, struct identifier *ret_name)
{
    enum error error = name_from_json(rq, json_object_get(payload, "identifier"), ret_name);
    if (!error)
        error = policy_has_type(rq, policy, ret_name->type);
    if (error)
        return error;
    /* Its proof is for the key of one certificate. */
    if (identifier_is_device(ret_name->type))
        return refuse(rq, ERR_BAD_NAME, "rejectedIdentifier", "%s: a device attests itself for an order, not before", ret_name->value);
    if (text_starts_with(ret_name->value, "*."))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "%s: a wildcard is authorised with its order only (RFC 8555 §7.4.1)", ret_name->value);
    return OK;
}

enum error
new_authz(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct identifier name = {0};
    struct authorization found;
    const struct policy *policy = NULL;
    const char *id = NULL;
    bool subdomains = false;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (!error)
        error = policy_of_account(acme, x, signed_.account, &policy);
    if (!error)
        error = take_name(rq, policy, signed_.payload, &name);
    if (!error)
        error = subdomain_take_wish(acme, rq, policy, json_object_get(signed_.payload, "identifier"), &name, &subdomains);
    if (!error)
        error = account_allows_name(rq, signed_.account, &name);
    if (!error)
        error = limit_new_authorization(acme, rq, policy, signed_.account->id, &name);
    if (error)
        return error;
    const char *wanted = new_id_by_time(rq->arena);
    struct challenge challenge = new_challenge(acme, rq->arena, policy, &name, subdomains, wanted);
    if (text_is_empty(challenge.type))
        return refuse(rq, ERR_BAD_NAME, "rejectedIdentifier", "%s: none of the challenges of the policy %s can prove such a name", name.value,
                      policy->name);
    struct authorization authorization = {
        .id = wanted, .name = name, .subdomains = subdomains, .expires_at_s = clock_now_s() + ORDER_LIFETIME_S, .challenges = &challenge};
    error = store_insert_authorization(acme, rq, signed_.account->id, &authorization, &id);
    if (!error)
        error = store_load_authorization(acme, rq, signed_.account->id, id, &found);
    if (error)
        return error;
    request_note(rq, "authorization", "%s", id);
    http_header_out(x, "Location", "%s", acme_url(acme, rq->arena, "authorization", id));
    return authorization_answer(acme, x, text_equal(id, wanted) ? 201 : 200, &found);
}
