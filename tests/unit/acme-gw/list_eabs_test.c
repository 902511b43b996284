/* The list of credentials, with what has become of each. */
#include "eab_fixture.h"

static void
tells_the_state_of_each(void **state)
{
    static const char *const expected[] = {"expired", "revoked", "used-up", "valid"};
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListEabsRequest input = PB__LIST_EABS_REQUEST__INIT;
    Pb__ListEabsReply reply = PB__LIST_EABS_REPLY__INIT;

    for (size_t i = 0; i < COUNT_OF(expected); i++)
        assert_int_equal(create_named(expected[i], "default", 1), OK);
    postgres_kit_run(postgres, "UPDATE acme.eab SET expires_at = now() WHERE name = 'expired'; UPDATE acme.eab SET revoked_at = now() WHERE name = "
                               "'revoked'; UPDATE acme.eab SET uses = 1 WHERE name = 'used-up'");
    assert_int_equal(list_eabs(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.n_credentials, COUNT_OF(expected));
    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        assert_string_equal(reply.credentials[i]->name, expected[i]);
        assert_string_equal(reply.credentials[i]->status, expected[i]);
        assert_string_equal(reply.credentials[i]->created_by, "tester");
    }
    input.name = "valid";
    assert_int_equal(list_eabs(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.n_credentials, 1);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(tells_the_state_of_each)};

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
