/* Requests that we make for CAs: OpenSSL parses and verifies them, and encodes the same octets. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "kit/pki_kit.h"
#include "pki/certificate.h"
#include "pki/csr.h"

DEFINE_AUTO(X509_REQ, X509_REQ_free);

static X509_REQ *
openssl_reads_and_writes_the_same(struct bytes der)
{
    const unsigned char *at = der.at;
    unsigned char *again = NULL;
    X509_REQ *request = d2i_X509_REQ(NULL, &at, (long)der.len);

    assert_non_null(request);
    assert_true(i2d_re_X509_REQ_tbs(request, &again) > 0);
    OPENSSL_free(again);
    again = NULL;
    int len = i2d_X509_REQ(request, &again);
    assert_int_equal(len, der.len);
    assert_memory_equal(again, der.at, der.len);
    OPENSSL_free(again);
    return request;
}

static void
a_request_of_a_ca_is_what_openssl_encodes(void **state)
{
    static const struct {
        const char *kind;
        enum signature_algorithm algorithm;
    } cases[] = {{"p256", SIG_ECDSA_SHA256}, {"p384", SIG_ECDSA_SHA384}, {"rsa-2048", SIG_RSA_SHA256}, {"ed25519", SIG_ED25519}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, key) = kit_key(cases[i].kind);
        struct certificate_plan plan = {
            .is_ca = true, .path_length = 1, .key_usage = 1u << key_usage_bit("keyCertSign") | 1u << key_usage_bit("cRLSign")};
        struct bytes info = csr_encode_info(rq->arena, kit_name(rq->arena, "/O=Example/CN=Issuing CA"), kit_spki(rq->arena, key),
                                            certificate_encode_extensions(rq->arena, &plan));
        struct bytes der =
            csr_join(rq->arena, info, cases[i].algorithm, kit_sign(rq->arena, key, signature_algorithm_digest(cases[i].algorithm), info));
        AUTO(X509_REQ, request) = openssl_reads_and_writes_the_same(der);
        assert_int_equal(X509_REQ_verify(request, key), 1);
        STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(request);
        assert_int_equal(sk_X509_EXTENSION_num(extensions), 2);
        sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);

        struct csr csr;
        assert_int_equal(csr_parse(rq, der, &csr), OK);
        assert_int_equal(csr_verify(rq, &csr), OK);
        assert_true(csr.asks_ca);
        assert_int_equal(csr.key_usage, plan.key_usage);
    }
}

static void
a_request_without_extensions_has_an_empty_set_of_attributes(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct bytes info = csr_encode_info(rq->arena, kit_name(rq->arena, "/CN=a"), kit_spki(rq->arena, key), BYTES_NONE);
    struct bytes der = csr_join(rq->arena, info, SIG_ECDSA_SHA256, kit_sign(rq->arena, key, NULL, info));
    AUTO(X509_REQ, request) = openssl_reads_and_writes_the_same(der);

    assert_int_equal(X509_REQ_verify(request, key), 1);
    assert_memory_equal(info.at + info.len - 2, "\xa0\x00", 2);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_request_of_a_ca_is_what_openssl_encodes),
        cmocka_unit_test(a_request_without_extensions_has_an_empty_set_of_attributes),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
