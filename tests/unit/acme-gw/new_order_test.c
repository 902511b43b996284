/* Orders: which names are taken, in which form they come back, and what is made of them. */
#include "gateway_fixture.h"

static struct client me;

static int
begin(void **state)
{
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

static const struct http_kit_reply *
order_for(const char *identifiers)
{
    return client_post(&me, "/acme/new-order", arena_format(me.arena, "{\"identifiers\":%s}", identifiers));
}

static const struct refused {
    const char *name;
    const char *payload;
    int status;
    const char *type;
} refused[] = {
    {"rejects_a_missing_list", "{}", 400, "malformed"},
    {"rejects_an_empty_list", "{\"identifiers\":[]}", 400, "malformed"},
    {"rejects_a_list_that_is_none", "{\"identifiers\":{\"type\":\"dns\",\"value\":\"a.example\"}}", 400, "malformed"},
    {"rejects_an_identifier_that_is_a_text", "{\"identifiers\":[\"a.example\"]}", 400, "malformed"},
    {"rejects_an_identifier_without_value", "{\"identifiers\":[{\"type\":\"dns\"}]}", 400, "malformed"},
    {"rejects_an_identifier_without_type", "{\"identifiers\":[{\"value\":\"a.example\"}]}", 400, "malformed"},
    {"rejects_a_value_that_is_a_number", "{\"identifiers\":[{\"type\":\"dns\",\"value\":7}]}", 400, "malformed"},
    {"rejects_other_types", "{\"identifiers\":[{\"type\":\"email\",\"value\":\"a@b.example\"}]}", 400, "unsupportedIdentifier"},
    {"rejects_an_underscore", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a_b.example\"}]}", 400, "rejectedIdentifier"},
    {"rejects_an_address_as_a_dns_name", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"192.0.2.1\"}]}", 400, "rejectedIdentifier"},
    {"rejects_a_name_as_an_address", "{\"identifiers\":[{\"type\":\"ip\",\"value\":\"a.example\"}]}", 400, "rejectedIdentifier"},
    {"rejects_blanks_that_would_split_a_column", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example b.example\"}]}", 400,
     "rejectedIdentifier"},
    {"rejects_an_empty_value", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"\"}]}", 400, "rejectedIdentifier"},
    {"rejects_an_empty_payload", "", 400, "malformed"},
};

static void
rejects(void **state)
{
    const struct refused *one = *state;

    assert_problem(&me, client_post(&me, "/acme/new-order", one->payload), one->status, one->type);
    char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.orders");
    assert_string_equal(count, "0");
    free(count);
}

static void
names_come_back_canonical_sorted_and_once(void **state)
{
    const struct http_kit_reply *reply = order_for(
        "[{\"type\":\"ip\",\"value\":\"2001:DB8:0::1\"},{\"type\":\"dns\",\"value\":\"B.Example\"},{\"type\":\"dns\",\"value\":\"a.example\"},"
        "{\"type\":\"dns\",\"value\":\"b.example\"}]");
    assert_status(reply, 201);
    const json_t *order_now = json_parse_object(me.arena, BYTES(reply->body, reply->body_len));
    const json_t *names = json_object_get(order_now, "identifiers");
    assert_int_equal(json_array_size(names), 3);
    assert_string_equal(json_text(json_array_get(names, 0), "value"), "a.example");
    assert_string_equal(json_text(json_array_get(names, 1), "value"), "b.example");
    assert_string_equal(json_text(json_array_get(names, 2), "value"), "2001:db8::1");
    assert_int_equal(json_array_size(json_object_get(order_now, "authorizations")), 3);
    assert_string_equal(json_text(order_now, "status"), "pending");
    const char *url = header_of(&me, reply, "Location");
    assert_string_equal(json_text(order_now, "finalize"), arena_format(me.arena, "%s/finalize", url));
    assert_non_null(json_text(order_now, "expires"));
    assert_null(json_object_get(order_now, "certificate"));

    reply = client_post(&me, url, "");
    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Location"), url);
    assert_true(json_equal(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), order_now));
}

static void
takes_a_hundred_names_and_not_one_more(void **state)
{
    struct buffer list = buffer_in(me.arena);

    for (int i = 0; i < 101; i++) {
        buffer_append_format(&list, "%s{\"type\":\"dns\",\"value\":\"h%d.example\"}", i == 0 ? "" : ",", i);
        if (i == 99)
            assert_status(order_for(arena_format(me.arena, "[%s]", buffer_text(&list))), 201);
    }
    assert_problem(&me, order_for(arena_format(me.arena, "[%s]", buffer_text(&list))), 400, "malformed");
}

