/* ListPending: what waits, and only that, as an operator needs to see it. */
#include "ra_fixture.h"

static void
shows_what_waits_and_nothing_else(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "device-1", "waiting.example");
    Pb__EnrollReply enrolled = PB__ENROLL_REPLY__INIT;
    Pb__ListPendingRequest question = PB__LIST_PENDING_REQUEST__INIT;
    Pb__ListPendingReply reply = PB__LIST_PENDING_REPLY__INIT, none = PB__LIST_PENDING_REPLY__INIT;

    (void)issue(fixture, "order-1", "issued.example");
    assert_int_equal(list_pending(&fixture->ra, fixture->rq, &question, &none), OK);
    assert_int_equal(none.n_enrollments, 0);
    request->wants_approval = true;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &enrolled), OK);
    assert_int_equal(list_pending(&fixture->ra, fixture->rq, &question, &reply), OK);
    assert_int_equal(reply.n_enrollments, 1);
    assert_true(bytes_equal(message_bytes(reply.enrollments[0]->intent_id), message_bytes(enrolled.intent_id)));
    assert_string_equal(reply.enrollments[0]->principal, "acme-account:alice");
    assert_string_equal(reply.enrollments[0]->client_address, "192.0.2.1");
    assert_int_equal(reply.enrollments[0]->n_names, 1);
    assert_string_equal(reply.enrollments[0]->names[0]->value, "waiting.example");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(shows_what_waits_and_nothing_else)};

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
