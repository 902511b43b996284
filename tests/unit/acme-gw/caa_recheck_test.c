/* CAA before the issuance: asked for only when the proof is old and the policy wants it, and what becomes of the order then. */
#include "gateway_fixture.h"

#define NAMES "DNS:host.example"

static struct client me;
static EVP_PKEY *certificate_key;

static void
set_caa(bool caa)
{
    run_and_reload(caa ? "UPDATE acme.policy SET caa = true" : "UPDATE acme.policy SET caa = false");
}

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    me = client_new();
    client_register(&me);
    certificate_key = kit_key("p256");
    set_caa(true);
    return 0;
}

static int
end(void **state)
{
    set_caa(false);
    EVP_PKEY_free(certificate_key);
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    return 0;
}

static void
make_proofs_old(void)
{
    postgres_kit_run(postgres, "UPDATE acme.challenge SET validated_at = now() - interval '8 hours' WHERE status = 'valid'");
}

static const struct http_kit_reply *
finalize_it(const struct made_order *made)
{
    return client_post(&me, made->finalize, client_csr(&me, certificate_key, NAMES));
}

static void
a_fresh_proof_needs_no_second_look(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    assert_string_equal(member(&me, finalize_it(&made), "status"), "valid");
    assert_string_equal(beyond.caa_asked, "");
}

static void
an_old_proof_is_looked_at_again(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    make_proofs_old();
    assert_string_equal(member(&me, finalize_it(&made), "status"), "valid");
    assert_string_equal(beyond.caa_asked, "host.example by http-01");
}

static void
an_owner_who_changed_his_mind_ends_the_order(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    make_proofs_old();
    beyond.caa_problem = "caa";
    assert_problem(&me, finalize_it(&made), 403, "caa");
    const struct http_kit_reply *reply = client_post(&me, made.url, "");
    assert_string_equal(member(&me, reply, "status"), "invalid");
    assert_non_null(strstr(reply->body, "the records do not allow it"));
    assert_int_equal(beyond.enrolments, 0);
}

static void
an_absent_validator_is_asked_again(void **state)
{
    struct made_order made = client_ready_order(&me, "host.example");

    make_proofs_old();
    beyond.caa_error = ERR_UNAVAILABLE;
    assert_string_equal(member(&me, finalize_it(&made), "status"), "processing");
    assert_int_equal(beyond.enrolments, 0);
    beyond.caa_error = OK;
    postgres_kit_run(postgres, "UPDATE acme.orders SET due_at = now() - interval '1 second' WHERE status = 'processing'");
    assert_int_equal(turn_finalizations(), 1);
    assert_string_equal(member(&me, client_post(&me, made.url, ""), "status"), "valid");
}

static void
a_policy_without_caa_does_not_look(void **state)
{
    set_caa(false);
    struct made_order made = client_ready_order(&me, "host.example");

    make_proofs_old();
    beyond.caa_problem = "caa";
    assert_string_equal(member(&me, finalize_it(&made), "status"), "valid");
    assert_string_equal(beyond.caa_asked, "");
}

/* A setting that is missing must not let through what the owner forbids. */
static void
a_ca_without_a_name_looks_as_well(void **state)
{
    const char *names = gateway.config.caa_identities;
    struct made_order made = client_ready_order(&me, "host.example");

    make_proofs_old();
    beyond.caa_problem = "caa";
    gateway.config.caa_identities = "";
    const struct http_kit_reply *reply = finalize_it(&made);
    gateway.config.caa_identities = names;
    assert_problem(&me, reply, 403, "caa");
    assert_string_equal(beyond.caa_asked, "host.example by http-01");
}

static void
what_is_approved_beforehand_is_looked_at_too(void **state)
{
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{host.example}'");
    struct made_order made = client_order(&me, "host.example"), other = client_order(&me, "host.example");

    assert_string_equal(member(&me, finalize_it(&made), "status"), "valid");
    assert_string_equal(beyond.caa_asked, "host.example by ca-preapproved");
    beyond.caa_problem = "caa";
    assert_problem(&me, finalize_it(&other), 403, "caa");
    run_and_reload("UPDATE acme.policy SET preapproved_names = '{}'");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_fresh_proof_needs_no_second_look),           CASE(an_old_proof_is_looked_at_again),
        CASE(an_owner_who_changed_his_mind_ends_the_order), CASE(an_absent_validator_is_asked_again),
        CASE(a_policy_without_caa_does_not_look),           CASE(a_ca_without_a_name_looks_as_well),
        CASE(what_is_approved_beforehand_is_looked_at_too),
    };
    return cmocka_run_group_tests_name("caa_recheck", tests, open_gateway, close_gateway);
}
