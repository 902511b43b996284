/* OCSP responses, as OpenSSL's client sees them. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/ocsp.h>

#include "kit/pki_kit.h"
#include "pki/ocsp.h"

DEFINE_AUTO(X509, X509_free);
DEFINE_AUTO(OCSP_RESPONSE, OCSP_RESPONSE_free);
DEFINE_AUTO(OCSP_BASICRESP, OCSP_BASICRESP_free);
DEFINE_AUTO(OCSP_CERTID, OCSP_CERTID_free);

#define NOW_S INT64_C(1796083200)

static X509 *
as_openssl(struct bytes der)
{
    const unsigned char *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

    assert_non_null(certificate);
    return certificate;
}

static struct bytes
cert_id_der(struct arena *arena, OCSP_CERTID *id)
{
    unsigned char *der = NULL;
    int len = i2d_OCSP_CERTID(id, &der);
    struct bytes copy = bytes_copy(arena, BYTES(der, (size_t)len));

    OPENSSL_free(der);
    return copy;
}

static OCSP_CERTID *
id_of(X509 *issuer, long serial, const EVP_MD *digest)
{
    ASN1_INTEGER *number = ASN1_INTEGER_new();

    ASN1_INTEGER_set(number, serial);
    OCSP_CERTID *id = OCSP_cert_id_new(digest, X509_get_subject_name(issuer), X509_get0_pubkey_bitstr(issuer), number);
    ASN1_INTEGER_free(number);
    return id;
}

static struct bytes
responder(struct arena *arena, EVP_PKEY *key)
{
    return kit_certificate(
        arena, &(struct kit_certificate){.key = key, .subject = "/CN=Root", .is_ca = true, .key_usage = "keyCertSign,cRLSign,digitalSignature"});
}

static OCSP_RESPONSE *
openssl_reads_and_writes_the_same(struct bytes der)
{
    const unsigned char *at = der.at;
    unsigned char *again = NULL;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);

    assert_non_null(response);
    int len = i2d_OCSP_RESPONSE(response, &again);
    assert_int_equal(len, der.len);
    assert_memory_equal(again, der.at, der.len);
    OPENSSL_free(again);
    return response;
}

/* The inside was decoded from an OCTET STRING: compare that too. */
static void
basic_is_encoded_the_same(OCSP_BASICRESP *basic, struct bytes der)
{
    unsigned char *again = NULL;
    int len = i2d_OCSP_BASICRESP(basic, &again);

    assert_true(len > 0 && (size_t)len < der.len);
    assert_memory_equal(again, der.at + der.len - (size_t)len, (size_t)len);
    OPENSSL_free(again);
}