static const char *
types_of(struct client *client, const json_t *authorization)
{
    struct buffer types = buffer_in(client->arena);
    size_t i;
    json_t *one;

    json_array_foreach(json_object_get(authorization, "challenges"), i, one)
        buffer_append_format(&types, "%s%s", i == 0 ? "" : " ", json_text(one, "type"));
    return buffer_text(&types);
}

static const json_t *
authorization_of(struct client *client, const char *type, const char *name)
{
    const struct http_kit_reply *reply =
        client_post(client, "/acme/new-order", arena_format(client->arena, "{\"identifiers\":[{\"type\":\"%s\",\"value\":\"%s\"}]}", type, name));
    assert_status(reply, 201);
    reply = client_post(client, first_of(client, reply, "authorizations"), "");
    assert_status(reply, 200);
    return json_parse_object(client->arena, BYTES(reply->body, reply->body_len));
}

/* RFC 8555 §7.1.3, §7.1.4 */
static void
a_wildcard_is_proven_by_dns_alone_and_shown_as_its_domain(void **state)
{
    const json_t *found = authorization_of(&me, "dns", "*.b.example");

    assert_string_equal(types_of(&me, found), "dns-01 dns-account-01 dns-persist-01");
    assert_string_equal(json_text(json_object_get(found, "identifier"), "value"), "b.example");
    assert_true(json_is_true(json_object_get(found, "wildcard")));
}

static void
a_host_and_an_address_are_proven_by_what_fits_them(void **state)
{
    const json_t *found = authorization_of(&me, "dns", "b.example");

    assert_string_equal(types_of(&me, found), "http-01 dns-01 tls-alpn-01 dns-account-01 dns-persist-01");
    assert_null(json_object_get(found, "wildcard"));
    found = authorization_of(&me, "ip", "192.0.2.1");
    assert_string_equal(types_of(&me, found), "http-01 tls-alpn-01");
    assert_string_equal(json_text(json_object_get(found, "identifier"), "type"), "ip");
}

static void
types_can_be_left_out_by_a_setting(void **state)
{
    gateway.config.challenges = "dns-01,tls-alpn-01";
    const char *types = types_of(&me, authorization_of(&me, "dns", "b.example"));
    gateway.config.challenges = NULL;
    assert_string_equal(types, "dns-01 tls-alpn-01");
}

static const json_t *
persistent_challenge(void)
{
    return json_array_get(json_object_get(authorization_of(&me, "dns", "*.b.example"), "challenges"), 2);
}

static void
a_persistent_challenge_says_what_its_record_must_name(void **state)
{
    const json_t *names = json_object_get(persistent_challenge(), "issuerDomainNames");

    assert_int_equal(json_array_size(names), 2);
    assert_string_equal(json_string_value(json_array_get(names, 0)), "acme.example");
    assert_string_not_equal(json_text(persistent_challenge(), "token"), "");
    gateway.config.dns_persist_draft = 1;
    const json_t *old = persistent_challenge();
    gateway.config.dns_persist_draft = 2;
    assert_string_equal(json_string_value(json_array_get(json_object_get(old, "issuer-domain-names"), 1)), "ca.example");
    assert_string_equal(json_text(old, "accounturi"), me.kid);
}

static void
settings_about_challenges_are_checked_at_start(void **state)
{
    static const struct acme_config right = {.challenges = "http-01, dns-persist-01", .caa_identities = "ca.example,xn--bcher-kva.example"};
    static const struct acme_config wrong[] = {
        {.challenges = "dns-1", .caa_identities = ""},
        {.challenges = "", .caa_identities = "CA.example"},
        {.challenges = "", .caa_identities = "ca.example."},
        {.challenges = "", .caa_identities = "https://ca.example"},
        {.challenges = "", .caa_identities = "a.b,c.d,e.f,g.h,i.j,k.l,m.n,o.p,q.r,s.t,u.v"},
    };
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(challenge_types_check(rq, &right), OK);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(challenge_types_check(rq, &wrong[i]), ERR_BAD_REQUEST);
        failure_clear(rq);
    }
}

