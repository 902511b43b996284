/*
 * Keys come to be: for CAs (create_ca.c), for OCSP responders and for the audit chain (service_key.c). The caller has committed the row that names
 * the key before; when an attempt broke off between the token and the database, the key is found instead of made.
 */
#include "signer.h"

#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/key_uri.h"
#include "pki/oid.h"

#define KEY_ID_LEN 16

static const struct {
    const char *name;
    enum hsm_key_kind kind;
    enum key_type type;
} key_types[] = {
    {"rsa-2048", HSM_RSA_2048, KEY_RSA}, {"rsa-3072", HSM_RSA_3072, KEY_RSA}, {"rsa-4096", HSM_RSA_4096, KEY_RSA},
    {"p256", HSM_P256, KEY_P256},        {"p384", HSM_P384, KEY_P384},        {"p521", HSM_P521, KEY_P521},
};
#define KEY_TYPE_COUNT (sizeof key_types / sizeof key_types[0])

static size_t
find_type(const char *key_type)
{
    size_t i = 0;

    while (i < KEY_TYPE_COUNT && !text_equal(key_types[i].name, key_type))
        i++;
    return i;
}

bool
hsm_key_type_is_known(const char *key_type)
{
    return find_type(key_type) < KEY_TYPE_COUNT;
}

enum signature_algorithm
hsm_key_algorithm(const char *key_type, const char *digest)
{
    size_t i = find_type(key_type);

    if (i == KEY_TYPE_COUNT)
        return SIG_UNKNOWN;
    bool is_rsa = key_types[i].type == KEY_RSA;
    if (text_is_empty(digest))
        return signature_algorithm_for(key_types[i].type);
    if (text_equal(digest, "sha256"))
        return is_rsa ? SIG_RSA_SHA256 : SIG_ECDSA_SHA256;
    if (text_equal(digest, "sha384"))
        return is_rsa ? SIG_RSA_SHA384 : SIG_ECDSA_SHA384;
    if (text_equal(digest, "sha512"))
        return is_rsa ? SIG_RSA_SHA512 : SIG_ECDSA_SHA512;
    return SIG_UNKNOWN;
}

const char *
hsm_key_new_uri(struct signer *signer, struct request *rq, const char *label)
{
    uint8_t id[KEY_ID_LEN];

    random_bytes(id, sizeof id);
    struct key_uri uri = {.place = KEY_IN_TOKEN, .token = signer->config.hsm_token, .object = label, .id = BYTES(id, sizeof id)};
    return key_uri_format(rq->arena, &uri);
}

static struct bytes
encode_rsa(struct arena *arena, struct bytes modulus, struct bytes exponent)
{
    struct buffer key = buffer_in(arena), out = buffer_in(arena);
    size_t numbers = der_open(&key, DER_SEQUENCE);

    der_put_unsigned(&key, modulus);
    der_put_unsigned(&key, exponent);
    der_close(&key, numbers);
    size_t spki = der_open(&out, DER_SEQUENCE), algorithm = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_RSA_ENCRYPTION);
    der_put(&out, DER_NULL, BYTES_NONE);
    der_close(&out, algorithm);
    der_put_bits(&out, buffer_bytes(&key));
    der_close(&out, spki);
    return buffer_bytes(&out);
}

static struct bytes
encode_ec(struct arena *arena, struct bytes curve, struct bytes point)
{
    struct buffer out = buffer_in(arena);
    size_t spki = der_open(&out, DER_SEQUENCE), algorithm = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, OID_EC_PUBLIC_KEY);
    der_put_oid(&out, curve);
    der_close(&out, algorithm);
    der_put_bits(&out, point);
    der_close(&out, spki);
    return buffer_bytes(&out);
}

static struct bytes
encode_spki(struct arena *arena, const struct hsm_answer *answer)
{
    size_t modulus_len = answer->facts.modulus_len;

    if (modulus_len > 0)
        return encode_rsa(arena, BYTES(answer->data, modulus_len), BYTES(answer->data + modulus_len, answer->data_len - modulus_len));
    return encode_ec(arena,
                     answer->facts.kind == HSM_P256   ? OID_P256
                     : answer->facts.kind == HSM_P384 ? OID_P384
                                                      : OID_P521,
                     BYTES(answer->data, answer->data_len));
}

static enum error
fill_call(struct request *rq, const char *uri, struct hsm_call *call)
{
    struct key_uri parsed;
    enum error error = key_uri_parse(rq, uri, &parsed);

    if (error != OK)
        return error;
    if (parsed.place != KEY_IN_TOKEN || text_is_empty(parsed.object) || strlen(parsed.object) >= sizeof call->label || parsed.id.len > HSM_ID_MAX)
        return fail(rq, ERR_BAD_REQUEST, "a key of a CA is named pkcs11:token=…;object=…;id=…, not %s", uri);
    memcpy(call->label, parsed.object, strlen(parsed.object) + 1);
    call->id_len = (uint32_t)parsed.id.len;
    if (parsed.id.len > 0)
        memcpy(call->id, parsed.id.at, parsed.id.len);
    return OK;
}

