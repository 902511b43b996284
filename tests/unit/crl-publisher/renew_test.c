/* What a CRL must be to replace the last one: each refusal next to the CRL that is taken. */
#include "publisher_fixture.h"

#include <openssl/x509v3.h>

DEFINE_AUTO(X509_CRL, X509_CRL_free);
DEFINE_AUTO(ASN1_TIME, ASN1_TIME_free);
DEFINE_AUTO(ASN1_INTEGER, ASN1_INTEGER_free);
DEFINE_AUTO(ISSUING_DIST_POINT, ISSUING_DIST_POINT_free);
DEFINE_AUTO(X509, X509_free);

static struct last_crl last; /* number 0x0100, made an hour ago */

static int
open_renewal(void **state)
{
    open_publisher(state);
    last = (struct last_crl){.this_update_s = clock_now_s() - 3600};
    assert_true(crl_number_of(BYTES("\x01\x00", 2), &last.number));
    return 0;
}

static enum error
renew(struct new_crl *ret_new)
{
    return renew_crl(&publisher, rq, ISSUER, signer.cas[1].certificate, &last, ret_new);
}

static void
takes_a_crl_that_is_right_and_newer(void **state)
{
    struct new_crl new;
    struct crl_entry entry;

    signer.entries = 3;
    assert_int_equal(renew(&new), OK);
    assert_int_equal(new.crl.entry_count, 3);
    assert_string_equal(bytes_hex(rq->arena, signer.asked_after, 0), "0100");
    assert_string_equal(bytes_hex(rq->arena, new.crl.number, 0), "0101");
    assert_true(new.crl.next_update_s - new.crl.this_update_s == 7 * DAY_S);
    assert_true(crl_find(&new.crl, BYTES("\x01\x02\x03\x04\0\0\0\0\0\x02\0\0\0\0\0\0\0", 17), &entry));
}

static void
asks_for_the_first_number_with_none(void **state)
{
    struct new_crl new;

    last = (struct last_crl){0};
    assert_int_equal(renew(&new), OK);
    assert_int_equal(signer.asked_after.len, 0);
    assert_string_equal(bytes_hex(rq->arena, new.crl.number, 0), "01");
}

static void
does_not_go_back_in_time_behind_a_faster_clock(void **state)
{
    struct new_crl new;

    last.this_update_s = clock_now_s() + 60;
    assert_int_equal(renew(&new), OK);
    assert_true(new.crl.this_update_s == last.this_update_s + 1);
}

static void
makes_no_two_crls_of_one_second(void **state)
{
    struct new_crl new;

    last.this_update_s = clock_now_s();
    assert_int_equal(renew(&new), OK);
    assert_true(new.crl.this_update_s > last.this_update_s);
    assert_true(new.crl.this_update_s <= clock_now_s()); /* by waiting, not by looking ahead */
}

static void
refuse(enum error kind, const char *why)
{
    struct new_crl new;

    assert_int_equal(renew(&new), kind);
    if (strstr(rq->failure.message, why) == NULL)
        fail_msg("said \"%s\", not \"%s\"", rq->failure.message, why);
}

static void
refuses_a_signature_of_another_key(void **state)
{
    signer.key = signer.cas[0].key;
    refuse(ERR_BAD_REQUEST, "the signature of the CRL is not of the CA's key");
}

static void
refuses_the_name_of_another_issuer(void **state)
{
    signer.issuer_name = "/O=Test/CN=Root";
    refuse(ERR_BAD_REQUEST, "names another issuer");
}

static void
takes_no_other_crl_than_the_one_that_was_signed_for_it(void **state)
{
    signer.with_another = true;
    refuse(ERR_CONFLICT, "a newer one has taken its place");
}

static void
refuses_an_equal_number(void **state)
{
    signer.number = BYTES("\x01\x00", 2);
    refuse(ERR_CONFLICT, "0x0100, is not greater than the last, 0x0100");
}

static void
refuses_a_lower_number(void **state)
{
    signer.number = BYTES("\xff", 1);
    refuse(ERR_CONFLICT, "0xff, is not greater than the last, 0x0100");
}

/* Made by OpenSSL, as another program might: a number of 0x0101 unless it is left out, and perhaps "only user certificates". */
static struct bytes
foreign_crl(bool with_number, bool partial)
{
    AUTO(X509_CRL, crl) = X509_CRL_new();
    AUTO(ASN1_TIME, this_update) = X509_time_adj_ex(NULL, 0, 0, NULL);
    AUTO(ASN1_TIME, next_update) = X509_time_adj_ex(NULL, 7, 0, NULL);
    AUTO(ASN1_INTEGER, number) = ASN1_INTEGER_new();
    AUTO(ISSUING_DIST_POINT, point) = ISSUING_DIST_POINT_new();
    const unsigned char *at = signer.cas[1].certificate.at;
    AUTO(X509, ca) = d2i_X509(NULL, &at, (long)signer.cas[1].certificate.len);
    unsigned char *der = NULL;

    assert_true(X509_CRL_set_version(crl, X509_CRL_VERSION_2) == 1 && X509_CRL_set_issuer_name(crl, X509_get_subject_name(ca)) == 1);
    assert_true(X509_CRL_set1_lastUpdate(crl, this_update) == 1 && X509_CRL_set1_nextUpdate(crl, next_update) == 1);
    assert_true(ASN1_INTEGER_set(number, 0x0101) == 1);
    if (with_number)
        assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0), 1);
    point->onlyuser = 0xff;
    if (partial)
        assert_int_equal(X509_CRL_add1_ext_i2d(crl, NID_issuing_distribution_point, point, 1, 0), 1);
    assert_true(X509_CRL_sign(crl, signer.cas[1].key, EVP_sha256()) > 0);
    int len = i2d_X509_CRL(crl, &der);
    struct bytes copy = bytes_copy(signer.arena, BYTES(der, (size_t)len));
    OPENSSL_free(der);
    return copy;
}

