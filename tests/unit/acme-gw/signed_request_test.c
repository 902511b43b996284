/* What every POST must bring along, and what every answer brings back (RFC 8555 §6), over real HTTP. */
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

static const char *
my_path(void)
{
    return path_of(me.kid);
}

static void
accepts_a_proper_request(void **state)
{
    const struct http_kit_reply *reply = client_post(&me, my_path(), "");
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
}

static const struct header_case {
    const char *name;
    const char *alg, *nonce, *url, *who; /* NULL: as it should be; "": left out */
    int status;
    const char *type;
} header_cases[] = {
    {"rejects_a_missing_nonce", NULL, "", NULL, NULL, 400, "badNonce"},
    {"rejects_what_cannot_be_a_nonce", NULL, "no nonce!", NULL, NULL, 400, "malformed"},
    {"rejects_a_nonce_of_nobody", NULL, "AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", NULL, NULL, 400, "badNonce"},
    {"rejects_the_url_of_another_resource", NULL, NULL, "http://acme.example/acme/new-order", NULL, 403, "unauthorized"},
    {"rejects_the_url_of_another_host", NULL, NULL, "http://other.example/acme/account/x", NULL, 403, "unauthorized"},
    {"rejects_a_key_instead_of_an_account", NULL, NULL, NULL, "\"jwk\":{\"kty\":\"EC\"}", 400, "malformed"},
    {"rejects_an_account_that_does_not_exist", NULL, NULL, NULL, "\"kid\":\"http://acme.example/acme/account/AAAAAAAAAAAAAAAAAAAAAA\"", 400,
     "accountDoesNotExist"},
    {"rejects_an_account_of_another_server", NULL, NULL, NULL, "\"kid\":\"http://other.example/acme/account/AAAAAAAAAAAAAAAAAAAAAA\"", 400,
     "accountDoesNotExist"},
    {"rejects_a_kid_that_is_no_account_url", NULL, NULL, NULL, "\"kid\":\"http://acme.example/acme/account/../account/AAAAAAAAAAAAAAAA\"", 400,
     "accountDoesNotExist"},
    {"rejects_hs256_and_says_what_can_be_used", "HS256", NULL, NULL, NULL, 400, "badSignatureAlgorithm"},
    {"rejects_an_algorithm_that_does_not_fit_the_key", "RS256", NULL, NULL, NULL, 400, "malformed"},
};

static void
append_member(struct buffer *header, const char *name, const char *given, const char *usual)
{
    const char *value = given == NULL ? usual : given;

    if (value[0] != '\0')
        buffer_append_format(header, "\"%s\":\"%s\",", name, value);
}

static void
rejects_header(void **state)
{
    const struct header_case *one = *state;
    struct buffer header = buffer_in(me.arena);

    buffer_append_text(&header, "{");
    append_member(&header, "alg", one->alg, "ES256");
    append_member(&header, "nonce", one->nonce, client_nonce(&me));
    append_member(&header, "url", one->url, me.kid);
    buffer_append_text(&header, one->who == NULL ? arena_format(me.arena, "\"kid\":\"%s\"}", me.kid) : arena_format(me.arena, "%s}", one->who));
    const char *body = jose_jws(me.arena, me.key, "ES256", buffer_text(&header), "");
    const struct http_kit_reply *reply = client_send(&me, my_path(), "application/jose+json", body);
    assert_problem(&me, reply, one->status, one->type);
    if (text_equal(one->type, "badSignatureAlgorithm"))
        assert_string_equal(first_of(&me, reply, "algorithms"), "RS256");
}

static void
rejects_a_nonce_that_was_used(void **state)
{
    const char *body = client_jws(&me, my_path(), "", false);

    assert_status(client_send(&me, my_path(), "application/jose+json", body), 200);
    assert_problem(&me, client_send(&me, my_path(), "application/jose+json", body), 400, "badNonce");
}

static void
a_bad_signature_does_not_use_up_the_nonce(void **state)
{
    const char *nonce = client_nonce(&me);
    const char *header = arena_format(me.arena, "{\"alg\":\"ES256\",\"nonce\":\"%s\",\"url\":\"%s\",\"kid\":\"%s\"}", nonce, me.kid, me.kid);
    AUTO(EVP_PKEY, other) = kit_key("p256");

    assert_problem(&me, client_send(&me, my_path(), "application/jose+json", jose_jws(me.arena, other, "ES256", header, "")), 400, "malformed");
    assert_status(client_send(&me, my_path(), "application/jose+json", jose_jws(me.arena, me.key, "ES256", header, "")), 200);
}

