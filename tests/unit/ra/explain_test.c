/* The verdict of every layer, without any trace but the log line. */
#include "ra_fixture.h"

static Pb__ExplainReply
ask(struct fixture *fixture, Pb__EnrollRequest *request)
{
    Pb__ExplainRequest question = PB__EXPLAIN_REQUEST__INIT;
    Pb__ExplainReply reply = PB__EXPLAIN_REPLY__INIT;

    question.request = request;
    assert_int_equal(explain(&fixture->ra, fixture->rq, &question, &reply), OK);
    assert_int_equal(reply.n_layers, LAYER_COUNT);
    assert_int_equal(ask_number("SELECT (SELECT count(*) FROM ra.intent) + (SELECT count(*) FROM audit.record)"), 0);
    return reply;
}

static void
shows_four_layers_of_a_good_request(void **state)
{
    static const char *const names[] = {"identity", "names", "resource", "template"};
    static const char *const codes[] = {"AUTH-001", "AUTH-002", "AUTH-003", "AUTH-004"};
    struct fixture *fixture = *state;
    Pb__ExplainReply reply = ask(fixture, good_request(fixture->rq, fixture->key, "x", "a.example"));

    assert_true(reply.would_issue);
    assert_false(reply.needs_approval);
    for (size_t i = 0; i < LAYER_COUNT; i++) {
        assert_string_equal(reply.layers[i]->layer, names[i]);
        assert_string_equal(reply.layers[i]->code, codes[i]);
        assert_true(reply.layers[i]->passed);
    }
    assert_int_equal(signer.signed_certificates, 0);
}

static void
shows_every_refusing_layer_not_only_the_first(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "x", "a.example");

    postgres_kit_run(postgres, "UPDATE ra.role_name SET pattern = '*.contoso.com'; INSERT INTO ra.asset VALUES ('web-prod-01', '{bob}')");
    request->asset = "web-prod-01";
    request->not_after_s = clock_now_s() + 365 * DAY_S;
    Pb__ExplainReply reply = ask(fixture, request);
    assert_false(reply.would_issue);
    assert_true(reply.layers[LAYER_IDENTITY]->passed);
    assert_false(reply.layers[LAYER_NAMES]->passed);
    assert_false(reply.layers[LAYER_RESOURCE]->passed);
    assert_false(reply.layers[LAYER_TEMPLATE]->passed);
    assert_string_equal(reply.layers[LAYER_RESOURCE]->message, "Asset ownership verification failed: You do not have ownership of web-prod-01");
}

static void
owner_of_the_asset_passes(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "x", "a.example");

    postgres_kit_run(postgres, "INSERT INTO ra.asset VALUES ('web-prod-01', '{bob,acme-account:alice}'), ('other', '{}')");
    request->asset = "web-prod-01";
    assert_true(ask(fixture, request).would_issue);
    request->asset = "other";
    assert_false(ask(fixture, request).would_issue);
}

static void
tells_that_a_person_must_approve(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "x", "a.example");

    request->csr = message_data(kit_csr(fixture->rq->arena, &(struct kit_csr){.key = fixture->key, .subject = "/CN=Our Programs"}));
    request->template_ = "Code-Signing";
    Pb__ExplainReply reply = ask(fixture, request);
    assert_true(reply.needs_approval);
    assert_false(reply.would_issue);
    assert_string_equal(reply.layers[LAYER_TEMPLATE]->message, "Certificate template requires manual approval");
}

static void
what_cannot_be_read_is_an_error(void **state)
{
    struct fixture *fixture = *state;
    Pb__ExplainRequest question = PB__EXPLAIN_REQUEST__INIT;
    Pb__ExplainReply reply = PB__EXPLAIN_REPLY__INIT;

    assert_int_equal(explain(&fixture->ra, fixture->rq, &question, &reply), ERR_BAD_REQUEST);
    failure_clear(fixture->rq);
    question.request = good_request(fixture->rq, fixture->key, "x", "a.example");
    question.request->csr.len--;
    assert_int_equal(explain(&fixture->ra, fixture->rq, &question, &reply), ERR_BAD_CSR);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(shows_four_layers_of_a_good_request), CASE(shows_every_refusing_layer_not_only_the_first),
        CASE(owner_of_the_asset_passes),           CASE(tells_that_a_person_must_approve),
        CASE(what_cannot_be_read_is_an_error),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
