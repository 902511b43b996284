/* Approve: a person's word opens what waits, or ends it, once; on record with who said it. */
#include "ra_fixture.h"

static struct bytes
make_pending(struct fixture *fixture, Pb__EnrollRequest **ret_request)
{
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "device-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    request->wants_approval = true;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_PENDING);
    *ret_request = request;
    return message_bytes(reply.intent_id);
}

static enum error
decide(struct fixture *fixture, struct bytes id, bool deny)
{
    Pb__ApproveRequest request = PB__APPROVE_REQUEST__INIT;
    Pb__ApproveReply reply = PB__APPROVE_REPLY__INIT;

    failure_clear(fixture->rq);
    request.intent_id = message_data(id);
    request.deny = deny;
    request.operator_ = "olga";
    request.reason = deny ? "nobody knows this device" : "";
    return approve(&fixture->ra, fixture->rq, &request, &reply);
}

static void
approved_it_is_issued_to_who_asks_again(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    struct bytes id = make_pending(fixture, &request);

    assert_int_equal(decide(fixture, id, false), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'open' AND due_at <= now()"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.approved' AND detail ->> 'operator' = 'olga'"), 1);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED);
    assert_int_equal(decide(fixture, id, true), ERR_CONFLICT);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.denied'"), 0);
}

static void
denied_it_is_refused_for_good_with_the_reason(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    struct bytes id = make_pending(fixture, &request);

    assert_int_equal(decide(fixture, id, true), OK);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_DENIED);
    assert_string_equal(fixture->rq->failure.message, "nobody knows this device");
    assert_int_equal(decide(fixture, id, false), ERR_CONFLICT);
    assert_int_equal(signer.signed_certificates, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.denied'"), 1);
}

static void
a_key_that_was_blocked_meanwhile_is_not_certified(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    struct bytes id = make_pending(fixture, &request);

    /* What its owner's revocation of another certificate does. */
    struct csr csr;
    uint8_t sha256[32];
    assert_int_equal(csr_parse(fixture->rq, message_bytes(request->csr), &csr), OK);
    public_key_sha256(&csr.key, sha256);
    postgres_kit_run(postgres, arena_format(fixture->rq->arena, "INSERT INTO ra.blocked_key (spki_sha256, why) VALUES ('\\x%s', 'certificate-key')",
                                            bytes_hex(fixture->rq->arena, BYTES(sha256, sizeof sha256), 0)));
    assert_int_equal(decide(fixture, id, false), ERR_DENIED);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'pending'"), 1);
    assert_int_equal(decide(fixture, id, true), OK);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_DENIED);
    assert_int_equal(signer.signed_certificates, 0);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.approved'"), 0);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'approval.refused' AND detail ->> 'result' = 'denied'"), 1);
}

static void
a_template_that_was_disabled_meanwhile_issues_nothing(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    struct bytes id = make_pending(fixture, &request);

    signer.templates[0]->enabled = false;
    assert_int_equal(decide(fixture, id, false), ERR_DENIED);
    assert_non_null(strstr(fixture->rq->failure.message, "Web Server was disabled"));
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'pending'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'approval.refused' AND detail ->> 'operator' = 'olga'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'enroll.approved'"), 0);
    signer.templates[0]->enabled = true;
    assert_int_equal(decide(fixture, id, false), OK);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_int_equal(reply.status, PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED);
}

static void
refuses_what_is_not_there(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(decide(fixture, BYTES("0123456789abcdef", 16), false), ERR_NOT_FOUND);
    assert_int_equal(decide(fixture, BYTES("0123", 4), false), ERR_BAD_REQUEST);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(approved_it_is_issued_to_who_asks_again),
        CASE(denied_it_is_refused_for_good_with_the_reason),
        CASE(a_key_that_was_blocked_meanwhile_is_not_certified),
        CASE(a_template_that_was_disabled_meanwhile_issues_nothing),
        CASE(refuses_what_is_not_there),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
