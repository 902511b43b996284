/* CRLs read: our own, OpenSSL's, and broken ones. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/x509v3.h>

#include "kit/pki_kit.h"
#include "pki/crl.h"

#define NOW_S INT64_C(1796083200)

static EVP_PKEY *key;

static int
make_key(void **state)
{
    key = kit_key("p256");
    return 0;
}

static int
drop_key(void **state)
{
    EVP_PKEY_free(key);
    return 0;
}

static struct bytes
sign_plan(struct arena *arena, const struct crl_plan *plan)
{
    struct bytes tbs = crl_encode_tbs(arena, plan);

    return signed_join(arena, tbs, plan->algorithm, kit_sign(arena, key, NULL, tbs));
}

static const struct crl_entry entries[] = {
    {.serial = BYTES("\x01\x02", 2), .revoked_at_s = NOW_S - 1000},
    {.serial = BYTES("\xff\x02\x03", 3), .revoked_at_s = NOW_S - 900, .reason = 1, .invalidity_s = NOW_S - 5000},
    {.serial = BYTES("\x08", 1), .revoked_at_s = NOW_S - 700, .reason = 10},
};

static struct bytes
our_crl(struct arena *arena, const char *issuer)
{
    struct crl_plan plan = {.algorithm = SIG_ECDSA_SHA256,
                            .issuer = kit_name(arena, issuer),
                            .this_update_s = NOW_S,
                            .next_update_s = NOW_S + 86400,
                            .number = BYTES("\x81", 1),
                            .authority_key_id = BYTES("aaaaaaaaaaaaaaaaaaaa", 20),
                            .entries = entries,
                            .entry_count = COUNT_OF(entries)};

    return sign_plan(arena, &plan);
}

static void
reads_back_what_was_encoded(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct crl crl;
    struct crl_entry entry;

    assert_int_equal(crl_parse(rq, our_crl(rq->arena, "/CN=Issuing CA"), &crl), OK);
    assert_true(crl.this_update_s == NOW_S && crl.next_update_s == NOW_S + 86400);
    assert_int_equal(crl.entry_count, COUNT_OF(entries));
    assert_string_equal(bytes_hex(rq->arena, crl.number, 0), "81");
    assert_int_equal(crl.authority_key_id.len, 20);
    for (size_t i = 0; i < COUNT_OF(entries); i++) {
        assert_true(crl_find(&crl, entries[i].serial, &entry));
        assert_true(entry.revoked_at_s == entries[i].revoked_at_s && entry.invalidity_s == entries[i].invalidity_s);
        assert_int_equal(entry.reason, entries[i].reason);
    }
    assert_false(crl_find(&crl, BYTES("\x02", 1), &entry));
    assert_false(crl_find(&crl, BYTES("\x00\x08", 2), &entry));
}

static void
is_signed_by_its_issuer_only(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, other_key) = kit_key("p256");
    struct certificate issuer, namesake, other;
    struct crl crl, forged;

    assert_int_equal(
        certificate_parse(rq, kit_certificate(rq->arena, &(struct kit_certificate){.key = key, .subject = "/CN=Issuing CA", .is_ca = true}), &issuer),
        OK);
    assert_int_equal(
        certificate_parse(rq, kit_certificate(rq->arena, &(struct kit_certificate){.key = other_key, .subject = "/CN=Issuing CA", .is_ca = true}),
                          &namesake),
        OK);
    assert_int_equal(
        certificate_parse(rq, kit_certificate(rq->arena, &(struct kit_certificate){.key = key, .subject = "/CN=Other", .is_ca = true}), &other), OK);
    struct bytes der = our_crl(rq->arena, "/CN=Issuing CA"), changed = bytes_copy(rq->arena, der);
    assert_int_equal(crl_parse(rq, der, &crl), OK);
    assert_true(crl_is_signed_by(&crl, &issuer));
    assert_false(crl_is_signed_by(&crl, &namesake));
    assert_false(crl_is_signed_by(&crl, &other));

    /* A serial is changed after signing. */
    uint8_t *serial = memmem((uint8_t *)changed.at, changed.len, "\x02\x02\x01\x02", 4);
    assert_non_null(serial);
    serial[3] = 9;
    assert_int_equal(crl_parse(rq, changed, &forged), OK);
    assert_false(crl_is_signed_by(&forged, &issuer));
}

