/* Accounts that are bound to external ones: what a binding must be, how often it can be used, and what it allows afterwards. */
#include "gateway_fixture.h"

#include <openssl/hmac.h>

#include "base/base64.h"

#define PATH "/acme/bound/new-account"

static struct client me;
static const char *key_id, *hmac_key;

static void
create(const char *name, uint32_t uses, int64_t expires_at_s, const char *allowed_name)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateEabRequest input = PB__CREATE_EAB_REQUEST__INIT;
    Pb__CreateEabReply reply = PB__CREATE_EAB_REPLY__INIT;
    Pb__EabCredential credential = PB__EAB_CREDENTIAL__INIT;

    credential.name = name;
    credential.policy = "bound";
    credential.use_limit = uses;
    credential.expires_at_s = expires_at_s;
    credential.owner = "team-a";
    credential.created_by = "tester";
    credential.allowed_names = &allowed_name;
    credential.n_allowed_names = allowed_name != NULL;
    input.credential = &credential;
    assert_int_equal(create_eab(&gateway, rq, &input, &reply), OK);
    key_id = arena_text(me.arena, reply.key_id);
    hmac_key = arena_text(me.arena, reply.hmac_key);
}

static int
begin(void **state)
{
    run_and_reload("INSERT INTO acme.policy (name, eab, preapproved_names) VALUES ('bound', 'required', '{*.example}')");
    me = client_new();
    create("first", 1, 0, "*.a.example");
    return 0;
}

static int
end(void **state)
{
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge, acme.eab");
    run_and_reload("DELETE FROM acme.policy WHERE name <> 'default'");
    return 0;
}

static const char *
mac_of(const char *text, const char *key_text, const EVP_MD *digest)
{
    struct bytes key;
    uint8_t mac[EVP_MAX_MD_SIZE];
    unsigned len;

    assert_true(base64url_decode(me.arena, bytes_of_text(key_text), &key));
    assert_non_null(HMAC(digest, key.at, (int)key.len, (const uint8_t *)text, strlen(text), mac, &len));
    return base64url_encode(me.arena, BYTES(mac, len));
}

/* The whole newAccount around a binding of these parts. */
static const struct http_kit_reply *
send_binding(const char *header, const char *payload, const char *key_text, const EVP_MD *digest)
{
    const char *first = jose_b64(me.arena, header), *second = jose_b64(me.arena, payload);
    const char *mac = mac_of(arena_format(me.arena, "%s.%s", first, second), key_text, digest);
    const char *body = arena_format(me.arena,
                                    "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":{\"more\":[1],\"protected\":\"%s\","
                                    "\"payload\":\"%s\",\"signature\":\"%s\"}}",
                                    first, second, mac);
    return client_send(&me, PATH, "application/jose+json", client_jws(&me, PATH, body, true));
}

static const char *
header_with(const char *alg, const char *kid, const char *url)
{
    return arena_format(me.arena, "{\"alg\":\"%s\",\"kid\":\"%s\",\"url\":\"%s\"}", alg, kid, url);
}

static const struct http_kit_reply *
bind_with(const char *alg, const EVP_MD *digest)
{
    return send_binding(header_with(alg, key_id, "http://acme.example" PATH), jose_jwk(me.arena, me.key), hmac_key, digest);
}

static char *
ask(const char *sql)
{
    char *found = postgres_kit_ask(postgres, sql);
    char *copy = arena_text(me.arena, found);
    free(found);
    return copy;
}

static void
each_mac_binds(void **state)
{
    const struct {
        const char *alg;
        const EVP_MD *digest;
    } cases[] = {{"HS256", EVP_sha256()}, {"HS384", EVP_sha384()}, {"HS512", EVP_sha512()}};

    create("thrice", 3, 0, NULL);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_status(bind_with(cases[i].alg, cases[i].digest), 201);
        EVP_PKEY_free(me.key);
        me.key = kit_key("p256");
    }
    assert_string_equal(ask("SELECT uses FROM acme.eab WHERE name = 'thrice'"), "3");
    assert_problem(&me, bind_with("HS256", EVP_sha256()), 403, "unauthorized");
}

