/* A credential that is revoked, alone and with its accounts. */
#include "gateway_fixture.h"

static enum error
create_named(const char *name, const char *policy, uint32_t uses)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateEabRequest input = PB__CREATE_EAB_REQUEST__INIT;
    Pb__CreateEabReply reply = PB__CREATE_EAB_REPLY__INIT;
    Pb__EabCredential credential = PB__EAB_CREDENTIAL__INIT;

    credential.name = name;
    credential.policy = policy;
    credential.use_limit = uses;
    credential.created_by = "tester";
    input.credential = &credential;
    return create_eab(&gateway, rq, &input, &reply);
}

static void
make_account_of(const char *name)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    postgres_kit_run(postgres, arena_format(arena,
                                            "INSERT INTO acme.account (id, key_thumbprint, jwk, contacts, terms_agreed, client_address, eab_key_id) "
                                            "SELECT md5(random()::text), decode(md5(random()::text), 'hex'), '{}', '{}', true, '', key_id "
                                            "FROM acme.eab WHERE name = '%s'",
                                            name));
}

static void
assert_answer(const char *sql, const char *expected)
{
    char *found = postgres_kit_ask(postgres, sql);
    assert_string_equal(found, expected);
    free(found);
}

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
    assert_int_equal(revoke_eab(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.accounts, 0);
    assert_answer("SELECT count(*) FROM acme.account WHERE status = 'valid'", "3");
    assert_answer("SELECT string_agg(name, ' ') FROM acme.eab WHERE revoked_at IS NOT NULL", "bad");
    input.cascade = true;
    assert_int_equal(revoke_eab(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.accounts, 2);
    assert_answer("SELECT string_agg(status, ' ' ORDER BY status) FROM acme.account", "revoked revoked valid");
    input.name = "nobody";
    assert_int_equal(revoke_eab(&gateway, rq, &input, &reply), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accounts_go_only_with_cascade)};

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
