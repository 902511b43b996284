/* SubjectPublicKeyInfo: what is read, refused, imported and shown. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/err.h>
#include <openssl/x509.h>

#include "kit/pki_kit.h"
#include "pki/oid.h"
#include "pki/public_key.h"

static const struct {
    const char *kind, *name;
    enum key_type type;
} kinds[] = {{"rsa-2048", "rsa-2048", KEY_RSA}, {"rsa-1024", "rsa-1024", KEY_RSA}, {"p256", "p256", KEY_P256},
             {"p384", "p384", KEY_P384},        {"p521", "p521", KEY_P521},        {"ed25519", "ed25519", KEY_ED25519}};

static void
imports_the_key_that_openssl_has(void **state)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, made) = kit_key(kinds[i].kind);
        AUTO(EVP_PKEY, imported) = NULL;
        struct public_key key;
        assert_int_equal(public_key_parse(rq, kit_spki(rq->arena, made), &key), OK);
        assert_int_equal(key.type, kinds[i].type);
        assert_string_equal(public_key_name(rq->arena, &key), kinds[i].name);
        assert_int_equal(public_key_import(rq, &key, &imported), OK);
        assert_int_equal(EVP_PKEY_eq(made, imported), 1);
        assert_true(bytes_equal(kit_spki(rq->arena, imported), key.spki));
    }
}

static void
identifies_keys_as_openssl_does(void **state)
{
    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, made) = kit_key(kinds[i].kind);
        struct public_key key;
        uint8_t ours[20], sha256[32], judged[32];
        X509_PUBKEY *info = NULL;
        const unsigned char *bits;
        int len;
        struct bytes spki = kit_spki(rq->arena, made);
        assert_int_equal(public_key_parse(rq, spki, &key), OK);
        public_key_identifier(&key, ours);
        X509_PUBKEY_set(&info, made);
        X509_PUBKEY_get0_param(NULL, &bits, &len, NULL, info);
        assert_true(bytes_equal(public_key_bits(&key), BYTES(bits, (size_t)len)));
        assert_int_equal(EVP_Digest(bits, (size_t)len, judged, NULL, EVP_sha1(), NULL), 1);
        assert_memory_equal(ours, judged, 20);
        public_key_sha256(&key, sha256);
        assert_int_equal(EVP_Digest(spki.at, spki.len, judged, NULL, EVP_sha256(), NULL), 1);
        assert_memory_equal(sha256, judged, 32);
        X509_PUBKEY_free(info);
    }
}

/* Replaces the only occurrence of `from` by `to` of the same length. */
static struct bytes
changed(struct arena *arena, struct bytes der, const char *from, const char *to, size_t len)
{
    struct bytes copy = bytes_copy(arena, der);
    uint8_t *at = memmem(copy.at, copy.len, from, len);

    assert_non_null(at);
    memcpy(at, to, len);
    return copy;
}

static void
is_refused(struct request *rq, struct bytes spki, const char *why)
{
    struct public_key key = {.bits = 77};

    failure_clear(rq);
    assert_int_equal(public_key_parse(rq, spki, &key), ERR_BAD_CSR);
    if (strstr(rq->failure.message, why) == NULL)
        fail_msg("%s instead of %s", rq->failure.message, why);
    assert_int_equal(key.bits, 77);

    /* Who only looks at it gets it whole, and unknown. */
    public_key_parse_any(spki, &key);
    assert_int_equal(key.type, KEY_UNKNOWN);
    assert_true(bytes_equal(key.spki, spki));
    assert_true(key.point.len == 0 && key.modulus.len == 0);
    assert_string_equal(public_key_name(rq->arena, &key), "unknown");
    assert_null(public_key_try_import(&key));
}

