/*
 * The binding inside a newAccount: a JWS of its own around the account's key, with a MAC instead of a signature (RFC 8555 §7.3.4). Nothing in it is
 * believed before the MAC was compared; the credential is used up by store_insert_bound_account.
 */
#include "acme.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <string.h>

static const EVP_MD *
digest_of(const struct eab_jws *jws)
{
    return jws->bits == 512 ? EVP_sha512() : jws->bits == 384 ? EVP_sha384() : EVP_sha256();
}

static enum error
malformed(struct request *rq, const char *why)
{
    return refuse(rq, ERR_BAD_REQUEST, "malformed", "the \"externalAccountBinding\" %s", why);
}

static bool
is_authentic(const struct eab_jws *jws, const struct secret *key)
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len = 0;

    if (HMAC(digest_of(jws), key->at, (int)key->len, jws->signing_input.at, jws->signing_input.len, mac, &len) == NULL)
        abort();
    bool authentic = bytes_equal_secret(BYTES(mac, len), jws->signature);
    wipe(mac, sizeof mac);
    return authentic;
}

/* RFC 8555 §7.3.4: the payload is the account's key, the url that of this newAccount. */
static enum error
check_binds(struct acme *acme, struct http_exchange *x, const struct eab_jws *jws, const struct jwk *jwk)
{
    struct request *rq = &x->rq;
    struct jwk bound;

    if (!text_equal(jws->url, arena_format(rq->arena, "%s%s", acme->base_url, x->path)))
        return malformed(rq, "is for another URL than this one");
    const json_t *json = json_parse_object(rq->arena, jws->payload);
    if (json == NULL)
        return malformed(rq, "has no key as its payload");
    enum error error = jwk_parse(rq, json, &bound);
    if (error)
        return error;
    if (memcmp(bound.thumbprint, jwk->thumbprint, THUMBPRINT_LEN) != 0)
        return malformed(rq, "binds another key than that of this request");
    return OK;
}

/* One answer for unknown, used up, expired, revoked and forged: who holds no key learns nothing about any. */
static enum error
refuse_credential(struct request *rq, const struct eab_jws *jws)
{
    return refuse(
        rq, ERR_DENIED, "unauthorized",
        "the external account binding does not verify: the key id %.40s is not known for this policy, can no longer be used, or its HMAC key is "
        "another one",
        jws->key_id);
}

static enum error
check_mac(struct acme *acme, struct request *rq, const struct policy *policy, const struct eab_jws *jws)
{
    struct bytes sealed;

    enum error error = store_load_eab_secret(acme, rq, jws->key_id, policy->name, &sealed);
    if (error == ERR_NOT_FOUND) {
        failure_clear(rq);
        return refuse_credential(rq, jws);
    }
    if (error)
        return error;
    AUTO_STRUCT(secret, key) = secret_box_open(acme->secrets, sealed, jws->key_id);
    if (key == NULL)
        return fail_privately(rq, ERR_UNAVAILABLE, "external accounts cannot be bound now",
                              "SIGNET_ACME_SECRET_KEY_FILE is not the file that the credential was made with");
    return is_authentic(jws, key) ? OK : refuse_credential(rq, jws);
}

enum error
eab_check(struct acme *acme, struct http_exchange *x, const struct policy *policy, const json_t *payload, const struct jwk *jwk,
          const char **ret_key_id)
{
    const json_t *binding = json_object_get(payload, "externalAccountBinding");
    struct eab_jws jws;

    bool is_there = binding != NULL && !json_is_null(binding);
    if (policy->eab == EAB_NONE || (policy->eab == EAB_OPTIONAL && !is_there)) {
        *ret_key_id = NULL;
        return OK;
    }
    if (!is_there)
        return refuse(&x->rq, ERR_DENIED, "externalAccountRequired",
                      "accounts of the policy %s are made with a key id and an HMAC key that the operator of this server hands out", policy->name);
    enum error error = eab_parse(&x->rq, binding, &jws);
    if (!error)
        error = check_mac(acme, &x->rq, policy, &jws);
    if (!error)
        error = check_binds(acme, x, &jws, jwk);
    if (error)
        return error;
    request_note(&x->rq, "eab", "%s", jws.key_id);
    *ret_key_id = jws.key_id;
    return OK;
}
