/* Signature algorithms: identifiers against OpenSSL's, what fits what, and verifying. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "kit/pki_kit.h"
#include "pki/public_key.h"

static const struct {
    enum signature_algorithm algorithm;
    int nid;
    int parameters;
} algorithms[] = {
    {SIG_RSA_SHA256, NID_sha256WithRSAEncryption, V_ASN1_NULL},
    {SIG_RSA_SHA384, NID_sha384WithRSAEncryption, V_ASN1_NULL},
    {SIG_RSA_SHA512, NID_sha512WithRSAEncryption, V_ASN1_NULL},
    {SIG_ECDSA_SHA256, NID_ecdsa_with_SHA256, V_ASN1_UNDEF},
    {SIG_ECDSA_SHA384, NID_ecdsa_with_SHA384, V_ASN1_UNDEF},
    {SIG_ECDSA_SHA512, NID_ecdsa_with_SHA512, V_ASN1_UNDEF},
    {SIG_ED25519, NID_ED25519, V_ASN1_UNDEF},
};

static struct bytes
openssl_identifier(struct arena *arena, int nid, int parameters)
{
    X509_ALGOR *algorithm = X509_ALGOR_new();
    unsigned char *der = NULL;

    X509_ALGOR_set0(algorithm, OBJ_nid2obj(nid), parameters, NULL);
    int len = i2d_X509_ALGOR(algorithm, &der);
    struct bytes copy = bytes_copy(arena, BYTES(der, (size_t)len));
    OPENSSL_free(der);
    X509_ALGOR_free(algorithm);
    return copy;
}

static void
identifiers_are_what_openssl_encodes(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        struct bytes judged = openssl_identifier(arena, algorithms[i].nid, algorithms[i].parameters);
        assert_true(bytes_equal(signature_algorithm_der(algorithms[i].algorithm), judged));
        assert_int_equal(signature_algorithm_parse(judged), algorithms[i].algorithm);
    }
}

static void
rsa_may_leave_out_its_null_and_nobody_else_adds_one(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_int_equal(signature_algorithm_parse(openssl_identifier(arena, NID_sha256WithRSAEncryption, V_ASN1_UNDEF)), SIG_RSA_SHA256);
    assert_int_equal(signature_algorithm_parse(openssl_identifier(arena, NID_ecdsa_with_SHA256, V_ASN1_NULL)), SIG_UNKNOWN);
    assert_int_equal(signature_algorithm_parse(openssl_identifier(arena, NID_ED25519, V_ASN1_NULL)), SIG_UNKNOWN);
}

static void
old_and_broken_algorithms_are_unknown(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_int_equal(signature_algorithm_parse(openssl_identifier(arena, NID_sha1WithRSAEncryption, V_ASN1_NULL)), SIG_UNKNOWN);
    assert_int_equal(signature_algorithm_parse(openssl_identifier(arena, NID_md5WithRSAEncryption, V_ASN1_NULL)), SIG_UNKNOWN);
    assert_int_equal(signature_algorithm_parse(openssl_identifier(arena, NID_ecdsa_with_SHA1, V_ASN1_UNDEF)), SIG_UNKNOWN);
    assert_int_equal(signature_algorithm_parse(BYTES_NONE), SIG_UNKNOWN);
    assert_int_equal(signature_algorithm_parse(BYTES("\x30\x00", 2)), SIG_UNKNOWN);
    assert_int_equal(signature_algorithm_der(SIG_UNKNOWN).len, 0);
}

static const struct {
    const char *kind;
    enum key_type type;
    enum signature_algorithm usual;
} keys[] = {{"rsa-2048", KEY_RSA, SIG_RSA_SHA256},
            {"p256", KEY_P256, SIG_ECDSA_SHA256},
            {"p384", KEY_P384, SIG_ECDSA_SHA384},
            {"p521", KEY_P521, SIG_ECDSA_SHA512},
            {"ed25519", KEY_ED25519, SIG_ED25519}};

static void
verifies_what_fits_and_was_signed(void **state)
{
    struct bytes message = bytes_of_text("the message"), other = bytes_of_text("the messagf");

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, made) = kit_key(keys[i].kind);
        struct public_key key;
        assert_int_equal(public_key_parse(rq, kit_spki(rq->arena, made), &key), OK);
        assert_int_equal(signature_algorithm_for(key.type), keys[i].usual);
        for (size_t j = 0; j < COUNT_OF(algorithms); j++) {
            enum signature_algorithm algorithm = algorithms[j].algorithm;
            bool fits = signature_algorithm_fits(algorithm, key.type);
            struct bytes signature = kit_sign(rq->arena, made, signature_algorithm_digest(algorithm), message);
            assert_int_equal(signature_verify(&key, algorithm, message, signature), fits);
            assert_int_equal(signature_verify_with(made, algorithm, message, signature), fits);
            assert_false(signature_verify(&key, algorithm, other, signature));
            assert_false(signature_verify(&key, algorithm, message, BYTES(signature.at, signature.len - 1)));
            assert_false(signature_verify(&key, algorithm, message, BYTES_NONE));
        }
        assert_false(signature_verify(&key, SIG_UNKNOWN, message, BYTES("x", 1)));
        assert_int_equal(ERR_peek_error(), 0);
    }
}

static void
nothing_fits_an_unknown_key(void **state)
{
    struct public_key key = {.type = KEY_UNKNOWN};

    assert_int_equal(signature_algorithm_for(KEY_UNKNOWN), SIG_UNKNOWN);
    for (size_t i = 0; i < COUNT_OF(algorithms); i++) {
        assert_false(signature_algorithm_fits(algorithms[i].algorithm, KEY_UNKNOWN));
        assert_false(signature_verify(&key, algorithms[i].algorithm, BYTES("m", 1), BYTES("s", 1)));
    }
    assert_null(signature_algorithm_digest(SIG_UNKNOWN));
    assert_null(signature_algorithm_digest(SIG_ED25519));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(identifiers_are_what_openssl_encodes),  cmocka_unit_test(rsa_may_leave_out_its_null_and_nobody_else_adds_one),
        cmocka_unit_test(old_and_broken_algorithms_are_unknown), cmocka_unit_test(verifies_what_fits_and_was_signed),
        cmocka_unit_test(nothing_fits_an_unknown_key),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
