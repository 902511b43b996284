/* OCSP requests made by OpenSSL, and garbage. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/ocsp.h>

#include "kit/pki_kit.h"
#include "pki/ocsp.h"

DEFINE_AUTO(OCSP_REQUEST, OCSP_REQUEST_free);

static EVP_PKEY *key;
static struct arena *arena;
static struct bytes issuer_der;
static X509 *issuer;

static int
make_issuer(void **state)
{
    arena = arena_new();
    key = kit_key("p256");
    issuer_der = kit_certificate(arena, &(struct kit_certificate){.key = key, .subject = "/CN=Root", .is_ca = true});
    const unsigned char *at = issuer_der.at;
    issuer = d2i_X509(NULL, &at, (long)issuer_der.len);
    return issuer == NULL;
}

static int
drop_issuer(void **state)
{
    X509_free(issuer);
    EVP_PKEY_free(key);
    arena_free(arena);
    return 0;
}

static void
add_id(OCSP_REQUEST *request, long serial, const EVP_MD *digest)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();

    ASN1_INTEGER_set(number, serial);
    assert_non_null(OCSP_request_add0_id(request, OCSP_cert_id_new(digest, X509_get_subject_name(issuer), X509_get0_pubkey_bitstr(issuer), number)));
    ASN1_INTEGER_free(number);
}

static struct bytes
der_of_request(OCSP_REQUEST *request)
{
    unsigned char *der = NULL;
    int len = i2d_OCSP_REQUEST(request, &der);
    struct bytes copy = bytes_copy(arena, BYTES(der, (size_t)len));

    OPENSSL_free(der);
    return copy;
}

static void
reads_what_openssl_asks_and_knows_the_issuer(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(OCSP_REQUEST, asked) = OCSP_REQUEST_new();
    struct ocsp_request request;
    struct ocsp_issuer_hashes hashes, others;
    struct certificate certificate;

    add_id(asked, 0x80, EVP_sha1());
    add_id(asked, 0x1234, EVP_sha256());
    add_id(asked, 5, EVP_sha384());
    OCSP_request_add1_nonce(asked, (unsigned char *)"0123456789abcdef", 16);
    assert_int_equal(certificate_parse(rq, issuer_der, &certificate), OK);
    ocsp_issuer_hashes(&certificate, &hashes);
    others = hashes;
    others.key_sha1[0] ^= 1;
    others.name_sha256[31] ^= 1;

    assert_int_equal(ocsp_request_parse(rq, der_of_request(asked), &request), OK);
    assert_int_equal(request.id_count, 3);
    assert_string_equal(bytes_hex(arena, request.ids[0].serial, 0), "80");
    assert_string_equal(bytes_hex(arena, request.ids[1].serial, 0), "1234");
    assert_true(ocsp_cert_id_matches(&request.ids[0], &hashes) && !request.ids[0].sha256);
    assert_true(ocsp_cert_id_matches(&request.ids[1], &hashes) && request.ids[1].sha256);
    assert_false(ocsp_cert_id_matches(&request.ids[0], &others));
    assert_false(ocsp_cert_id_matches(&request.ids[1], &others));
    /* A hash that we do not compute matches nobody. */
    assert_false(ocsp_cert_id_matches(&request.ids[2], &hashes));
    assert_true(bytes_equal(request.nonce, BYTES("0123456789abcdef", 16)));
    for (size_t i = 0; i < 3; i++)
        assert_true(der_is_one_value(request.ids[i].der));
}

static void
reads_a_signed_request_with_the_name_of_its_sender(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(OCSP_REQUEST, asked) = OCSP_REQUEST_new();
    struct ocsp_request request;

    add_id(asked, 1, EVP_sha1());
    assert_int_equal(OCSP_request_sign(asked, issuer, key, EVP_sha256(), NULL, 0), 1);
    assert_int_equal(ocsp_request_parse(rq, der_of_request(asked), &request), OK);
    assert_int_equal(request.id_count, 1);
    assert_int_equal(request.nonce.len, 0);
}

