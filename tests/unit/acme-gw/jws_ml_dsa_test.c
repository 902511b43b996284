/*
 * ML-DSA account keys (RFC 9964) where OpenSSL has them. The OpenSSL of today's Debian has not: a provider of this test stands in, whose "signature"
 * is made of message and key, so that what is shown is the way through JWK, JWS and OpenSSL's interface, and that nothing is offered without a
 * provider.
 */
#include "unit/kit.h"

#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/provider.h>
#include <stdlib.h>
#include <string.h>

#include "acme.h"
#include "base/base64.h"

#define PUBLIC_LEN 1312
#define SIGNATURE_LEN 2420

struct standin_key {
    uint8_t octets[PUBLIC_LEN];
};

static void *
key_new(void *provider)
{
    return calloc(1, sizeof(struct standin_key));
}

static void
key_free(void *key)
{
    free(key);
}

static int
key_has(const void *key, int selection)
{
    return 1;
}

static const OSSL_PARAM *
key_import_types(int selection)
{
    static const OSSL_PARAM types[] = {OSSL_PARAM_octet_string(OSSL_PKEY_PARAM_PUB_KEY, NULL, 0), OSSL_PARAM_END};
    return types;
}

static int
key_import(void *key, int selection, const OSSL_PARAM *params)
{
    const OSSL_PARAM *octets = OSSL_PARAM_locate_const(params, OSSL_PKEY_PARAM_PUB_KEY);

    if (octets == NULL || octets->data_size != PUBLIC_LEN)
        return 0;
    memcpy(((struct standin_key *)key)->octets, octets->data, PUBLIC_LEN);
    return 1;
}

static int
key_get_params(void *key, OSSL_PARAM *params)
{
    OSSL_PARAM *digest = OSSL_PARAM_locate(params, OSSL_PKEY_PARAM_MANDATORY_DIGEST);
    return digest == NULL || OSSL_PARAM_set_utf8_string(digest, "");
}

static const OSSL_PARAM *
key_gettable_params(void *provider)
{
    static const OSSL_PARAM params[] = {OSSL_PARAM_utf8_string(OSSL_PKEY_PARAM_MANDATORY_DIGEST, NULL, 0), OSSL_PARAM_END};
    return params;
}

static void *
signature_new(void *provider, const char *properties)
{
    return calloc(1, sizeof(const struct standin_key *));
}

static void
signature_free(void *context)
{
    free(context);
}

static int
signature_verify_init(void *context, const char *digest, void *key, const OSSL_PARAM params[])
{
    *(const struct standin_key **)context = key;
    return digest == NULL || digest[0] == '\0';
}

static void
stand_in(const uint8_t *public_key, struct bytes message, uint8_t ret_signature[SIGNATURE_LEN])
{
    for (size_t i = 0; i < SIGNATURE_LEN; i++)
        ret_signature[i] = (uint8_t)(message.at[i % message.len] ^ public_key[i % PUBLIC_LEN]);
}

static int
signature_check(void *context, const unsigned char *signature, size_t signature_len, const unsigned char *message, size_t message_len)
{
    uint8_t expected[SIGNATURE_LEN];

    stand_in((*(struct standin_key **)context)->octets, BYTES(message, message_len), expected);
    return signature_len == SIGNATURE_LEN && memcmp(signature, expected, SIGNATURE_LEN) == 0;
}

static const OSSL_DISPATCH key_functions[] = {{OSSL_FUNC_KEYMGMT_NEW, (void (*)(void))key_new},
                                              {OSSL_FUNC_KEYMGMT_FREE, (void (*)(void))key_free},
                                              {OSSL_FUNC_KEYMGMT_HAS, (void (*)(void))key_has},
                                              {OSSL_FUNC_KEYMGMT_IMPORT, (void (*)(void))key_import},
                                              {OSSL_FUNC_KEYMGMT_IMPORT_TYPES, (void (*)(void))key_import_types},
                                              {OSSL_FUNC_KEYMGMT_GET_PARAMS, (void (*)(void))key_get_params},
                                              {OSSL_FUNC_KEYMGMT_GETTABLE_PARAMS, (void (*)(void))key_gettable_params},
                                              {0, NULL}};
static const OSSL_DISPATCH signature_functions[] = {{OSSL_FUNC_SIGNATURE_NEWCTX, (void (*)(void))signature_new},
                                                    {OSSL_FUNC_SIGNATURE_FREECTX, (void (*)(void))signature_free},
                                                    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY_INIT, (void (*)(void))signature_verify_init},
                                                    {OSSL_FUNC_SIGNATURE_DIGEST_VERIFY, (void (*)(void))signature_check},
                                                    {0, NULL}};

static const OSSL_ALGORITHM *
provider_query(void *provider, int operation, int *no_cache)
{
    static const OSSL_ALGORITHM keys[] = {{"ML-DSA-44", "provider=standin", key_functions, NULL}, {NULL, NULL, NULL, NULL}};
    static const OSSL_ALGORITHM signatures[] = {{"ML-DSA-44", "provider=standin", signature_functions, NULL}, {NULL, NULL, NULL, NULL}};

    *no_cache = 0;
    return operation == OSSL_OP_KEYMGMT ? keys : operation == OSSL_OP_SIGNATURE ? signatures : NULL;
}

static int
provider_init(const OSSL_CORE_HANDLE *handle, const OSSL_DISPATCH *in, const OSSL_DISPATCH **out, void **ret_provider)
{
    static const OSSL_DISPATCH functions[] = {{OSSL_FUNC_PROVIDER_QUERY_OPERATION, (void (*)(void))provider_query}, {0, NULL}};

    *out = functions;
    *ret_provider = (void *)handle;
    return 1;
}

