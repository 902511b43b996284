/* SignCrl: entries from the view of ra, numbers that only grow, and a CRL that OpenSSL verifies. */
#include "signer_fixture.h"

#include <pthread.h>

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "p256", "");
    make_ca(rq, "issuing", "rsa-2048", "root");
    return 0;
}

static int
forget_revocations(void **state)
{
    postgres_kit_run(postgres, "DELETE FROM ra.revocation; UPDATE ca.authority SET revoked_at = NULL, reason = NULL");
    return 0;
}

static void
revoke_serial(const char *serial_hex, const char *issuer, int reason, const char *not_after)
{
    char sql[600];

    snprintf(
        sql, sizeof sql,
        "INSERT INTO ra.revocation (expiry_month, serial, issuer, revoked_at, reason, not_after, channel, principal_kind, principal_id, authority) "
        "VALUES (1, '\\x%s', '%s', '2026-01-02 03:04:05Z', %d, %s, 'test', 'operator', 'x', 'issuer')",
        serial_hex, issuer, reason, not_after);
    postgres_kit_run(postgres, sql);
}

static enum error
sign(struct request *rq, const char *issuer, struct bytes after, Pb__SignCrlReply *ret_reply)
{
    Pb__SignCrlRequest request = PB__SIGN_CRL_REQUEST__INIT;

    request.issuer = issuer;
    request.this_update_s = clock_now_s();
    request.next_update_s = request.this_update_s + 7 * DAY_S;
    request.after_number = message_data(after);
    pb__sign_crl_reply__init(ret_reply);
    return sign_crl(&signer, rq, &request, ret_reply);
}

/* Where crl-publisher finds it. */
static X509_CRL *
x509_crl_of(struct request *rq, const char *issuer, const Pb__SignCrlReply *reply)
{
    const char *sha256 = bytes_hex(rq->arena, message_bytes(reply->sha256), 0);
    char *hex = postgres_kit_ask(postgres, arena_format(rq->arena,
                                                        "SELECT encode(der, 'hex') FROM ca.signed_crl WHERE issuer = '%s' AND sha256 = '\\x%s'"
                                                        " AND sha256 = sha256(der)",
                                                        issuer, sha256));
    struct bytes der;

    assert_true(bytes_from_hex(rq->arena, hex, &der));
    free(hex);
    const uint8_t *at = der.at;
    X509_CRL *read = d2i_X509_CRL(NULL, &at, (long)der.len);
    assert_non_null(read);
    assert_ptr_equal(at, der.at + der.len);
    return read;
}

static bool
openssl_verifies_crl(struct request *rq, X509_CRL *crl, const char *issuer)
{
    char *hex = postgres_kit_ask(postgres, arena_format(rq->arena, "SELECT encode(certificate, 'hex') FROM ca.authority WHERE name = '%s'", issuer));
    struct bytes der;

    assert_true(bytes_from_hex(rq->arena, hex, &der));
    free(hex);
    X509 *x509 = x509_of(der);
    bool good = X509_CRL_verify(crl, X509_get0_pubkey(x509)) == 1 && X509_NAME_cmp(X509_CRL_get_issuer(crl), X509_get_subject_name(x509)) == 0;
    X509_free(x509);
    return good;
}

static void
an_empty_crl_verifies(void **state)
{
    static const char *const issuers[] = {"root", "issuing"};

    for (size_t i = 0; i < COUNT_OF(issuers); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignCrlReply reply;
        assert_int_equal(sign(rq, issuers[i], BYTES_NONE, &reply), OK);
        X509_CRL *crl = x509_crl_of(rq, issuers[i], &reply);
        assert_true(openssl_verifies_crl(rq, crl, issuers[i]));
        assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), -1);
        assert_int_equal(reply.entries, 0);
        X509_CRL_free(crl);
    }
}

static void
lists_what_this_ca_issued_and_is_still_alive(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCrlReply reply;

    revoke_serial("01aa", "issuing", 1, "now() + interval '30 days'");
    revoke_serial("01bb", "issuing", 0, "now() + interval '30 days'");
    revoke_serial("01cc", "issuing", 4, "now() - interval '2 days'");  /* just expired: still on it */
    revoke_serial("01dd", "issuing", 4, "now() - interval '30 days'"); /* long expired */
    revoke_serial("01ee", "root", 4, "now() + interval '30 days'");
    assert_int_equal(sign(rq, "issuing", BYTES_NONE, &reply), OK);
    assert_int_equal(reply.entries, 3);
    X509_CRL *crl = x509_crl_of(rq, "issuing", &reply);
    assert_true(openssl_verifies_crl(rq, crl, "issuing"));
    assert_int_equal(sk_X509_REVOKED_num(X509_CRL_get_REVOKED(crl)), 3);
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    X509_REVOKED *entry = NULL;
    ASN1_INTEGER_set(serial, 0x01aa);
    assert_int_equal(X509_CRL_get0_by_serial(crl, &entry, serial), 1);
    ASN1_ENUMERATED *reason = X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL);
    assert_int_equal(ASN1_ENUMERATED_get(reason), 1);
    ASN1_ENUMERATED_free(reason);
    ASN1_INTEGER_set(serial, 0x01bb);
    assert_int_equal(X509_CRL_get0_by_serial(crl, &entry, serial), 1);
    assert_null(X509_REVOKED_get_ext_d2i(entry, NID_crl_reason, NULL, NULL)); /* RFC 5280 §5.3.1: unspecified is left out */
    ASN1_INTEGER_set(serial, 0x01dd);
    assert_int_equal(X509_CRL_get0_by_serial(crl, &entry, serial), 0);
    ASN1_INTEGER_free(serial);
    X509_CRL_free(crl);
}

