/* A credential that is revoked, alone and with its accounts. */
#include "eab_fixture.h"

static void
accounts_go_only_with_cascade(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__RevokeEabRequest input = PB__REVOKE_EAB_REQUEST__INIT;
    Pb__RevokeEabReply reply = PB__REVOKE_EAB_REPLY__INIT;

    assert_int_equal(create_named("bad", "default", 0), OK);
    assert_int_equal(create_named("good", "default", 0), OK);
    make_account_of("bad");
    make_account_of("bad");
    make_account_of("good");
    input.name = "bad";
    input.operator_ = "olga";
    assert_int_equal(revoke_eab(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.accounts, 0);
    assert_answer("SELECT count(*) FROM acme.account WHERE status = 'valid'", "3");
    assert_answer("SELECT string_agg(name, ' ') FROM acme.eab WHERE revoked_at IS NOT NULL", "bad");
    input.cascade = true;
    assert_int_equal(revoke_eab(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.accounts, 2);
    assert_string_equal(announced, "acme eab credential bad revoked by olga as : 2 accounts");
    assert_answer("SELECT string_agg(status, ' ' ORDER BY status) FROM acme.account", "revoked revoked valid");
    input.name = "nobody";
    assert_int_equal(revoke_eab(&gateway, rq, &input, &reply), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accounts_go_only_with_cascade)};

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