static void
an_account_needs_a_binding_once(void **state)
{
    const char *plain = "{\"termsOfServiceAgreed\":true}";

    assert_problem(&me, client_send(&me, PATH, "application/jose+json", client_jws(&me, PATH, plain, true)), 403, "externalAccountRequired");
    assert_status(bind_with("HS256", EVP_sha256()), 201);
    /* The same key again: its account is there, whatever became of the credential. */
    assert_status(bind_with("HS256", EVP_sha256()), 200);
    assert_status(client_send(&me, PATH, "application/jose+json", client_jws(&me, PATH, plain, true)), 200);
    assert_string_equal(ask("SELECT uses || ' ' || (SELECT count(*) FROM acme.account) FROM acme.eab WHERE name = 'first'"), "1 1");
    /* That it was used is on record, once, with the account. */
    assert_string_equal(ask("SELECT eab_name FROM acme.account"), "first");
    assert_string_equal(
        ask(arena_format(me.arena,
                         "SELECT count(*) FROM acme.outbox WHERE subject = 'signet.event.account.changed' AND position('first'::bytea "
                         "IN body) > 0 AND position('%s'::bytea IN body) > 0",
                         key_id)),
        "1");
}

/* RFC 8555 §7.3.4: with the same value as the field in the request, and from then on. */
static void
the_account_shows_its_binding(void **state)
{
    const char *first = jose_b64(me.arena, header_with("HS256", key_id, "http://acme.example" PATH)),
               *second = jose_b64(me.arena, jose_jwk(me.arena, me.key));
    const char *binding = arena_format(me.arena, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}", first, second,
                                       mac_of(arena_format(me.arena, "%s.%s", first, second), hmac_key, EVP_sha256()));
    const struct http_kit_reply *reply = bind_with("HS256", EVP_sha256());

    assert_status(reply, 201);
    me.kid = header_of(&me, reply, "Location");
    assert_non_null(strstr(reply->body, binding));
    assert_non_null(strstr(client_post(&me, me.kid, "")->body, binding));
    postgres_kit_run(postgres, "DELETE FROM acme.eab");
    assert_non_null(strstr(client_post(&me, me.kid, "{\"contact\":[]}")->body, binding));
}

static void
what_may_bind_is_named_where_another_algorithm_was_used(void **state)
{
    const struct http_kit_reply *reply = bind_with("ES256", EVP_sha256());

    assert_problem(&me, reply, 400, "badSignatureAlgorithm");
    assert_non_null(strstr(reply->body, "\"algorithms\":[\"HS256\",\"HS384\",\"HS512\"]"));
}

static void
null_is_no_binding(void **state)
{
    const char *body = "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":null}";

    assert_problem(&me, client_send(&me, PATH, "application/jose+json", client_jws(&me, PATH, body, true)), 403, "externalAccountRequired");
}

static void
what_does_not_verify_binds_nothing(void **state)
{
    const char *jwk = jose_jwk(me.arena, me.key), *url = "http://acme.example" PATH;
    EVP_PKEY *other = kit_key("p256");
    const char *other_jwk = jose_jwk(me.arena, other);
    const char *with_nonce = arena_format(me.arena, "{\"alg\":\"HS256\",\"kid\":\"%s\",\"url\":\"%s\",\"nonce\":\"x\"}", key_id, url);
    const char *wrong_key = jose_b64(me.arena, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    const struct {
        const char *header, *payload, *key;
        int status;
        const char *type;
    } cases[] = {
        {header_with("HS256", key_id, url), jwk, wrong_key, 403, "unauthorized"},
        {header_with("HS256", "nobody", url), jwk, hmac_key, 403, "unauthorized"},
        {header_with("HS256", key_id, "http://acme.example/acme/new-account"), jwk, hmac_key, 400, "malformed"},
        {header_with("HS256", key_id, url), other_jwk, hmac_key, 400, "malformed"},
        {header_with("HS256", key_id, url), "{}", hmac_key, 400, "badPublicKey"},
        {header_with("ES256", key_id, url), jwk, hmac_key, 400, "badSignatureAlgorithm"},
        {header_with("none", key_id, url), jwk, hmac_key, 400, "badSignatureAlgorithm"},
        {header_with("HS512", key_id, url), jwk, hmac_key, 403, "unauthorized"},
        {with_nonce, jwk, hmac_key, 400, "malformed"},
        {"{\"alg\":\"HS256\"}", jwk, hmac_key, 400, "malformed"},
        {"no JSON", jwk, hmac_key, 400, "malformed"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const struct http_kit_reply *reply = send_binding(cases[i].header, cases[i].payload, cases[i].key, EVP_sha256());
        if (reply->status != cases[i].status || strstr(member(&me, reply, "type"), cases[i].type) == NULL)
            fail_msg("case %zu: %d %s", i, reply->status, member(&me, reply, "type"));
    }
    static const char *const shapes[] = {"7", "\"x\"", "{}", "{\"protected\":\"e30\",\"payload\":\"e30\"}",
                                         "{\"protected\":\"=\",\"payload\":\"e30\",\"signature\":\"e30\"}"};
    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        const char *body = arena_format(me.arena, "{\"termsOfServiceAgreed\":true,\"externalAccountBinding\":%s}", shapes[i]);
        assert_problem(&me, client_send(&me, PATH, "application/jose+json", client_jws(&me, PATH, body, true)), 400, "malformed");
    }
    EVP_PKEY_free(other);
    assert_string_equal(ask("SELECT uses || ' ' || (SELECT count(*) FROM acme.account) FROM acme.eab WHERE name = 'first'"), "0 0");
}

static void
expired_revoked_and_foreign_credentials_bind_nothing(void **state)
{
    static const char *const changes[] = {
        "UPDATE acme.eab SET expires_at = now() - interval '1 second'",
        "UPDATE acme.eab SET expires_at = NULL, revoked_at = now()",
        "UPDATE acme.eab SET revoked_at = NULL, policy = 'default'",
    };

    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        postgres_kit_run(postgres, changes[i]);
        assert_problem(&me, bind_with("HS256", EVP_sha256()), 403, "unauthorized");
    }
    postgres_kit_run(postgres, "UPDATE acme.eab SET policy = 'bound'");
    assert_status(bind_with("HS256", EVP_sha256()), 201);
}

