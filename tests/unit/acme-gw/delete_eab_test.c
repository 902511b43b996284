/* A credential that is deleted leaves its accounts alive. */
#include "eab_fixture.h"

static void
accounts_stay(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__DeleteEabRequest input = PB__DELETE_EAB_REQUEST__INIT;
    Pb__DeleteEabReply reply = PB__DELETE_EAB_REPLY__INIT;

    assert_int_equal(create_named("gone", "default", 1), OK);
    make_account_of("gone");
    input.name = "gone";
    assert_int_equal(delete_eab(&gateway, rq, &input, &reply), OK);
    assert_true(text_starts_with(announced, "acme eab credential gone deleted by  as : name: gone → "));
    assert_answer("SELECT string_agg(status, ' ') FROM acme.account", "valid");
    assert_answer("SELECT count(*) FROM acme.eab", "0");
    assert_int_equal(delete_eab(&gateway, rq, &input, &reply), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accounts_stay)};

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
