/* Policies at work: directories of their own, accounts that stay bound, names without challenges, clients that may not. */
#include "gateway_fixture.h"

static struct client me;

static int
begin(void **state)
{
    run_and_reload("INSERT INTO acme.policy (name, template, validity_days, preapproved_names, eab) VALUES "
                   "('intra', 'Device-Certificate', 30, '{*.intra.example,one.example,10.1.0.0/16}', 'none')");
    me = client_new();
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    run_and_reload("DELETE FROM acme.policy WHERE name <> 'default'; UPDATE acme.policy SET (disabled, client_networks, identifiers_max, profiles) = "
                   "(false, '{}', 0, '{}')");
    return 0;
}

static const struct http_kit_reply *
get(const char *path)
{
    http_kit_say(me.http, arena_format(me.arena, "GET %s HTTP/1.1\r\nHost: acme.example\r\n\r\n", path));
    return http_kit_reply(me.http);
}

static void
register_under(const char *path)
{
    const struct http_kit_reply *reply = client_post(&me, path, "{\"termsOfServiceAgreed\":true}");
    assert_status(reply, 201);
    me.kid = header_of(&me, reply, "Location");
}

static const struct http_kit_reply *
order_under(const char *path, const char *type, const char *value)
{
    return client_post(&me, path, arena_format(me.arena, "{\"identifiers\":[{\"type\":\"%s\",\"value\":\"%s\"}]}", type, value));
}

static void
each_policy_has_its_directory(void **state)
{
    static const struct {
        const char *path, *new_order;
    } cases[] = {
        {"/", "http://acme.example/acme/new-order"},
        {"/acme/directory", "http://acme.example/acme/new-order"},
        {"/acme/default/directory", "http://acme.example/acme/new-order"},
        {"/acme/intra/directory", "http://acme.example/acme/intra/new-order"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct http_kit_reply *reply = get(cases[i].path);
        assert_status(reply, 200);
        assert_string_equal(member(&me, reply, "newOrder"), cases[i].new_order);
        assert_string_equal(member(&me, reply, "newNonce"), "http://acme.example/acme/new-nonce");
    }
    assert_status(get("/acme/nobody/directory"), 404);
}

static void
a_change_is_seen_after_the_next_reading(void **state)
{
    assert_status(get("/acme/late/directory"), 404);
    run_and_reload("INSERT INTO acme.policy (name) VALUES ('late')");
    assert_status(get("/acme/late/directory"), 200);
    run_and_reload("UPDATE acme.policy SET disabled = true WHERE name = 'late'");
    assert_problem(&me, get("/acme/late/directory"), 403, "unauthorized");
}

static void
an_account_stays_with_its_policy(void **state)
{
    register_under("/acme/intra/new-account");
    assert_problem(&me, order_under("/acme/new-order", "dns", "a.example"), 403, "unauthorized");
    assert_status(order_under("/acme/intra/new-order", "dns", "a.example"), 201);
    const char *again = "{\"termsOfServiceAgreed\":true}";
    assert_problem(&me, client_send(&me, "/acme/new-account", "application/jose+json", client_jws(&me, "/acme/new-account", again, true)), 403,
                   "unauthorized");
    assert_status(client_send(&me, "/acme/intra/new-account", "application/jose+json", client_jws(&me, "/acme/intra/new-account", again, true)), 200);
}

static const struct name_case {
    const char *name, *type, *value, *status;
} name_cases[] = {
    {"a_host_below_is_valid_at_once", "dns", "a.intra.example", "ready"},
    {"a_host_far_below_is_valid_at_once", "dns", "a.b.intra.example", "ready"},
    {"a_wildcard_below_is_valid_at_once", "dns", "*.intra.example", "ready"},
    {"the_domain_of_a_pattern_is_none_of_its_names", "dns", "intra.example", "pending"},
    {"a_name_that_only_ends_alike_is_proven", "dns", "xintra.example", "pending"},
    {"a_single_name_is_valid_at_once", "dns", "one.example", "ready"},
    {"a_host_below_a_single_name_is_proven", "dns", "a.one.example", "pending"},
    {"an_address_of_a_network_is_valid_at_once", "ip", "10.1.2.3", "ready"},
    {"an_address_outside_is_proven", "ip", "10.2.2.3", "pending"},
};

static void
approves_beforehand(void **state)
{
    const struct name_case *one = *state;

    register_under("/acme/intra/new-account");
    const struct http_kit_reply *reply = order_under("/acme/intra/new-order", one->type, one->value);
    assert_status(reply, 201);
    assert_string_equal(member(&me, reply, "status"), one->status);
    const char *url = header_of(&me, reply, "Location");
    reply = client_post(&me, first_of(&me, reply, "authorizations"), "");
    assert_status(reply, 200);
    bool ready = text_equal(one->status, "ready");
    assert_string_equal(member(&me, reply, "status"), ready ? "valid" : "pending");
    const json_t *challenges = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "challenges");
    assert_true(json_array_size(challenges) >= 1);
    const json_t *first = json_array_get(challenges, 0);
    assert_string_equal(json_text(first, "status"), ready ? "valid" : "pending");
    assert_non_null(json_text(first, "type"));
    assert_non_null(json_text(first, "token"));
    assert_int_equal(json_text(first, "validated") != NULL, ready);
    assert_string_equal(member(&me, client_post(&me, url, ""), "status"), one->status);
}