static void
nobody_is_named_by_a_ca_without_name(void **state)
{
    const char *names = gateway.config.caa_identities;

    gateway.config.caa_identities = "";
    const char *types = types_of(&me, authorization_of(&me, "dns", "*.b.example"));
    gateway.config.caa_identities = names;
    assert_string_equal(types, "dns-01 dns-account-01");
}

static void
an_authorization_has_a_challenge_with_all_its_members(void **state)
{
    struct made_order made = client_order(&me, "host.example");
    const struct http_kit_reply *reply = client_post(&me, made.authorization, "");
    const json_t *found = json_parse_object(me.arena, BYTES(reply->body, reply->body_len));
    const json_t *one = json_array_get(json_object_get(found, "challenges"), 0);

    assert_string_equal(json_text(found, "status"), "pending");
    assert_string_equal(json_text(json_object_get(found, "identifier"), "value"), "host.example");
    assert_non_null(json_text(found, "expires"));
    assert_string_equal(json_text(one, "type"), "http-01");
    assert_string_equal(json_text(one, "status"), "pending");
    assert_int_equal(strlen(json_text(one, "token")), 43);
    assert_true(text_starts_with(json_text(one, "url"), "http://acme.example/acme/challenge/"));
    assert_problem(&me, client_post(&me, made.authorization, "{}"), 400, "malformed");
}

static void
ids_and_tokens_never_repeat(void **state)
{
    (void)client_order(&me, "host.example");
    (void)client_order(&me, "host.example");
    char *distinct = postgres_kit_ask(postgres, "SELECT count(DISTINCT id) * 10 + count(DISTINCT token) FROM acme.challenge");
    assert_string_equal(distinct, "22");
    free(distinct);
}

static void
all_that_is_wrong_is_told_at_once(void **state)
{
    const struct http_kit_reply *reply = order_for("[{\"type\":\"dns\",\"value\":\"good.example\"},{\"type\":\"dns\",\"value\":\"a_b.example\"},"
                                                   "{\"type\":\"ip\",\"value\":\"no address\"}]");
    assert_problem(&me, reply, 400, "rejectedIdentifier");
    assert_non_null(strstr(member(&me, reply, "detail"), "the policy default refuses 2 of the 3 identifiers"));
    const json_t *subproblems = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "subproblems");
    assert_int_equal(json_array_size(subproblems), 2);
    const json_t *second = json_array_get(subproblems, 1);
    assert_string_equal(json_text(second, "type"), "urn:ietf:params:acme:error:rejectedIdentifier");
    assert_string_equal(json_text(json_object_get(second, "identifier"), "value"), "no address");
    assert_true(json_text(second, "detail")[0] != '\0');

    reply = order_for("[{\"type\":\"dns\",\"value\":\"a_b.example\"},{\"type\":\"email\",\"value\":\"a@b.example\"}]");
    assert_problem(&me, reply, 400, "compound");
    subproblems = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "subproblems");
    assert_string_equal(json_text(json_array_get(subproblems, 1), "type"), "urn:ietf:params:acme:error:unsupportedIdentifier");

    /* A single identifier needs no list; what is no identifier at all spoils the whole. */
    reply = order_for("[{\"type\":\"dns\",\"value\":\"a_b.example\"}]");
    assert_problem(&me, reply, 400, "rejectedIdentifier");
    assert_null(json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "subproblems"));
    assert_problem(&me, order_for("[{\"type\":\"dns\",\"value\":\"a_b.example\"},7]"), 400, "malformed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 11

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(refused)] = {
        CASE(names_come_back_canonical_sorted_and_once),
        CASE(all_that_is_wrong_is_told_at_once),
        CASE(takes_a_hundred_names_and_not_one_more),
        CASE(a_wildcard_is_proven_by_dns_alone_and_shown_as_its_domain),
        CASE(a_host_and_an_address_are_proven_by_what_fits_them),
        CASE(types_can_be_left_out_by_a_setting),
        CASE(a_persistent_challenge_says_what_its_record_must_name),
        CASE(settings_about_challenges_are_checked_at_start),
        CASE(nobody_is_named_by_a_ca_without_name),
        CASE(an_authorization_has_a_challenge_with_all_its_members),
        CASE(ids_and_tokens_never_repeat),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tests[count++] = (struct CMUnitTest){
            .name = refused[i].name, .test_func = rejects, .setup_func = begin, .teardown_func = end, .initial_state = (void *)&refused[i]};
    return _cmocka_run_group_tests("new_order", tests, count, open_gateway, close_gateway);
}
