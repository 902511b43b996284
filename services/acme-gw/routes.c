/*
 * The outside of acme-gw: one table of what is served, and what every answer carries.
 */
#include "acme.h"

const struct http_route acme_routes[] = {
    {"GET", "/", directory, ON_LOOP_OR_WORKER},
    {"GET", "/acme/directory", directory, ON_LOOP_OR_WORKER},
    {"POST", "/acme/directory", directory_by_post, ON_WORKER},
    {"GET", "/acme/terms", terms, ON_LOOP},
    {"GET", "/acme/new-nonce", new_nonce, ON_LOOP},
    {"POST", "/acme/new-nonce", new_nonce_by_post, ON_WORKER},
    {"POST", "/acme/new-account", new_account, ON_WORKER},
    {"POST", "/acme/account/{id}", account, ON_WORKER},
    {"POST", "/acme/account/{id}/orders", account_orders, ON_WORKER},
    {"POST", "/acme/key-change", key_change, ON_WORKER},
    {"POST", "/acme/new-authz", new_authz, ON_WORKER},
    {"GET", "/acme/renewal-info/{id}", renewal_info, ON_WORKER},
    {"POST", "/acme/new-order", new_order, ON_LOOP_OR_WORKER},
    {"POST", "/acme/order/{id}", order, ON_WORKER},
    {"POST", "/acme/order/{id}/finalize", finalize, ON_LOOP_OR_WORKER},
    {"POST", "/acme/authorization/{id}", authorization, ON_LOOP_OR_WORKER},
    {"POST", "/acme/challenge/{id}/{type}", challenge, ON_WORKER},
    {"POST", "/acme/certificate/{id}", certificate, ON_LOOP_OR_WORKER},
    {"POST", "/acme/certificate/{id}/{alternate}", certificate, ON_WORKER},
    {"GET", "/acme/star-certificate/{id}", star_certificate_by_get, ON_WORKER},
    {"POST", "/acme/star-certificate/{id}", star_certificate, ON_WORKER},
    {"POST", "/acme/revoke-cert", revoke_cert, ON_WORKER},
    {"GET", "/acme/limits", limits_page, ON_LOOP_OR_WORKER},
    {"GET", "/acme/{policy}/limits", limits_page, ON_LOOP_OR_WORKER},
    {"GET", "/acme/{policy}/directory", directory, ON_LOOP_OR_WORKER},
    {"POST", "/acme/{policy}/directory", directory_by_post, ON_WORKER},
    {"POST", "/acme/{policy}/new-account", new_account, ON_WORKER},
    {"POST", "/acme/{policy}/new-order", new_order, ON_LOOP_OR_WORKER},
    {"POST", "/acme/{policy}/new-authz", new_authz, ON_WORKER},
};
const size_t acme_route_count = sizeof acme_routes / sizeof acme_routes[0];

char *
acme_url(struct acme *acme, struct arena *arena, const char *kind, const char *id)
{
    return arena_format(arena, "%s/acme/%s/%s", acme->base_url, kind, id);
}

/* RFC 8555 §7.1: the client's own directory. A stranger's word for a policy is none. */
static void
link_index(struct acme *acme, struct http_exchange *x)
{
    const struct signed_request *checked = x->kept;
    bool is_of_policy = x->answer.status < 400 && x->route != NULL && text_starts_with(x->route->path, "/acme/{policy}/");
    const char *policy = checked != NULL && checked->account != NULL ? checked->account->policy : is_of_policy ? x->params[0] : DEFAULT_POLICY;

    http_header_out(x, "Link", "<%s>;rel=\"index\"", policy_url(acme, x->rq.arena, policy, "directory"));
}

void
acme_decorate(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    bool may_be_kept = x->route != NULL && x->route->handle == star_certificate_by_get && x->answer.status == 200;

    /* What caches may keep has no nonce: it would be everybody's. */
    if (may_be_kept) {
        link_index(acme, x);
        return;
    }
    /* RFC 8555 §6.5 asks for it in answers to POST; clients have been seen to need it in every answer. */
    http_header_out(x, "Replay-Nonce", "%s", nonce_mint(acme->nonces, x->rq.arena));
    http_header_out(x, "Cache-Control", "no-store");
    /* RFC 8555 §7.1: on all resources but the directory. */
    if (x->route == NULL || (x->route->handle != directory && x->route->handle != directory_by_post))
        link_index(acme, x);
}

enum error
acme_answer_json(struct http_exchange *x, int status, const json_t *json)
{
    return http_answer_text(x, status, "application/json", json_format(x->rq.arena, json));
}