static void
the_certificate_is_as_the_policy_says_and_the_audit_is_told(void **state)
{
    register_under("/acme/intra/new-account");
    const struct http_kit_reply *reply = client_post(&me, "/acme/intra/new-order",
                                                     "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.intra.example\"},"
                                                     "{\"type\":\"dns\",\"value\":\"one.example\"}]}");
    assert_status(reply, 201);
    EVP_PKEY *key = kit_key("p256");
    reply = client_post(&me, member(&me, reply, "finalize"), client_csr(&me, key, "DNS:a.intra.example,DNS:one.example"));
    EVP_PKEY_free(key);
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_string_equal(beyond.enrolled_channel, "acme/intra");
    assert_string_equal(beyond.enrolled_template, "Device-Certificate");
    assert_string_equal(beyond.enrolled_preapproved, "a.intra.example one.example");
    int64_t days = (beyond.enrolled_not_after_s - clock_now_s() + 3600) / 86400;
    assert_int_equal(days, 30);
    assert_int_equal(beyond.validations, 0);
}

/* An order for a.intra.example, ready by the policy's approval; its answer. */
static const struct http_kit_reply *
approved_order(void)
{
    register_under("/acme/intra/new-account");
    const struct http_kit_reply *reply = order_under("/acme/intra/new-order", "dns", "a.intra.example");
    assert_status(reply, 201);
    assert_string_equal(member(&me, reply, "status"), "ready");
    return reply;
}

static void
a_ready_order_waits_while_its_policy_is_not_for_the_client(void **state)
{
    static const char *const changes[] = {"disabled = true", "disabled = false, client_networks = '{192.0.2.0/24}'"};
    const struct http_kit_reply *reply = approved_order();
    const char *url = header_of(&me, reply, "Location"), *finalize_url = member(&me, reply, "finalize");
    AUTO(EVP_PKEY, key) = kit_key("p256");

    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        run_and_reload(arena_format(me.arena, "UPDATE acme.policy SET %s WHERE name = 'intra'", changes[i]));
        assert_problem(&me, client_post(&me, finalize_url, client_csr(&me, key, "DNS:a.intra.example")), 403, "unauthorized");
        assert_string_equal(member(&me, client_post(&me, url, ""), "status"), "ready");
    }
    run_and_reload("UPDATE acme.policy SET client_networks = '{}' WHERE name = 'intra'");
    assert_status(client_post(&me, finalize_url, client_csr(&me, key, "DNS:a.intra.example")), 200);
}