/* What is remembered is answered by the loop itself; the rest begins there, too, and must not wait there. */
static const struct http_kit_reply *
read_with_nonce(const char *url, EVP_PKEY *key, const char *nonce)
{
    const char *header = arena_format(me.arena, "{\"alg\":\"ES256\",\"nonce\":\"%s\",\"url\":\"%s\",\"kid\":\"%s\"}", nonce, url, me.kid);
    return client_send(&me, path_of(url), "application/jose+json", jose_jws(me.arena, key, "ES256", header, ""));
}

static void
another_replica_is_asked_for_its_nonce_by_a_worker(void **state)
{
    struct made_order made = client_order(&me, "host.example");
    AUTO_STRUCT(nonces, other) = nonces_new(bytes_of_text("0123456789abcdef0123456789abcdef"));

    assert_status(read_with_nonce(made.authorization, me.key, nonce_mint(other, me.arena)), 200);
    assert_string_equal(beyond.redeemer, "acme");
}

static void
what_is_left_to_a_worker_is_not_checked_again(void **state)
{
    struct made_order made = client_order(&me, "host.example"); /* its authorisation was told: now it is read from the database */
    const char *nonce = client_nonce(&me);

    assert_status(read_with_nonce(made.authorization, me.key, nonce), 200);
    assert_problem(&me, read_with_nonce(made.authorization, me.key, nonce), 400, "badNonce");
}

static void
accounts_that_are_not_remembered_and_bad_signatures_are_left_to_a_worker(void **state)
{
    struct made_order made = client_order(&me, "host.example");
    AUTO(EVP_PKEY, other) = kit_key("p256");

    account_cache_forget(gateway.accounts, strrchr(me.kid, '/') + 1);
    assert_status(read_with_nonce(made.authorization, me.key, client_nonce(&me)), 200);
    assert_problem(&me, read_with_nonce(made.authorization, other, client_nonce(&me)), 400, "malformed");
    assert_status(read_with_nonce(made.authorization, me.key, client_nonce(&me)), 200);
}

/* Everybody else's requests would wait meanwhile. */
static void
signatures_of_slow_keys_are_checked_by_a_worker(void **state)
{
    static const struct {
        const char *kind;
        bool on_loop;
    } cases[] = {{"p256", true}, {"rsa-2048", true}, {"p384", false}, {"p521", false}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        CLIENT(one);
        EVP_PKEY_free(one.key);
        one.key = kit_key(cases[i].kind);
        client_register(&one);
        (void)client_order(&one, "host.example"); /* whose last request reads the authorisation, which is remembered */
        if (beyond.answered_on_loop != cases[i].on_loop)
            fail_msg("%s", cases[i].kind);
    }
}

static void
rejects_other_media_types(void **state)
{
    static const char *const types[] = {"application/json", "application/jose+json; charset=utf-8", "application/JOSE+JSON", "text/plain"};

    for (size_t i = 0; i < COUNT_OF(types); i++)
        assert_problem(&me, client_send(&me, my_path(), types[i], client_jws(&me, my_path(), "", false)), 415, "malformed");
}

static void
rejects_a_replay_nonce_header_in_a_request(void **state)
{
    const char *body = client_jws(&me, my_path(), "", false);

    http_kit_say(me.http, arena_format(me.arena,
                                       "POST %s HTTP/1.1\r\nHost: x\r\nContent-Type: application/jose+json\r\nReplay-Nonce: %s\r\n"
                                       "Content-Length: %zu\r\n\r\n%s",
                                       my_path(), client_nonce(&me), strlen(body), body));
    assert_problem(&me, http_kit_reply(me.http), 400, "malformed");
}

static void
rejects_a_query_that_was_not_signed(void **state)
{
    const char *path = arena_format(me.arena, "%s?x=1", my_path());

    assert_problem(&me, client_send(&me, path, "application/jose+json", client_jws(&me, my_path(), "", false)), 403, "unauthorized");
    assert_status(client_send(&me, path, "application/jose+json", client_jws(&me, path, "", false)), 200);
}

static void
rejects_payloads_that_are_no_objects(void **state)
{
    static const char *const payloads[] = {"[]", "7", "\"text\"", "{", "{\"a\":1,\"a\":2}", "null"};

    for (size_t i = 0; i < COUNT_OF(payloads); i++)
        assert_problem(&me, client_post(&me, my_path(), payloads[i]), 400, "malformed");
}

