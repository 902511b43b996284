/* Accounts: made once per key, with contacts that can be written to, by who agrees to the terms (RFC 8555 §7.3). */
#include "gateway_fixture.h"

static struct client me;

static int
begin(void **state)
{
    me = client_new();
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

static const struct http_kit_reply *
new_account_with(const char *payload)
{
    return client_send(&me, "/acme/new-account", "application/jose+json", client_jws(&me, "/acme/new-account", payload, true));
}

static void
makes_an_account_and_finds_it_again(void **state)
{
    const struct http_kit_reply *reply = new_account_with("{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:owner@example.org\"]}");
    assert_status(reply, 201);
    const char *url = header_of(&me, reply, "Location");
    assert_true(text_starts_with(url, "http://acme.example/acme/account/"));
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_string_equal(first_of(&me, reply, "contact"), "mailto:owner@example.org");

    reply = new_account_with("{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:other@example.org\"]}");
    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Location"), url);
    assert_string_equal(first_of(&me, reply, "contact"), "mailto:owner@example.org");
    reply = new_account_with("{\"onlyReturnExisting\":true}");
    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Location"), url);
    reply = new_account_with("{}");
    assert_status(reply, 200);
}

static void
only_return_existing_makes_nothing(void **state)
{
    assert_problem(&me, new_account_with("{\"onlyReturnExisting\":true,\"termsOfServiceAgreed\":true}"), 400, "accountDoesNotExist");
    char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.account");
    assert_string_equal(count, "0");
    free(count);
}

static void
the_terms_must_be_agreed_to(void **state)
{
    static const char *const payloads[] = {"{}", "{\"termsOfServiceAgreed\":false}", "{\"termsOfServiceAgreed\":\"true\"}"};

    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        const struct http_kit_reply *reply = new_account_with(payloads[i]);
        assert_problem(&me, reply, 403, "userActionRequired");
        /* RFC 8555 §6.7: "Visit the 'instance' URL and take actions specified there" */
        assert_string_equal(member(&me, reply, "instance"), gateway.terms_url);
    }
}

static void
a_deactivated_account_stays_so(void **state)
{
    client_register(&me);
    assert_status(client_post(&me, me.kid, "{\"status\":\"deactivated\"}"), 200);
    assert_problem(&me, new_account_with("{\"termsOfServiceAgreed\":true}"), 401, "unauthorized");
    assert_problem(&me, new_account_with("{\"onlyReturnExisting\":true}"), 401, "unauthorized");
}

static void
contacts_of_an_account_that_another_replica_deactivated_stay(void **state)
{
    client_register(&me);
    assert_status(client_post(&me, me.kid, ""), 200);
    postgres_kit_run(postgres, "UPDATE acme.account SET status = 'deactivated'");
    assert_problem(&me, client_post(&me, me.kid, "{\"contact\":[\"mailto:late@example.org\"]}"), 401, "unauthorized");
}

static void
contacts_can_be_changed(void **state)
{
    client_register(&me);
    const struct http_kit_reply *reply = client_post(&me, me.kid, "{\"contact\":[\"mailto:new@example.org\"]}");
    assert_status(reply, 200);
    reply = client_post(&me, me.kid, "");
    assert_string_equal(first_of(&me, reply, "contact"), "mailto:new@example.org");
    assert_problem(&me, client_post(&me, me.kid, "{\"contact\":[\"tel:+1\"]}"), 400, "unsupportedContact");
}

/* RFC 8555 §7.3.2 */
static void
what_clients_may_not_change_is_ignored(void **state)
{
    static const char *const payloads[] = {"{\"status\":\"valid\",\"orders\":\"x\",\"termsOfServiceAgreed\":false}",
                                           "{\"status\":\"revoked\",\"contact\":null}", "{\"status\":7}", "{}"};

    client_register(&me);
    assert_status(client_post(&me, me.kid, "{\"contact\":[\"mailto:owner@example.org\"]}"), 200);
    for (size_t i = 0; i < COUNT_OF(payloads); i++) {
        const struct http_kit_reply *reply = client_post(&me, me.kid, payloads[i]);
        assert_status(reply, 200);
        assert_string_equal(member(&me, reply, "status"), "valid");
        assert_string_equal(first_of(&me, reply, "contact"), "mailto:owner@example.org");
    }
}

static void
contacts_that_another_replica_changed_are_shown(void **state)
{
    client_register(&me);
    assert_status(client_post(&me, me.kid, ""), 200); /* remembered here */
    postgres_kit_run(postgres, "UPDATE acme.account SET contacts = '{mailto:there@example.org}'");
    assert_string_equal(first_of(&me, client_post(&me, me.kid, ""), "contact"), "mailto:there@example.org");
}

