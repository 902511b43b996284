/*
 * One attempt at one challenge. Called by acme-gw's lease loop; the answer is a fact (valid, or which problem was found where), and an error is
 * returned only when no fact could be found, so that the caller asks again later.
 */
#include "validator.h"

#include <stdarg.h>
#include <string.h>

#include "base/clock.h"

/* Less than validator.proto gives, so that the answer still arrives. */
#define TOTAL_MS 18000
#define TOKEN_MIN 22
#define TOKEN_MAX 128
#define KEY_AUTHORIZATION_MAX BODY_MAX

static const char token_alphabet[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

enum error
found(struct request *rq, const char *problem, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    const char *message = arena_vformat(rq->arena, format, values);
    va_end(values);
    (void)fail(rq, ERR_CONFLICT, "%s", message);
    return fail_reason(rq, problem);
}

static enum error
check_token(struct request *rq, const char *token)
{
    size_t len = strlen(token);

    if (len < TOKEN_MIN || len > TOKEN_MAX || strspn(token, token_alphabet) != len)
        return fail(rq, ERR_BAD_REQUEST, "the token is not %d to %d characters of base64url", TOKEN_MIN, TOKEN_MAX);
    return OK;
}

static enum error
check_key_authorization(struct request *rq, const char *token, const char *text)
{
    size_t len = strlen(token);

    if (strlen(text) > KEY_AUTHORIZATION_MAX || !text_starts_with(text, token) || text[len] != '.' ||
        strspn(text + len + 1, token_alphabet) != strlen(text + len + 1))
        return fail(rq, ERR_BAD_REQUEST, "the key authorization is not the token, a dot and a thumbprint");
    return OK;
}

static enum error
take_name(struct request *rq, const Pb__Name *name, struct identifier *ret_name)
{
    if (name == NULL || (name->type != PB__NAME_TYPE__NAME_TYPE_DNS && name->type != PB__NAME_TYPE__NAME_TYPE_IP))
        return fail(rq, ERR_BAD_REQUEST, "the identifier is neither a DNS name nor an IP address");
    if (text_starts_with(name->value, "*."))
        return fail(rq, ERR_BAD_REQUEST, "a wildcard cannot be proven by http-01");
    return identifier_parse(rq, (enum identifier_type)name->type, name->value, ret_name);
}

static enum error
take_networks(struct request *rq, size_t count, const char *const *texts, struct networks *ret_networks)
{
    if (count > NETWORKS_MAX)
        return fail(rq, ERR_TOO_LARGE, "there are %zu networks; at most %d can be given", count, NETWORKS_MAX);
    struct network *networks = arena_array(rq->arena, count, sizeof *networks);
    for (size_t i = 0; i < count; i++)
        if (!network_parse(texts[i], &networks[i]))
            return fail(rq, ERR_BAD_REQUEST, "\"%.60s\" is not a network", texts[i]);
    *ret_networks = (struct networks){networks, count};
    return OK;
}

static enum error
check_request(struct request *rq, const Pb__ValidateChallengeRequest *input, struct proof *proof)
{
    if (!text_equal(input->type, "http-01"))
        return fail(rq, ERR_BAD_REQUEST, "challenges of type \"%.30s\" are not known here", input->type);
    enum error error = take_name(rq, input->identifier, &proof->name);
    if (!error)
        error = check_token(rq, input->token);
    if (!error)
        error = check_key_authorization(rq, input->token, input->key_authorization);
    if (!error)
        error = take_networks(rq, input->n_allowed_networks, (const char *const *)input->allowed_networks, &proof->rules.only);
    if (!error)
        error = take_networks(rq, input->n_denied_networks, (const char *const *)input->denied_networks, &proof->rules.not_to);
    proof->token = input->token;
    proof->key_authorization = input->key_authorization;
    return error;
}

enum error
validate_challenge(struct validator *validator, struct request *rq, const Pb__ValidateChallengeRequest *input, Pb__ValidateChallengeReply *ret_reply)
{
    struct proof proof = {.rules = validator->rules, .tried = arena_array(rq->arena, TRIED_MAX, sizeof *proof.tried)};

    enum error error = check_request(rq, input, &proof);
    if (error)
        return error;
    request_note(rq, "name", "%s", proof.name.value);
    rq->deadline_ms = clock_monotonic_ms() + request_time_left_ms(rq, TOTAL_MS);
    error = http_01(validator->resolver, rq, &proof);
    bool is_fact = error == OK || rq->failure.reason[0] != '\0';
    if (!is_fact)
        return error;
    ret_reply->valid = error == OK;
    ret_reply->problem = error == OK ? "" : arena_text(rq->arena, rq->failure.reason);
    ret_reply->detail = error == OK ? "" : arena_text(rq->arena, rq->failure.message);
    ret_reply->perspective = validator->config.perspective;
    ret_reply->addresses = (void *)proof.tried;
    ret_reply->n_addresses = proof.tried_count;
    request_note(rq, "found", "%s", error == OK ? "valid" : ret_reply->detail);
    failure_clear(rq);
    return OK;
}
