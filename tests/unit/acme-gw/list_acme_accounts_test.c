/* The list of accounts: each filter, and pages that neither repeat nor leave out. */
#include "accounts_fixture.h"

static Pb__ListAcmeAccountsRequest
filter(const char *policy, const char *status, const char *eab, const char *contact)
{
    Pb__ListAcmeAccountsRequest input = PB__LIST_ACME_ACCOUNTS_REQUEST__INIT;

    input.policy = policy;
    input.status = status;
    input.eab = eab;
    input.contact = contact;
    return input;
}

/* The ids, newest first, of one page after the other. */
static const char *
list(Pb__ListAcmeAccountsRequest input)
{
    struct buffer ids = buffer_in(me.arena);

    for (int page = 0; page < 100; page++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__ListAcmeAccountsReply reply = PB__LIST_ACME_ACCOUNTS_REPLY__INIT;
        assert_int_equal(list_acme_accounts(&gateway, rq, &input, &reply), OK);
        assert_true(input.limit == 0 || reply.n_accounts <= input.limit);
        for (size_t i = 0; i < reply.n_accounts; i++)
            buffer_append_format(&ids, "%s%s", ids.len > 0 ? " " : "", reply.accounts[i]->id);
        input.cursor = arena_text(me.arena, reply.next_cursor);
        if (input.cursor[0] == '\0')
            return buffer_text(&ids);
        assert_true(reply.n_accounts > 0);
    }
    fail_msg("the pages do not end");
    return NULL;
}

static void
put(const char *id, const char *status, const char *policy, const char *contacts, const char *eab_name, const char *eab_key_id)
{
    postgres_kit_run(
        postgres, arena_format(me.arena,
                               "INSERT INTO acme.account (id, status, key_thumbprint, jwk, contacts, terms_agreed, client_address, policy, eab_name, "
                               "eab_key_id, created_at) VALUES ('%s', '%s', decode(md5('%s'), 'hex'), '{}', '%s', true, '192.0.2.1', '%s', '%s', "
                               "nullif('%s', ''), now() + interval '%zu s')",
                               id, status, id, contacts, policy, eab_name, eab_key_id, strlen(id)));
}

static int
begin_with_accounts(void **state)
{
    begin(state);
    postgres_kit_run(postgres, "TRUNCATE acme.account");
    put("1", "valid", "default", "{mailto:Ann@one.example}", "", "");
    put("22", "revoked", "default", "{mailto:bob@two.example,mailto:ann@two.example}", "", "");
    put("333", "valid", "open", "{}", "gone", "gone-key");
    put("4444", "deactivated", "open", "{}", "here", "");
    assert_int_equal(create_named("here", "default", 0), OK);
    postgres_kit_run(postgres, "UPDATE acme.account SET eab_key_id = (SELECT key_id FROM acme.eab) WHERE id = '4444'");
    return 0;
}

static void
each_filter_finds_its_accounts(void **state)
{
    const struct {
        const char *policy, *status, *eab, *contact, *found;
    } cases[] = {
        {"", "", "", "", "4444 333 22 1"}, {"open", "", "", "", "4444 333"}, {"none", "", "", "", ""},         {"", "valid", "", "", "333 1"},
        {"", "revoked", "", "", "22"},     {"", "", "", "ann@", "22 1"},     {"", "", "", "ONE.example", "1"}, {"", "", "", "%", ""},
        {"", "", "gone", "", "333"},       {"", "", "gone-key", "", "333"},  {"", "", "here", "", "4444"},     {"", "", "nobody", "", ""},
        {"open", "valid", "", "", "333"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        assert_string_equal(list(filter(cases[i].policy, cases[i].status, cases[i].eab, cases[i].contact)), cases[i].found);
}

static void
pages_follow_each_other_also_within_one_moment(void **state)
{
    Pb__ListAcmeAccountsRequest input = filter("", "", "", "");

    input.limit = 1;
    assert_string_equal(list(input), "4444 333 22 1");
    postgres_kit_run(postgres, "UPDATE acme.account SET created_at = now()");
    assert_string_equal(list(input), "4444 333 22 1");
    input.limit = 3;
    assert_string_equal(list(input), "4444 333 22 1");
}

static void
refuses_unknown_states_and_cursors_of_nobody(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListAcmeAccountsReply reply = PB__LIST_ACME_ACCOUNTS_REPLY__INIT;
    static const char *const cursors[] = {"x", "1", "x.AAAA", ".", "-1.AAAA", "1.AA.zz", "1.2.33.4"};
    Pb__ListAcmeAccountsRequest input = filter("", "asleep", "", "");

    assert_int_equal(list_acme_accounts(&gateway, rq, &input, &reply), ERR_BAD_REQUEST);
    input.status = "";
    for (size_t i = 0; i < COUNT_OF(cursors); i++) {
        failure_clear(rq);
        input.cursor = cursors[i];
        assert_int_equal(list_acme_accounts(&gateway, rq, &input, &reply), ERR_BAD_REQUEST);
    }
}

#define LISTED(name) cmocka_unit_test_setup_teardown(name, begin_with_accounts, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        LISTED(each_filter_finds_its_accounts),
        LISTED(pages_follow_each_other_also_within_one_moment),
        LISTED(refuses_unknown_states_and_cursors_of_nobody),
    };

    return cmocka_run_group_tests(tests, open_gateway_for_credentials, close_gateway);
}