/* RFC 5280 §3.3: who publishes once a month must have each entry on one CRL after the certificate's end. */
static void
what_has_expired_stays_for_as_long_as_a_crl_lives(void **state)
{
    static const struct {
        int64_t life_s;
        uint32_t entries;
    } cases[] = {{DAY_S, 1}, {7 * DAY_S, 1}, {40 * DAY_S, 2}};

    revoke_serial("01aa", "issuing", 4, "now() - interval '2 days'");
    revoke_serial("01bb", "issuing", 4, "now() - interval '30 days'");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignCrlRequest request = PB__SIGN_CRL_REQUEST__INIT;
        Pb__SignCrlReply reply = PB__SIGN_CRL_REPLY__INIT;
        request.issuer = "issuing";
        request.this_update_s = clock_now_s();
        request.next_update_s = request.this_update_s + cases[i].life_s;
        assert_int_equal(sign_crl(&signer, rq, &request, &reply), OK);
        assert_int_equal(reply.entries, cases[i].entries);
    }
}

static void
a_roots_crl_lists_revoked_cas(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCrlReply reply;

    postgres_kit_run(postgres, "UPDATE ca.authority SET revoked_at = now(), reason = 5 WHERE name = 'issuing'");
    assert_int_equal(sign(rq, "root", BYTES_NONE, &reply), OK);
    assert_int_equal(reply.entries, 1);
}

static void
numbers_grow_and_begin_after_the_one_that_was_published(void **state)
{
    static const uint8_t published[] = {0x01, 0x00, 0x00};
    Pb__SignCrlReply reply;
    int64_t last = 0;

    for (int i = 0; i < 5; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_equal(sign(rq, "issuing", i == 2 ? BYTES(published, sizeof published) : BYTES_NONE, &reply), OK);
        int64_t number = 0;
        for (size_t k = 0; k < reply.number.len; k++)
            number = number << 8 | reply.number.data[k];
        assert_true(number > last);
        if (i == 2)
            assert_int_equal(number, 0x010001);
        last = number;
    }
    restart_signer();
    AUTO_STRUCT(request, rq) = request_new();
    assert_int_equal(sign(rq, "issuing", BYTES_NONE, &reply), OK);
    assert_int_equal(reply.number.len, 3);
}

static void *
sign_one(void *context)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCrlReply reply;
    int64_t *ret_number = context;

    if (sign(rq, "root", BYTES_NONE, &reply) != OK)
        return NULL;
    for (size_t k = 0; k < reply.number.len; k++)
        *ret_number = *ret_number << 8 | reply.number.data[k];
    return NULL;
}

static void
callers_at_one_moment_never_get_one_number(void **state)
{
    enum { CALLERS = 8 };
    pthread_t threads[CALLERS];
    int64_t numbers[CALLERS] = {0};

    for (int i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], NULL, sign_one, &numbers[i]);
    for (int i = 0; i < CALLERS; i++)
        pthread_join(threads[i], NULL);
    for (int i = 0; i < CALLERS; i++)
        for (int k = 0; k < i; k++)
            assert_true(numbers[i] > 0 && numbers[i] != numbers[k]);
}

static void
refuses_impossible_times_and_numbers(void **state)
{
    static const uint8_t huge[] = {1, 0, 0, 0, 0, 0, 0, 0, 0};
    static const struct {
        int64_t this_s, next_s; /* from now */
        size_t after_len;
        enum error error;
    } cases[] = {{3600, 7200, 0, ERR_BAD_REQUEST},
                 {0, 0, 0, ERR_BAD_REQUEST},
                 {0, -5, 0, ERR_BAD_REQUEST},
                 {0, 500 * DAY_S, 0, ERR_BAD_REQUEST},
                 {0, DAY_S, sizeof huge, ERR_CONFLICT},
                 {0, DAY_S, 7, ERR_CONFLICT},  /* the next one would be the last */
                 {0, DAY_S, 6, ERR_CONFLICT}}; /* 2^40 */

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignCrlRequest request = PB__SIGN_CRL_REQUEST__INIT;
        Pb__SignCrlReply reply = PB__SIGN_CRL_REPLY__INIT;
        request.issuer = "root";
        request.this_update_s = clock_now_s() + cases[i].this_s;
        request.next_update_s = clock_now_s() + cases[i].next_s;
        request.after_number = message_data(BYTES(huge, cases[i].after_len));
        assert_int_equal(sign_crl(&signer, rq, &request, &reply), cases[i].error);
    }
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCrlReply reply;
    assert_int_equal(sign(rq, "nobody", BYTES_NONE, &reply), ERR_NOT_FOUND);
}

