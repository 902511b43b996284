/* Authorisations beyond one order: made before any (RFC 8555 §7.4.1), used again, given up (§7.5.2). */
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

static const struct http_kit_reply *
authorize(const char *name)
{
    return client_post(&me, "/acme/new-authz", arena_format(me.arena, "{\"identifier\":{\"type\":\"dns\",\"value\":\"%s\"}}", name));
}

static const char *
challenge_of(const struct http_kit_reply *reply)
{
    const json_t *list = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "challenges");
    return arena_text(me.arena, json_text(json_array_get(list, 0), "url"));
}

static const char *
prove_before(const char *name)
{
    const struct http_kit_reply *reply = authorize(name);
    assert_status(reply, 201);
    assert_string_equal(member(&me, reply, "status"), "pending");
    const char *url = header_of(&me, reply, "Location");
    assert_status(client_post(&me, challenge_of(reply), "{}"), 200);
    wait_for_status(&me, url, "valid");
    return url;
}

static void
an_order_of_a_proven_name_is_ready_at_once(void **state)
{
    const char *url = prove_before("host.example");
    struct made_order made = client_order(&me, "host.example");

    assert_string_equal(made.authorization, url);
    assert_string_equal(member(&me, client_post(&me, made.url, ""), "status"), "ready");
    AUTO(EVP_PKEY, key) = kit_key("p256");
    const struct http_kit_reply *reply = client_post(&me, made.finalize, client_csr(&me, key, "DNS:host.example"));
    assert_string_equal(member(&me, reply, "status"), "valid");
}

static void
a_proof_serves_the_next_order_and_only_for_its_name_and_account(void **state)
{
    CLIENT(other);
    struct made_order first = client_ready_order(&me, "host.example");
    struct made_order second = client_order(&me, "host.example");

    client_register(&other);
    assert_string_equal(first.authorization, second.authorization);
    assert_string_not_equal(client_order(&me, "more.host.example").authorization, first.authorization);
    assert_string_not_equal(client_order(&other, "host.example").authorization, first.authorization);
}

static void
an_order_waits_for_the_names_that_are_not_proven_yet(void **state)
{
    prove_before("a.example");
    const struct http_kit_reply *reply = client_post(
        &me, "/acme/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"b.example\"},{\"type\":\"dns\",\"value\":\"a.example\"}]}");
    const char *url = header_of(&me, reply, "Location");
    assert_string_equal(member(&me, reply, "status"), "pending");
    const json_t *list = json_object_get(json_parse_object(me.arena, BYTES(reply->body, reply->body_len)), "authorizations");
    reply = client_post(&me, json_string_value(json_array_get(list, 1)), "");
    assert_string_equal(member(&me, reply, "status"), "pending");
    assert_status(client_post(&me, challenge_of(reply), "{}"), 200);
    wait_for_status(&me, url, "ready");
}

static void
a_proof_that_ends_soon_is_not_built_on(void **state)
{
    const char *url = prove_before("host.example");

    postgres_kit_run(postgres, "UPDATE acme.authorization SET expires_at = now() + interval '59 minutes'");
    assert_string_not_equal(client_order(&me, "host.example").authorization, url);
}

static void
what_was_approved_beforehand_is_no_proof(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.orders SET preapproved = names");
    assert_status(authorize("host.example"), 201);
    assert_string_not_equal(client_order(&me, "host.example").authorization, made.authorization);
}

static void
an_order_ends_no_later_than_its_oldest_proof(void **state)
{
    prove_before("host.example");
    postgres_kit_run(postgres, "UPDATE acme.authorization SET expires_at = '2200-01-01'");
    (void)client_order(&me, "host.example");
    postgres_kit_run(postgres, "UPDATE acme.authorization SET expires_at = now() + interval '2 hours'");
    (void)client_order(&me, "host.example");
    char *soon = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.orders WHERE expires_at < now() + interval '3 hours'");
    assert_string_equal(soon, "1");
    free(soon);
}

static void
a_name_that_is_proven_is_given_back(void **state)
{
    const char *url = prove_before("host.example");
    const struct http_kit_reply *reply = authorize("host.example");

    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Location"), url);
}

