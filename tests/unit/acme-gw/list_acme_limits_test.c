/* The sets of rate limits: all by name, or one. */
#include "gateway_fixture.h"

static void
lists_all_or_one(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListAcmeLimitsRequest input = PB__LIST_ACME_LIMITS_REQUEST__INIT;
    Pb__ListAcmeLimitsReply reply = PB__LIST_ACME_LIMITS_REPLY__INIT;

    postgres_kit_run(postgres, "INSERT INTO acme.limits (name, failures_before_pause) VALUES ('aaa', 7)");
    assert_int_equal(list_acme_limits(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.n_limits, 2);
    assert_string_equal(reply.limits[0]->name, "aaa");
    assert_int_equal(reply.limits[0]->failures_before_pause, 7);
    input.name = "default";
    assert_int_equal(list_acme_limits(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.n_limits, 1);
    assert_string_equal(reply.limits[0]->name, "default");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists_all_or_one)};

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
