/* An account as its client sees it, and the changes that the client may make (RFC 8555 §7.3.2, §7.3.6). */
#include "acme.h"

#include "base/clock.h"

static const char *
status_name(enum account_status status)
{
    switch (status) {
    case ACCOUNT_VALID:
        return "valid";
    case ACCOUNT_DEACTIVATED:
        return "deactivated";
    case ACCOUNT_REVOKED:
        return "revoked";
    }
    return "";
}

static json_t *
contacts_json(const struct account *account)
{
    json_t *list = json_array();

    for (size_t i = 0; i < account->contact_count; i++)
        (void)json_array_append_new(list, json_string(account->contacts[i]));
    return list;
}

enum error
account_answer(struct acme *acme, struct http_exchange *x, int status, const struct account *account)
{
    struct arena *arena = x->rq.arena;

    const char *url = acme_url(acme, arena, "account", account->id);

    http_header_out(x, "Location", "%s", url);
    AUTO(json_t, json) = json_pack("{s:s, s:o, s:b, s:s, s:s}", "status", status_name(account->status), "contact", contacts_json(account),
                                   "termsOfServiceAgreed", account->terms_agreed, "createdAt", clock_format_rfc3339(arena, account->created_at_s),
                                   "orders", arena_format(arena, "%s/orders", url));
    if (!text_is_empty(account->binding)) /* RFC 8555 §7.3.4: with the same value as in the request */
        (void)json_object_set_new(json, "externalAccountBinding", json_loads(account->binding, 0, NULL));
    return acme_answer_json(x, status, json);
}

static enum error
deactivate(struct acme *acme, struct http_exchange *x, struct account *account)
{
    enum error error = store_deactivate_account(acme, &x->rq, account, x->peer);
    if (error)
        return error;
    outbox_wake_soon(acme->outbox);
    account_cache_forget(acme->accounts, account->id);
    account->status = ACCOUNT_DEACTIVATED;
    return account_answer(acme, x, 200, account);
}

static enum error
update_contacts(struct acme *acme, struct http_exchange *x, const json_t *payload, struct account *account)
{
    const char *const *contacts;
    size_t count;

    enum error error = contacts_check(&x->rq, payload, &contacts, &count);
    if (!error)
        error = store_update_contacts(acme, &x->rq, account->id, contacts, count, x->peer, account);
    if (error)
        return error;
    outbox_wake_soon(acme->outbox);
    account_cache_forget(acme->accounts, account->id);
    return account_answer(acme, x, 200, account);
}

enum error
account(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct signed_request signed_;
    struct account account_now;

    enum error error = signed_request_check(acme, x, BY_ACCOUNT, &signed_);
    if (error)
        return error;
    if (!text_equal(x->params[0], signed_.account->id))
        return refuse(&x->rq, ERR_DENIED, "unauthorized", "an account is shown only to requests that its own key has signed");
    /* As it is now: another replica may have changed what is remembered here. */
    error = store_load_account(acme, &x->rq, signed_.account->id, &account_now);
    if (error)
        return error;
    /* RFC 8555 §7.3.2: whatever else stands there, another status too, is ignored. */
    if (text_equal(json_text(signed_.payload, "status"), "deactivated"))
        return deactivate(acme, x, &account_now);
    const json_t *contact = json_object_get(signed_.payload, "contact");
    if (contact != NULL && !json_is_null(contact))
        return update_contacts(acme, x, signed_.payload, &account_now);
    return account_answer(acme, x, 200, &account_now);
}
