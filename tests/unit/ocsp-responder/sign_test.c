/* What the signer is asked to sign. */
#include "responder_fixture.h"

static void
asks_for_each_cert_id_as_it_came(void **state)
{
    struct fixture *fixture = *state;
    struct issuer issuer = {.name = "issuing"};
    AUTO(OCSP_REQUEST, both) = OCSP_REQUEST_new();
    const struct status statuses[] = {{.status = OCSP_REVOKED, .revoked_at_s = 5, .reason = 4}, {.status = OCSP_GOOD}};
    struct signed_response response;
    struct ocsp_request request;

    ask_about(both, signer.issuing, BYTES("\x01", 1), EVP_sha1());
    ask_about(both, signer.issuing, BYTES("\x02", 1), EVP_sha256());
    assert_ok(fixture->rq, ocsp_request_parse(fixture->rq, request_der(fixture->rq->arena, both), &request));
    assert_ok(fixture->rq, sign_response(&fixture->responder, fixture->rq, &issuer, &request, statuses, &response));
    assert_string_equal(signer.last_issuer, "issuing");
    assert_int_equal(signer.last_count, 2);
    assert_int_equal(signer.last_status, PB__CERT_STATUS__CERT_STATUS_REVOKED);
    assert_int_equal(signer.last_nonce.len, 0);
    assert_true(bytes_equal(response.der, bytes_of_text("response 1")));
    assert_int_equal(response.next_update_s - response.this_update_s, fixture->responder.config.validity_s);
}

static void
an_answer_does_not_outlive_the_responders_certificate(void **state)
{
    struct fixture *fixture = *state;
    struct issuer issuer = {.name = "issuing"};
    const struct status good = {.status = OCSP_GOOD};
    struct signed_response response;
    struct ocsp_request request;

    signer.responder_not_after_s = clock_now_s() + 60;
    assert_ok(fixture->rq, ocsp_request_parse(fixture->rq, request_for(fixture->rq->arena, signer.issuing, BYTES("\x01", 1)), &request));
    assert_ok(fixture->rq, sign_response(&fixture->responder, fixture->rq, &issuer, &request, &good, &response));
    assert_int_equal(response.next_update_s, signer.responder_not_after_s);
}

static void
passes_the_signers_refusal_on(void **state)
{
    static const enum error errors[] = {ERR_BUSY, ERR_UNAVAILABLE, ERR_TIMEOUT, ERR_NOT_FOUND};
    struct fixture *fixture = *state;
    struct issuer issuer = {.name = "issuing"};
    const struct status good = {.status = OCSP_GOOD};
    struct signed_response response;
    struct ocsp_request request;

    assert_ok(fixture->rq, ocsp_request_parse(fixture->rq, request_for(fixture->rq->arena, signer.issuing, BYTES("\x01", 1)), &request));
    for (size_t i = 0; i < COUNT_OF(errors); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        signer.failing = errors[i];
        assert_int_equal(sign_response(&fixture->responder, rq, &issuer, &request, &good, &response), errors[i]);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(asks_for_each_cert_id_as_it_came),
        CASE(an_answer_does_not_outlive_the_responders_certificate),
        CASE(passes_the_signers_refusal_on),
    };
    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
