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

static enum error
revoke_named(const char *name, bool cascade, Pb__RevokeEabReply *ret_reply)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__RevokeEabRequest input = PB__REVOKE_EAB_REQUEST__INIT;

    pb__revoke_eab_reply__init(ret_reply);
    input.name = name;
    input.cascade = cascade;
    input.operator_ = "olga";
    return revoke_eab(&gateway, rq, &input, ret_reply);
}

static void
accounts_of_a_credential_that_was_deleted_are_found_by_its_name_and_its_key_id(void **state)
{
    Pb__RevokeEabReply reply;

    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.outbox");
    assert_int_equal(create_named("left", "default", 0), OK);
    assert_int_equal(create_named("before", "default", 0), OK);
    make_account_of("left");
    make_account_of("left");
    make_account_of("before");
    make_account_of("good");
    postgres_kit_run(postgres, "UPDATE acme.account a SET eab_name = e.name FROM acme.eab e WHERE e.key_id = a.eab_key_id AND e.name <> 'before'");
    char *key_id = postgres_kit_ask(postgres, "SELECT key_id FROM acme.eab WHERE name = 'before'");
    postgres_kit_run(postgres, "DELETE FROM acme.eab WHERE name IN ('left', 'before')");

    assert_int_equal(revoke_named("left", false, &reply), ERR_NOT_FOUND);
    assert_answer("SELECT count(*) FROM acme.account WHERE status = 'valid'", "4");
    assert_int_equal(revoke_named("left", true, &reply), OK);
    assert_int_equal(reply.accounts, 2);
    assert_int_equal(revoke_named("left", true, &reply), OK);
    assert_int_equal(reply.accounts, 0);
    /* Deleted before accounts knew the name: its key id is in the audit log, and in acme account show. */
    assert_int_equal(revoke_named("before", true, &reply), ERR_NOT_FOUND);
    assert_int_equal(revoke_named(key_id, true, &reply), OK);
    assert_int_equal(reply.accounts, 1);
    free(key_id);
    assert_answer("SELECT count(*) FROM acme.account WHERE status = 'valid'", "1");
    assert_answer("SELECT count(*) FROM acme.outbox WHERE subject = 'signet.event.account.changed'", "3");
}

static void
many_accounts_go_in_several_calls_each_with_its_record(void **state)
{
    Pb__RevokeEabReply reply;

    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.outbox");
    assert_int_equal(create_named("many", "default", 0), OK);
    postgres_kit_run(postgres, "INSERT INTO acme.account (id, key_thumbprint, jwk, contacts, terms_agreed, client_address, eab_key_id, eab_name) "
                               "SELECT md5(n::text), decode(md5(n::text), 'hex'), '{}', '{}', true, '', key_id, name FROM acme.eab, "
                               "generate_series(1, 1001) AS n WHERE name = 'many'");
    assert_int_equal(revoke_named("many", true, &reply), OK);
    assert_int_equal(reply.accounts, REVOKE_ACCOUNTS_MAX);
    assert_true(reply.more);
    assert_int_equal(revoke_named("many", true, &reply), OK);
    assert_int_equal(reply.accounts, 1);
    assert_false(reply.more);
    assert_answer("SELECT count(DISTINCT event_id) FROM acme.outbox WHERE subject = 'signet.event.account.changed'", "1001");
}

static void
what_its_accounts_have_in_work_ends_with_them(void **state)
{
    Pb__RevokeEabReply reply;
    CLIENT(me);

    memset(&beyond, 0, sizeof beyond);
    client_register(&me);
    assert_int_equal(create_named("busy", "default", 0), OK);
    postgres_kit_run(postgres, arena_format(me.arena, "UPDATE acme.account SET eab_name = 'busy' WHERE id = '%s'", strrchr(me.kid, '/') + 1));
    struct made_order open = client_order(&me, "open.example"), made = client_ready_order(&me, "host.example");
    AUTO(EVP_PKEY, key) = kit_key("p256");
    beyond.enroll_pending = true;
    assert_status(client_post(&me, made.finalize, client_csr(&me, key, "DNS:host.example")), 200);
    assert_int_equal(revoke_named("busy", true, &reply), OK);
    assert_int_equal(reply.accounts, 1);
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(beyond.withdrawn, arena_format(me.arena, "acme %s acme-account:%s", strrchr(made.url, '/') + 1, strrchr(me.kid, '/') + 1));
    assert_answer("SELECT string_agg(DISTINCT status, ' ') FROM acme.orders", "invalid");
    assert_non_null(open.url);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accounts_go_only_with_cascade),
        cmocka_unit_test(accounts_of_a_credential_that_was_deleted_are_found_by_its_name_and_its_key_id),
        cmocka_unit_test(many_accounts_go_in_several_calls_each_with_its_record),
        cmocka_unit_test(what_its_accounts_have_in_work_ends_with_them),
    };

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