static void
an_approval_that_was_taken_back_certifies_nothing(void **state)
{
    const struct http_kit_reply *reply = approved_order();
    const char *url = header_of(&me, reply, "Location"), *finalize_url = member(&me, reply, "finalize");
    AUTO(EVP_PKEY, key) = kit_key("p256");

    memset(&beyond, 0, sizeof beyond);
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{one.example}' WHERE name = 'intra'");
    assert_problem(&me, client_post(&me, finalize_url, client_csr(&me, key, "DNS:a.intra.example")), 403, "unauthorized");
    assert_string_equal(member(&me, client_post(&me, url, ""), "status"), "invalid");
    assert_string_equal(beyond.enrolled_key, "");
    assert_string_equal(member(&me, order_under("/acme/intra/new-order", "dns", "a.intra.example"), "status"), "pending");
}

static const json_t *
profiles_of_directory(const char *path)
{
    const struct http_kit_reply *reply = get(path);
    return json_object_get(json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "meta"), "profiles");
}

static void
a_policy_has_its_own_profiles_and_the_default_one_those_of_the_setting(void **state)
{
    assert_null(profiles_of_directory("/acme/intra/directory"));
    assert_int_equal(json_object_size(profiles_of_directory("/acme/directory")), 2);
    run_and_reload("UPDATE acme.policy SET profiles = '{day=Device-Certificate:1,long=Web Server:0}' WHERE name = 'intra'");
    assert_int_equal(json_object_size(profiles_of_directory("/acme/intra/directory")), 2);
    assert_string_equal(json_text(profiles_of_directory("/acme/intra/directory"), "day"), "Device-Certificate, 1 days");
    assert_non_null(json_text(profiles_of_directory("/acme/directory"), "classic"));
    run_and_reload("UPDATE acme.policy SET profiles = '{own=Web Server:9}' WHERE name = 'default'");
    assert_int_equal(json_object_size(profiles_of_directory("/acme/directory")), 1);
    assert_non_null(json_text(profiles_of_directory("/acme/directory"), "own"));
}

static void
an_order_chooses_among_the_profiles_of_its_policy(void **state)
{
    run_and_reload("UPDATE acme.policy SET profiles = '{day=Web Server:1}' WHERE name = 'intra'");
    register_under("/acme/intra/new-account");
    assert_problem(
        &me, client_post(&me, "/acme/intra/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"one.example\"}],\"profile\":\"classic\"}"),
        400, "invalidProfile");
    const struct http_kit_reply *reply =
        client_post(&me, "/acme/intra/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"one.example\"}],\"profile\":\"day\"}");
    assert_status(reply, 201);
    assert_string_equal(member(&me, reply, "profile"), "day");
    EVP_PKEY *key = kit_key("p256");
    assert_status(client_post(&me, member(&me, reply, "finalize"), client_csr(&me, key, "DNS:one.example")), 200);
    EVP_PKEY_free(key);
    assert_string_equal(beyond.enrolled_template, "Web Server");
    assert_true(beyond.enrolled_not_after_s <= clock_now_s() + 86400);
}

static void
the_default_policy_is_as_the_settings_say(void **state)
{
    client_register(&me);
    struct made_order made = client_ready_order(&me, "a.intra.example");
    EVP_PKEY *key = kit_key("p256");
    assert_status(client_post(&me, made.finalize, client_csr(&me, key, "DNS:a.intra.example")), 200);
    EVP_PKEY_free(key);
    assert_string_equal(beyond.enrolled_channel, "acme");
    assert_string_equal(beyond.enrolled_template, "Web Server");
    assert_string_equal(beyond.enrolled_preapproved, "");
    assert_int_equal((beyond.enrolled_not_after_s - clock_now_s() + 3600) / 86400, 90);
}

static void
a_wildcard_that_no_challenge_proves_is_refused_by_the_policys_name(void **state)
{
    run_and_reload("UPDATE acme.policy SET challenge_types = '{http-01}' WHERE name = 'intra'");
    register_under("/acme/intra/new-account");
    const struct http_kit_reply *reply = order_under("/acme/intra/new-order", "dns", "*.other.example");
    assert_problem(&me, reply, 400, "rejectedIdentifier");
    assert_non_null(strstr(member(&me, reply, "detail"), "policy intra"));
}

