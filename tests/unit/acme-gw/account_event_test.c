/* Each change of an account is announced, once, in its own statement; and what changes nothing is not. */
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
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.outbox");
    return 0;
}

static size_t
events(void)
{
    char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.outbox WHERE subject = 'signet.event.account.changed'");
    size_t number = strtoul(count, NULL, 10);

    free(count);
    return number;
}

/* The newest one. */
static const Pb__AccountChanged *
last_event(void)
{
    struct bytes body;
    char *hex = postgres_kit_ask(postgres, "SELECT encode(body, 'hex') FROM acme.outbox ORDER BY id DESC LIMIT 1");

    assert_true(bytes_from_hex(me.arena, hex, &body));
    free(hex);
    return (const Pb__AccountChanged *)message_unpack(me.arena, &pb__account_changed__descriptor, body);
}

static const char *
thumbprint_of(EVP_PKEY *key)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct jwk jwk;

    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jose_jwk(rq->arena, key))), &jwk), OK);
    return base64url_encode(me.arena, BYTES(jwk.thumbprint, THUMBPRINT_LEN));
}

static void
a_new_account_is_announced_with_key_address_and_contacts(void **state)
{
    const struct http_kit_reply *reply =
        client_post(&me, "/acme/new-account", "{\"termsOfServiceAgreed\":true,\"contact\":[\"mailto:a@example.org\",\"mailto:b@example.org\"]}");

    assert_status(reply, 201);
    const char *id = strrchr(header_of(&me, reply, "Location"), '/') + 1;
    assert_int_equal(events(), 1);
    const Pb__AccountChanged *event = last_event();
    assert_string_equal(event->account, id);
    assert_string_equal(event->action, "created");
    assert_string_equal(event->policy, "default");
    assert_string_equal(event->key_thumbprint, thumbprint_of(me.key));
    assert_string_equal(event->client_address, "127.0.0.1");
    assert_int_equal(event->n_contacts, 2);
    assert_string_equal(event->contacts[1], "mailto:b@example.org");
    assert_string_equal(event->eab, "");

    CLIENT(other);
    client_register(&other);
    assert_int_equal(events(), 2);
    assert_status(client_post(&me, "/acme/new-account", "{\"termsOfServiceAgreed\":true}"), 200);
    assert_int_equal(events(), 2);
}

static void
new_contacts_are_announced_beside_those_before_and_the_same_ones_are_not(void **state)
{
    client_register(&me);
    assert_status(client_post(&me, me.kid, "{\"contact\":[\"mailto:new@example.org\"]}"), 200);
    assert_status(client_post(&me, me.kid, "{\"contact\":[\"mailto:newer@example.org\"]}"), 200);
    assert_int_equal(events(), 3);
    const Pb__AccountChanged *event = last_event();
    assert_string_equal(event->action, "contacts-changed");
    assert_string_equal(event->contacts[0], "mailto:newer@example.org");
    assert_string_equal(event->former_contacts[0], "mailto:new@example.org");
    assert_status(client_post(&me, me.kid, "{\"contact\":[\"mailto:newer@example.org\"]}"), 200);
    assert_status(client_post(&me, me.kid, "{\"contact\":[\"tel:+1\"]}"), 400);
    assert_int_equal(events(), 3);
}

static void
another_key_is_announced_with_the_one_before(void **state)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct arena *arena = me.arena;

    client_register(&me);
    const char *header = arena_format(arena, "{\"alg\":\"ES256\",\"url\":\"%s/acme/key-change\",\"jwk\":%s}", gateway.base_url, jose_jwk(arena, key));
    const char *payload = arena_format(arena, "{\"account\":\"%s\",\"oldKey\":%s}", me.kid, jose_jwk(arena, me.key));
    assert_status(client_post(&me, "/acme/key-change", jose_jws(arena, key, "ES256", header, payload)), 200);
    assert_int_equal(events(), 2);
    const Pb__AccountChanged *event = last_event();
    assert_string_equal(event->action, "key-changed");
    assert_string_equal(event->former_thumbprint, thumbprint_of(me.key));
    assert_string_equal(event->key_thumbprint, thumbprint_of(key));
    assert_string_equal(event->client_address, "127.0.0.1");
}

static void
its_end_is_announced_once(void **state)
{
    client_register(&me);
    assert_status(client_post(&me, me.kid, "{\"status\":\"deactivated\"}"), 200);
    assert_int_equal(events(), 2);
    assert_string_equal(last_event()->action, "deactivated");
    assert_status(client_post(&me, me.kid, "{\"status\":\"deactivated\"}"), 401);
    assert_int_equal(events(), 2);
}

/* What cannot be announced has not happened. */
static void
without_its_record_nothing_is_changed(void **state)
{
    client_register(&me);
    postgres_kit_run(postgres, "ALTER TABLE acme.outbox ADD CONSTRAINT full_now CHECK (false) NOT VALID");
    assert_true(client_post(&me, me.kid, "{\"contact\":[\"mailto:new@example.org\"]}")->status >= 400);
    assert_true(client_post(&me, me.kid, "{\"status\":\"deactivated\"}")->status >= 400);
    postgres_kit_run(postgres, "ALTER TABLE acme.outbox DROP CONSTRAINT full_now");
    char *row = postgres_kit_ask(postgres, "SELECT status || contacts::text FROM acme.account");
    assert_string_equal(row, "valid{}");
    free(row);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_account_is_announced_with_key_address_and_contacts),
        CASE(new_contacts_are_announced_beside_those_before_and_the_same_ones_are_not),
        CASE(another_key_is_announced_with_the_one_before),
        CASE(its_end_is_announced_once),
        CASE(without_its_record_nothing_is_changed),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
