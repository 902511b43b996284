/*
 * The client says that it is ready to be looked at (RFC 8555 §7.5.1). Most proofs take milliseconds: when the authorisation was made here a moment
 * ago, one short look comes before anything is written down, and that it holds is the answer, once it is committed; who is killed before that has
 * accepted nothing. Else the challenge becomes a leased row and the answer goes out at once; validation.c does the looking, here, or in whichever
 * replica takes the row when the lease has run out.
 */
#include "acme.h"

#include "base/clock.h"

static const char *
status_name(enum challenge_status status)
{
    switch (status) {
    case CHALLENGE_PENDING:
        return "pending";
    case CHALLENGE_PROCESSING:
        return "processing";
    case CHALLENGE_VALID:
        return "valid";
    case CHALLENGE_INVALID:
        return "invalid";
    }
    return "";
}

/* Clients have been broken by challenges without a token, so that every challenge has all of them. */
json_t *
challenge_json(struct acme *acme, struct arena *arena, const struct challenge *challenge)
{
    const char *place = arena_format(arena, "%s/%s", challenge->id, challenge->type);
    json_t *json = json_pack("{s:s, s:s, s:s, s:s}", "type", challenge->type, "url", acme_url(acme, arena, "challenge", place), "status",
                             status_name(challenge->status), "token", challenge->token);

    challenge_types_show(acme, arena, challenge, json);
    if (challenge->validated_at_s != 0)
        (void)json_object_set_new(json, "validated", json_string(clock_format_rfc3339(arena, challenge->validated_at_s)));
    if (challenge->problem != NULL)
        (void)json_object_set_new(json, "error", json_loads(challenge->problem, 0, NULL));
    return json;
}

/* RFC 8555 §8.2: the client asks for another look before we would have taken it. */
static enum error
hasten(struct acme *acme, struct request *rq, const struct challenge *challenge)
{
    enum error error = store_hasten_validation(acme, rq, challenge->id);
    if (error == OK)
        lease_wake(acme->validations);
    return error;
}

/* The shorter it is, the sooner a slow proof is begun in earnest. */
#define LOOK_MS 300

static bool
look(struct acme *acme, struct request *rq, const struct account *account, const struct challenge *challenge, struct finding *ret_finding)
{
    const struct validation validation = {.challenge_id = challenge->id,
                                          .account_id = account->id,
                                          .type = challenge->type,
                                          .token = challenge->token,
                                          .name = challenge->name,
                                          .subdomains = challenge->subdomains,
                                          .thumbprint = BYTES(account->jwk.thumbprint, THUMBPRINT_LEN),
                                          .attempts = 1,
                                          .policy = account->policy};

    /* Strangers make it slow: a quarter of the threads stay for others. */
    bool may = atomic_fetch_add(&acme->looks, 1) < acme->config.workers * 3 / 4;
    bool holds = may && validation_look(acme, rq, &validation, LOOK_MS, ret_finding);
    atomic_fetch_sub(&acme->looks, 1);
    return holds;
}

static const struct challenge *
find_type(const struct authorization *authorization, const char *type)
{
    for (size_t i = 0; i < authorization->challenge_count; i++)
        if (text_equal(authorization->challenges[i].type, type))
            return &authorization->challenges[i];
    return NULL;
}

/* Whoever reads it next is told without the database. */
static void
remember_proven(struct acme *acme, const char *account_id, const struct challenge *challenge, const struct finding *finding,
                struct authorization *authorization)
{
    authorization->status = AUTHORIZATION_VALID;
    authorization->challenges = challenge;
    authorization->challenge_count = 1;
    if (finding->valid_until_s != 0 && finding->valid_until_s < authorization->expires_at_s)
        authorization->expires_at_s = finding->valid_until_s;
    authorization_cache_put(acme->authorizations, account_id, authorization);
}

static enum error
prove_at_once(struct acme *acme, struct request *rq, const struct account *account, const char *id, const char *type, struct challenge *ret_challenge,
              bool *ret_proven)
{
    int64_t validated_at_s = 0;
    struct authorization authorization;
    struct finding finding;

    if (text_equal(type, DEVICE_ATTEST_01) || !authorization_cache_take(acme->authorizations, rq->arena, account->id, id, &authorization))
        return OK;
    const struct challenge *found = find_type(&authorization, type);
    if (authorization.status != AUTHORIZATION_PENDING || found == NULL || !look(acme, rq, account, found, &finding))
        return OK;
    enum error error = store_prove_challenge(acme, rq, id, type, &finding, &validated_at_s);
    if (error || validated_at_s == 0)
        return error;
    *ret_proven = true;
    request_note(rq, "found", "valid");
    *ret_challenge = *found;
    ret_challenge->status = CHALLENGE_VALID;
    ret_challenge->validated_at_s = validated_at_s;
    remember_proven(acme, account->id, ret_challenge, &finding, &authorization);
    return OK;
}

static enum error
begin(struct acme *acme, struct request *rq, const struct signed_request *signed_, const char *id, const char *type, struct challenge *ret_challenge)
{
    const struct account *account = signed_->account;
    struct bytes response = BYTES_NONE;
    bool begun = false, proven = false;

    enum error error = prove_at_once(acme, rq, account, id, type, ret_challenge, &proven);
    if (error || proven)
        return error;
    error = text_equal(type, DEVICE_ATTEST_01) ? attestation_take(rq, signed_->payload, &response) : OK;
    if (error)
        return error;
    error = store_begin_challenge(acme, rq, account->id, id, type, response, ret_challenge, &begun);
    if (error_is_retriable(error))
        lease_leave(acme->validations, id); /* it may have been begun all the same */
    if (error)
        return error;
    if (!begun && ret_challenge->status == CHALLENGE_PENDING)
        return refuse(rq, ERR_CONFLICT, "malformed", "the authorization of this challenge has expired or is decided already");
    if (!begun && ret_challenge->status == CHALLENGE_PROCESSING)
        return hasten(acme, rq, ret_challenge);
    if (begun)
        validation_begin(acme, rq,
                         &(struct validation){.challenge_id = ret_challenge->id,
                                              .account_id = account->id,
                                              .type = ret_challenge->type,
                                              .token = ret_challenge->token,
                                              .name = ret_challenge->name,
                                              .subdomains = ret_challenge->subdomains,
                                              .thumbprint = BYTES(account->jwk.thumbprint, THUMBPRINT_LEN),
                                              .attempts = 1,
                                              .policy = account->policy,
                                              .response = response});
    return OK;
}

enum error
challenge(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    struct challenge found;

    request_note(rq, "challenge", "%s", x->params[0]);
    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (error)
        return error;
    if (signed_.payload == NULL)
        error = store_load_challenge(acme, rq, signed_.account->id, x->params[0], x->params[1], &found);
    else
        error = begin(acme, rq, &signed_, x->params[0], x->params[1], &found);
    if (error)
        return error;
    if (found.status == CHALLENGE_PROCESSING)
        http_header_out(x, "Retry-After", "%d", VALIDATION_RETRY_AFTER_S);
    /* RFC 8555 §7.5.1 */
    http_header_out(x, "Link", "<%s>;rel=\"up\"", acme_url(acme, rq->arena, "authorization", found.authorization_id));
    AUTO(json_t, json) = challenge_json(acme, rq->arena, &found);
    return acme_answer_json(x, 200, json);
}
