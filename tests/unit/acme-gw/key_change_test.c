/* Key change (RFC 8555 §7.3.5): every check of the inner JWS, and what becomes of old and new key. */
#include "gateway_fixture.h"

static struct client me;
static EVP_PKEY *new_key;

static int
begin(void **state)
{
    me = client_new();
    new_key = kit_key("p256");
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    EVP_PKEY_free(new_key);
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

struct change {
    EVP_PKEY *signer; /* of the inner JWS; NULL: the new key */
    EVP_PKEY *old;    /* NULL: the account's */
    const char *url, *account, *payload;
    bool with_kid;
};

static const struct http_kit_reply *
change_key(struct change change)
{
    struct arena *arena = me.arena;
    const char *url = change.url != NULL ? change.url : arena_format(arena, "%s/acme/key-change", gateway.base_url);
    const char *who = change.with_kid ? arena_format(arena, "\"kid\":\"%s\"", me.kid) : arena_format(arena, "\"jwk\":%s", jose_jwk(arena, new_key));
    const char *payload = arena_format(arena, "{\"account\":\"%s\",\"oldKey\":%s}", change.account != NULL ? change.account : me.kid,
                                       jose_jwk(arena, change.old != NULL ? change.old : me.key));
    const char *header = arena_format(arena, "{\"alg\":\"ES256\",\"url\":\"%s\",%s}", url, who);
    const char *inner =
        jose_jws(arena, change.signer != NULL ? change.signer : new_key, "ES256", header, change.payload != NULL ? change.payload : payload);
    return client_post(&me, "/acme/key-change", inner);
}

static void
the_new_key_signs_from_now_on_and_the_old_one_does_not(void **state)
{
    EVP_PKEY *old_key = me.key;

    const struct http_kit_reply *reply = change_key((struct change){0});
    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Location"), me.kid);
    assert_problem(&me, client_post(&me, me.kid, ""), 400, "malformed");
    me.key = new_key;
    assert_status(client_post(&me, me.kid, ""), 200);
    me.key = old_key;
}

static void
another_replica_learns_the_new_key_at_once(void **state)
{
    struct client changed = me;

    assert_status(client_post(&me, me.kid, ""), 200); /* remembered here */
    changed.key = new_key;
    AUTO_STRUCT(request, rq) = request_new();
    struct jwk jwk;
    assert_int_equal(jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(jose_jwk(rq->arena, new_key))), &jwk), OK);
    postgres_kit_run(postgres, arena_format(rq->arena, "UPDATE acme.account SET jwk = '%s', key_thumbprint = '\\x%s'", jwk.canonical,
                                            bytes_hex(rq->arena, BYTES(jwk.thumbprint, THUMBPRINT_LEN), 0)));
    assert_status(client_post(&changed, me.kid, ""), 200);
}

static void
a_key_of_an_account_is_in_use_and_the_answer_says_whose(void **state)
{
    CLIENT(other);

    client_register(&other);
    EVP_PKEY *mine = new_key;
    new_key = other.key;
    const struct http_kit_reply *reply = change_key((struct change){0});
    new_key = mine;
    assert_problem(&me, reply, 409, "malformed");
    assert_string_equal(header_of(&me, reply, "Location"), other.kid);
}

static void
its_own_key_is_in_use_too(void **state)
{
    EVP_PKEY *mine = new_key;
    new_key = me.key;
    const struct http_kit_reply *reply = change_key((struct change){0});
    new_key = mine;
    assert_problem(&me, reply, 409, "malformed");
    assert_string_equal(header_of(&me, reply, "Location"), me.kid);
}

static void
refuses_what_the_new_key_has_not_signed(void **state)
{
    assert_problem(&me, change_key((struct change){.signer = me.key}), 400, "malformed");
}

static void
refuses_an_inner_url_that_is_not_the_outer_one(void **state)
{
    assert_problem(&me, change_key((struct change){.url = "http://acme.example/acme/new-order"}), 400, "malformed");
}

static void
refuses_another_account_and_another_old_key(void **state)
{
    assert_problem(&me, change_key((struct change){.account = "http://acme.example/acme/account/AAAAAAAAAAAAAAAAAAAAAA"}), 400, "malformed");
    assert_problem(&me, change_key((struct change){.old = new_key}), 400, "malformed");
}

static void
refuses_an_inner_jws_that_names_an_account_instead_of_a_key(void **state)
{
    assert_problem(&me, change_key((struct change){.with_kid = true}), 400, "malformed");
}

static void
refuses_payloads_that_are_no_key_change(void **state)
{
    assert_problem(&me, change_key((struct change){.payload = "[]"}), 400, "malformed");
    assert_problem(&me, change_key((struct change){.payload = "{}"}), 400, "malformed");
    assert_problem(&me, client_post(&me, "/acme/key-change", ""), 400, "malformed");
    assert_problem(&me, client_post(&me, "/acme/key-change", "{\"payload\":\"\"}"), 400, "malformed");
}

static void
refuses_a_weak_new_key(void **state)
{
    EVP_PKEY *mine = new_key;
    new_key = kit_key("rsa-1024");
    struct arena *arena = me.arena;
    const char *header =
        arena_format(arena, "{\"alg\":\"RS256\",\"url\":\"%s/acme/key-change\",\"jwk\":%s}", gateway.base_url, jose_jwk(arena, new_key));
    const char *payload = arena_format(arena, "{\"account\":\"%s\",\"oldKey\":%s}", me.kid, jose_jwk(arena, me.key));
    const struct http_kit_reply *reply = client_post(&me, "/acme/key-change", jose_jws(arena, new_key, "RS256", header, payload));
    EVP_PKEY_free(new_key);
    new_key = mine;
    assert_problem(&me, reply, 400, "badPublicKey");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_new_key_signs_from_now_on_and_the_old_one_does_not, begin, end),
        cmocka_unit_test_setup_teardown(another_replica_learns_the_new_key_at_once, begin, end),
        cmocka_unit_test_setup_teardown(a_key_of_an_account_is_in_use_and_the_answer_says_whose, begin, end),
        cmocka_unit_test_setup_teardown(its_own_key_is_in_use_too, begin, end),
        cmocka_unit_test_setup_teardown(refuses_what_the_new_key_has_not_signed, begin, end),
        cmocka_unit_test_setup_teardown(refuses_an_inner_url_that_is_not_the_outer_one, begin, end),
        cmocka_unit_test_setup_teardown(refuses_another_account_and_another_old_key, begin, end),
        cmocka_unit_test_setup_teardown(refuses_an_inner_jws_that_names_an_account_instead_of_a_key, begin, end),
        cmocka_unit_test_setup_teardown(refuses_payloads_that_are_no_key_change, begin, end),
        cmocka_unit_test_setup_teardown(refuses_a_weak_new_key, begin, end),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