static void
refuses_more_certificates_than_it_answers(void **state)
{
    for (int count = 15; count <= 17; count++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(OCSP_REQUEST, asked) = OCSP_REQUEST_new();
        struct ocsp_request request;
        for (int i = 0; i < count; i++)
            add_id(asked, i + 1, EVP_sha1());
        assert_int_equal(ocsp_request_parse(rq, der_of_request(asked), &request), count <= OCSP_SINGLES_MAX ? OK : ERR_BAD_REQUEST);
    }
}

static void
refuses_nonces_that_rfc_9654_refuses(void **state)
{
    static const struct {
        int len;
        bool good;
    } cases[] = {{1, true}, {32, true}, {128, true}, {129, false}};
    static unsigned char octets[200];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(OCSP_REQUEST, asked) = OCSP_REQUEST_new();
        struct ocsp_request request;
        add_id(asked, 1, EVP_sha1());
        OCSP_request_add1_nonce(asked, octets, cases[i].len);
        assert_int_equal(ocsp_request_parse(rq, der_of_request(asked), &request), cases[i].good ? OK : ERR_BAD_REQUEST);
    }
}

static void
refuses_critical_extensions_that_it_does_not_know(void **state)
{
    for (int critical = 0; critical <= 1; critical++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(OCSP_REQUEST, asked) = OCSP_REQUEST_new();
        struct ocsp_request request;
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        X509_EXTENSION *extension = X509_EXTENSION_create_by_NID(NULL, NID_id_pkix_OCSP_acceptableResponses, critical, value);
        add_id(asked, 1, EVP_sha1());
        OCSP_REQUEST_add_ext(asked, extension, -1);
        X509_EXTENSION_free(extension);
        ASN1_OCTET_STRING_free(value);
        assert_int_equal(ocsp_request_parse(rq, der_of_request(asked), &request), critical ? ERR_BAD_REQUEST : OK);
    }
}

static void
refuses_garbage(void **state)
{
    AUTO(OCSP_REQUEST, asked) = OCSP_REQUEST_new();
    AUTO(OCSP_REQUEST, empty) = OCSP_REQUEST_new();
    struct ocsp_request request;

    add_id(asked, 1, EVP_sha1());
    struct bytes good = der_of_request(asked), none = der_of_request(empty);
    AUTO_STRUCT(request, rq) = request_new();
    assert_int_equal(ocsp_request_parse(rq, none, &request), ERR_BAD_REQUEST);
    /* Cut anywhere, or with an octet behind it. */
    for (size_t len = 0; len < good.len; len++) {
        failure_clear(rq);
        assert_int_equal(ocsp_request_parse(rq, BYTES(good.at, len), &request), ERR_BAD_REQUEST);
    }
    struct buffer longer = buffer_in(arena);
    buffer_append(&longer, good.at, good.len);
    buffer_append(&longer, "", 1);
    failure_clear(rq);
    assert_int_equal(ocsp_request_parse(rq, buffer_bytes(&longer), &request), ERR_BAD_REQUEST);
    failure_clear(rq);
    assert_int_equal(ocsp_request_parse(rq, BYTES(arena_alloc(arena, OCSP_REQUEST_MAX + 1), OCSP_REQUEST_MAX + 1), &request), ERR_BAD_REQUEST);
    failure_clear(rq);
    assert_int_equal(ocsp_request_parse(rq, good, &request), OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_openssl_asks_and_knows_the_issuer),      cmocka_unit_test(reads_a_signed_request_with_the_name_of_its_sender),
        cmocka_unit_test(refuses_more_certificates_than_it_answers),         cmocka_unit_test(refuses_nonces_that_rfc_9654_refuses),
        cmocka_unit_test(refuses_critical_extensions_that_it_does_not_know), cmocka_unit_test(refuses_garbage),
    };
    return cmocka_run_group_tests(tests, make_issuer, drop_issuer);
}
