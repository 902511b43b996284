/* Certificates made by OpenSSL, read by us; and such as no CA makes. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "kit/pki_kit.h"
#include "pki/certificate.h"
#include "pki/name.h"
#include "pki/oid.h"

#define NOT_BEFORE_S INT64_C(1796083200)
#define NOT_AFTER_S INT64_C(2555000000) /* after 2049 */

static EVP_PKEY *ca_key;
static struct arena *kept;
static struct bytes ca_der;

static int
make_ca(void **state)
{
    kept = arena_new();
    ca_key = kit_key("p256");
    ca_der = kit_certificate(kept, &(struct kit_certificate){.key = ca_key, .subject = "/CN=Root", .is_ca = true, .key_usage = "keyCertSign"});
    return 0;
}

static int
drop_ca(void **state)
{
    EVP_PKEY_free(ca_key);
    arena_free(kept);
    return 0;
}

static void
reads_what_openssl_says_for_every_kind_of_key(void **state)
{
    static const struct {
        const char *kind;
        enum key_type type;
    } cases[] = {{"rsa-2048", KEY_RSA}, {"p256", KEY_P256},       {"p384", KEY_P384},
                 {"p521", KEY_P521},    {"ed25519", KEY_ED25519}, {"secp256k1", KEY_UNKNOWN}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, key) = kit_key(cases[i].kind);
        struct certificate certificate, ca;
        struct bytes der = kit_certificate(rq->arena, &(struct kit_certificate){.key = key,
                                                                                .subject = "/O=Example/CN=a.example",
                                                                                .issuer_der = ca_der,
                                                                                .issuer_key = ca_key,
                                                                                .names = "DNS:A.example,IP:192.0.2.1",
                                                                                .not_before_s = NOT_BEFORE_S,
                                                                                .not_after_s = NOT_AFTER_S});
        const unsigned char *at = der.at;
        X509 *judged = d2i_X509(NULL, &at, (long)der.len);
        assert_int_equal(certificate_parse(rq, ca_der, &ca), OK);
        assert_int_equal(certificate_parse(rq, der, &certificate), OK);

        assert_int_equal(certificate.key.type, cases[i].type);
        assert_true(bytes_equal(certificate.key.spki, kit_spki(rq->arena, key)));
        assert_true(certificate.not_before_s == NOT_BEFORE_S && certificate.not_after_s == NOT_AFTER_S);
        assert_string_equal(name_format(rq->arena, certificate.subject), "CN=a.example,O=Example");
        assert_string_equal(name_format(rq->arena, certificate.issuer), "CN=Root");
        const ASN1_INTEGER *serial = X509_get0_serialNumber(judged);
        assert_true(bytes_equal(certificate.serial, BYTES(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial))));
        uint8_t ours[32], theirs[32];
        certificate_sha256(der, ours);
        X509_digest(judged, EVP_sha256(), theirs, NULL);
        assert_memory_equal(ours, theirs, 32);
        assert_true(certificate_is_issued_by(&certificate, &ca));
        assert_false(certificate_is_issued_by(&ca, &certificate));
        X509_free(judged);
    }
}

