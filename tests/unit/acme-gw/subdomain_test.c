/* Authorisations that hold for all names below theirs (RFC 9444): who gets one, how it is proven, what it covers and what not. */
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
    run_and_reload("UPDATE acme.policy SET subdomain_auth = false, caa = false, challenge_types = '{}', preapproved_names = '{}'");
    return 0;
}

static const json_t *
json_of(const struct http_kit_reply *reply)
{
    return json_parse_object(me.arena, BYTES(reply->body, reply->body_len));
}

static const struct http_kit_reply *
ask_authorization(const char *name, const char *wish)
{
    return client_post(&me, "/acme/new-authz",
                       arena_format(me.arena, "{\"identifier\":{\"type\":\"dns\",\"value\":\"%s\",\"subdomainAuthAllowed\":%s}}", name, wish));
}

static const char *
types_of(const json_t *authorization)
{
    struct buffer types = buffer_in(me.arena);
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(authorization, "challenges"), i, one)
        buffer_append_format(&types, "%s%s", i == 0 ? "" : " ", json_text(one, "type"));
    return buffer_text(&types);
}

static void
prove(const char *authorization)
{
    const struct http_kit_reply *reply = client_post(&me, authorization, "");

    assert_status(reply, 200);
    const char *url = json_text(json_array_get(json_object_get(json_of(reply), "challenges"), 0), "url");
    assert_status(client_post(&me, url, "{}"), 200);
    wait_for_status(&me, authorization, "valid");
}

static const char *
prove_all_below(const char *name)
{
    const struct http_kit_reply *reply = ask_authorization(name, "true");

    assert_status(reply, 201);
    const char *url = header_of(&me, reply, "Location");
    prove(url);
    return url;
}

struct asked {
    const char *url, *status;
    const json_t *authorizations;
};

static struct asked
order_for(const char *identifiers)
{
    const struct http_kit_reply *reply = client_post(&me, "/acme/new-order", arena_format(me.arena, "{\"identifiers\":[%s]}", identifiers));

    assert_status(reply, 201);
    const json_t *json = json_of(reply);
    return (struct asked){header_of(&me, reply, "Location"), json_text(json, "status"), json_object_get(json, "authorizations")};
}

#define DNS(value) "{\"type\":\"dns\",\"value\":\"" value "\"}"
#define DNS_BELOW(value, ancestor) "{\"type\":\"dns\",\"value\":\"" value "\",\"ancestorDomain\":\"" ancestor "\"}"

static const char *
nth(const struct asked *order, size_t n)
{
    return json_string_value(json_array_get(order->authorizations, n));
}

static const char *
finalize_it(const struct asked *order, const char *names)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    const struct http_kit_reply *reply = client_post(&me, arena_format(me.arena, "%s/finalize", order->url), client_csr(&me, key, names));

    return member(&me, reply, "status");
}

/* ---- before an order ---- */

static void
is_offered_with_dns_challenges_alone(void **state)
{
    const struct http_kit_reply *reply = ask_authorization("base.example", "true");

    assert_status(reply, 201);
    assert_true(json_is_true(json_object_get(json_of(reply), "subdomainAuthAllowed")));
    assert_string_equal(types_of(json_of(reply)), "dns-01 dns-account-01 dns-persist-01");
    assert_string_equal(json_text(json_object_get(json_of(reply), "identifier"), "value"), "base.example");
}

static void
the_directory_says_whether_it_is_offered(void **state)
{
    http_kit_say(me.http, "GET /acme/directory HTTP/1.1\r\nHost: acme.example\r\n\r\n");
    const json_t *meta = json_object_get(json_of(http_kit_reply(me.http)), "meta");
    assert_true(json_is_true(json_object_get(meta, "subdomainAuthAllowed")));
    run_and_reload("UPDATE acme.policy SET subdomain_auth = false");
    http_kit_say(me.http, "GET /acme/directory HTTP/1.1\r\nHost: acme.example\r\n\r\n");
    assert_null(json_object_get(json_object_get(json_of(http_kit_reply(me.http)), "meta"), "subdomainAuthAllowed"));
}

static void
who_does_not_ask_gets_the_name_alone(void **state)
{
    assert_null(json_object_get(json_of(ask_authorization("base.example", "false")), "subdomainAuthAllowed"));
}

