/* cms_encode: what OpenSSL reads back. */
#include "unit/kit.h"

#include <openssl/cms.h>

#include "kit/pki_kit.h"
#include "pki/cms.h"

static void
openssl_reads_the_certificates_in_their_order(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    EVP_PKEY *key = kit_key("p256");
    struct bytes certificates[2];

    for (size_t i = 0; i < 2; i++)
        certificates[i] = kit_certificate(arena, &(struct kit_certificate){.key = key, .subject = i == 0 ? "/CN=first" : "/CN=second"});
    EVP_PKEY_free(key);
    struct bytes message = cms_certs_only(arena, certificates, 2, BYTES_NONE);
    const unsigned char *at = message.at;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)message.len);
    assert_non_null(cms);
    assert_ptr_equal(at, message.at + message.len);
    STACK_OF(X509) *found = CMS_get1_certs(cms);
    assert_int_equal(sk_X509_num(found), 2);
    for (int i = 0; i < 2; i++) {
        unsigned char *octets = NULL;
        int len = i2d_X509(sk_X509_value(found, i), &octets);
        assert_true(bytes_equal(BYTES(octets, len), certificates[i]));
        OPENSSL_free(octets);
    }
    sk_X509_pop_free(found, X509_free);
    CMS_ContentInfo_free(cms);
}

static void
a_crl_stands_alone_or_beside_them(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    EVP_PKEY *key = kit_key("p256");
    X509_CRL *made = X509_CRL_new();
    ASN1_TIME *made_at = ASN1_TIME_set(NULL, 0);
    unsigned char *octets = NULL;

    assert_int_equal(X509_CRL_set1_lastUpdate(made, made_at), 1);
    assert_true(X509_CRL_sign(made, key, EVP_sha256()) > 0);
    int len = i2d_X509_CRL(made, &octets);
    struct bytes message = cms_certs_only(arena, NULL, 0, BYTES(octets, len));
    const unsigned char *at = message.at;
    CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)message.len);
    assert_non_null(cms);
    STACK_OF(X509_CRL) *found = CMS_get1_crls(cms);
    assert_int_equal(sk_X509_CRL_num(found), 1);
    assert_null(CMS_get1_certs(cms));
    sk_X509_CRL_pop_free(found, X509_CRL_free);
    CMS_ContentInfo_free(cms);
    OPENSSL_free(octets);
    ASN1_TIME_free(made_at);
    X509_CRL_free(made);
    EVP_PKEY_free(key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_reads_the_certificates_in_their_order),
        cmocka_unit_test(a_crl_stands_alone_or_beside_them),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