static void
rejects_a_body_beyond_the_limit(void **state)
{
    char *body = arena_alloc(me.arena, ACME_BODY_MAX + 2);

    memset(body, 'x', ACME_BODY_MAX + 1);
    assert_problem(&me, client_send(&me, my_path(), "application/jose+json", body), 413, "malformed");
}

static void
another_accounts_url_is_unauthorized(void **state)
{
    CLIENT(stranger);

    client_register(&stranger);
    assert_problem(&stranger, client_post(&stranger, my_path(), ""), 403, "unauthorized");
}

static void
a_deactivated_account_is_unauthorized_at_once(void **state)
{
    assert_string_equal(member(&me, client_post(&me, my_path(), "{\"status\":\"deactivated\"}"), "status"), "deactivated");
    assert_problem(&me, client_post(&me, my_path(), ""), 401, "unauthorized");
    assert_problem(&me, client_post(&me, "/acme/new-order", "{}"), 401, "unauthorized");
}

static void
an_account_that_the_operator_revoked_is_unauthorized_soon(void **state)
{
    postgres_kit_run(postgres, "UPDATE acme.account SET status = 'revoked'");
    account_cache_forget(gateway.accounts, strrchr(me.kid, '/') + 1);
    assert_problem(&me, client_post(&me, my_path(), ""), 401, "unauthorized");
}

/* ---- what every answer carries ---- */

