/* What a client of fullcmc can tell failures apart by (RFC 5272 §6.1.4), octet for octet; that it is signed is a matter of
 * tests/flow/est_keys_test.py. */
#include "unit/kit.h"

#include <string.h>

#include "est.h"

static const struct failure_case {
    const char *name;
    enum error kind;
    const char *reason;
    uint8_t fail_info;
} cases[] = {
    {"what_is_no_message_fails_its_check", ERR_BAD_REQUEST, "badMessageCheck", 1},
    {"a_request_that_cannot_be_read_is_bad", ERR_BAD_REQUEST, "", 2},
    {"a_certification_request_that_is_refused_is_bad", ERR_BAD_CSR, "", 2},
    {"what_is_not_allowed_is_bad", ERR_DENIED, "", 2},
    {"a_proof_of_another_connection_fails", ERR_BAD_CSR, "popFailed", 9},
    {"what_only_an_operator_can_change_is_our_error", ERR_NOT_FOUND, "configuration", 11},
    {"our_own_error_is_ours", ERR_INTERNAL, "", 11},
    {"who_comes_when_we_are_busy_tries_later", ERR_BUSY, "", 12},
    {"what_is_away_comes_back", ERR_UNAVAILABLE, "", 12},
    {"who_waited_too_long_tries_later", ERR_TIMEOUT, "", 12},
};

static void
fail_info_says_what_kind_of_failure(void **state)
{
    const struct failure_case *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    static const char head[] =
        "\x30\x29\x30\x23\x30\x21\x02\x01\x01\x06\x08\x2b\x06\x01\x05\x05\x07\x07\x19\x31\x12\x30\x10\x02\x01\x02\x30\x03\x02\x01\x00"
        "\x0c\x03why\x02\x01";

    (void)fail(rq, one->kind, "why");
    (void)fail_reason(rq, one->reason);
    struct bytes response = cmc_response_encode(rq->arena, BYTES_NONE, &rq->failure);
    assert_int_equal(response.len, sizeof head - 1 + 5);
    assert_memory_equal(response.at, head, sizeof head - 1);
    assert_int_equal(response.at[sizeof head - 1], one->fail_info);
    assert_memory_equal(response.at + sizeof head, "\x30\x00\x30\x00", 4);
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(cases)];

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[i] = (struct CMUnitTest){.name = cases[i].name, .test_func = fail_info_says_what_kind_of_failure, .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests_name("cmc_response", tests, NULL, NULL);
}
