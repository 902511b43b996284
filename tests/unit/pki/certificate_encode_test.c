/* What we encode, as OpenSSL sees it: it parses, verifies, and OpenSSL encodes the very same octets. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "kit/pki_kit.h"
#include "pki/certificate.h"
#include "pki/name.h"
#include "pki/oid.h"

DEFINE_AUTO(X509, X509_free);

static X509 *
openssl_reads_and_writes_the_same(struct bytes der)
{
    const unsigned char *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);
    unsigned char *again = NULL;

    assert_non_null(certificate);
    assert_ptr_equal(at, der.at + der.len);
    /* Forget the cached encoding, so that OpenSSL really encodes it. */
    X509_set_version(certificate, X509_VERSION_3);
    int len = i2d_re_X509_tbs(certificate, &again);
    OPENSSL_free(again);
    again = NULL;
    assert_true(len > 0);
    len = i2d_X509(certificate, &again);
    assert_int_equal(len, der.len);
    assert_memory_equal(again, der.at, der.len);
    OPENSSL_free(again);
    return certificate;
}

static struct bytes
sign_plan(struct arena *arena, const struct certificate_plan *plan, EVP_PKEY *key)
{
    struct bytes tbs = certificate_encode_tbs(arena, plan);

    return signed_join(arena, tbs, plan->algorithm, kit_sign(arena, key, signature_algorithm_digest(plan->algorithm), tbs));
}

/* OpenSSL's own words for an extension. */
static const char *
shown(struct arena *arena, X509 *certificate, int nid)
{
    int at = X509_get_ext_by_NID(certificate, nid, -1);
    BIO *bio = BIO_new(BIO_s_mem());
    char *text = NULL;

    if (at < 0) {
        BIO_free(bio);
        return NULL;
    }
    assert_int_equal(X509V3_EXT_print(bio, X509_get_ext(certificate, at), 0, 0), 1);
    long len = BIO_get_mem_data(bio, &text);
    text = arena_text_n(arena, text, (size_t)len);
    BIO_free(bio);
    return text;
}

static bool
is_critical(X509 *certificate, int nid)
{
    return X509_EXTENSION_get_critical(X509_get_ext(certificate, X509_get_ext_by_NID(certificate, nid, -1))) == 1;
}

static const struct identifier names[] = {{IDENTIFIER_DNS, "a.example"},        {IDENTIFIER_DNS, "*.b.example"},
                                          {IDENTIFIER_IP, "192.0.2.7"},         {IDENTIFIER_IP, "2001:db8::1"},
                                          {IDENTIFIER_EMAIL, "me@example.org"}, {IDENTIFIER_URI, "https://example.org/x"}};