static void
an_account_must_bring_its_key(void **state)
{
    client_register(&me);
    assert_problem(&me, client_post(&me, "/acme/new-account", "{\"termsOfServiceAgreed\":true}"), 400, "malformed");
}

static void
a_weak_key_gets_no_account(void **state)
{
    AUTO(EVP_PKEY, weak) = kit_key("rsa-1024");
    AUTO(EVP_PKEY, exponent) = kit_key("rsa-2048-e3");
    EVP_PKEY *keys[] = {weak, exponent};

    for (size_t i = 0; i < COUNT_OF(keys); i++) {
        const char *header =
            arena_format(me.arena, "{\"alg\":\"RS256\",\"nonce\":\"%s\",\"url\":\"http://acme.example/acme/new-account\",\"jwk\":%s}",
                         client_nonce(&me), jose_jwk(me.arena, keys[i]));
        const char *body = jose_jws(me.arena, keys[i], "RS256", header, "{\"termsOfServiceAgreed\":true}");
        assert_problem(&me, client_send(&me, "/acme/new-account", "application/jose+json", body), 400, "badPublicKey");
    }
}

static const struct contact_case {
    const char *name;
    const char *contact; /* JSON */
    const char *type;
} contact_cases[] = {
    {"rejects_a_telephone_number", "[\"tel:+491234\"]", "unsupportedContact"},
    {"rejects_an_address_without_scheme", "[\"owner@example.org\"]", "unsupportedContact"},
    {"rejects_header_fields_in_mailto", "[\"mailto:owner@example.org?subject=x\"]", "invalidContact"},
    {"rejects_a_fragment_in_mailto", "[\"mailto:owner@example.org#x\"]", "invalidContact"},
    {"rejects_two_addresses_in_one_contact", "[\"mailto:a@example.org,b@example.org\"]", "invalidContact"},
    {"rejects_a_second_at_sign", "[\"mailto:a@b@example.org\"]", "invalidContact"},
    {"rejects_an_address_without_domain", "[\"mailto:owner@\"]", "invalidContact"},
    {"rejects_an_address_without_user", "[\"mailto:@example.org\"]", "invalidContact"},
    {"rejects_other_than_ascii", "[\"mailto:\\u00f6wner@example.org\"]", "invalidContact"},
    {"rejects_white_space", "[\"mailto:own er@example.org\"]", "invalidContact"},
    {"rejects_a_line_end", "[\"mailto:owner@example.org\\r\\nBcc: x@example.org\"]", "invalidContact"},
    {"rejects_a_contact_that_is_no_text", "[7]", "malformed"},
    {"rejects_contacts_that_are_no_list", "\"mailto:owner@example.org\"", "malformed"},
    {"rejects_eleven_contacts",
     "[\"mailto:a@b.c\",\"mailto:a@b.c\",\"mailto:a@b.c\",\"mailto:a@b.c\",\"mailto:a@b.c\",\"mailto:a@b.c\",\"mailto:a@b.c\",\"mailto:a@b.c\","
     "\"mailto:a@b.c\",\"mailto:a@b.c\",\"mailto:a@b.c\"]",
     "invalidContact"},
};

static void
rejects_contact(void **state)
{
    const struct contact_case *one = *state;

    assert_problem(&me, new_account_with(arena_format(me.arena, "{\"termsOfServiceAgreed\":true,\"contact\":%s}", one->contact)), 400, one->type);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 8

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(contact_cases)] = {
        CASE(makes_an_account_and_finds_it_again),
        CASE(only_return_existing_makes_nothing),
        CASE(the_terms_must_be_agreed_to),
        CASE(a_deactivated_account_stays_so),
        CASE(contacts_can_be_changed),
        CASE(what_clients_may_not_change_is_ignored),
        CASE(contacts_that_another_replica_changed_are_shown),
        CASE(contacts_of_an_account_that_another_replica_deactivated_stay),
        CASE(an_account_must_bring_its_key),
        CASE(a_weak_key_gets_no_account),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(contact_cases); i++)
        tests[count++] = (struct CMUnitTest){.name = contact_cases[i].name,
                                             .test_func = rejects_contact,
                                             .setup_func = begin,
                                             .teardown_func = end,
                                             .initial_state = (void *)&contact_cases[i]};
    return _cmocka_run_group_tests("new_account", tests, count, open_gateway, close_gateway);
}
