/* A key becomes an account (RFC 8555 §7.3), or finds the account that it has already. */
#include "acme.h"

#include <string.h>

/* RFC 8555 §7.3: mailto with one address, no header fields; nothing that could break out of where contacts are shown or mailed. */
static enum error
check_contact(struct request *rq, const char *contact)
{
    if (strlen(contact) > CONTACT_MAX || !text_is_printable_ascii(bytes_of_text(contact)))
        return refuse(rq, ERR_BAD_REQUEST, "invalidContact", "a contact is printable ASCII of at most %d characters", CONTACT_MAX);
    if (!text_starts_with(contact, "mailto:"))
        return refuse(rq, ERR_BAD_REQUEST, "unsupportedContact", "the contact \"%.60s\" is not a mailto: URL", contact);
    const char *address = contact + strlen("mailto:");
    const char *at = strchr(address, '@');
    bool proper = at != NULL && at != address && at[1] != '\0' && strchr(at + 1, '@') == NULL && strpbrk(address, " ,?#<>\"\\%") == NULL;
    if (!proper)
        return refuse(rq, ERR_BAD_REQUEST, "invalidContact", "the contact \"%.60s\" is not exactly one plain mail address", contact);
    return OK;
}

enum error
contacts_check(struct request *rq, const json_t *payload, const char *const **ret_contacts, size_t *ret_count)
{
    const json_t *list = json_object_get(payload, "contact");
    size_t count = json_array_size(list);

    if (list != NULL && !json_is_null(list) && !json_is_array(list))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"contact\" must be an array of strings");
    if (count > CONTACTS_MAX)
        return refuse(rq, ERR_BAD_REQUEST, "invalidContact", "an account has at most %d contacts", CONTACTS_MAX);
    const char **contacts = arena_array(rq->arena, count + 1, sizeof *contacts);
    for (size_t i = 0; i < count; i++) {
        contacts[i] = json_string_value(json_array_get(list, i));
        if (contacts[i] == NULL)
            return refuse(rq, ERR_BAD_REQUEST, "malformed", "\"contact\" must be an array of strings");
        enum error error = check_contact(rq, contacts[i]);
        if (error)
            return error;
    }
    *ret_contacts = contacts;
    *ret_count = count;
    return OK;
}

static enum error
answer_found(struct acme *acme, struct http_exchange *x, const struct policy *policy, int status, const struct account *account)
{
    request_note(&x->rq, "account", "%s", account->id);
    /* The key has one account, and that has one policy. */
    if (!text_equal(account->policy, policy->name))
        return refuse(&x->rq, ERR_DENIED, "unauthorized",
                      "the account of this key was made under the policy %s and stays with it: its directory is %s", account->policy,
                      policy_url(acme, x->rq.arena, account->policy, "directory"));
    /* RFC 8555 §7.3.6: a deactivated account's key opens nothing, not even a new account. */
    if (account->status != ACCOUNT_VALID)
        return refuse(&x->rq, ERR_DENIED, "accountDeactivated", "the account of this key is %s",
                      account->status == ACCOUNT_DEACTIVATED ? "deactivated" : "revoked by the operator of this server");
    return account_answer(acme, x, status, account);
}

/* RFC 8555 §7.3.1. Who has an account needs no second agreement to the terms and no second binding to find it. */
static enum error
check_may_be_made(struct acme *acme, struct request *rq, const json_t *payload)
{
    if (json_is_true(json_object_get(payload, "onlyReturnExisting")))
        return refuse(rq, ERR_BAD_REQUEST, "accountDoesNotExist", "there is no account with this key");
    if (json_is_true(json_object_get(payload, "termsOfServiceAgreed")))
        return OK;
    return refuse(rq, ERR_DENIED, "userActionRequired", "a new account must agree to the terms of service at %s: \"termsOfServiceAgreed\": true",
                  acme->terms_url);
}

/* What makes it a JWS, which the account shows; whatever else the client put into it is not kept. */
static const char *
binding_text(struct arena *arena, const json_t *payload)
{
    const json_t *sent = json_object_get(payload, "externalAccountBinding");
    AUTO(json_t, jws) = json_pack("{s:s, s:s, s:s}", "protected", json_text(sent, "protected"), "payload", json_text(sent, "payload"), "signature",
                                  json_text(sent, "signature"));

    return json_format(arena, jws);
}

/* With the external account that it is bound to, if any, in one transaction; then as everybody finds it. */
static enum error
make(struct acme *acme, struct http_exchange *x, const struct policy *policy, const struct signed_request *signed_, struct account *ret_account,
     bool *ret_made)
{
    struct request *rq = &x->rq;
    struct account wanted = {.id = new_id(rq->arena),
                             .status = ACCOUNT_VALID,
                             .terms_agreed = true,
                             .client_address = x->peer,
                             .policy = policy->name,
                             .jwk = *signed_->jwk};
    const char *key_id = NULL;
    bool created;

    enum error error = jwk_check(rq, signed_->jwk);
    if (!error)
        error = contacts_check(rq, signed_->payload, &wanted.contacts, &wanted.contact_count);
    if (!error)
        error = eab_check(acme, x, policy, signed_->payload, signed_->jwk, &key_id);
    if (!error)
        error = limit_new_account(acme, x, policy);
    if (!error && key_id != NULL)
        wanted.binding = binding_text(rq->arena, signed_->payload);
    if (!error && key_id != NULL)
        error = store_insert_bound_account(acme, rq, &wanted, key_id);
    if (!error)
        error = account_cache_insert(acme, rq, &wanted, ret_account, &created);
    if (error)
        return error;
    *ret_made = created || key_id != NULL;
    if (*ret_made)
        outbox_wake_soon(acme->outbox);
    return OK;
}

enum error
new_account(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    struct request *rq = &x->rq;
    struct signed_request signed_;
    const struct policy *policy;
    struct account account;
    bool made = false;

    enum error error = signed_request_check(acme, x, BY_NEW_KEY, &signed_);
    if (!error)
        error = policy_of_path(acme, x, &policy);
    if (error)
        return error;
    if (signed_.payload == NULL)
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "the payload must be a JSON object");
    error = store_find_account_by_key(acme, rq, signed_.jwk, &account);
    if (error == OK)
        return answer_found(acme, x, policy, 200, &account);
    if (error != ERR_NOT_FOUND)
        return error;
    failure_clear(rq);
    error = check_may_be_made(acme, rq, signed_.payload);
    if (!error)
        error = make(acme, x, policy, &signed_, &account, &made);
    return error ? error : answer_found(acme, x, policy, made ? 201 : 200, &account);
}