static void
a_full_plan_becomes_the_certificate_that_it_says(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    const struct bytes purposes[] = {OID_SERVER_AUTH, OID_CLIENT_AUTH};
    const struct name_part subject[] = {{OID_COUNTRY, "DE"}, {OID_ORGANIZATION, "Bücher & Co"}, {OID_COMMON_NAME, "a.example"}};
    struct certificate_plan plan = {
        .serial = BYTES("\xf1\x02\x03", 3),
        .algorithm = SIG_ECDSA_SHA256,
        .issuer = kit_name(arena, "/O=Example/CN=Issuing CA"),
        .subject = name_encode(arena, subject, COUNT_OF(subject)),
        .not_before_s = 1796083200,
        .not_after_s = 2524608000,
        .spki = kit_spki(arena, key),
        .authority_key_id = BYTES("aaaaaaaaaaaaaaaaaaaa", 20),
        .subject_key_id = BYTES("ssssssssssssssssssss", 20),
        .with_basic_constraints = true,
        .path_length = -1,
        .key_usage = 1u << key_usage_bit("digitalSignature") | 1u << key_usage_bit("keyAgreement"),
        .extended_key_usage = purposes,
        .extended_key_usage_count = COUNT_OF(purposes),
        .names = names,
        .name_count = COUNT_OF(names),
        .ocsp_url = "http://ocsp.example/ocsp",
        .ca_issuers_url = "http://pub.example/ca/x.crt",
        .crl_url = "http://pub.example/crl/x.crl",
    };
    struct bytes der = sign_plan(arena, &plan, key);
    AUTO(X509, certificate) = openssl_reads_and_writes_the_same(der);

    assert_int_equal(X509_verify(certificate, key), 1);
    assert_string_equal(shown(arena, certificate, NID_subject_alt_name),
                        "DNS:a.example, DNS:*.b.example, IP Address:192.0.2.7, IP Address:2001:DB8:0:0:0:0:0:1, email:me@example.org, "
                        "URI:https://example.org/x");
    assert_string_equal(shown(arena, certificate, NID_key_usage), "Digital Signature, Key Agreement");
    assert_string_equal(shown(arena, certificate, NID_ext_key_usage), "TLS Web Server Authentication, TLS Web Client Authentication");
    assert_string_equal(shown(arena, certificate, NID_basic_constraints), "CA:FALSE");
    assert_non_null(
        strstr(shown(arena, certificate, NID_info_access), "OCSP - URI:http://ocsp.example/ocsp\nCA Issuers - URI:http://pub.example/ca/x.crt"));
    assert_non_null(strstr(shown(arena, certificate, NID_crl_distribution_points), "URI:http://pub.example/crl/x.crl"));
    assert_non_null(strstr(shown(arena, certificate, NID_authority_key_identifier), "61:61:61"));
    assert_non_null(strstr(shown(arena, certificate, NID_subject_key_identifier), "73:73:73"));
    assert_null(shown(arena, certificate, NID_id_pkix_OCSP_noCheck));
    assert_true(is_critical(certificate, NID_key_usage) && is_critical(certificate, NID_basic_constraints));
    assert_false(is_critical(certificate, NID_subject_alt_name) || is_critical(certificate, NID_ext_key_usage));
    assert_string_equal(name_format(arena, plan.subject), "CN=a.example,O=Bücher & Co,C=DE");
    assert_int_equal(ASN1_STRING_type(X509_get0_notBefore(certificate)), V_ASN1_UTCTIME);
    assert_int_equal(ASN1_STRING_type(X509_get0_notAfter(certificate)), V_ASN1_GENERALIZEDTIME);
}

static void
what_was_encoded_is_read_back(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("ed25519");
    struct bytes name = kit_name(rq->arena, "/CN=Root"), der;
    struct certificate certificate;
    int path_length = 77;
    struct certificate_plan plan = {.serial = BYTES("\x01\x02", 2),
                                    .algorithm = SIG_ED25519,
                                    .issuer = name,
                                    .subject = name,
                                    .not_before_s = 0,
                                    .not_after_s = 253402300799,
                                    .spki = kit_spki(rq->arena, key),
                                    .is_ca = true,
                                    .path_length = 0,
                                    .key_usage = 1u << key_usage_bit("keyCertSign") | 1u << key_usage_bit("cRLSign")};

    der = sign_plan(rq->arena, &plan, key);
    assert_int_equal(certificate_parse(rq, der, &certificate), OK);
    assert_true(certificate_is_issued_by(&certificate, &certificate));
    assert_true(certificate_is_ca(&certificate, &path_length));
    assert_int_equal(path_length, 0);
    assert_true(bytes_equal(certificate.serial, plan.serial));
    assert_true(certificate.not_before_s == 0 && certificate.not_after_s == 253402300799);
    assert_int_equal(certificate.extension_count, 2);
    AUTO(X509, judged) = openssl_reads_and_writes_the_same(der);
    assert_int_equal(X509_verify(judged, key), 1);
    assert_int_equal(X509_check_ca(judged), 1);
    assert_int_equal(X509_get_pathlen(judged), 0);
}

static struct certificate_plan
small_plan(struct arena *arena, EVP_PKEY *key)
{
    return (struct certificate_plan){.serial = BYTES("\x01", 1),
                                     .algorithm = SIG_ECDSA_SHA256,
                                     .issuer = kit_name(arena, "/CN=Root"),
                                     .subject = kit_name(arena, "/CN=a"),
                                     .not_before_s = 1796083200,
                                     .not_after_s = 1806083200,
                                     .spki = kit_spki(arena, key),
                                     .path_length = -1};
}

