/* Which certificate authorises its own renewal: the one that this profile enrolled, octet by octet, also of a CA that was succeeded where the profile
 * says so. */
#include "scep_fixture.h"

#include "base/clock.h"
#include "pki/serial.h"

#define DAY_S 86400

/* For device.example, signed by that CA with this serial number. */
static struct bytes
certificate_of(struct arena *arena, EVP_PKEY *ca, const struct serial *serial)
{
    static const struct identifier name = {.type = IDENTIFIER_DNS, .value = "device.example"};
    EVP_PKEY *key = kit_key("p256");
    struct certificate_plan plan = {
        .serial = BYTES(serial->octets, SERIAL_LEN),
        .algorithm = SIG_ECDSA_SHA256,
        .issuer = kit_name(arena, "/CN=Test CA"),
        .subject = kit_name(arena, "/CN=device.example"),
        .not_before_s = clock_now_s() - DAY_S,
        .not_after_s = clock_now_s() + 30 * DAY_S,
        .spki = kit_spki(arena, key),
        .path_length = -1,
        .names = &name,
        .name_count = 1,
    };
    struct bytes tbs = certificate_encode_tbs(arena, &plan);

    EVP_PKEY_free(key);
    return signed_join(arena, tbs, plan.algorithm, kit_sign(arena, ca, EVP_sha256(), tbs));
}

static void
record(struct arena *arena, const char *issuer, const char *channel, const struct serial *serial, struct bytes der)
{
    int month = 0;

    assert_true(serial_parse(BYTES(serial->octets, SERIAL_LEN), &month));
    postgres_kit_run(postgres,
                     arena_format(arena,
                                  "SELECT ra.ensure_partition(%d);"
                                  "INSERT INTO ra.certificate (expiry_month, serial, issuer, template, certificate, not_before, not_after,"
                                  " intent_id, channel, principal_kind, principal_id, owner)"
                                  " VALUES (%d, '\\x%s', '%s', '', '\\x%s', now(), now() + interval '30 days', '', '%s', '', '', '')",
                                  month, month, bytes_hex(arena, BYTES(serial->octets, SERIAL_LEN), 0), issuer, bytes_hex(arena, der, 0), channel));
}

static const char *incarnation = ""; /* of the profile */

/* A request for the same names under a new key, signed with `old`. */
static enum error
renew(struct fixture *fixture, struct bytes old, bool from_predecessors)
{
    struct request *rq = fixture->rq;
    Pb__ScepProfile about = good_profile("phones");
    struct profile profile = {.about = &about, .incarnation = incarnation, .ra = "phones"};
    struct conversation c = {.scep = &fixture->scep, .rq = rq, .profile = &profile};
    struct transaction transaction = {0};
    EVP_PKEY *key = kit_key("p256");
    struct csr csr;

    failure_clear(rq);
    about.renewal = true;
    about.renewal_from_predecessors = from_predecessors;
    assert_int_equal(ra_certificates_load(&fixture->scep, rq, &profile, &c.ras), OK);
    assert_true(peer_read(old, &c.message.signer));
    assert_int_equal(
        csr_parse(rq, kit_csr(rq->arena, &(struct kit_csr){.key = key, .subject = "/CN=device.example", .names = "DNS:device.example"}), &csr), OK);
    EVP_PKEY_free(key);
    enum error error = renewal_authorize(&c, &csr, &transaction);
    if (error == OK)
        assert_string_equal(transaction.principal_kind, "scep-certificate");
    return error;
}

static void
what_the_profile_enrolled_renews_itself(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    struct serial serial = serial_new(clock_now_s() + 30 * DAY_S), other = serial_new(clock_now_s() + 30 * DAY_S);
    struct bytes enrolled = certificate_of(arena, ca_key, &serial), elsewhere = certificate_of(arena, ca_key, &other);

    record(arena, "issuing", "scep/phones", &serial, enrolled);
    record(arena, "issuing", "scep/others", &other, elsewhere);
    assert_int_equal(renew(fixture, enrolled, false), OK);
    assert_int_equal(renew(fixture, elsewhere, false), ERR_DENIED);
    assert_non_null(strstr(fixture->rq->failure.message, "was not enrolled by this profile"));
}

/* A profile that was deleted and made again is another one. */
static void
what_another_profile_of_the_name_enrolled_is_not_renewed(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    struct serial serial = serial_new(clock_now_s() + 30 * DAY_S);
    struct bytes enrolled = certificate_of(arena, ca_key, &serial);

    record(arena, "issuing", "scep/phones", &serial, enrolled);
    postgres_kit_run(postgres,
                     "INSERT INTO ra.intent (id, channel, idempotency_key, status, request_sha256, csr, intent, principal_kind, principal_id, "
                     "owner, client_address, due_at) VALUES ('', 'scep/phones', '0123456789abcdef/00112233445566778899:T:0', 'issued', '', "
                     "'', '', '', '', '', '', now())");
    incarnation = "fedcba9876543210";
    assert_int_equal(renew(fixture, enrolled, false), ERR_DENIED);
    incarnation = "0123456789abcdef";
    assert_int_equal(renew(fixture, enrolled, false), OK);
    incarnation = "";
    assert_int_equal(renew(fixture, enrolled, false), ERR_DENIED);
    postgres_kit_run(postgres, "DELETE FROM ra.intent");
}

/* The key of a CA that was succeeded may have been the reason. */
static void
another_certificate_with_the_serial_number_of_an_enrolled_one_renews_nothing(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    struct serial serial = serial_new(clock_now_s() + 30 * DAY_S);
    struct bytes enrolled = certificate_of(arena, ca_key, &serial), forged = certificate_of(arena, ca_key, &serial);

    record(arena, "issuing", "scep/phones", &serial, enrolled);
    assert_int_equal(renew(fixture, forged, false), ERR_DENIED);
    assert_int_equal(renew(fixture, enrolled, false), OK);
}

static void
those_of_a_ca_that_was_succeeded_renew_themselves_where_the_profile_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    EVP_PKEY *old_key = kit_key("p256");
    struct serial serial = serial_new(clock_now_s() + 30 * DAY_S);
    struct bytes enrolled = certificate_of(arena, old_key, &serial);

    struct bytes old_der = kit_certificate(arena, &(struct kit_certificate){.key = old_key, .subject = "/CN=Test CA", .is_ca = true});
    record(arena, "old", "scep/phones", &serial, enrolled);
    assert_int_equal(renew(fixture, enrolled, true), ERR_DENIED); /* nothing was succeeded */
    ra_cache_free(fixture->scep.ras);
    fixture->scep.ras = ra_cache_new();
    signer_predecessor = old_der;
    assert_int_equal(renew(fixture, enrolled, false), ERR_DENIED);
    assert_non_null(strstr(fixture->rq->failure.message, "certificate of old"));
    assert_int_equal(renew(fixture, enrolled, true), OK);
    EVP_PKEY_free(old_key);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_the_profile_enrolled_renews_itself),
        CASE(what_another_profile_of_the_name_enrolled_is_not_renewed),
        CASE(another_certificate_with_the_serial_number_of_an_enrolled_one_renews_nothing),
        CASE(those_of_a_ca_that_was_succeeded_renew_themselves_where_the_profile_says_so),
    };

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
