/* What has to be proven for one name of an order, and how (RFC 8555 §7.1.4, §7.5). Read only: work begins at the challenge, never here. */
#include "acme.h"

#include <string.h>

#include "base/clock.h"

static const char *
status_name(const struct authorization *authorization)
{
    bool over = authorization->expires_at_s <= clock_now_s();

    /* RFC 8555 §7.1.6: a pending one that runs out of time is invalid, a valid one is expired. */
    switch (authorization->status) {
    case AUTHORIZATION_PENDING:
        return over ? "invalid" : "pending";
    case AUTHORIZATION_VALID:
        return over ? "expired" : "valid";
    case AUTHORIZATION_INVALID:
        return "invalid";
    case AUTHORIZATION_DEACTIVATED:
        return "deactivated";
    case AUTHORIZATION_REVOKED:
        return "revoked";
    }
    return "";
}

/* RFC 8555 §7.1.3 and §7.1.4: of a wildcard the domain is named, and `wildcard` says so; of others it says nothing. */
static json_t *
authorization_json(struct acme *acme, struct arena *arena, const struct authorization *authorization)
{
    json_t *challenges = json_array();
    struct identifier named = authorization->name;
    bool is_wildcard = text_starts_with(named.value, "*.");

    for (size_t i = 0; i < authorization->challenge_count; i++)
        (void)json_array_append_new(challenges, challenge_json(acme, arena, &authorization->challenges[i]));
    if (is_wildcard)
        named.value += strlen("*.");
    json_t *json = json_pack("{s:s, s:s, s:o, s:o}", "status", status_name(authorization), "expires",
                             clock_format_rfc3339(arena, authorization->expires_at_s), "identifier", name_to_json(&named), "challenges", challenges);
    if (is_wildcard)
        (void)json_object_set_new(json, "wildcard", json_true());
    if (authorization->subdomains) /* RFC 9444 §4.1 */
        (void)json_object_set_new(json, "subdomainAuthAllowed", json_true());
    return json;
}

static bool
is_being_validated(const struct authorization *authorization)
{
    for (size_t i = 0; i < authorization->challenge_count; i++)
        if (authorization->challenges[i].status == CHALLENGE_PROCESSING)
            return true;
    return false;
}

enum error
authorization_answer(struct acme *acme, struct http_exchange *x, int status, const struct authorization *authorization)
{
    if (is_being_validated(authorization))
        http_header_out(x, "Retry-After", "%d", VALIDATION_RETRY_AFTER_S);
    AUTO(json_t, json) = authorization_json(acme, x->rq.arena, authorization);
    return acme_answer_json(x, status, json);
}

enum error
authorization(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct signed_request signed_;
    struct authorization found;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (error)
        return error;
    bool is_read = signed_.payload == NULL;
    if (is_read && authorization_cache_tell(acme->authorizations, x->rq.arena, signed_.account->id, x->params[0], &found))
        return authorization_answer(acme, x, 200, &found);
    if (x->on_loop)
        return http_defer(x);
    if (!is_read)
        return deactivate_authorization(acme, x, &signed_);
    error = store_load_authorization(acme, &x->rq, signed_.account->id, x->params[0], &found);
    return error ? error : authorization_answer(acme, x, 200, &found);
}
