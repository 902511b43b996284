/* What is kept of the signer's answers: strangers who ask again and again cost no signature of a CA's key. */
#include "scep_fixture.h"

#include <stdatomic.h>
#include <time.h>

#include "base/clock.h"

static atomic_llong later_ms;

int64_t
clock_monotonic_ms(void)
{
    struct timespec now;

    clock_gettime(CLOCK_MONOTONIC, &now);
    return now.tv_sec * INT64_C(1000) + now.tv_nsec / 1000000 + later_ms;
}

static struct request *
request_of(struct fixture *fixture)
{
    failure_clear(fixture->rq);
    return fixture->rq;
}

static void
the_message_of_the_next_ca_is_signed_once(void **state)
{
    struct fixture *fixture = *state;
    const struct profile *profile;
    struct bytes first, second;

    signer_successor = "next";
    profile = must_save(fixture, "phones");
    assert_int_equal(next_ca_load(&fixture->scep, request_of(fixture), profile, &first), OK);
    assert_int_equal(next_ca_load(&fixture->scep, request_of(fixture), profile, &second), OK);
    assert_true(bytes_equal(first, BYTES("signed", 6)) && bytes_equal(second, first));
    assert_int_equal(signatures, 1);
}

static void
without_a_successor_nothing_is_signed(void **state)
{
    struct fixture *fixture = *state;
    struct ra_certificates ras;
    struct bytes message;
    const struct profile *profile = must_save(fixture, "phones");

    assert_int_equal(next_ca_load(&fixture->scep, request_of(fixture), profile, &message), ERR_NOT_FOUND);
    assert_int_equal(signatures, 0);
    assert_int_equal(ra_certificates_load(&fixture->scep, request_of(fixture), profile, &ras), OK);
    assert_string_equal(ras.successor, "");
    assert_int_equal(ras.ca_count, 1);
}

static void
what_was_succeeded_is_known_by_name_and_by_what_it_issued(void **state)
{
    struct fixture *fixture = *state;
    struct ra_certificates ras;
    EVP_PKEY *old_key = kit_key("p256"), *leaf_key = kit_key("p256");
    struct bytes old = kit_certificate(house, &(struct kit_certificate){.key = old_key, .subject = "/CN=Test CA", .is_ca = true});
    struct bytes leaf =
        kit_certificate(house, &(struct kit_certificate){.key = leaf_key, .subject = "/CN=leaf", .issuer_der = old, .issuer_key = old_key});

    signer_predecessor = old;
    const struct profile *profile = must_save(fixture, "phones");
    assert_int_equal(ra_certificates_load(&fixture->scep, request_of(fixture), profile, &ras), OK);
    assert_int_equal(ras.ca_count, 2);
    /* Both have one name: the signature tells. */
    assert_string_equal(authorities_find_issuer(&ras, leaf)->name, "old");
    assert_string_equal(authorities_find_issuer(&ras, ra_der)->name, "issuing");
    assert_true(authorities_find_name(&ras, "old") == &ras.cas[1]);
    assert_null(authorities_find_name(&ras, "nobody"));
    EVP_PKEY *stranger_key = kit_key("p256");
    assert_null(authorities_find_issuer(&ras, kit_certificate(house, &(struct kit_certificate){.key = stranger_key, .subject = "/CN=Test CA"})));
    EVP_PKEY_free(stranger_key);
    EVP_PKEY_free(old_key);
    EVP_PKEY_free(leaf_key);
}

static void
what_was_given_before_stands_while_the_signer_is_away_and_not_against_its_word(void **state)
{
    struct fixture *fixture = *state;
    const struct profile *profile = must_save(fixture, "phones");
    struct ra_certificates ras;

    later_ms += 60000; /* older than what is taken unasked */
    signer_failing = ERR_UNAVAILABLE;
    assert_int_equal(ra_certificates_load(&fixture->scep, request_of(fixture), profile, &ras), OK);
    signer_failing = ERR_CONFLICT; /* "the CA has expired" */
    assert_int_equal(ra_certificates_load(&fixture->scep, request_of(fixture), profile, &ras), ERR_CONFLICT);
    signer_failing = OK;
    assert_int_equal(ra_certificates_load(&fixture->scep, request_of(fixture), profile, &ras), OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_message_of_the_next_ca_is_signed_once),
        CASE(without_a_successor_nothing_is_signed),
        CASE(what_was_succeeded_is_known_by_name_and_by_what_it_issued),
        CASE(what_was_given_before_stands_while_the_signer_is_away_and_not_against_its_word),
    };

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