static const struct answer_case {
    const char *name;
    const char *request;
    int status;
    bool index;
} answer_cases[] = {
    {"the_directory_has_a_nonce", "GET /acme/directory HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
    {"the_bare_host_is_the_directory", "GET / HTTP/1.1\r\nHost: x\r\n\r\n", 200, false},
    {"new_nonce_by_get_is_204", "GET /acme/new-nonce HTTP/1.1\r\nHost: x\r\n\r\n", 204, true},
    {"new_nonce_by_head_is_200", "HEAD /acme/new-nonce HTTP/1.1\r\nHost: x\r\n\r\n", 200, true},
    {"the_terms_have_a_nonce", "GET /acme/terms HTTP/1.1\r\nHost: x\r\n\r\n", 200, true},
    {"an_unknown_path_has_a_nonce", "GET /acme/nothing HTTP/1.1\r\nHost: x\r\n\r\n", 404, true},
    {"a_plain_get_of_an_order_is_405", "GET /acme/order/AAAAAAAAAAAAAAAAAAAAAA HTTP/1.1\r\nHost: x\r\n\r\n", 405, true},
    {"an_empty_post_has_a_nonce", "POST /acme/new-order HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n", 415, true},
};

static void
answer_carries(void **state)
{
    const struct answer_case *one = *state;

    http_kit_say(me.http, one->request);
    const struct http_kit_reply *reply = text_starts_with(one->request, "HEAD") ? http_kit_reply_to_head(me.http) : http_kit_reply(me.http);
    assert_status(reply, one->status);
    assert_int_equal(strlen(header_of(&me, reply, "Replay-Nonce")), NONCE_LEN);
    assert_string_equal(header_of(&me, reply, "Cache-Control"), "no-store");
    assert_string_equal(header_of(&me, reply, "Link"), one->index ? "<http://acme.example/acme/directory>;rel=\"index\"" : "");
    if (one->status < 400)
        return;
    assert_string_equal(header_of(&me, reply, "Content-Type"), problem_media_type);
    assert_true(text_ends_with(member(&me, reply, "type"), "malformed"));
    assert_int_equal(strlen(member(&me, reply, "instance")), strlen("urn:signet:trace:") + 32);
}

/* RFC 8555 §6.3 */
static void
directory_and_nonce_may_be_had_by_post(void **state)
{
    const struct http_kit_reply *reply = client_post(&me, "/acme/directory", "");

    assert_status(reply, 200);
    assert_string_equal(header_of(&me, reply, "Link"), "");
    assert_string_equal(member(&me, reply, "newNonce"), "http://acme.example/acme/new-nonce");
    reply = client_post(&me, "/acme/new-nonce", "");
    assert_status(reply, 204);
    assert_int_equal(strlen(header_of(&me, reply, "Replay-Nonce")), NONCE_LEN);
    assert_problem(&me, client_post(&me, "/acme/directory", "{}"), 400, "malformed");
}

static void
the_directory_names_what_is_served(void **state)
{
    const struct http_kit_reply *reply = http_kit_get(me.http, "/acme/directory");
    const json_t *directory_now = json_parse_object(me.arena, BYTES(reply->body, reply->body_len));
    const json_t *meta = json_object_get(directory_now, "meta");

    assert_string_equal(json_text(directory_now, "newNonce"), "http://acme.example/acme/new-nonce");
    assert_string_equal(json_text(directory_now, "newAccount"), "http://acme.example/acme/new-account");
    assert_string_equal(json_text(directory_now, "newOrder"), "http://acme.example/acme/new-order");
    assert_string_equal(json_text(directory_now, "revokeCert"), "http://acme.example/acme/revoke-cert");
    assert_string_equal(json_text(directory_now, "newAuthz"), "http://acme.example/acme/new-authz");
    assert_string_equal(json_text(directory_now, "keyChange"), "http://acme.example/acme/key-change");
    assert_string_equal(json_text(directory_now, "renewalInfo"), "http://acme.example/acme/renewal-info");
    assert_string_equal(json_text(meta, "termsOfService"), "http://acme.example/acme/terms");
    assert_string_equal(json_text(meta, "website"), "http://acme.example");
    assert_true(json_is_false(json_object_get(meta, "externalAccountRequired")));
    assert_int_equal(json_array_size(json_object_get(meta, "caaIdentities")), 2);
}

static void
caa_records_call_this_ca_by_its_setting_else_by_its_domain(void **state)
{
    static const struct {
        const char *url, *setting, *expected;
    } cases[] = {
        {"https://CA.Example:14000/pki/", "", "ca.example"},
        {"https://ca.example", "other.example", "other.example"},
        {"https://127.0.0.1:14000", "", ""},
        {"https://[::1]:14000", "", ""},
        {"", "", ""}, /* the listen address */
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct acme acme = {.config = {.listen = "127.0.0.1:1", .url = cases[i].url, .caa_identities = cases[i].setting}};
        acme_name_urls(&acme, arena);
        assert_string_equal(acme.config.caa_identities, cases[i].expected);
    }
}

static void
an_absent_database_is_503_with_retry_after(void **state)
{
    account_cache_forget(gateway.accounts, strrchr(me.kid, '/') + 1);
    postgres_kit_shut_down(postgres);
    const struct http_kit_reply *reply = client_post(&me, my_path(), "");
    assert_problem(&me, reply, 503, "serverInternal");
    assert_string_not_equal(header_of(&me, reply, "Retry-After"), "");
    postgres_kit_start_again(postgres);
    int64_t until_ms = clock_monotonic_ms() + 20000;
    while ((reply = client_post(&me, my_path(), ""))->status != 200 && clock_monotonic_ms() < until_ms)
        clock_sleep_ms(100);
    assert_status(reply, 200);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)
#define CASES_BY_HAND 19

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(header_cases) + COUNT_OF(answer_cases)] = {
        CASE(accepts_a_proper_request),
        CASE(rejects_a_nonce_that_was_used),
        CASE(a_bad_signature_does_not_use_up_the_nonce),
        CASE(another_replica_is_asked_for_its_nonce_by_a_worker),
        CASE(what_is_left_to_a_worker_is_not_checked_again),
        CASE(accounts_that_are_not_remembered_and_bad_signatures_are_left_to_a_worker),
        CASE(signatures_of_slow_keys_are_checked_by_a_worker),
        CASE(rejects_other_media_types),
        CASE(rejects_a_replay_nonce_header_in_a_request),
        CASE(rejects_a_query_that_was_not_signed),
        CASE(rejects_payloads_that_are_no_objects),
        CASE(rejects_a_body_beyond_the_limit),
        CASE(another_accounts_url_is_unauthorized),
        CASE(a_deactivated_account_is_unauthorized_at_once),
        CASE(an_account_that_the_operator_revoked_is_unauthorized_soon),
        CASE(directory_and_nonce_may_be_had_by_post),
        CASE(the_directory_names_what_is_served),
        CASE(caa_records_call_this_ca_by_its_setting_else_by_its_domain),
        CASE(an_absent_database_is_503_with_retry_after),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(header_cases); i++)
        tests[count++] = (struct CMUnitTest){.name = header_cases[i].name,
                                             .test_func = rejects_header,
                                             .setup_func = begin,
                                             .teardown_func = end,
                                             .initial_state = (void *)&header_cases[i]};
    for (size_t i = 0; i < COUNT_OF(answer_cases); i++)
        tests[count++] = (struct CMUnitTest){.name = answer_cases[i].name,
                                             .test_func = answer_carries,
                                             .setup_func = begin,
                                             .teardown_func = end,
                                             .initial_state = (void *)&answer_cases[i]};
    return _cmocka_run_group_tests("signed_request", tests, count, open_gateway, close_gateway);
}
