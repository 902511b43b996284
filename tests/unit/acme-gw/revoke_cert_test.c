/* Revocation: by whom, with which reasons, and how ra's answers come out. */
#include "gateway_fixture.h"

static struct client me;
static EVP_PKEY *certificate_key;
static const char *certificate_text;

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    me = client_new();
    certificate_key = kit_key("p256");
    certificate_text = base64url_encode(
        me.arena,
        kit_certificate(me.arena, &(struct kit_certificate){.key = certificate_key, .subject = "/CN=host.example", .names = "DNS:host.example"}));
    client_register(&me);
    return 0;
}

static int
end(void **state)
{
    EVP_PKEY_free(certificate_key);
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

static const struct http_kit_reply *
revoke_with(const char *members)
{
    return client_post(&me, "/acme/revoke-cert", arena_format(me.arena, "{\"certificate\":\"%s\"%s}", certificate_text, members));
}

static const struct http_kit_reply *
revoke_with_key(EVP_PKEY *key, const char *members)
{
    struct client holder = {.arena = me.arena, .key = key, .kid = NULL, .http = me.http};
    return client_post(&holder, "/acme/revoke-cert", arena_format(me.arena, "{\"certificate\":\"%s\"%s}", certificate_text, members));
}

static void
an_account_revokes(void **state)
{
    assert_status(revoke_with(""), 200);
    assert_string_equal(beyond.revoke_authority, "account");
    assert_int_equal(beyond.revoke_reason, 0);
}

static void
the_certificates_key_revokes(void **state)
{
    assert_status(revoke_with_key(certificate_key, ",\"reason\":4"), 200);
    assert_string_equal(beyond.revoke_authority, "certificate-key");
    assert_int_equal(beyond.revoke_reason, 4);
}

static void
the_certificates_key_without_a_reason_says_that_it_is_compromised(void **state)
{
    assert_status(revoke_with_key(certificate_key, ""), 200);
    assert_int_equal(beyond.revoke_reason, 1);
}

static void
another_key_does_not(void **state)
{
    AUTO(EVP_PKEY, other) = kit_key("p256");

    assert_problem(&me, revoke_with_key(other, ""), 403, "unauthorized");
    assert_string_equal(beyond.revoke_authority, "");
}

static void
an_account_that_has_proven_every_name_revokes_with_a_reason_of_ours(void **state)
{
    beyond.revoke_denies_account = true;
    assert_problem(&me, revoke_with(",\"reason\":1"), 403, "unauthorized");
    (void)client_order(&me, "host.example");
    assert_problem(&me, revoke_with(",\"reason\":1"), 403, "unauthorized");
    (void)client_ready_order(&me, "host.example");
    assert_status(revoke_with(",\"reason\":1"), 200);
    assert_string_equal(beyond.revoke_authority, "authorizations");
    assert_int_equal(beyond.revoke_reason, 5);
}

static void
proofs_that_are_over_given_up_or_never_made_revoke_nothing(void **state)
{
    static const char *const changes[] = {"UPDATE acme.authorization SET expires_at = now()", "UPDATE acme.authorization SET status = 'deactivated'",
                                          "UPDATE acme.orders SET preapproved = names"};

    beyond.revoke_denies_account = true;
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        (void)client_ready_order(&me, "host.example");
        postgres_kit_run(postgres, changes[i]);
        assert_problem(&me, revoke_with(""), 403, "unauthorized");
        postgres_kit_run(postgres, "UPDATE acme.authorization SET status = 'deactivated'");
    }
}

static void
the_reasons_of_subscribers_are_taken_and_no_others(void **state)
{
    static const struct {
        const char *reason;
        bool taken;
    } reasons[] = {{"0", true},    {"1", true},      {"2", false},   {"3", true},     {"4", true},          {"5", true},
                   {"6", false},   {"7", false},     {"8", false},   {"9", false},    {"10", false},        {"-1", false},
                   {"256", false}, {"\"1\"", false}, {"1.0", false}, {"null", false}, {"4294967296", false}};

    for (size_t i = 0; i < COUNT_OF(reasons); i++) {
        const struct http_kit_reply *reply = revoke_with(arena_format(me.arena, ",\"reason\":%s", reasons[i].reason));
        if (reasons[i].taken)
            assert_status(reply, 200);
        else
            assert_problem(&me, reply, 400, "badRevocationReason");
    }
}

static void
a_second_revocation_is_already_revoked(void **state)
{
    beyond.already_revoked = true;
    assert_problem(&me, revoke_with(""), 400, "alreadyRevoked");
}

static void
ras_answers_come_out_in_acmes_words(void **state)
{
    beyond.revoke_error = ERR_NOT_FOUND;
    assert_problem(&me, revoke_with(""), 404, "malformed");
    beyond.revoke_error = ERR_DENIED;
    assert_problem(&me, revoke_with(""), 403, "unauthorized");
    beyond.revoke_error = ERR_UNAVAILABLE;
    const struct http_kit_reply *reply = revoke_with("");
    assert_problem(&me, reply, 503, "serverInternal");
    assert_string_not_equal(header_of(&me, reply, "Retry-After"), "");
    beyond.revoke_error = ERR_TIMEOUT;
    assert_problem(&me, revoke_with(""), 504, "serverInternal");
}

static void
what_is_no_certificate_is_malformed(void **state)
{
    assert_problem(&me, client_post(&me, "/acme/revoke-cert", "{}"), 400, "malformed");
    assert_problem(&me, client_post(&me, "/acme/revoke-cert", "{\"certificate\":\"AAAA\"}"), 400, "malformed");
    assert_problem(&me, client_post(&me, "/acme/revoke-cert", "{\"certificate\":\"AA==\"}"), 400, "malformed");
    assert_problem(&me, client_post(&me, "/acme/revoke-cert", ""), 400, "malformed");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(an_account_revokes),
        CASE(the_certificates_key_revokes),
        CASE(the_certificates_key_without_a_reason_says_that_it_is_compromised),
        CASE(another_key_does_not),
        CASE(an_account_that_has_proven_every_name_revokes_with_a_reason_of_ours),
        CASE(proofs_that_are_over_given_up_or_never_made_revoke_nothing),
        CASE(the_reasons_of_subscribers_are_taken_and_no_others),
        CASE(a_second_revocation_is_already_revoked),
        CASE(ras_answers_come_out_in_acmes_words),
        CASE(what_is_no_certificate_is_malformed),
    };
    return cmocka_run_group_tests_name("revoke_cert", tests, open_gateway, close_gateway);
}
