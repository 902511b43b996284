/* CRLs that we encode, as OpenSSL sees them. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "kit/pki_kit.h"
#include "pki/crl.h"

DEFINE_AUTO(X509_CRL, X509_CRL_free);

#define NOW_S INT64_C(1796083200)

static X509_CRL *
openssl_reads_and_writes_the_same(struct bytes der)
{
    const unsigned char *at = der.at;
    unsigned char *again = NULL;
    X509_CRL *crl = d2i_X509_CRL(NULL, &at, (long)der.len);

    assert_non_null(crl);
    assert_true(i2d_re_X509_CRL_tbs(crl, &again) > 0);
    OPENSSL_free(again);
    again = NULL;
    int len = i2d_X509_CRL(crl, &again);
    assert_int_equal(len, der.len);
    assert_memory_equal(again, der.at, der.len);
    OPENSSL_free(again);
    return crl;
}

static struct bytes
sign_plan(struct arena *arena, const struct crl_plan *plan, EVP_PKEY *key)
{
    struct bytes tbs = crl_encode_tbs(arena, plan);

    return signed_join(arena, tbs, plan->algorithm, kit_sign(arena, key, signature_algorithm_digest(plan->algorithm), tbs));
}

static const struct crl_entry entries[] = {
    {.serial = BYTES("\x01\x02", 2), .revoked_at_s = NOW_S - 1000},
    {.serial = BYTES("\xff\x02\x03", 3), .revoked_at_s = NOW_S - 900, .reason = 1, .invalidity_s = NOW_S - 5000},
    {.serial = BYTES("\x07", 1), .revoked_at_s = NOW_S - 800, .reason = 4},
    {.serial = BYTES("\x08", 1), .revoked_at_s = NOW_S - 700, .invalidity_s = NOW_S - 800},
};

static struct crl_plan
plan_of(struct arena *arena)
{
    return (struct crl_plan){.algorithm = SIG_ECDSA_SHA256,
                             .issuer = kit_name(arena, "/O=Example/CN=Issuing CA"),
                             .this_update_s = NOW_S,
                             .next_update_s = NOW_S + 86400,
                             .number = BYTES("\x81\x00", 2),
                             .authority_key_id = BYTES("aaaaaaaaaaaaaaaaaaaa", 20),
                             .entries = entries,
                             .entry_count = COUNT_OF(entries)};
}

static void
openssl_verifies_it_and_finds_each_entry(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct crl_plan plan = plan_of(arena);
    AUTO(X509_CRL, crl) = openssl_reads_and_writes_the_same(sign_plan(arena, &plan, key));

    assert_int_equal(X509_CRL_verify(crl, key), 1);
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), COUNT_OF(entries));
    ASN1_INTEGER *number = X509_CRL_get_ext_d2i(crl, NID_crl_number, NULL, NULL);
    assert_int_equal(ASN1_INTEGER_get(number), 0x8100);
    ASN1_INTEGER_free(number);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        BIGNUM *serial = BN_bin2bn(entries[i].serial.at, (int)entries[i].serial.len, NULL);
        ASN1_INTEGER *wanted = BN_to_ASN1_INTEGER(serial, NULL);
        X509_REVOKED *found = NULL;
        assert_int_equal(X509_CRL_get0_by_serial(crl, &found, wanted), 1);
        ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(found, NID_crl_reason, NULL, NULL);
        assert_int_equal(reason == NULL ? 0 : ASN1_ENUMERATED_get(reason), entries[i].reason);
        ASN1_GENERALIZEDTIME *invalidity = X509_REVOKED_get_ext_d2i(found, NID_invalidity_date, NULL, NULL);
        assert_int_equal(invalidity != NULL, entries[i].invalidity_s != 0);
        ASN1_ENUMERATED_free(reason);
        ASN1_GENERALIZEDTIME_free(invalidity);
        ASN1_INTEGER_free(wanted);
        BN_free(serial);
    }
}

static void
an_empty_list_is_left_out(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct crl_plan plan = plan_of(arena);
    plan.entry_count = 0;
    AUTO(X509_CRL, crl) = openssl_reads_and_writes_the_same(sign_plan(arena, &plan, key));

    assert_null(X509_CRL_get_REVOKED(crl));
    assert_int_equal(X509_CRL_verify(crl, key), 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(openssl_verifies_it_and_finds_each_entry),
        cmocka_unit_test(an_empty_list_is_left_out),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
