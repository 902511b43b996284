/* Downloads: the chain, the other chains, and what is linked from where. */
#include "gateway_fixture.h"

static struct client me;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

static const char *
issue(void)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct made_order made = client_ready_order(&me, "host.example");
    const struct http_kit_reply *reply = client_post(&me, made.finalize, client_csr(&me, key, "DNS:host.example"));

    assert_status(reply, 200);
    return arena_text(me.arena, member(&me, reply, "certificate"));
}

static const char *
body_of(const struct http_kit_reply *reply)
{
    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Content-Type"), "application/pem-certificate-chain");
    return arena_text_n(me.arena, (const char *)reply->body, reply->body_len);
}

static size_t
links_with(const struct http_kit_reply *reply, const char *text)
{
    size_t found = 0;

    for (const char *at = strstr(reply->head, text); at != NULL; at = strstr(at + 1, text))
        found++;
    return found;
}

static void
a_chain_links_neither_alternates_that_it_has_not_nor_its_issuers(void **state)
{
    const char *url = issue();
    const struct http_kit_reply *reply = client_post(&me, url, "");

    const char *pem = body_of(reply);
    assert_int_equal(links_with(reply, "rel=\"alternate\""), 0);
    assert_int_equal(links_with(reply, "rel=\"up\""), 0);
    assert_non_null(strstr(pem, "MAMCAQE=")); /* the leaf */
    assert_non_null(strstr(pem, "MAMCAQI=")); /* its issuer */
    assert_problem(&me, client_post(&me, arena_format(me.arena, "%s/1", url), ""), 404, "malformed");
}

static void
each_chain_links_all_the_others(void **state)
{
    beyond.enroll_alternates = 2;
    const char *url = issue(), *pems[3];

    for (int i = 0; i < 3; i++) {
        const struct http_kit_reply *reply = client_post(&me, i == 0 ? url : arena_format(me.arena, "%s/%d", url, i), "");
        assert_int_equal(links_with(reply, "rel=\"alternate\""), 2);
        assert_int_equal(links_with(reply, arena_format(me.arena, "<%s>;rel=\"alternate\"", url)), i == 0 ? 0 : 1);
        pems[i] = body_of(reply);
    }
    assert_non_null(strstr(pems[0], "MAMCAQI="));
    assert_non_null(strstr(pems[1], "MAMCARA="));
    assert_non_null(strstr(pems[2], "MAMCARE="));
    for (int i = 0; i < 3; i++)
        assert_true(text_starts_with(pems[i], "-----BEGIN CERTIFICATE-----\nMAMCAQE="));
}

static void
numbers_of_no_chain_are_not_found(void **state)
{
    static const char *const numbers[] = {"0", "3", "-1", "x", "99999999999999999999", "1.0"};

    beyond.enroll_alternates = 2;
    const char *url = issue();
    for (size_t i = 0; i < COUNT_OF(numbers); i++)
        assert_problem(&me, client_post(&me, arena_format(me.arena, "%s/%s", url, numbers[i]), ""), 404, "malformed");
}

static void
another_account_gets_none_of_them(void **state)
{
    CLIENT(other);

    beyond.enroll_alternates = 1;
    const char *url = issue();
    client_register(&other);
    assert_problem(&other, client_post(&other, url, ""), 404, "malformed");
    assert_problem(&other, client_post(&other, arena_format(me.arena, "%s/1", url), ""), 404, "malformed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_chain_links_neither_alternates_that_it_has_not_nor_its_issuers),
        CASE(each_chain_links_all_the_others),
        CASE(numbers_of_no_chain_are_not_found),
        CASE(another_account_gets_none_of_them),
    };

    return cmocka_run_group_tests_name("certificate", tests, open_gateway, close_gateway);
}