static void
a_policy_without_it_authorizes_the_name_alone(void **state)
{
    run_and_reload("UPDATE acme.policy SET subdomain_auth = false");
    const struct http_kit_reply *reply = ask_authorization("base.example", "true");
    assert_status(reply, 201);
    assert_null(json_object_get(json_of(reply), "subdomainAuthAllowed"));
    prove(header_of(&me, reply, "Location"));
    struct asked order = order_for(DNS_BELOW("www.base.example", "base.example"));
    assert_string_equal(order.status, "pending");
    assert_string_equal(member(&me, client_post(&me, nth(&order, 0), ""), "status"), "pending");
}

static void
a_policy_without_dns_challenges_cannot_offer_it(void **state)
{
    run_and_reload("UPDATE acme.policy SET challenge_types = '{http-01,tls-alpn-01}'");
    const struct http_kit_reply *reply = ask_authorization("base.example", "true");
    assert_null(json_object_get(json_of(reply), "subdomainAuthAllowed"));
    assert_string_equal(types_of(json_of(reply)), "http-01 tls-alpn-01");
}

/* ---- how it is proven ---- */

static void
the_validator_is_asked_as_for_a_wildcard_and_without_caa(void **state)
{
    run_and_reload("UPDATE acme.policy SET caa = true");
    (void)prove_all_below("base.example");
    assert_true(text_starts_with(beyond.validated, "dns-01 *.base.example "));
    assert_false(beyond.check_caa);
}

static void
so_is_it_when_the_lease_takes_over(void **state)
{
    const struct http_kit_reply *reply = ask_authorization("base.example", "true");

    postgres_kit_run(postgres, "UPDATE acme.challenge SET type = 'dns-01', status = 'processing', due_at = now()");
    assert_int_equal(turn_validations(), 1);
    assert_true(text_starts_with(beyond.validated, "dns-01 *.base.example "));
    assert_string_equal(member(&me, client_post(&me, header_of(&me, reply, "Location"), ""), "status"), "valid");
}

/* ---- what it covers ---- */

static const struct covered {
    const char *name, *identifiers, *status;
} covered[] = {
    {"covers_a_name_below", DNS("www.base.example"), "ready"},
    {"covers_a_name_far_below", DNS("a.b.c.base.example"), "ready"},
    {"covers_the_name_itself", DNS("base.example"), "ready"},
    {"covers_a_wildcard_of_it", DNS("*.base.example"), "ready"},
    {"covers_a_wildcard_below", DNS("*.www.base.example"), "ready"},
    {"covers_a_name_with_an_ancestor_between", DNS_BELOW("a.b.base.example", "b.base.example"), "ready"},
    {"covers_no_name_that_only_ends_alike", DNS("database.example"), "pending"},
    {"covers_no_name_above", DNS("example"), "pending"},
    {"covers_no_name_beside", DNS("other.example"), "pending"},
    {"covers_no_address", "{\"type\":\"ip\",\"value\":\"192.0.2.1\"}", "pending"},
    {"covers_not_what_is_beside_a_covered_name", DNS("www.base.example") "," DNS("other.example"), "pending"},
};

static void
covers(void **state)
{
    const struct covered *one = *state;

    (void)prove_all_below("base.example");
    assert_string_equal(order_for(one->identifiers).status, one->status);
}

static void
several_names_have_one_authorization(void **state)
{
    const char *url = prove_all_below("base.example");
    struct asked order = order_for(DNS("a.base.example") "," DNS("b.base.example") "," DNS("base.example"));

    assert_int_equal(json_array_size(order.authorizations), 1);
    assert_string_equal(nth(&order, 0), url);
    assert_string_equal(finalize_it(&order, "DNS:a.base.example,DNS:b.base.example,DNS:base.example"), "valid");
    assert_string_equal(beyond.enrolled_names, "a.base.example b.base.example base.example");
}

static void
covers_nothing_for_another_account(void **state)
{
    CLIENT(other);

    (void)prove_all_below("base.example");
    client_register(&other);
    assert_string_equal(member(&other, client_post(&other, "/acme/new-order", "{\"identifiers\":[" DNS("www.base.example") "]}"), "status"),
                        "pending");
}

