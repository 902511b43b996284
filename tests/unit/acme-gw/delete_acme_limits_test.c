/* Sets of rate limits go when no policy names them. */
#include "gateway_fixture.h"

static enum error
delete_named(const char *name)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__DeleteAcmeLimitsRequest input = PB__DELETE_ACME_LIMITS_REQUEST__INIT;
    Pb__DeleteAcmeLimitsReply reply = PB__DELETE_ACME_LIMITS_REPLY__INIT;

    input.name = name;
    return delete_acme_limits(&gateway, rq, &input, &reply);
}

static void
a_set_goes_when_nobody_names_it(void **state)
{
    postgres_kit_run(postgres,
                     "INSERT INTO acme.limits (name) VALUES ('free'), ('named'); INSERT INTO acme.policy (name, limits) VALUES ('p', 'named')");
    assert_int_equal(delete_named("default"), ERR_BAD_REQUEST);
    assert_int_equal(delete_named("named"), ERR_CONFLICT);
    assert_int_equal(delete_named("free"), OK);
    assert_true(text_starts_with(announced, "acme limits free deleted by "));
    assert_int_equal(delete_named("free"), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_set_goes_when_nobody_names_it)};

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
