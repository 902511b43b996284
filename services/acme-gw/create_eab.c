/* Makes a credential for external account binding. Its HMAC key leaves in this answer; what stays is sealed. */
#include "acme.h"

#include <string.h>

#include "base/base64.h"
#include "base/clock.h"

#define TEMPLATE_NAME_MAX 100
#define BASE64URL_HYPHEN 62

static enum error
check_texts(struct request *rq, const Pb__EabCredential *credential)
{
    const char *const texts[] = {credential->owner, credential->principal, credential->created_by};

    if (text_is_empty(credential->name) || strlen(credential->name) > EAB_NAME_MAX)
        return fail(rq, ERR_BAD_REQUEST, "a credential's name has 1 to %d octets", EAB_NAME_MAX);
    for (size_t i = 0; i < sizeof texts / sizeof texts[0]; i++)
        if (strlen(texts[i]) > POLICY_TEXT_MAX)
            return fail(rq, ERR_TOO_LARGE, "\"%.40s…\" is longer than %d octets", texts[i], POLICY_TEXT_MAX);
    return OK;
}

static enum error
check_numbers(struct request *rq, const Pb__EabCredential *credential)
{
    if (credential->use_limit > INT32_MAX)
        return fail(rq, ERR_BAD_REQUEST, "use_limit is at most %d", INT32_MAX);
    if (credential->expires_at_s != 0 && credential->expires_at_s <= clock_now_s())
        return fail(rq, ERR_BAD_REQUEST, "the credential would have expired already");
    return OK;
}

static enum error
check_lists(struct request *rq, const Pb__EabCredential *credential)
{
    if (credential->n_allowed_templates > POLICY_LIST_MAX)
        return fail(rq, ERR_TOO_LARGE, "allowed_templates: at most %d can be given", POLICY_LIST_MAX);
    for (size_t i = 0; i < credential->n_allowed_templates; i++)
        if (strlen(credential->allowed_templates[i]) > TEMPLATE_NAME_MAX)
            return fail(rq, ERR_TOO_LARGE, "allowed_templates: \"%.40s…\" is longer than %d octets", credential->allowed_templates[i],
                        TEMPLATE_NAME_MAX);
    return name_patterns_check(rq, "allowed_names", credential->allowed_names, credential->n_allowed_names);
}

/* Clients take both as values of options: what began with '-' would look like another option to them. */
static const char *
draw_key_id(struct arena *arena)
{
    const char *id;

    do
        id = new_id(arena);
    while (id[0] == '-');
    return id;
}

static struct secret *
draw_key(void)
{
    struct secret *key = secret_new(EAB_KEY_LEN);

    do
        random_bytes(key->at, key->len);
    while (key->at[0] >> 2 == BASE64URL_HYPHEN);
    return key;
}

static void
forget(void *text)
{
    wipe(text, strlen(text));
}

struct creation {
    const struct acme *acme;
    const Pb__EabCredential *credential;
    const char *key_id;
    struct bytes sealed;
};

static enum error
write_eab(struct db *db, struct request *rq, void *context, struct configuration_change *change)
{
    const struct creation *creation = context;
    struct acme within = acme_within(creation->acme, db);

    enum error error = store_insert_eab(&within, rq, creation->credential, creation->key_id, creation->sealed);
    if (error)
        return error;
    change->action = "created";
    change->after = &creation->credential->base;
    change->also = arena_format(rq->arena, "key id %s", creation->key_id);
    return OK;
}

enum error
create_eab(struct acme *acme, struct request *rq, const Pb__CreateEabRequest *input, Pb__CreateEabReply *ret_reply)
{
    const Pb__EabCredential *credential = input->credential;

    if (credential == NULL)
        return fail(rq, ERR_BAD_REQUEST, "credential is missing");
    request_note(rq, "eab", "%.100s", credential->name);
    enum error error = check_texts(rq, credential);
    if (!error)
        error = check_numbers(rq, credential);
    if (!error)
        error = check_lists(rq, credential);
    if (error)
        return error;
    const char *key_id = draw_key_id(rq->arena);
    AUTO_STRUCT(secret, key) = draw_key();
    struct creation creation = {acme, credential, key_id, secret_box_seal(acme->secrets, rq->arena, BYTES(key->at, key->len), key_id)};
    struct configuration_change change = {.what = "acme eab credential", .name = credential->name, .by = credential->created_by};
    error = configuration_write(acme->outbox, acme->db, rq, write_eab, &creation, &change);
    if (error)
        return error;
    char *hmac_key = base64url_encode(rq->arena, BYTES(key->at, key->len));
    arena_defer(rq->arena, forget, hmac_key);
    ret_reply->key_id = key_id;
    ret_reply->hmac_key = hmac_key;
    return OK;
}