static void
takes_a_crl_that_openssl_made(void **state)
{
    struct new_crl new;

    signer.given = foreign_crl(true, false);
    assert_int_equal(renew(&new), OK);
    assert_string_equal(bytes_hex(rq->arena, new.crl.number, 0), "0101");
}

static void
refuses_a_crl_without_number(void **state)
{
    signer.given = foreign_crl(false, false);
    refuse(ERR_BAD_REQUEST, "has no number");
}

static void
refuses_a_crl_of_some_certificates_only(void **state)
{
    signer.given = foreign_crl(true, true);
    refuse(ERR_BAD_REQUEST, "critical extension");
}

static void
refuses_a_number_of_more_than_20_octets(void **state)
{
    signer.number = BYTES("\x01_34567890123456789_21", 21);
    refuse(ERR_BAD_REQUEST, "has 21 octets");
}

static void
takes_a_number_of_20_octets(void **state)
{
    struct new_crl new;

    signer.number = BYTES("\x7f_345678901234567890", 20);
    assert_int_equal(renew(&new), OK);
}

static void
refuses_a_crl_made_before_the_last(void **state)
{
    signer.this_update_s = last.this_update_s - 1;
    refuse(ERR_CONFLICT, "lies before that of the last");
}

static void
takes_a_crl_made_in_the_same_second(void **state)
{
    struct new_crl new;

    signer.this_update_s = last.this_update_s;
    assert_int_equal(renew(&new), OK);
}

static void
refuses_a_crl_from_the_future(void **state)
{
    signer.this_update_s = clock_now_s() + 3600;
    refuse(ERR_CONFLICT, "lies in the future");
}

static void
refuses_a_crl_that_has_ended(void **state)
{
    signer.this_update_s = last.this_update_s;
    signer.next_update_s = clock_now_s() - 1;
    refuse(ERR_CONFLICT, "has ended already");
}

static void
refuses_a_crl_that_ends_before_it_begins(void **state)
{
    signer.next_update_s = clock_now_s() - DAY_S;
    refuse(ERR_BAD_REQUEST, "ends before it begins");
}

static void
refuses_what_is_no_crl(void **state)
{
    signer.with_garbage = true;
    refuse(ERR_BAD_REQUEST, "malformed");
}

static void
tells_that_the_signer_is_away(void **state)
{
    signer.failing = ERR_UNAVAILABLE;
    refuse(ERR_UNAVAILABLE, "the signer is away");
}

static void
leaves_a_quarter_of_the_time_for_storing(void **state)
{
    struct new_crl new;
    int64_t ends_ms = clock_monotonic_ms() + 40000;

    rq->deadline_ms = ends_ms;
    assert_int_equal(renew(&new), OK);
    assert_true(signer.deadline_ms >= ends_ms - 10000 && signer.deadline_ms < ends_ms);
    assert_true(rq->deadline_ms == ends_ms);
}

static void
orders_numbers_as_numbers(void **state)
{
    struct crl_number small, large;

    assert_true(crl_number_of(BYTES("\xff", 1), &small) && crl_number_of(BYTES("\x01\x00", 2), &large));
    assert_true(crl_number_compare(&small, &large) < 0);
    assert_true(crl_number_compare(&large, &small) > 0);
    assert_int_equal(crl_number_compare(&large, &large), 0);
}

#define RENEWAL(name) cmocka_unit_test_setup_teardown(name, open_renewal, close_publisher)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        RENEWAL(takes_a_crl_that_is_right_and_newer),
        RENEWAL(asks_for_the_first_number_with_none),
        RENEWAL(does_not_go_back_in_time_behind_a_faster_clock),
        RENEWAL(makes_no_two_crls_of_one_second),
        RENEWAL(refuses_a_signature_of_another_key),
        RENEWAL(refuses_the_name_of_another_issuer),
        RENEWAL(takes_no_other_crl_than_the_one_that_was_signed_for_it),
        RENEWAL(refuses_an_equal_number),
        RENEWAL(refuses_a_lower_number),
        RENEWAL(takes_a_crl_that_openssl_made),
        RENEWAL(refuses_a_crl_without_number),
        RENEWAL(refuses_a_crl_of_some_certificates_only),
        RENEWAL(refuses_a_number_of_more_than_20_octets),
        RENEWAL(takes_a_number_of_20_octets),
        RENEWAL(refuses_a_crl_made_before_the_last),
        RENEWAL(takes_a_crl_made_in_the_same_second),
        RENEWAL(refuses_a_crl_from_the_future),
        RENEWAL(refuses_a_crl_that_has_ended),
        RENEWAL(refuses_a_crl_that_ends_before_it_begins),
        RENEWAL(refuses_what_is_no_crl),
        RENEWAL(tells_that_the_signer_is_away),
        RENEWAL(leaves_a_quarter_of_the_time_for_storing),
        RENEWAL(orders_numbers_as_numbers),
    };

    return cmocka_run_group_tests_name("renew", tests, start_postgres, stop_postgres);
}
