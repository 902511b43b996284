/* Policies go when nobody is bound to them. */
#include "gateway_fixture.h"

static enum error
delete_policy_named(const char *name)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__DeleteAcmePolicyRequest input = PB__DELETE_ACME_POLICY_REQUEST__INIT;
    Pb__DeleteAcmePolicyReply reply = PB__DELETE_ACME_POLICY_REPLY__INIT;

    input.name = name;
    return delete_acme_policy(&gateway, rq, &input, &reply);
}

static void
the_default_policy_stays(void **state)
{
    assert_int_equal(delete_policy_named("default"), ERR_BAD_REQUEST);
}

static void
a_policy_without_accounts_goes_once(void **state)
{
    postgres_kit_run(postgres, "INSERT INTO acme.policy (name) VALUES ('lonely')");
    assert_int_equal(delete_policy_named("lonely"), OK);
    assert_true(text_starts_with(announced, "acme policy lonely deleted by "));
    assert_int_equal(delete_policy_named("lonely"), ERR_NOT_FOUND);
}

static void
a_policy_with_accounts_stays(void **state)
{
    run_and_reload("INSERT INTO acme.policy (name) VALUES ('used')");
    CLIENT(client);
    assert_status(client_post(&client, "/acme/used/new-account", "{\"termsOfServiceAgreed\":true}"), 201);
    assert_int_equal(delete_policy_named("used"), ERR_CONFLICT);
    char *found = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.policy WHERE name = 'used'");
    assert_string_equal(found, "1");
    free(found);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(the_default_policy_stays),
        cmocka_unit_test(a_policy_without_accounts_goes_once),
        cmocka_unit_test(a_policy_with_accounts_stays),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