static void
names_are_those_of_subject_alt_name(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct certificate with, without;
    struct identifier *names;
    size_t count;

    assert_int_equal(
        certificate_parse(
            rq, kit_certificate(rq->arena, &(struct kit_certificate){.key = ca_key, .subject = "/CN=a", .names = "DNS:A.example,IP:192.0.2.1"}),
            &with),
        OK);
    assert_int_equal(certificate_names(rq, &with, &names, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(names[0].value, "a.example");
    assert_string_equal(names[1].value, "192.0.2.1");
    assert_int_equal(certificate_parse(rq, ca_der, &without), OK);
    assert_int_equal(certificate_names(rq, &without, &names, &count), OK);
    assert_int_equal(count, 0);
}

static void
a_ca_is_known_by_its_constraints(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct certificate ca, leaf;
    int path_length = 77;

    assert_int_equal(certificate_parse(rq, ca_der, &ca), OK);
    assert_int_equal(certificate_parse(rq, kit_certificate(rq->arena, &(struct kit_certificate){.key = ca_key, .subject = "/CN=a"}), &leaf), OK);
    assert_true(certificate_is_ca(&ca, &path_length));
    assert_int_equal(path_length, -1);
    assert_true(certificate_is_ca(&ca, NULL));
    path_length = 77;
    assert_false(certificate_is_ca(&leaf, &path_length));
    assert_int_equal(path_length, 77);
    assert_non_null(certificate_extension(&ca, OID_KEY_USAGE));
    assert_null(certificate_extension(&ca, OID_CRL_NUMBER));
}

static void
is_issued_by_the_key_and_the_name_together(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, other_key) = kit_key("p256");
    struct certificate leaf, ca, namesake, renamed;

    assert_int_equal(certificate_parse(rq, ca_der, &ca), OK);
    assert_int_equal(
        certificate_parse(
            rq,
            kit_certificate(rq->arena, &(struct kit_certificate){.key = other_key, .subject = "/CN=a", .issuer_der = ca_der, .issuer_key = ca_key}),
            &leaf),
        OK);
    assert_int_equal(certificate_parse(rq,
                                       kit_certificate(rq->arena, &(struct kit_certificate){.key = other_key, .subject = "/CN=Root", .is_ca = true}),
                                       &namesake),
                     OK);
    assert_int_equal(
        certificate_parse(rq, kit_certificate(rq->arena, &(struct kit_certificate){.key = ca_key, .subject = "/CN=Other", .is_ca = true}), &renamed),
        OK);
    assert_true(certificate_is_issued_by(&leaf, &ca));
    assert_false(certificate_is_issued_by(&leaf, &namesake));
    assert_false(certificate_is_issued_by(&leaf, &renamed));

    struct bytes forged = bytes_copy(rq->arena, leaf.der);
    uint8_t *name = memmem((uint8_t *)forged.at, forged.len,
                           "\x0c\x01"
                           "a",
                           3);
    name[2] = 'b';
    assert_int_equal(certificate_parse(rq, forged, &leaf), OK);
    assert_false(certificate_is_issued_by(&leaf, &ca));
}

/* Replaces the first occurrence of `from`. */
static struct bytes
changed(struct arena *arena, const char *from, const char *to, size_t len)
{
    struct bytes copy = bytes_copy(arena, ca_der);
    uint8_t *at = memmem((uint8_t *)copy.at, copy.len, from, len);

    assert_non_null(at);
    memcpy(at, to, len);
    return copy;
}

static void
refuses_what_is_malformed_and_says_where(void **state)
{
    static const struct {
        const char *from, *to;
        size_t len;
        const char *why;
    } cases[] = {
        {"\xa0\x03\x02\x01\x02", "\xa0\x03\x02\x01\x00", 5, "version 3"},
        {"\xa0\x03\x02\x01\x02", "\xa4\x03\x02\x01\x02", 5, "version 3"},
        {"\x02\x10", "\x04\x10", 2, "serial number"},
        {"\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x02", "\x06\x08\x2a\x86\x48\xce\x3d\x04\x03\x03", 10, "signature algorithms differ"},
        {"\x30\x0f\x31\x0d", "\x31\x0f\x31\x0d", 4, "issuer"},
        {"\x30\x1e\x17\x0d", "\x30\x1e\x16\x0d", 4, "validity"},
        {"\x30\x59\x30\x13", "\x31\x59\x30\x13", 4, "public key"},
        {"\x06\x03\x55\x1d\x0f", "\x06\x03\x55\x1d\x13", 5, "extensions"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct certificate certificate;
        assert_int_equal(certificate_parse(rq, changed(rq->arena, cases[i].from, cases[i].to, cases[i].len), &certificate), ERR_BAD_REQUEST);
        if (strstr(rq->failure.message, cases[i].why) == NULL)
            fail_msg("%s instead of %s", rq->failure.message, cases[i].why);
    }
}

static void
refuses_what_is_cut_longer_or_too_large(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct buffer longer = buffer_in(rq->arena);
    struct certificate certificate;

    for (size_t len = 0; len < ca_der.len; len++) {
        failure_clear(rq);
        assert_int_equal(certificate_parse(rq, BYTES(ca_der.at, len), &certificate), ERR_BAD_REQUEST);
    }
    buffer_append(&longer, ca_der.at, ca_der.len);
    buffer_append(&longer, "", 1);
    failure_clear(rq);
    assert_int_equal(certificate_parse(rq, buffer_bytes(&longer), &certificate), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "something follows it"));
    failure_clear(rq);
    assert_int_equal(certificate_parse(rq, BYTES(arena_alloc(rq->arena, CERTIFICATE_MAX + 1), CERTIFICATE_MAX + 1), &certificate), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "at most 65536"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_openssl_says_for_every_kind_of_key),
        cmocka_unit_test(names_are_those_of_subject_alt_name),
        cmocka_unit_test(a_ca_is_known_by_its_constraints),
        cmocka_unit_test(is_issued_by_the_key_and_the_name_together),
        cmocka_unit_test(refuses_what_is_malformed_and_says_where),
        cmocka_unit_test(refuses_what_is_cut_longer_or_too_large),
    };
    return cmocka_run_group_tests(tests, make_ca, drop_ca);
}
