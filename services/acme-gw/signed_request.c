/*
 * What every POST goes through before its handler looks at it (RFC 8555 §6): media type, JWS, url, key, signature, nonce, account, payload.
 * The nonce is used up only by a request whose signature verifies. On the loop, where nothing may wait, what would ask the database or another
 * replica is left to a worker, and so is the signature of a slow key; what could be checked there is not checked again.
 */
#include "acme.h"

#include <string.h>

static const char jose_media_type[] = "application/jose+json";

static enum error
check_headers(struct http_exchange *x)
{
    struct request *rq = &x->rq;
    const char *type = http_header_in(x, "Content-Type");

    /* RFC 8555 §6.2 */
    if (!text_equal(type, jose_media_type))
        return refuse(rq, ERR_BAD_REQUEST, "wrongMediaType", "the Content-Type must be %s", jose_media_type);
    /* RFC 8555 §6.5.1: clients must not send it. */
    if (http_header_in(x, "Replay-Nonce") != NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "Replay-Nonce is no header of requests: the nonce belongs into the protected header");
    return OK;
}

/* RFC 8555 §6.4.1 */
static enum error
check_url(struct acme *acme, struct http_exchange *x, const struct jws *jws)
{
    bool has_query = !text_is_empty(x->query);
    const char *asked = arena_format(x->rq.arena, "%s%s%s%s", acme->base_url, x->path, has_query ? "?" : "", has_query ? x->query : "");

    if (text_equal(jws->url, asked))
        return OK;
    return refuse(&x->rq, ERR_UNAUTHENTICATED, "unauthorized", "the protected header is for %.300s, the request went to %.300s", jws->url, asked);
}

static enum error
load_account(struct acme *acme, struct http_exchange *x, const char *kid, const struct account **ret_account)
{
    struct request *rq = &x->rq;
    const char *prefix = acme_url(acme, rq->arena, "account", "");

    if (!text_starts_with(kid, prefix) || strlen(kid + strlen(prefix)) != ACME_ID_LEN)
        return refuse(rq, ERR_BAD_REQUEST, "accountDoesNotExist", "the kid %.200s is no account URL of this server", kid);
    if (x->on_loop)
        return account_cache_find(acme->accounts, rq, kid + strlen(prefix), ret_account) ? OK : http_defer(x);
    enum error error = account_cache_load(acme, rq, kid + strlen(prefix), ret_account);
    if (error != ERR_NOT_FOUND)
        return error;
    failure_clear(rq);
    return refuse(rq, ERR_BAD_REQUEST, "accountDoesNotExist", "there is no account %.200s", kid);
}

static enum error
find_key(struct acme *acme, struct http_exchange *x, const struct jws *jws, enum signed_by by, struct signed_request *signed_)
{
    struct request *rq = &x->rq;

    if (jws->kid != NULL) {
        if (by == BY_NEW_KEY)
            return refuse(rq, ERR_BAD_REQUEST, "malformed", "this request must carry its key as \"jwk\", not name an account as \"kid\"");
        enum error error = load_account(acme, x, jws->kid, &signed_->account);
        if (error)
            return error;
        signed_->jwk = &signed_->account->jwk;
        return OK;
    }
    if (by == BY_ACCOUNT)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "this request must name its account as \"kid\", not carry a key as \"jwk\"");
    struct jwk *jwk = arena_alloc(rq->arena, sizeof *jwk);
    signed_->jwk = jwk;
    return jwk_parse(rq, jws->jwk, jwk);
}

/* The key that we remember may be the one before the last: another replica has changed it a moment ago. */
static enum error
verify(struct acme *acme, struct http_exchange *x, const struct jws *jws, struct signed_request *signed_)
{
    struct request *rq = &x->rq;

    enum error error = jws_verify(rq, jws, signed_->jwk);
    if (error == OK || signed_->account == NULL)
        return error;
    if (x->on_loop)
        return http_defer(x);
    struct failure failure = rq->failure;
    failure_clear(rq);
    const char *canonical = signed_->jwk->canonical;
    account_cache_forget(acme->accounts, signed_->account->id);
    if (load_account(acme, x, jws->kid, &signed_->account) != OK)
        return rq->failure.kind;
    signed_->jwk = &signed_->account->jwk;
    if (!text_equal(signed_->jwk->canonical, canonical))
        return jws_verify(rq, jws, signed_->jwk);
    rq->failure = failure;
    return failure.kind;
}

static enum error
check_account(struct request *rq, const struct account *account)
{
    if (account == NULL)
        return OK;
    request_note(rq, "account", "%s", account->id);
    switch (account->status) {
    case ACCOUNT_VALID:
        return OK;
    case ACCOUNT_DEACTIVATED:
        return refuse(rq, ERR_DENIED, "accountDeactivated", "the account is deactivated");
    case ACCOUNT_REVOKED:
        return refuse(rq, ERR_DENIED, "accountDeactivated", "the account was revoked by the operator of this server");
    }
    return refuse(rq, ERR_DENIED, "unauthorized", "the account cannot be used");
}

static enum error
take_payload(struct request *rq, struct bytes payload, const json_t **ret_payload)
{
    if (payload.len == 0) {
        *ret_payload = NULL;
        return OK;
    }
    const json_t *object = json_parse_object(rq->arena, payload);
    if (object == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the payload is not a JSON object, or has a member twice");
    *ret_payload = object;
    return OK;
}

static bool
is_of_another_replica(const struct acme *acme, const char *nonce)
{
    return nonce != NULL && !text_starts_with(nonce, nonces_prefix(acme->nonces));
}

static enum error
check(struct acme *acme, struct http_exchange *x, enum signed_by by, struct signed_request *ret_signed)
{
    struct request *rq = &x->rq;
    struct signed_request signed_ = {0};
    struct jws jws = {0};

    enum error error = check_headers(x);
    if (!error)
        error = jws_parse(rq, x->body, &jws);
    if (!error)
        error = check_url(acme, x, &jws);
    if (!error && x->on_loop && is_of_another_replica(acme, jws.nonce))
        error = http_defer(x);
    if (!error)
        error = find_key(acme, x, &jws, by, &signed_);
    if (!error && x->on_loop && jwk_is_slow(signed_.jwk))
        error = http_defer(x);
    if (!error)
        error = verify(acme, x, &jws, &signed_);
    if (!error)
        error = nonce_redeem(acme, rq, jws.nonce);
    if (!error)
        error = check_account(rq, signed_.account);
    if (!error)
        error = take_payload(rq, jws.payload, &signed_.payload);
    signed_.url = jws.url;
    if (!error)
        *ret_signed = signed_;
    return error;
}

/* Once: a handler that began on the loop and goes on in a worker has used up the nonce. */
enum error
signed_request_check(struct acme *acme, struct http_exchange *x, enum signed_by by, struct signed_request *ret_signed)
{
    if (x->kept == NULL) {
        struct signed_request *checked = arena_alloc(x->rq.arena, sizeof *checked);
        enum error error = check(acme, x, by, checked);
        if (error)
            return error;
        x->kept = checked;
    }
    *ret_signed = *(const struct signed_request *)x->kept;
    return OK;
}

enum error
post_as_get_check(struct acme *acme, struct http_exchange *x, struct signed_request *ret_signed)
{
    struct signed_request signed_;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (error)
        return error;
    if (signed_.payload != NULL)
        return refuse(&x->rq, ERR_BAD_REQUEST, "malformed", "this resource is only read: the payload must be empty (POST-as-GET)");
    *ret_signed = signed_;
    return OK;
}