static void
the_validator_hears_where_it_may_look_and_whether_caa_counts(void **state)
{
    run_and_reload("UPDATE acme.policy SET denied_networks = '{10.9.0.0/16}', caa = true WHERE name = 'intra'");
    register_under("/acme/intra/new-account");
    const struct http_kit_reply *reply = order_under("/acme/intra/new-order", "dns", "a.example");
    assert_status(reply, 201);
    const char *url = header_of(&me, reply, "Location");
    reply = client_post(&me, first_of(&me, reply, "authorizations"), "");
    const json_t *challenges = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "challenges");
    assert_status(client_post(&me, json_text(json_array_get(challenges, 0), "url"), "{}"), 200);
    wait_for_status(&me, url, "ready");
    assert_string_equal(beyond.denied_networks, "10.9.0.0/16");
    assert_true(beyond.check_caa);
}

static void
clients_of_other_networks_are_refused(void **state)
{
    register_under("/acme/intra/new-account");
    run_and_reload("UPDATE acme.policy SET client_networks = '{10.0.0.0/8}' WHERE name = 'intra'");
    assert_problem(&me, order_under("/acme/intra/new-order", "dns", "a.intra.example"), 403, "unauthorized");
    assert_problem(&me, get("/acme/intra/directory"), 403, "unauthorized");
    assert_status(get("/acme/directory"), 200);
    run_and_reload("UPDATE acme.policy SET client_networks = '{10.0.0.0/8,127.0.0.0/8}' WHERE name = 'intra'");
    assert_status(order_under("/acme/intra/new-order", "dns", "a.intra.example"), 201);
}

static void
a_disabled_policy_takes_no_orders(void **state)
{
    register_under("/acme/intra/new-account");
    run_and_reload("UPDATE acme.policy SET disabled = true WHERE name = 'intra'");
    assert_problem(&me, order_under("/acme/intra/new-order", "dns", "a.intra.example"), 403, "unauthorized");
}

static void
an_order_has_as_many_names_as_the_policy_allows(void **state)
{
    run_and_reload("UPDATE acme.policy SET identifiers_max = 1 WHERE name = 'intra'");
    register_under("/acme/intra/new-account");
    assert_problem(
        &me,
        client_post(&me, "/acme/intra/new-order",
                    "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.intra.example\"},{\"type\":\"dns\",\"value\":\"b.intra.example\"}]}"),
        400, "malformed");
    assert_status(order_under("/acme/intra/new-order", "dns", "a.intra.example"), 201);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 12

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(name_cases)] = {
        CASE(each_policy_has_its_directory),
        CASE(a_change_is_seen_after_the_next_reading),
        CASE(an_account_stays_with_its_policy),
        CASE(the_certificate_is_as_the_policy_says_and_the_audit_is_told),
        CASE(a_ready_order_waits_while_its_policy_is_not_for_the_client),
        CASE(an_approval_that_was_taken_back_certifies_nothing),
        CASE(a_policy_has_its_own_profiles_and_the_default_one_those_of_the_setting),
        CASE(an_order_chooses_among_the_profiles_of_its_policy),
        CASE(the_default_policy_is_as_the_settings_say),
        CASE(a_wildcard_that_no_challenge_proves_is_refused_by_the_policys_name),
        CASE(the_validator_hears_where_it_may_look_and_whether_caa_counts),
        CASE(clients_of_other_networks_are_refused),
        CASE(a_disabled_policy_takes_no_orders),
        CASE(an_order_has_as_many_names_as_the_policy_allows),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(name_cases); i++)
        tests[count++] = (struct CMUnitTest){.name = name_cases[i].name,
                                             .test_func = approves_beforehand,
                                             .setup_func = begin,
                                             .teardown_func = end,
                                             .initial_state = (void *)&name_cases[i]};
    return _cmocka_run_group_tests("policy", tests, count, open_gateway, close_gateway);
}