static void
covers_nothing_new_when_the_policy_ends_it(void **state)
{
    (void)prove_all_below("base.example");
    run_and_reload("UPDATE acme.policy SET subdomain_auth = false");
    assert_string_equal(order_for(DNS("www.base.example")).status, "pending");
    assert_string_equal(order_for(DNS("base.example")).status, "ready");
}

static void
a_proof_of_the_name_alone_is_not_given_for_all_below(void **state)
{
    const struct http_kit_reply *reply = ask_authorization("base.example", "false");
    const char *alone = header_of(&me, reply, "Location");

    prove(alone);
    const char *all = prove_all_below("base.example");
    assert_string_not_equal(all, alone);
    assert_string_equal(header_of(&me, ask_authorization("base.example", "true"), "Location"), all);
    assert_status(ask_authorization("base.example", "false"), 200);
}

/* ---- with an order ---- */

static void
names_of_an_order_are_proven_together_at_their_ancestor(void **state)
{
    struct asked order =
        order_for(DNS_BELOW("a.base.example", "Base.Example") "," DNS_BELOW("*.b.base.example", "base.example") "," DNS("other.example"));

    assert_string_equal(order.status, "pending");
    assert_int_equal(json_array_size(order.authorizations), 2);
    const struct http_kit_reply *reply = client_post(&me, nth(&order, 0), "");
    assert_string_equal(json_text(json_object_get(json_of(reply), "identifier"), "value"), "base.example");
    assert_true(json_is_true(json_object_get(json_of(reply), "subdomainAuthAllowed")));
    prove(nth(&order, 0));
    assert_string_equal(member(&me, client_post(&me, order.url, ""), "status"), "pending");
    prove(nth(&order, 1));
    assert_string_equal(member(&me, client_post(&me, order.url, ""), "status"), "ready");
    assert_string_equal(finalize_it(&order, "DNS:a.base.example,DNS:*.b.base.example,DNS:other.example"), "valid");
}

static void
the_ancestor_in_the_order_shares_the_proof(void **state)
{
    struct asked order = order_for(DNS("base.example") "," DNS_BELOW("a.base.example", "base.example"));

    assert_int_equal(json_array_size(order.authorizations), 1);
    prove(nth(&order, 0));
    assert_string_equal(finalize_it(&order, "DNS:a.base.example,DNS:base.example"), "valid");
}

static void
an_ancestor_that_is_approved_beforehand_proves_nothing_below(void **state)
{
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{base.example}'");
    struct asked order = order_for(DNS("base.example") "," DNS_BELOW("a.base.example", "base.example"));

    assert_string_equal(order.status, "pending");
    assert_int_equal(json_array_size(order.authorizations), 2);
}

static void
a_proof_that_fails_ends_the_order(void **state)
{
    struct asked order = order_for(DNS_BELOW("a.base.example", "base.example"));
    const struct http_kit_reply *reply = client_post(&me, nth(&order, 0), "");

    beyond.validate_problem = "incorrectResponse";
    assert_status(client_post(&me, json_text(json_array_get(json_object_get(json_of(reply), "challenges"), 0), "url"), "{}"), 200);
    wait_for_status(&me, nth(&order, 0), "invalid");
    assert_string_equal(member(&me, client_post(&me, order.url, ""), "status"), "invalid");
}

static void
a_domain_that_fails_without_end_is_not_tried_below_either(void **state)
{
    postgres_kit_run(postgres, arena_format(me.arena,
                                            "INSERT INTO acme.failing_name (account_id, name, failures, tat, failed_at, paused_at) VALUES ('%s', "
                                            "'dns:base.example', 200, now(), now(), now())",
                                            strrchr(me.kid, '/') + 1));
    assert_problem(&me, client_post(&me, "/acme/new-order", "{\"identifiers\":[" DNS_BELOW("a.base.example", "base.example") "]}"), 429,
                   "rateLimited");
}

static void
caa_is_looked_at_for_each_name_of_the_certificate(void **state)
{
    run_and_reload("UPDATE acme.policy SET caa = true");
    (void)prove_all_below("base.example");
    struct asked order = order_for(DNS("a.base.example") "," DNS("*.b.base.example"));
    beyond.caa_problem = "caa";
    AUTO(EVP_PKEY, key) = kit_key("p256");
    assert_problem(
        &me, client_post(&me, arena_format(me.arena, "%s/finalize", order.url), client_csr(&me, key, "DNS:a.base.example,DNS:*.b.base.example")), 403,
        "caa");
    assert_string_equal(beyond.caa_asked, "*.b.base.example by dns-01, a.base.example by dns-01");
    assert_int_equal(beyond.enrolments, 0);
}