/* ---- */

static uint8_t public_key[PUBLIC_LEN];

static enum error
parse_key(struct request *rq, const char *algorithm, size_t len, struct jwk *ret_jwk)
{
    const char *text =
        arena_format(rq->arena, "{\"kty\":\"AKP\",\"alg\":\"%s\",\"pub\":\"%s\"}", algorithm, base64url_encode(rq->arena, BYTES(public_key, len)));
    return jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(text)), ret_jwk);
}

static enum error
parse_jws(struct request *rq, const char *algorithm, struct jws *ret_jws)
{
    const char *header = arena_format(rq->arena, "{\"alg\":\"%s\",\"nonce\":\"nnnn\",\"url\":\"https://x\",\"jwk\":{}}", algorithm);
    const char *first = base64url_encode(rq->arena, bytes_of_text(header));
    uint8_t signature[SIGNATURE_LEN];

    stand_in(public_key, bytes_of_text(arena_format(rq->arena, "%s.e30", first)), signature);
    const char *body = arena_format(rq->arena, "{\"protected\":\"%s\",\"payload\":\"e30\",\"signature\":\"%s\"}", first,
                                    base64url_encode(rq->arena, BYTES(signature, sizeof signature)));
    return jws_parse(rq, bytes_of_text(body), ret_jws);
}

static bool
is_offered(struct arena *arena, const char *name)
{
    AUTO(json_t, list) = jws_algorithms_json();
    return strstr(json_format(arena, list), arena_format(arena, "\"%s\"", name)) != NULL;
}

static void
what_openssl_has_not_got_is_not_offered(void **state)
{
    static const char *const names[] = {"ML-DSA-65", "ML-DSA-87"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO_STRUCT(request, key_rq) = request_new();
        struct jws jws;
        struct jwk jwk;
        if (EVP_SIGNATURE_fetch(NULL, names[i], NULL) != NULL)
            skip(); /* an OpenSSL that has it */
        assert_false(is_offered(rq->arena, names[i]));
        assert_int_equal(parse_jws(rq, names[i], &jws), ERR_BAD_REQUEST);
        assert_string_equal(rq->failure.reason, "badSignatureAlgorithm");
        assert_int_equal(parse_key(key_rq, names[i], PUBLIC_LEN, &jwk), ERR_BAD_REQUEST);
        assert_string_equal(key_rq->failure.reason, "badPublicKey");
    }
}

static void
what_openssl_has_is_offered_and_verified(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct jws jws;
    struct jwk jwk;

    assert_true(is_offered(rq->arena, "ML-DSA-44"));
    assert_int_equal(parse_key(rq, "ML-DSA-44", PUBLIC_LEN, &jwk), OK);
    assert_int_equal(jwk_check(rq, &jwk), OK);
    assert_true(text_starts_with(jwk.canonical, "{\"alg\":\"ML-DSA-44\",\"kty\":\"AKP\",\"pub\":\""));
    assert_int_equal(parse_jws(rq, "ML-DSA-44", &jws), OK);
    assert_int_equal(jws_verify(rq, &jws, &jwk), OK);
    jws_prepare(rq->arena, &jwk);
    assert_int_equal(jws_verify(rq, &jws, &jwk), OK);
}

static void
refuses_another_message_another_length_and_another_algorithm(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct jws jws;
    struct jwk jwk;

    assert_int_equal(parse_key(rq, "ML-DSA-44", PUBLIC_LEN - 1, &jwk), ERR_BAD_REQUEST);
    failure_clear(rq);
    assert_int_equal(parse_key(rq, "ML-DSA-44", PUBLIC_LEN, &jwk), OK);
    assert_int_equal(parse_jws(rq, "ML-DSA-44", &jws), OK);
    struct jws changed = jws;
    changed.signing_input = bytes_of_text("another message");
    assert_int_not_equal(jws_verify(rq, &changed, &jwk), OK);
    failure_clear(rq);
    changed = jws;
    changed.signature.len--;
    assert_int_not_equal(jws_verify(rq, &changed, &jwk), OK);
    failure_clear(rq);
    changed = jws;
    changed.algorithm = JWS_ML_DSA_65;
    changed.signature.len = 3309;
    assert_int_not_equal(jws_verify(rq, &changed, &jwk), OK);
    assert_string_equal(rq->failure.reason, "malformed");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_openssl_has_not_got_is_not_offered),
        cmocka_unit_test(what_openssl_has_is_offered_and_verified),
        cmocka_unit_test(refuses_another_message_another_length_and_another_algorithm),
    };
    OSSL_PROVIDER *usual = OSSL_PROVIDER_load(NULL, "default"), *standin = NULL;

    for (size_t i = 0; i < sizeof public_key; i++)
        public_key[i] = (uint8_t)(i * 7 + 1);
    if (EVP_SIGNATURE_fetch(NULL, "ML-DSA-44", NULL) == NULL && OSSL_PROVIDER_add_builtin(NULL, "standin", provider_init) == 1)
        standin = OSSL_PROVIDER_load(NULL, "standin");
    /* An OpenSSL that has ML-DSA itself: nothing to stand in for. */
    if (standin == NULL)
        return 0;
    int failed = cmocka_run_group_tests_name("jws_ml_dsa", tests, NULL, NULL);
    OSSL_PROVIDER_unload(standin);
    OSSL_PROVIDER_unload(usual);
    return failed;
}
