/* Keys in JSON: canonical or refused, because a key must have exactly one thumbprint. */
#include "unit/kit.h"

#include "acme.h"
#include "jose_kit.h"

/* RFC 7638 §3.1: the example key and its thumbprint. */
static const char rfc7638_key[] =
    "{\"kty\":\"RSA\",\"n\":\"0vx7agoebGcQSuuPiLJXZptN9nndrQmbXEps2aiAFbWhM78LhWx4cbbfAAtVT86zwu1RK7aPFFxuhDR1L6tSoc_BJECPebWKRXjBZCiFV4n3oknjhMs"
    "tn64tZ_2W-5JsGY4Hc5n9yBXArwl93lqt7_RN5w6Cf0h4QyQ5v-65YGjQR0_FDW2QvzqY368QQMicAtaSqzs8KJZgnYb9c7d0zgdAZHzu6qMQvRL5hajrn1n91CbOpbISD08qNLyrdkt"
    "-bFTWhAI4vMQFh6WeZu0fM4lFd2NcRwr3XPksINHaQ-G_xBniIqbw0Ls1jF44-csFCur-kEgU8awapJzKnqDKgw\",\"e\":\"AQAB\",\"alg\":\"RS256\",\"kid\":\"2011-04-"
    "29\"}";

static void
thumbprint_is_that_of_rfc7638(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct jwk jwk;

    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(rfc7638_key)), &jwk), OK);
    assert_string_equal(base64url_encode(rq->arena, BYTES(jwk.thumbprint, THUMBPRINT_LEN)), "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs");
}

static void
a_stored_key_is_read_back_with_the_same_thumbprint(void **state)
{
    static const char *const kinds[] = {"rsa-2048", "p256", "p384", "p521", "ed25519"};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, key) = kit_key(kinds[i]);
        struct jwk first, second;
        assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jose_jwk(rq->arena, key))), &first), OK);
        assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(first.canonical)), &second), OK);
        assert_memory_equal(first.thumbprint, second.thumbprint, THUMBPRINT_LEN);
        assert_int_equal(EVP_PKEY_eq(first.evp, key), 1);
        assert_int_equal(jwk_check(rq, &first), OK);
    }
}

static void
a_key_is_itself_and_no_other(void **state)
{
    static const char *const kinds[] = {"rsa-2048", "p256", "ed25519"};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, key) = kit_key(kinds[i]);
        AUTO(EVP_PKEY, other) = kit_key(kinds[i]);
        struct jwk jwk;
        struct public_key same, different;
        assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jose_jwk(rq->arena, key))), &jwk), OK);
        assert_int_equal(public_key_parse(rq, kit_spki(rq->arena, key), &same), OK);
        assert_int_equal(public_key_parse(rq, kit_spki(rq->arena, other), &different), OK);
        assert_true(jwk_is_key(&jwk, &same));
        assert_false(jwk_is_key(&jwk, &different));
    }
}

#define X32 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8"
#define X31 "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHg"

static const struct refused {
    const char *name;
    const char *json;
} refused[] = {
    {"rejects_an_unknown_type", "{\"kty\":\"oct\"}"},
    {"rejects_a_missing_type", "{}"},
    {"rejects_a_symmetric_key", "{\"kty\":\"oct\",\"k\":\"AAAA\"}"},
    {"rejects_an_unknown_curve", "{\"kty\":\"EC\",\"crv\":\"secp256k1\",\"x\":\"" X32 "\",\"y\":\"" X32 "\"}"},
    {"rejects_a_coordinate_that_is_too_short", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X31 "\",\"y\":\"" X32 "\"}"},
    {"rejects_a_point_off_the_curve", "{\"kty\":\"EC\",\"crv\":\"P-256\",\"x\":\"" X32 "\",\"y\":\"" X32 "\"}"},
    {"rejects_x25519", "{\"kty\":\"OKP\",\"crv\":\"X25519\",\"x\":\"" X32 "\"}"},
    {"rejects_a_short_ed25519_key", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X31 "\"}"},
    {"rejects_an_ed25519_key_with_its_private_half", "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"" X32 "\",\"d\":\"" X32 "\"}"},
    {"rejects_an_rsa_key_without_exponent", "{\"kty\":\"RSA\",\"n\":\"" X32 "\"}"},
    {"rejects_an_rsa_key_of_256_bits", "{\"kty\":\"RSA\",\"n\":\"_wECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\",\"e\":\"AQAB\"}"},
    {"rejects_a_modulus_with_a_leading_zero", "{\"kty\":\"RSA\",\"n\":\"" X32 "\",\"e\":\"AQAB\"}"},
    {"rejects_an_exponent_with_a_leading_zero", "{\"kty\":\"RSA\",\"n\":\"_wEC\",\"e\":\"AAEAAQ\"}"},
    {"rejects_padding_in_numbers", "{\"kty\":\"RSA\",\"n\":\"_w==\",\"e\":\"AQAB\"}"},
    {"rejects_numbers_that_are_no_texts", "{\"kty\":\"RSA\",\"n\":7,\"e\":65537}"},
};

static void
rejects(void **state)
{
    const struct refused *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct jwk jwk;

    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(one->json)), &jwk), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, "badPublicKey");
}

static void
rejects_what_is_no_object(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(json_t, text) = json_string("key");
    struct jwk jwk;

    assert_int_equal(jwk_parse(rq, text, &jwk), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, "badPublicKey");
}

static void
rejects_a_weak_exponent_for_an_account(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("rsa-2048-e3");
    struct jwk jwk;

    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jose_jwk(rq->arena, key))), &jwk), OK);
    assert_int_equal(jwk_check(rq, &jwk), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, "badPublicKey");
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(refused) + 5] = {
        cmocka_unit_test(thumbprint_is_that_of_rfc7638),          cmocka_unit_test(a_stored_key_is_read_back_with_the_same_thumbprint),
        cmocka_unit_test(a_key_is_itself_and_no_other),           cmocka_unit_test(rejects_what_is_no_object),
        cmocka_unit_test(rejects_a_weak_exponent_for_an_account),
    };

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tests[5 + i] = (struct CMUnitTest){.name = refused[i].name, .test_func = rejects, .initial_state = (void *)&refused[i]};
    return cmocka_run_group_tests_name("jwk", tests, NULL, NULL);
}