static void
a_key_that_was_sealed_elsewhere_is_trouble_not_a_refusal(void **state)
{
    postgres_kit_run(postgres, "UPDATE acme.eab SET secret = set_byte(secret, 20, get_byte(secret, 20) # 1)");
    assert_status(bind_with("HS256", EVP_sha256()), 503);
}

static void
the_account_keeps_to_the_names_of_its_credential(void **state)
{
    const struct http_kit_reply *reply = bind_with("HS256", EVP_sha256());
    assert_status(reply, 201);
    me.kid = header_of(&me, reply, "Location");
    reply = client_post(&me, "/acme/bound/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"host.b.example\"}]}");
    assert_problem(&me, reply, 400, "rejectedIdentifier");
    reply = client_post(&me, "/acme/bound/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"host.a.example\"}]}");
    assert_status(reply, 201);
    EVP_PKEY *key = kit_key("p256");
    assert_status(client_post(&me, member(&me, reply, "finalize"), client_csr(&me, key, "DNS:host.a.example")), 200);
    EVP_PKEY_free(key);
    assert_string_equal(beyond.enrolled_owner, "team-a");
    assert_string_equal(beyond.enrolled_for, "eab:first");
}

static void
the_account_keeps_to_the_templates_of_its_credential(void **state)
{
    const struct http_kit_reply *reply;

    postgres_kit_run(postgres, "UPDATE acme.eab SET allowed_templates = '{Other}'");
    reply = bind_with("HS256", EVP_sha256());
    assert_status(reply, 201);
    me.kid = header_of(&me, reply, "Location");
    reply = client_post(&me, "/acme/bound/new-order", "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"host.a.example\"}]}");
    assert_problem(&me, reply, 403, "unauthorized");
}

static void
an_optional_binding_may_be_left_out_but_not_forged(void **state)
{
    run_and_reload("UPDATE acme.policy SET eab = 'optional' WHERE name = 'bound'");
    const char *wrong_key = jose_b64(me.arena, "0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef");
    assert_problem(&me, send_binding(header_with("HS256", key_id, "http://acme.example" PATH), jose_jwk(me.arena, me.key), wrong_key, EVP_sha256()),
                   403, "unauthorized");
    assert_status(client_send(&me, PATH, "application/jose+json", client_jws(&me, PATH, "{\"termsOfServiceAgreed\":true}", true)), 201);
    assert_string_equal(ask("SELECT coalesce(eab_key_id, 'none') FROM acme.account"), "none");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_mac_binds),
        CASE(an_account_needs_a_binding_once),
        CASE(the_account_shows_its_binding),
        CASE(what_may_bind_is_named_where_another_algorithm_was_used),
        CASE(null_is_no_binding),
        CASE(what_does_not_verify_binds_nothing),
        CASE(expired_revoked_and_foreign_credentials_bind_nothing),
        CASE(a_key_that_was_sealed_elsewhere_is_trouble_not_a_refusal),
        CASE(the_account_keeps_to_the_names_of_its_credential),
        CASE(the_account_keeps_to_the_templates_of_its_credential),
        CASE(an_optional_binding_may_be_left_out_but_not_forged),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
