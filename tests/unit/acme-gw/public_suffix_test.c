/* What belongs to registries: no wildcard and no ancestor there. */
#include "gateway_fixture.h"

static struct client me;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    run_and_reload("UPDATE acme.policy SET subdomain_auth = true");
    me = client_new();
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    run_and_reload("UPDATE acme.policy SET subdomain_auth = false, preapproved_names = '{}'");
    return 0;
}

static const struct domain {
    const char *name, *registered;
    bool is_suffix;
} domains[] = {
    {"com", "com", true},
    {"co.uk", "co.uk", true},
    {"www.one.co.uk", "one.co.uk", false},
    {"anything.ck", "anything.ck", true}, /* *.ck, and one exception */
    {"www.ck", "www.ck", false},
    {"xn--p1ai", "xn--p1ai", true},
    {"github.io", "github.io", false}, /* of the list's other part: rate limits count by it, but it is somebody's */
    {"pages.github.io", "pages.github.io", false},
    {"internal", "internal", false},
    {"host.internal", "host.internal", false},
    {"a.host.internal", "host.internal", false},
    {"home.arpa", "home.arpa", false},
};

static void
the_list_is_read_as_it_is_meant(void **state)
{
    for (size_t i = 0; i < COUNT_OF(domains); i++) {
        struct identifier name = {.type = IDENTIFIER_DNS, .value = domains[i].name};
        assert_string_equal(registered_domain(&name), domains[i].registered);
        if (is_public_suffix(domains[i].name) != domains[i].is_suffix)
            fail_msg("%s is %sa public suffix", domains[i].name, domains[i].is_suffix ? "not taken for " : "");
    }
    struct identifier wildcard = {.type = IDENTIFIER_DNS, .value = "*.one.co.uk"}, address = {.type = IDENTIFIER_IP, .value = "192.0.2.1"};
    assert_string_equal(registered_domain(&wildcard), "one.co.uk");
    assert_string_equal(registered_domain(&address), "192.0.2.1");
}

static const struct asked {
    const char *name, *identifier;
    int status;
} asked[] = {
    {"a_wildcard_of_a_top_level_domain_is_refused", "\"value\":\"*.com\"", 400},
    {"a_wildcard_of_a_public_suffix_is_refused", "\"value\":\"*.co.uk\"", 400},
    {"a_wildcard_of_a_registered_domain_is_taken", "\"value\":\"*.one.co.uk\"", 201},
    {"a_wildcard_of_what_a_company_lends_is_taken", "\"value\":\"*.github.io\"", 201},
    {"a_wildcard_of_a_private_domain_is_taken", "\"value\":\"*.internal\"", 201},
    {"a_public_suffix_itself_is_taken", "\"value\":\"gov.uk\"", 201},
    {"a_public_suffix_as_ancestor_is_refused", "\"value\":\"www.one.co.uk\",\"ancestorDomain\":\"co.uk\"", 400},
    {"a_top_level_domain_as_ancestor_is_refused", "\"value\":\"www.one.co.uk\",\"ancestorDomain\":\"UK\"", 400},
    {"a_registered_domain_as_ancestor_is_taken", "\"value\":\"www.one.co.uk\",\"ancestorDomain\":\"one.co.uk\"", 201},
    {"a_private_domain_as_ancestor_is_taken", "\"value\":\"www.one.internal\",\"ancestorDomain\":\"internal\"", 201},
};

static const struct http_kit_reply *
order_for(const char *identifier)
{
    return client_post(&me, "/acme/new-order", arena_format(me.arena, "{\"identifiers\":[{\"type\":\"dns\",%s}]}", identifier));
}

static void
asks(void **state)
{
    const struct asked *one = *state;
    const struct http_kit_reply *reply = order_for(one->identifier);

    if (one->status == 400)
        assert_problem(&me, reply, 400, "rejectedIdentifier");
    else
        assert_status(reply, 201);
}

static void
a_policy_may_say_that_they_are_private(void **state)
{
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{*.dev}'");
    assert_string_equal(member(&me, order_for("\"value\":\"*.dev\""), "status"), "ready");
    assert_status(order_for("\"value\":\"www.one.dev\",\"ancestorDomain\":\"dev\""), 201);
    assert_problem(&me, order_for("\"value\":\"*.app\""), 400, "rejectedIdentifier");
}

static bool
is_for_all_below(const char *name)
{
    const struct http_kit_reply *reply = client_post(
        &me, "/acme/new-authz", arena_format(me.arena, "{\"identifier\":{\"type\":\"dns\",\"value\":\"%s\",\"subdomainAuthAllowed\":true}}", name));

    assert_status(reply, 201);
    return json_is_true(json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "subdomainAuthAllowed"));
}

static void
an_authorization_of_a_public_suffix_is_for_itself_alone(void **state)
{
    assert_false(is_for_all_below("co.uk"));
    assert_true(is_for_all_below("one.co.uk"));
    assert_true(is_for_all_below("internal"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 3

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(asked)] = {
        CASE(the_list_is_read_as_it_is_meant),
        CASE(a_policy_may_say_that_they_are_private),
        CASE(an_authorization_of_a_public_suffix_is_for_itself_alone),
    };

    for (size_t i = 0; i < COUNT_OF(asked); i++)
        tests[CASES_BY_HAND + i] = (struct CMUnitTest){asked[i].name, asks, begin, end, (void *)&asked[i]};
    return _cmocka_run_group_tests("public_suffix", tests, COUNT_OF(tests), open_gateway, close_gateway);
}