static void
refuses_keys_of_other_kinds_and_shapes(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, koblitz) = kit_key("secp256k1");
    AUTO(EVP_PKEY, x25519) = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
    AUTO(EVP_PKEY, p256) = kit_key("p256");
    AUTO(EVP_PKEY, rsa) = kit_key("rsa-1024");
    AUTO(EVP_PKEY, ed25519) = kit_key("ed25519");
    struct bytes ec = kit_spki(rq->arena, p256), rsa_der = kit_spki(rq->arena, rsa), ed = kit_spki(rq->arena, ed25519);

    is_refused(rq, kit_spki(rq->arena, koblitz), "none of P-256");
    is_refused(rq, kit_spki(rq->arena, x25519), "none of RSA");
    is_refused(rq, BYTES("\x30\x00", 2), "malformed");
    is_refused(rq, BYTES_NONE, "malformed");
    is_refused(rq, BYTES(ec.at, ec.len - 1), "malformed");
    /* The bit string says that not all of its last octet counts. */
    is_refused(rq, changed(rq->arena, ec, "\x03\x42\x00\x04", "\x03\x42\x01\x04", 4), "malformed");
    is_refused(rq, changed(rq->arena, ec, "\x03\x42\x00\x04", "\x03\x42\x00\x06", 4), "uncompressed");
    is_refused(rq, changed(rq->arena, ec, "\x06\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", "\x04\x08\x2a\x86\x48\xce\x3d\x03\x01\x07", 10), "not named");
    is_refused(rq, changed(rq->arena, rsa_der, "\x05\x00\x03", "\x06\x00\x03", 3), "not NULL");
    is_refused(rq, changed(rq->arena, rsa_der, "\x02\x81\x81\x00", "\x04\x81\x81\x00", 4), "RSA key is malformed");
    is_refused(rq, changed(rq->arena, ed, "\x30\x2a\x30\x05\x06\x03\x2b\x65\x70\x03\x21\x00", "\x30\x2a\x30\x07\x06\x03\x2b\x65\x70\x05\x00\x00", 12),
               "malformed");
}

static void
refuses_compressed_points_and_points_of_another_length(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    static const struct {
        size_t len;
        uint8_t first;
        const char *why;
    } cases[] = {{33, 2, "uncompressed"}, {33, 3, "uncompressed"}, {65, 2, "uncompressed"}, {64, 4, "length"},
                 {66, 4, "length"},       {0, 0, "length"},        {1, 0, "uncompressed"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct buffer out = buffer_in(rq->arena);
        uint8_t *point = arena_alloc(rq->arena, cases[i].len);
        if (cases[i].len > 0)
            point[0] = cases[i].first;
        size_t info = der_open(&out, DER_SEQUENCE), algorithm = der_open(&out, DER_SEQUENCE);
        der_put_oid(&out, OID_EC_PUBLIC_KEY);
        der_put_oid(&out, OID_P256);
        der_close(&out, algorithm);
        der_put_bits(&out, BYTES(point, cases[i].len));
        der_close(&out, info);
        is_refused(rq, buffer_bytes(&out), cases[i].why);
    }
}

static void
a_point_off_its_curve_is_not_imported(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, made) = kit_key("p256");
    AUTO(EVP_PKEY, imported) = NULL;
    struct bytes spki = bytes_copy(rq->arena, kit_spki(rq->arena, made));
    struct public_key key;

    ((uint8_t *)spki.at)[spki.len - 1] ^= 1;
    assert_int_equal(public_key_parse(rq, spki, &key), OK);
    assert_int_equal(public_key_import(rq, &key, &imported), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, "not on its curve"));
    assert_null(imported);
}

static void
numbers_that_are_too_long_are_not_imported(void **state)
{
    static const uint8_t octets[1025] = {1};
    struct public_key key = {.type = KEY_RSA, .modulus = BYTES(octets, sizeof octets), .exponent = BYTES("\x01\x00\x01", 3)};

    assert_null(public_key_try_import(&key));
    key = (struct public_key){.type = KEY_RSA, .modulus = BYTES(octets, 256), .exponent = BYTES(octets, sizeof octets)};
    assert_null(public_key_try_import(&key));
    key = (struct public_key){.type = KEY_ED25519, .point = BYTES(octets, 31)};
    assert_null(public_key_try_import(&key));
}

static void
a_refusal_leaves_nothing_in_the_error_queue(void **state)
{
    static const uint8_t point[65] = {4, 1};
    struct public_key key = {.type = KEY_P256, .point = BYTES(point, sizeof point)};

    assert_null(public_key_try_import(&key));
    assert_int_equal(ERR_peek_error(), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(imports_the_key_that_openssl_has),
        cmocka_unit_test(identifies_keys_as_openssl_does),
        cmocka_unit_test(refuses_keys_of_other_kinds_and_shapes),
        cmocka_unit_test(refuses_compressed_points_and_points_of_another_length),
        cmocka_unit_test(a_point_off_its_curve_is_not_imported),
        cmocka_unit_test(numbers_that_are_too_long_are_not_imported),
        cmocka_unit_test(a_refusal_leaves_nothing_in_the_error_queue),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
