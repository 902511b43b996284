/* Withdraw: what nobody has signed is refused for good; what is signed, or being signed, is not. */
#include "ra_fixture.h"

static Pb__EnrollRequest *
enroll_as(struct fixture *fixture, const char *key, bool pending, enum error signer_says)
{
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, key, "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    request->wants_approval = pending;
    signer.failing = signer_says;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), pending ? OK : signer_says);
    failure_clear(fixture->rq);
    signer.failing = OK;
    return request;
}

static enum error
withdraw_as(struct fixture *fixture, const Pb__EnrollRequest *enrolled, bool *ret_issued)
{
    Pb__WithdrawRequest request = PB__WITHDRAW_REQUEST__INIT;
    Pb__WithdrawReply reply = PB__WITHDRAW_REPLY__INIT;

    failure_clear(fixture->rq);
    request.channel = enrolled->channel;
    request.idempotency_key = enrolled->idempotency_key;
    request.principal = enrolled->principal;
    request.reason = "the account was revoked";
    enum error error = withdraw(&fixture->ra, fixture->rq, &request, &reply);
    *ret_issued = reply.issued;
    return error;
}

static int64_t
records(void)
{
    return ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.withdrawn' AND principal = 'acme-account:alice' "
                      "AND detail ->> 'message' = 'the account was revoked'");
}

static void
what_waits_for_a_person_is_refused_for_good_and_once(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    Pb__EnrollRequest *request = enroll_as(fixture, "order-1", true, OK);
    bool issued = true;

    for (int i = 0; i < 2; i++) {
        assert_int_equal(withdraw_as(fixture, request, &issued), OK);
        assert_false(issued);
    }
    assert_int_equal(records(), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'refused'"), 1);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_DENIED);
    assert_int_equal(signer.signed_certificates, 0);
}

static void
what_waits_for_a_signer_that_is_away_is_refused_when_nobody_is_at_it(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = enroll_as(fixture, "order-1", false, ERR_UNAVAILABLE);
    bool issued;

    assert_int_equal(withdraw_as(fixture, request, &issued), ERR_BUSY); /* its request may be alive */
    postgres_kit_run(postgres, "UPDATE ra.intent SET attempts = 1, leased_until = now() + interval '20 s', lease_holder = 'other'");
    assert_int_equal(withdraw_as(fixture, request, &issued), ERR_BUSY);
    assert_int_equal(records(), 0);
    postgres_kit_run(postgres, "UPDATE ra.intent SET due_at = now() + interval '60 s', leased_until = NULL, lease_holder = NULL");
    assert_int_equal(withdraw_as(fixture, request, &issued), OK);
    assert_false(issued);
    assert_int_equal(records(), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'refused' AND refusal = 'the account was revoked'"), 1);
}

static void
a_certificate_that_is_there_stays_and_is_told(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = enroll_as(fixture, "order-1", false, OK);
    bool issued = false;

    assert_int_equal(withdraw_as(fixture, request, &issued), OK);
    assert_true(issued);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'issued'"), 1);
    assert_int_equal(records(), 0);
}

static void
what_was_never_asked_for_needs_no_end(void **state)
{
    struct fixture *fixture = *state;
    bool issued = true;

    assert_int_equal(withdraw_as(fixture, good_request(fixture->rq, fixture->key, "never", "a.example"), &issued), OK);
    assert_false(issued);
}

/* A gateway that is no longer ours ends nothing of others. */
static void
nobody_takes_back_what_is_not_his(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = enroll_as(fixture, "order-1", true, OK);
    bool issued;

    request->principal->id = "mallory";
    assert_int_equal(withdraw_as(fixture, request, &issued), ERR_DENIED);
    request->principal->id = "alice";
    fixture->rq->caller = "est-gw";
    assert_int_equal(withdraw_as(fixture, request, &issued), ERR_DENIED);
    fixture->rq->caller = "nobody";
    assert_int_equal(withdraw_as(fixture, request, &issued), ERR_DENIED);
    fixture->rq->caller = "acme-gw";
    request->channel = "scep/phones";
    assert_int_equal(withdraw_as(fixture, request, &issued), ERR_DENIED);
    request->channel = "";
    assert_int_equal(withdraw_as(fixture, request, &issued), ERR_BAD_REQUEST);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'pending'"), 1);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(what_waits_for_a_person_is_refused_for_good_and_once),
        CASE(what_waits_for_a_signer_that_is_away_is_refused_when_nobody_is_at_it),
        CASE(a_certificate_that_is_there_stays_and_is_told),
        CASE(what_was_never_asked_for_needs_no_end),
        CASE(nobody_takes_back_what_is_not_his),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