static void
refuses_names_that_cannot_be_authorized_before_an_order(void **state)
{
    assert_problem(&me, authorize("*.host.example"), 400, "malformed");
    assert_problem(&me, authorize("-"), 400, "rejectedIdentifier");
    assert_problem(&me, client_post(&me, "/acme/new-authz", "{\"identifier\":{\"type\":\"phone\",\"value\":\"1\"}}"), 400, "unsupportedIdentifier");
    assert_problem(&me, client_post(&me, "/acme/new-authz", "{}"), 400, "malformed");
    assert_problem(&me, client_post(&me, "/acme/new-authz", ""), 400, "malformed");
}

static void
a_given_up_authorization_takes_its_orders_along(void **state)
{
    struct made_order ready = client_ready_order(&me, "host.example");
    struct made_order again = client_order(&me, "host.example");
    AUTO(EVP_PKEY, key) = kit_key("p256");

    const struct http_kit_reply *reply = client_post(&me, ready.authorization, "{\"status\":\"deactivated\"}");
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "deactivated");
    assert_string_equal(member(&me, client_post(&me, ready.url, ""), "status"), "invalid");
    assert_string_equal(member(&me, client_post(&me, again.url, ""), "status"), "invalid");
    assert_problem(&me, client_post(&me, again.finalize, client_csr(&me, key, "DNS:host.example")), 403, "orderNotReady");
    assert_string_not_equal(client_order(&me, "host.example").authorization, ready.authorization);
}

static void
an_order_made_in_the_moment_of_the_giving_up_is_not_finalized(void **state)
{
    struct made_order ready = client_ready_order(&me, "host.example");
    AUTO(EVP_PKEY, key) = kit_key("p256");

    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'deactivated'");
    assert_problem(&me, client_post(&me, ready.finalize, client_csr(&me, key, "DNS:host.example")), 403, "orderNotReady");
    assert_int_equal(beyond.enrolments, 0);
}

static void
a_validation_under_way_changes_nothing_of_what_was_given_up(void **state)
{
    struct made_order made = client_order(&me, "host.example");

    postgres_kit_run(postgres, "UPDATE acme.challenge SET type = 'http-01', status = 'processing', due_at = now()");
    assert_status(client_post(&me, made.authorization, "{\"status\":\"deactivated\"}"), 200);
    turn_validations();
    assert_string_equal(member(&me, client_post(&me, made.authorization, ""), "status"), "deactivated");
    assert_string_equal(member(&me, client_post(&me, made.url, ""), "status"), "invalid");
}

static void
refuses_other_changes_and_foreign_hands(void **state)
{
    CLIENT(other);
    struct made_order made = client_order(&me, "host.example");

    client_register(&other);
    assert_problem(&me, client_post(&me, made.authorization, "{\"status\":\"valid\"}"), 400, "malformed");
    assert_problem(&me, client_post(&me, made.authorization, "{}"), 400, "malformed");
    assert_problem(&other, client_post(&other, made.authorization, "{\"status\":\"deactivated\"}"), 404, "malformed");
    assert_string_equal(member(&me, client_post(&me, made.authorization, ""), "status"), "pending");
    postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'invalid'");
    assert_problem(&me, client_post(&me, made.authorization, "{\"status\":\"deactivated\"}"), 400, "malformed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_order_of_a_proven_name_is_ready_at_once),
        CASE(a_proof_serves_the_next_order_and_only_for_its_name_and_account),
        CASE(an_order_waits_for_the_names_that_are_not_proven_yet),
        CASE(a_proof_that_ends_soon_is_not_built_on),
        CASE(what_was_approved_beforehand_is_no_proof),
        CASE(an_order_ends_no_later_than_its_oldest_proof),
        CASE(a_name_that_is_proven_is_given_back),
        CASE(refuses_names_that_cannot_be_authorized_before_an_order),
        CASE(a_given_up_authorization_takes_its_orders_along),
        CASE(an_order_made_in_the_moment_of_the_giving_up_is_not_finalized),
        CASE(a_validation_under_way_changes_nothing_of_what_was_given_up),
        CASE(refuses_other_changes_and_foreign_hands),
    };

    return cmocka_run_group_tests_name("new_authz", tests, open_gateway, close_gateway);
}
