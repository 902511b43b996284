/* A credential that is deleted leaves its accounts alive. */
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
accounts_stay(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__DeleteEabRequest input = PB__DELETE_EAB_REQUEST__INIT;
    Pb__DeleteEabReply reply = PB__DELETE_EAB_REPLY__INIT;

    assert_int_equal(create_named("gone", "default", 1), OK);
    make_account_of("gone");
    input.name = "gone";
    assert_int_equal(delete_eab(&gateway, rq, &input, &reply), OK);
    assert_answer("SELECT string_agg(status, ' ') FROM acme.account", "valid");
    assert_answer("SELECT count(*) FROM acme.eab", "0");
    assert_int_equal(delete_eab(&gateway, rq, &input, &reply), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(accounts_stay)};

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
