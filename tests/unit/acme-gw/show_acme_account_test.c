/* One account, as an operator sees it. */
#include "accounts_fixture.h"

static void
it_shows_whose_it_is_where_it_comes_from_and_what_it_has_in_work(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ShowAcmeAccountRequest input = PB__SHOW_ACME_ACCOUNT_REQUEST__INIT;
    Pb__ShowAcmeAccountReply reply = PB__SHOW_ACME_ACCOUNT_REPLY__INIT;

    assert_status(client_post(&me, me.kid, "{\"contact\":[\"mailto:a@example.org\"]}"), 200);
    postgres_kit_run(postgres, "UPDATE acme.account SET eab_name = 'team-a', eab_key_id = 'kid', owner = 'owner', principal = 'team'");
    (void)client_order(&me, "a.example");
    (void)client_order(&me, "b.example");
    struct made_order third = client_order(&me, "c.example");
    postgres_kit_run(postgres, arena_format(me.arena, "UPDATE acme.orders SET status = 'processing', csr = '\\x00', due_at = now() WHERE id = '%s'",
                                            strrchr(third.url, '/') + 1));
    const char *names[] = {me.kid, id_of(&me), thumbprint_of(&me)};
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        input.account = names[i];
        assert_int_equal(show_acme_account(&gateway, rq, &input, &reply), OK);
        assert_string_equal(reply.account->id, id_of(&me));
    }
    assert_string_equal(reply.account->status, "valid");
    assert_string_equal(reply.account->policy, "default");
    assert_string_equal(reply.account->key_thumbprint, thumbprint_of(&me));
    assert_string_equal(reply.account->contacts[0], "mailto:a@example.org");
    assert_string_equal(reply.account->client_address, "127.0.0.1");
    assert_string_equal(reply.account->eab, "team-a");
    assert_string_equal(reply.account->eab_key_id, "kid");
    assert_string_equal(reply.account->owner, "owner");
    assert_string_equal(reply.account->principal, "team");
    assert_true(reply.account->created_at_s > 0 && reply.account->last_order_at_s >= reply.account->created_at_s);
    assert_int_equal(reply.open_orders, 2);
    assert_int_equal(reply.orders_in_work, 1);
    assert_int_equal(reply.former_keys, 0);
    input.account = "AAAAAAAAAAAAAAAAAAAAAA";
    assert_int_equal(show_acme_account(&gateway, rq, &input, &reply), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(it_shows_whose_it_is_where_it_comes_from_and_what_it_has_in_work)};

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
