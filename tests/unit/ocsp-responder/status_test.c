/* What the database says of a serial number: never issued is never good. */
#include "responder_fixture.h"

static struct status
status_of(struct fixture *fixture, struct bytes issuer_der, struct bytes serial)
{
    struct ocsp_request request;
    const struct issuer *issuer;
    struct status status = {0};

    assert_ok(fixture->rq, ocsp_request_parse(fixture->rq, request_for(fixture->rq->arena, issuer_der, serial), &request));
    assert_ok(fixture->rq, status_load_all(&fixture->responder, fixture->rq, &request, &issuer, &status));
    return status;
}

static void
issued_is_good_until_it_is_revoked(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena);

    assert_int_equal(status_of(fixture, signer.issuing, serial).status, OCSP_GOOD);
    mark_revoked(fixture->rq->arena, serial);
    struct status status = status_of(fixture, signer.issuing, serial);
    assert_int_equal(status.status, OCSP_REVOKED);
    assert_int_equal(status.revoked_at_s, 1767323045);
    assert_int_equal(status.reason, 4);
}

static void
what_we_never_issued_is_unknown(void **state)
{
    struct fixture *fixture = *state;
    struct bytes serial = issue(fixture->rq->arena);
    uint8_t mistyped[SERIAL_LEN], other_month[SERIAL_LEN], other_version[SERIAL_LEN];

    memcpy(mistyped, serial.at, SERIAL_LEN);
    memcpy(other_month, serial.at, SERIAL_LEN);
    memcpy(other_version, serial.at, SERIAL_LEN);
    mistyped[SERIAL_LEN - 1] ^= 1;
    other_month[2] ^= 1;
    other_version[0] = 2;
    const struct bytes serials[] = {BYTES(mistyped, SERIAL_LEN), BYTES(other_month, SERIAL_LEN), BYTES(other_version, SERIAL_LEN),
                                    BYTES(serial.at, SERIAL_LEN - 1), BYTES("\x01", 1)};
    for (size_t i = 0; i < COUNT_OF(serials); i++)
        assert_int_equal(status_of(fixture, signer.issuing, serials[i]).status, OCSP_UNKNOWN);
}

static void
what_another_of_our_cas_issued_is_unknown(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(status_of(fixture, signer.root, issue(fixture->rq->arena)).status, OCSP_UNKNOWN);
}

static void
our_own_sub_ca_is_good_for_its_issuer_only(void **state)
{
    struct fixture *fixture = *state;
    struct certificate issuing;

    assert_ok(fixture->rq, certificate_parse(fixture->rq, signer.issuing, &issuing));
    assert_int_equal(status_of(fixture, signer.root, issuing.serial).status, OCSP_GOOD);
    assert_int_equal(status_of(fixture, signer.issuing, issuing.serial).status, OCSP_UNKNOWN);
}

static void
our_own_sub_ca_is_revoked_when_the_signer_says_so(void **state)
{
    struct fixture *fixture = *state;
    struct certificate issuing;

    assert_ok(fixture->rq, certificate_parse(fixture->rq, signer.issuing, &issuing));
    signer.revoked_ca = "issuing";
    assert_ok(fixture->rq, issuers_refresh(&fixture->responder, fixture->rq));
    struct status status = status_of(fixture, signer.root, issuing.serial);
    signer.revoked_ca = NULL;
    assert_int_equal(status.status, OCSP_REVOKED);
    assert_int_equal(status.revoked_at_s, 1700000000);
    assert_int_equal(status.reason, PB__REVOCATION_REASON__REVOCATION_REASON_CA_COMPROMISE);
}

static void
certificates_of_two_cas_are_not_answered_together(void **state)
{
    struct fixture *fixture = *state;
    struct status statuses[OCSP_SINGLES_MAX];
    const struct issuer *issuer;
    AUTO(OCSP_REQUEST, both) = OCSP_REQUEST_new();
    struct ocsp_request request;

    ask_about(both, signer.issuing, issue(fixture->rq->arena), EVP_sha1());
    ask_about(both, signer.root, issue(fixture->rq->arena), EVP_sha1());
    assert_ok(fixture->rq, ocsp_request_parse(fixture->rq, request_der(fixture->rq->arena, both), &request));
    assert_int_equal(status_load_all(&fixture->responder, fixture->rq, &request, &issuer, statuses), ERR_NOT_FOUND);
}

/* The role sees one view. */
static void
the_role_reads_nothing_else(void **state)
{
    static const char *const statements[] = {"SELECT certificate FROM ra.certificate", "SELECT * FROM ra.intent", "DELETE FROM ra.revocation",
                                             "SELECT * FROM ra.revocation"};
    struct fixture *fixture = *state;

    for (size_t i = 0; i < COUNT_OF(statements); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_not_equal(db_script(fixture->responder.db, rq, statements[i]), OK);
        assert_non_null(strstr(rq->failure.detail, "42501"));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(issued_is_good_until_it_is_revoked),
        CASE(what_we_never_issued_is_unknown),
        CASE(what_another_of_our_cas_issued_is_unknown),
        CASE(our_own_sub_ca_is_good_for_its_issuer_only),
        CASE(our_own_sub_ca_is_revoked_when_the_signer_says_so),
        CASE(certificates_of_two_cas_are_not_answered_together),
        CASE(the_role_reads_nothing_else),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
