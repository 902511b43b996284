/*
 * An account gets another key (RFC 8555 §7.3.5). The request is signed twice: outside by the key that the account has, inside by the key that it
 * shall have, so that nobody takes a key that he does not hold, and nobody gives his account away unawares.
 */
#include "acme.h"

static enum error
malformed(struct request *rq, const char *why)
{
    return refuse(rq, ERR_BAD_REQUEST, "malformed", "the key change is not proper: %s", why);
}

/* The inner JWS, verified with the key that it carries. */
static enum error
take_inner(struct request *rq, const char *url, const json_t *payload, struct jwk *ret_key, const json_t **ret_change)
{
    struct jws inner = {0};

    if (payload == NULL)
        return malformed(rq, "the payload must be a JWS that the new key has signed");
    enum error error = jws_parse(rq, bytes_of_text(json_format(rq->arena, payload)), &inner);
    if (error)
        return error;
    if (inner.jwk == NULL)
        return malformed(rq, "the inner JWS must carry the new key as \"jwk\"");
    if (!text_equal(inner.url, url))
        return malformed(rq, "the inner JWS is for another \"url\" than the outer one");
    error = jwk_parse(rq, inner.jwk, ret_key);
    if (!error)
        error = jws_verify(rq, &inner, ret_key);
    if (!error)
        error = jwk_check(rq, ret_key);
    if (error)
        return error;
    *ret_change = json_parse_object(rq->arena, inner.payload);
    return *ret_change != NULL ? OK : malformed(rq, "the payload of the inner JWS is not a JSON object, or has a member twice");
}

static enum error
check_change(struct acme *acme, struct request *rq, const struct account *account, const json_t *change)
{
    struct jwk old_key;

    if (!text_equal(json_text(change, "account"), acme_url(acme, rq->arena, "account", account->id)))
        return malformed(rq, "\"account\" is not the account that has signed the request");
    enum error error = jwk_parse(rq, json_object_get(change, "oldKey"), &old_key);
    if (error)
        return error;
    return text_equal(old_key.canonical, account->jwk.canonical) ? OK : malformed(rq, "\"oldKey\" is not the key of the account");
}

/* RFC 8555 §7.3.5: 409, with the account that has this key. */
static enum error
refuse_key_in_use(struct acme *acme, struct request *rq, const struct jwk *key)
{
    struct account holder;

    enum error error = store_find_account_by_key(acme, rq, key, &holder);
    if (error)
        return error;
    request_note(rq, problem_location, "%s", acme_url(acme, rq->arena, "account", holder.id));
    return refuse(rq, ERR_CONFLICT, "keyInUse", "the new key is the key of an account already");
}

enum error
key_change(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    const json_t *change = NULL;
    struct jwk key = {0};
    bool in_use = false;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (!error)
        error = take_inner(rq, signed_.url, signed_.payload, &key, &change);
    if (!error)
        error = check_change(acme, rq, signed_.account, change);
    /* RFC 8555 §7.3.5: by whichever account, this one too. */
    in_use = !error && text_equal(key.canonical, signed_.account->jwk.canonical);
    if (!error && !in_use)
        error = store_change_key(acme, rq, signed_.account, &key, x->peer, &in_use);
    if (error)
        return error;
    if (in_use)
        return refuse_key_in_use(acme, rq, &key);
    outbox_wake_soon(acme->outbox);
    account_cache_forget(acme->accounts, signed_.account->id);
    return account_answer(acme, x, 200, signed_.account);
}