static void
revoke_many(int count)
{
    char sql[600];

    (void)snprintf(sql, sizeof sql,
                   "INSERT INTO ra.revocation (expiry_month, serial, issuer, revoked_at, reason, not_after, channel, principal_kind, principal_id, "
                   "authority) SELECT 2, decode('01' || lpad(to_hex(n), 32, '0'), 'hex'), 'root', now(), 1, now() + interval '1 day', 't', 'o', "
                   "'x', 'i' FROM generate_series(1, %d) AS n; ANALYZE ra.revocation",
                   count);
    postgres_kit_run(postgres, sql);
}

/* Several messages of the bus, and pages of the database: nothing is left out or comes twice where one ends. */
static void
a_crl_may_be_larger_than_a_message(void **state)
{
    enum { MANY = 50000 };
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCrlReply reply;

    revoke_many(MANY);
    postgres_kit_run(postgres, "UPDATE ca.authority SET revoked_at = now(), reason = 5 WHERE name = 'issuing'");
    assert_int_equal(sign(rq, "root", BYTES_NONE, &reply), OK);
    assert_int_equal(reply.entries, MANY + 1);
    X509_CRL *crl = x509_crl_of(rq, "root", &reply);
    assert_true(openssl_verifies_crl(rq, crl, "root"));
    STACK_OF(X509_REVOKED) *revoked = X509_CRL_get_REVOKED(crl);
    assert_int_equal(sk_X509_REVOKED_num(revoked), MANY + 1);
    ASN1_INTEGER *last = ASN1_INTEGER_new();
    for (int i = 0; i < sk_X509_REVOKED_num(revoked); i++) {
        const ASN1_INTEGER *serial = X509_REVOKED_get0_serialNumber(sk_X509_REVOKED_value(revoked, i));
        assert_true(ASN1_INTEGER_cmp(last, serial) < 0);
        assert_int_equal(ASN1_STRING_copy(last, serial), 1);
    }
    ASN1_INTEGER_free(last);
    X509_CRL_free(crl);
}

static void
a_page_that_is_just_full_is_not_the_last(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCrlReply reply;

    revoke_many(10000);
    assert_int_equal(sign(rq, "root", BYTES_NONE, &reply), OK);
    assert_int_equal(reply.entries, 10000);
}

static void
an_older_crl_does_not_take_the_place_of_a_newer_one(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignCrlReply reply;

    assert_int_equal(sign(rq, "issuing", BYTES_NONE, &reply), OK);
    const char *sha256 = postgres_kit_ask(postgres, "SELECT encode(sha256, 'hex') FROM ca.crl WHERE authority = 'issuing'");
    assert_int_equal(store_put_crl(&signer, rq, "issuing", 1, BYTES("01234567890123456789012345678901", 32), BYTES("old", 3)), OK);
    const char *still = postgres_kit_ask(postgres, "SELECT encode(sha256, 'hex') FROM ca.crl WHERE authority = 'issuing'");
    assert_string_equal(sha256, still);
    assert_string_equal(still, bytes_hex(rq->arena, message_bytes(reply.sha256), 0));
    free((void *)sha256);
    free((void *)still);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup(an_empty_crl_verifies, forget_revocations),
        cmocka_unit_test_setup(lists_what_this_ca_issued_and_is_still_alive, forget_revocations),
        cmocka_unit_test_setup(what_has_expired_stays_for_as_long_as_a_crl_lives, forget_revocations),
        cmocka_unit_test_setup(a_roots_crl_lists_revoked_cas, forget_revocations),
        cmocka_unit_test_setup(numbers_grow_and_begin_after_the_one_that_was_published, forget_revocations),
        cmocka_unit_test_setup(callers_at_one_moment_never_get_one_number, forget_revocations),
        cmocka_unit_test_setup(refuses_impossible_times_and_numbers, forget_revocations),
        cmocka_unit_test_setup(a_crl_may_be_larger_than_a_message, forget_revocations),
        cmocka_unit_test_setup(a_page_that_is_just_full_is_not_the_last, forget_revocations),
        cmocka_unit_test_setup(an_older_crl_does_not_take_the_place_of_a_newer_one, forget_revocations),
    };

    log_open("sign-crl-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start, stop_house);
}