static const struct refused {
    const char *name, *path, *payload;
} refused[] = {
    {"rejects_an_ancestor_that_is_none", "/acme/new-order", "{\"identifiers\":[" DNS_BELOW("a.base.example", "other.example") "]}"},
    {"rejects_an_ancestor_that_only_ends_alike", "/acme/new-order", "{\"identifiers\":[" DNS_BELOW("database.example", "base.example") "]}"},
    {"rejects_the_name_as_its_own_ancestor", "/acme/new-order", "{\"identifiers\":[" DNS_BELOW("base.example", "base.example") "]}"},
    {"rejects_a_name_below_as_an_ancestor", "/acme/new-order", "{\"identifiers\":[" DNS_BELOW("base.example", "a.base.example") "]}"},
    {"rejects_a_wildcard_as_an_ancestor", "/acme/new-order", "{\"identifiers\":[" DNS_BELOW("a.base.example", "*.example") "]}"},
    {"rejects_an_empty_ancestor", "/acme/new-order", "{\"identifiers\":[" DNS_BELOW("base.example", "") "]}"},
    {"rejects_an_ancestor_that_is_a_number", "/acme/new-order",
     "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.base.example\",\"ancestorDomain\":7}]}"},
    {"rejects_an_ancestor_of_an_address", "/acme/new-order",
     "{\"identifiers\":[{\"type\":\"ip\",\"value\":\"192.0.2.1\",\"ancestorDomain\":\"2.1\"}]}"},
    {"rejects_a_wish_that_is_a_text", "/acme/new-authz",
     "{\"identifier\":{\"type\":\"dns\",\"value\":\"base.example\",\"subdomainAuthAllowed\":\"true\"}}"},
    {"rejects_a_wish_for_an_address", "/acme/new-authz", "{\"identifier\":{\"type\":\"ip\",\"value\":\"192.0.2.1\",\"subdomainAuthAllowed\":true}}"},
};

static void
rejects(void **state)
{
    const struct refused *one = *state;

    assert_problem(&me, client_post(&me, one->path, one->payload), 400, "malformed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest by_hand[] = {
        CASE(is_offered_with_dns_challenges_alone),
        CASE(the_directory_says_whether_it_is_offered),
        CASE(who_does_not_ask_gets_the_name_alone),
        CASE(a_policy_without_it_authorizes_the_name_alone),
        CASE(a_policy_without_dns_challenges_cannot_offer_it),
        CASE(the_validator_is_asked_as_for_a_wildcard_and_without_caa),
        CASE(so_is_it_when_the_lease_takes_over),
        CASE(several_names_have_one_authorization),
        CASE(covers_nothing_for_another_account),
        CASE(covers_nothing_new_when_the_policy_ends_it),
        CASE(a_proof_of_the_name_alone_is_not_given_for_all_below),
        CASE(names_of_an_order_are_proven_together_at_their_ancestor),
        CASE(the_ancestor_in_the_order_shares_the_proof),
        CASE(an_ancestor_that_is_approved_beforehand_proves_nothing_below),
        CASE(a_proof_that_fails_ends_the_order),
        CASE(a_domain_that_fails_without_end_is_not_tried_below_either),
        CASE(caa_is_looked_at_for_each_name_of_the_certificate),
    };
    struct CMUnitTest tests[COUNT_OF(by_hand) + COUNT_OF(covered) + COUNT_OF(refused)];
    size_t count = 0;

    for (size_t i = 0; i < COUNT_OF(by_hand); i++)
        tests[count++] = by_hand[i];
    for (size_t i = 0; i < COUNT_OF(covered); i++)
        tests[count++] = (struct CMUnitTest){covered[i].name, covers, begin, end, (void *)&covered[i]};
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tests[count++] = (struct CMUnitTest){refused[i].name, rejects, begin, end, (void *)&refused[i]};
    return _cmocka_run_group_tests("subdomain", tests, count, open_gateway, close_gateway);
}