static void
what_the_plan_leaves_out_is_not_there(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct certificate_plan plan = small_plan(rq->arena, key);
    struct bytes der = sign_plan(rq->arena, &plan, key);
    AUTO(X509, certificate) = openssl_reads_and_writes_the_same(der);
    struct certificate parsed;

    assert_int_equal(X509_get_ext_count(certificate), 0);
    assert_int_equal(certificate_encode_extensions(rq->arena, &plan).len, 0);
    assert_int_equal(certificate_parse(rq, der, &parsed), OK);
    assert_int_equal(parsed.extension_count, 0);
}

static void
names_are_critical_where_the_subject_is_empty(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct certificate_plan plan = small_plan(arena, key);
    plan.subject = name_encode(arena, NULL, 0);
    plan.names = names;
    plan.name_count = 1;
    AUTO(X509, certificate) = openssl_reads_and_writes_the_same(sign_plan(arena, &plan, key));

    assert_true(is_critical(certificate, NID_subject_alt_name));
}

static void
time_stamping_alone_is_critical_and_not_beside_others(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    const struct bytes purposes[] = {OID_TIME_STAMPING, OID_CODE_SIGNING};

    for (size_t count = 1; count <= 2; count++) {
        struct certificate_plan plan = small_plan(arena, key);
        plan.extended_key_usage = purposes;
        plan.extended_key_usage_count = count;
        AUTO(X509, certificate) = openssl_reads_and_writes_the_same(sign_plan(arena, &plan, key));
        assert_int_equal(is_critical(certificate, NID_ext_key_usage), count == 1);
    }
}

static void
an_ocsp_responder_says_that_it_is_not_checked(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct certificate_plan plan = small_plan(arena, key);
    plan.ocsp_nocheck = true;
    plan.extended_key_usage = &OID_OCSP_SIGNING;
    plan.extended_key_usage_count = 1;
    AUTO(X509, certificate) = openssl_reads_and_writes_the_same(sign_plan(arena, &plan, key));

    assert_non_null(shown(arena, certificate, NID_id_pkix_OCSP_noCheck));
    assert_true(X509_get_extended_key_usage(certificate) & XKU_OCSP_SIGN);
}

static void
every_algorithm_verifies_with_openssl(void **state)
{
    static const struct {
        const char *kind;
        enum signature_algorithm algorithm;
    } cases[] = {{"rsa-2048", SIG_RSA_SHA256}, {"rsa-2048", SIG_RSA_SHA384}, {"rsa-2048", SIG_RSA_SHA512}, {"p256", SIG_ECDSA_SHA256},
                 {"p384", SIG_ECDSA_SHA384},   {"p521", SIG_ECDSA_SHA512},   {"ed25519", SIG_ED25519}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        AUTO(EVP_PKEY, key) = kit_key(cases[i].kind);
        struct certificate_plan plan = small_plan(arena, key);
        plan.algorithm = cases[i].algorithm;
        AUTO(X509, certificate) = openssl_reads_and_writes_the_same(sign_plan(arena, &plan, key));
        assert_int_equal(X509_verify(certificate, key), 1);
    }
}

static void
key_usages_have_the_names_and_bits_of_rfc_5280(void **state)
{
    static const char *const in_order[] = {"digitalSignature", "nonRepudiation", "keyEncipherment", "dataEncipherment", "keyAgreement",
                                           "keyCertSign",      "cRLSign",        "encipherOnly",    "decipherOnly"};

    for (int bit = 0; bit < 9; bit++)
        assert_int_equal(key_usage_bit(in_order[bit]), bit);
    assert_int_equal(key_usage_bit("contentCommitment"), 1);
    assert_int_equal(key_usage_bit("digitalsignature"), -1);
    assert_int_equal(key_usage_bit(""), -1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_full_plan_becomes_the_certificate_that_it_says),
        cmocka_unit_test(what_was_encoded_is_read_back),
        cmocka_unit_test(what_the_plan_leaves_out_is_not_there),
        cmocka_unit_test(names_are_critical_where_the_subject_is_empty),
        cmocka_unit_test(time_stamping_alone_is_critical_and_not_beside_others),
        cmocka_unit_test(an_ocsp_responder_says_that_it_is_not_checked),
        cmocka_unit_test(every_algorithm_verifies_with_openssl),
        cmocka_unit_test(key_usages_have_the_names_and_bits_of_rfc_5280),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