/* A CRL as OpenSSL makes it, with an extension of the given kind. */
static struct bytes
openssl_crl(struct arena *arena, long version, int nid, bool critical, bool with_next_update)
{
    X509_CRL *crl = X509_CRL_new();
    ASN1_TIME *when = ASN1_TIME_set(NULL, NOW_S);
    X509_NAME *name = X509_NAME_new();
    unsigned char *der = NULL;

    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const unsigned char *)"Issuing CA", -1, -1, 0);
    X509_CRL_set_version(crl, version);
    X509_CRL_set_issuer_name(crl, name);
    X509_CRL_set1_lastUpdate(crl, when);
    if (with_next_update)
        X509_CRL_set1_nextUpdate(crl, when);
    if (nid != NID_undef) {
        ASN1_INTEGER *number = ASN1_INTEGER_new();
        ASN1_INTEGER_set(number, 5);
        X509_CRL_add1_ext_i2d(crl, nid, number, critical, 0);
        ASN1_INTEGER_free(number);
    }
    assert_true(X509_CRL_sign(crl, key, EVP_sha256()) > 0);
    int len = i2d_X509_CRL(crl, &der);
    struct bytes copy = bytes_copy(arena, BYTES(der, (size_t)len));
    OPENSSL_free(der);
    X509_NAME_free(name);
    ASN1_TIME_free(when);
    X509_CRL_free(crl);
    return copy;
}

static void
reads_full_lists_of_version_2_only(void **state)
{
    static const struct {
        long version;
        int nid;
        bool critical, with_next_update;
        enum error expected;
    } cases[] = {
        {X509_CRL_VERSION_2, NID_undef, false, true, OK},
        {X509_CRL_VERSION_2, NID_crl_number, false, true, OK},
        {X509_CRL_VERSION_2, NID_crl_number, true, true, OK},
        {X509_CRL_VERSION_2, NID_delta_crl, false, true, OK},
        {X509_CRL_VERSION_2, NID_delta_crl, true, true, ERR_BAD_REQUEST},
        {X509_CRL_VERSION_2, NID_undef, false, false, ERR_BAD_REQUEST},
        {X509_CRL_VERSION_1, NID_undef, false, true, ERR_BAD_REQUEST},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct crl crl;
        struct bytes der = openssl_crl(rq->arena, cases[i].version, cases[i].nid, cases[i].critical, cases[i].with_next_update);
        assert_int_equal(crl_parse(rq, der, &crl), cases[i].expected);
        if (cases[i].expected == OK)
            assert_int_equal(crl.entry_count, 0);
    }
}

static void
refuses_lists_that_are_cut_or_longer(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der = our_crl(rq->arena, "/CN=Issuing CA");
    struct buffer longer = buffer_in(rq->arena);
    struct crl crl;

    for (size_t len = 0; len < der.len; len++) {
        failure_clear(rq);
        assert_int_equal(crl_parse(rq, BYTES(der.at, len), &crl), ERR_BAD_REQUEST);
    }
    buffer_append(&longer, der.at, der.len);
    buffer_append(&longer, "", 1);
    failure_clear(rq);
    assert_int_equal(crl_parse(rq, buffer_bytes(&longer), &crl), ERR_BAD_REQUEST);
}

static void
refuses_entries_that_are_malformed(void **state)
{
    static const struct {
        const char *from, *to;
        size_t len;
    } cases[] = {
        {"\x0a\x01\x0a", "\x0a\x01\x07", 3},         /* reason 7 is unused */
        {"\x0a\x01\x0a", "\x0a\x01\x0b", 3},         /* there is no reason 11 */
        {"\x02\x01\x08\x17", "\x02\x01\xf8\x17", 4}, /* a negative serial */
        {"\x02\x01\x08\x17", "\x04\x01\x08\x17", 4}, /* no INTEGER */
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes der = our_crl(rq->arena, "/CN=Issuing CA");
        struct crl crl;
        uint8_t *at = memmem((uint8_t *)der.at, der.len, cases[i].from, cases[i].len);
        assert_non_null(at);
        memcpy(at, cases[i].to, cases[i].len);
        assert_int_equal(crl_parse(rq, der, &crl), ERR_BAD_REQUEST);
        assert_non_null(strstr(rq->failure.message, "entry 2"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_back_what_was_encoded),        cmocka_unit_test(is_signed_by_its_issuer_only),
        cmocka_unit_test(reads_full_lists_of_version_2_only), cmocka_unit_test(refuses_lists_that_are_cut_or_longer),
        cmocka_unit_test(refuses_entries_that_are_malformed),
    };
    return cmocka_run_group_tests(tests, make_key, drop_key);
}