static void
openssl_verifies_and_finds_each_status(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct bytes root_der = responder(rq->arena, key);
    AUTO(X509, root) = as_openssl(root_der);
    AUTO(OCSP_CERTID, good) = id_of(root, 1001, EVP_sha1());
    AUTO(OCSP_CERTID, revoked) = id_of(root, 1002, EVP_sha256());
    AUTO(OCSP_CERTID, unknown) = id_of(root, 1003, EVP_sha1());
    AUTO(OCSP_CERTID, unspecified) = id_of(root, 1004, EVP_sha1());
    struct certificate certificate;
    uint8_t key_id[20];
    const struct ocsp_single singles[] = {
        {.cert_id = cert_id_der(rq->arena, good), .status = OCSP_GOOD},
        {.cert_id = cert_id_der(rq->arena, revoked), .status = OCSP_REVOKED, .revoked_at_s = NOW_S - 100, .reason = 4},
        {.cert_id = cert_id_der(rq->arena, unknown), .status = OCSP_UNKNOWN},
        {.cert_id = cert_id_der(rq->arena, unspecified), .status = OCSP_REVOKED, .revoked_at_s = NOW_S - 50},
    };

    assert_int_equal(certificate_parse(rq, root_der, &certificate), OK);
    public_key_identifier(&certificate.key, key_id);
    struct ocsp_plan plan = {.responder_key_id = BYTES(key_id, 20),
                             .produced_at_s = NOW_S,
                             .this_update_s = NOW_S,
                             .next_update_s = NOW_S + 3600,
                             .singles = singles,
                             .single_count = COUNT_OF(singles),
                             .nonce = BYTES("0123456789abcdef0123456789abcdef", 32)};
    struct bytes data = ocsp_encode_response_data(rq->arena, &plan);
    struct bytes der = ocsp_join(rq->arena, data, SIG_ECDSA_SHA256, kit_sign(rq->arena, key, NULL, data), root_der);

    AUTO(OCSP_RESPONSE, response) = openssl_reads_and_writes_the_same(der);
    assert_int_equal(OCSP_response_status(response), OCSP_RESPONSE_STATUS_SUCCESSFUL);
    AUTO(OCSP_BASICRESP, basic) = OCSP_response_get1_basic(response);
    basic_is_encoded_the_same(basic, der);
    X509_STORE *store = X509_STORE_new();
    X509_STORE_add_cert(store, root);
    assert_int_equal(OCSP_basic_verify(basic, NULL, store, 0), 1);
    X509_STORE_free(store);

    int status, reason;
    ASN1_GENERALIZEDTIME *revoked_at, *this_update, *next_update;
    assert_int_equal(OCSP_resp_find_status(basic, good, &status, &reason, &revoked_at, &this_update, &next_update), 1);
    assert_int_equal(status, V_OCSP_CERTSTATUS_GOOD);
    assert_string_equal((const char *)ASN1_STRING_get0_data(this_update), "20261201000000Z");
    assert_string_equal((const char *)ASN1_STRING_get0_data(next_update), "20261201010000Z");
    assert_int_equal(OCSP_resp_find_status(basic, revoked, &status, &reason, &revoked_at, NULL, NULL), 1);
    assert_int_equal(status, V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, 4);
    assert_string_equal((const char *)ASN1_STRING_get0_data(revoked_at), "20261130235820Z");
    assert_int_equal(OCSP_resp_find_status(basic, unknown, &status, &reason, NULL, NULL, NULL), 1);
    assert_int_equal(status, V_OCSP_CERTSTATUS_UNKNOWN);
    assert_int_equal(OCSP_resp_find_status(basic, unspecified, &status, &reason, NULL, NULL, NULL), 1);
    assert_int_equal(status, V_OCSP_CERTSTATUS_REVOKED);
    assert_int_equal(reason, -1);
    assert_true(OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce, -1) >= 0);
}

static void
a_response_without_next_update_nonce_and_certificate_is_well_formed(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("ed25519");
    AUTO(X509, root) = as_openssl(responder(arena, key));
    AUTO(OCSP_CERTID, good) = id_of(root, 1, EVP_sha1());
    const struct ocsp_single single = {.cert_id = cert_id_der(arena, good), .status = OCSP_GOOD};
    struct ocsp_plan plan = {
        .responder_key_id = BYTES("kkkkkkkkkkkkkkkkkkkk", 20), .produced_at_s = NOW_S, .this_update_s = NOW_S, .singles = &single, .single_count = 1};
    struct bytes data = ocsp_encode_response_data(arena, &plan);
    struct bytes der = ocsp_join(arena, data, SIG_ED25519, kit_sign(arena, key, NULL, data), BYTES_NONE);

    AUTO(OCSP_RESPONSE, response) = openssl_reads_and_writes_the_same(der);
    AUTO(OCSP_BASICRESP, basic) = OCSP_response_get1_basic(response);
    basic_is_encoded_the_same(basic, der);
    assert_int_equal(OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce, -1), -1);
}

static void
errors_are_responses_without_a_body(void **state)
{
    static const int statuses[] = {OCSP_RESPONSE_STATUS_MALFORMEDREQUEST, OCSP_RESPONSE_STATUS_INTERNALERROR, OCSP_RESPONSE_STATUS_TRYLATER,
                                   OCSP_RESPONSE_STATUS_SIGREQUIRED, OCSP_RESPONSE_STATUS_UNAUTHORIZED};

    for (size_t i = 0; i < COUNT_OF(statuses); i++) {
        AUTO(OCSP_RESPONSE, response) = openssl_reads_and_writes_the_same(ocsp_error_response(statuses[i]));
        assert_int_equal(OCSP_response_status(response), statuses[i]);
        assert_null(OCSP_response_get1_basic(response));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_verifies_and_finds_each_status),
        cmocka_unit_test(a_response_without_next_update_nonce_and_certificate_is_well_formed),
        cmocka_unit_test(errors_are_responses_without_a_body),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