static enum error
explain(struct request *rq, const struct hsm_answer *answer, const char *uri)
{
    switch ((enum hsm_status)answer->status) {
    case HSM_NO_KEY:
        return fail(rq, ERR_NOT_FOUND, "%s", answer->text);
    case HSM_REFUSED:
    case HSM_KEY_EXISTS:
        return fail(rq, ERR_BAD_REQUEST, "the HSM refuses the key %s: %s", uri, answer->text);
    case HSM_KEY_UNSAFE:
        return fail(rq, ERR_DENIED, "%s", answer->text);
    case HSM_OK:
    case HSM_LOST:
    case HSM_MODULE_BAD:
    case HSM_TOKEN_MISSING:
    case HSM_PIN_UNREADABLE:
    case HSM_PIN_WRONG:
    case HSM_PIN_LOCKED:
        break;
    }
    return fail_privately(rq, ERR_INTERNAL, "internal error", "a worker answered with status %u: %s", answer->status, answer->text);
}

#define IS_SET(facts, name) (((facts)->set >> HSM_ATTRIBUTE_##name & 1) != 0)
#define IS_KNOWN(facts, name) (((facts)->known >> HSM_ATTRIBUTE_##name & 1) != 0)

/* For a key that was there before: nobody may be able to take it off the token. */
static enum error
check_protection(struct request *rq, const struct hsm_key_facts *facts, enum hsm_usage usage, const char *uri)
{
    if (!IS_SET(facts, SENSITIVE) || !IS_KNOWN(facts, EXTRACTABLE) || IS_SET(facts, EXTRACTABLE) || IS_SET(facts, VALUE_READABLE))
        return fail(rq, ERR_DENIED, "the key %s can be taken off the token: it is not used for a CA", uri);
    if (!IS_SET(facts, SIGN))
        return fail(rq, ERR_DENIED, "the key %s may not sign", uri);
    if (usage == HSM_FOR_ENVELOPES && !IS_SET(facts, DECRYPT))
        return fail(rq, ERR_DENIED, "the key %s may not decrypt", uri);
    return OK;
}

static enum error
find_or_generate(struct signer *signer, struct request *rq, struct hsm_call *call, struct hsm_answer *answer)
{
    call->operation = HSM_FIND;
    enum error error = hsm_pool_call(signer->hsm, rq, call, answer);
    /* Without an id a key is only ever found: what we make is named by label and id. */
    if (error != OK || answer->status != HSM_NO_KEY || call->id_len == 0)
        return error;
    call->operation = HSM_GENERATE;
    return hsm_pool_call(signer->hsm, rq, call, answer);
}

enum error
hsm_key_destroy(struct signer *signer, struct request *rq, const char *uri)
{
    struct hsm_call call = {.operation = HSM_DESTROY};
    struct hsm_answer answer = {0};
    enum error error = fill_call(rq, uri, &call);

    if (error == OK)
        error = hsm_pool_call(signer->hsm, rq, &call, &answer);
    if (error != OK || answer.status == HSM_OK || answer.status == HSM_NO_KEY)
        return error;
    return explain(rq, &answer, uri);
}

enum error
hsm_key_make(struct signer *signer, struct request *rq, const char *uri, const char *key_type, enum hsm_usage usage, struct made_key *ret_key)
{
    struct hsm_call call = {.operation = HSM_FIND, .usage = usage};
    struct hsm_answer answer;
    size_t type = find_type(key_type);

    if (type == KEY_TYPE_COUNT)
        return fail(rq, ERR_BAD_REQUEST, "there is no key type \"%s\"; rsa-2048 rsa-3072 rsa-4096 p256 p384 p521 are known", key_type);
    enum error error = fill_call(rq, uri, &call);
    if (error != OK)
        return error;
    call.kind = key_types[type].kind;
    error = find_or_generate(signer, rq, &call, &answer);
    if (error != OK)
        return error;
    if (answer.status != HSM_OK)
        return explain(rq, &answer, uri);
    if (answer.facts.kind != (uint32_t)key_types[type].kind)
        return fail(rq, ERR_BAD_REQUEST, "the key %s is not of type %s", uri, key_type);
    error = check_protection(rq, &answer.facts, usage, uri);
    if (error != OK)
        return error;
    *ret_key = (struct made_key){.spki = encode_spki(rq->arena, &answer), .evidence = evidence_format(signer, rq, &answer.facts)};
    return OK;
}
