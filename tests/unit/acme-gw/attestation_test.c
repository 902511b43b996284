/* device-attest-01 at the gateway: the object goes to the validator and is kept no longer than that; the attested key alone is certified. */
#include "gateway_fixture.h"

#include <openssl/sha.h>

#define RESPONSE "{\"attObj\":\"b2JqZWN0\"}" /* "object" */

static struct client me;
static EVP_PKEY *device_key;
static uint8_t key_sha256[SHA256_DIGEST_LENGTH];

static int
begin(void **state)
{
    memset(&beyond, 0, sizeof beyond);
    me = client_new();
    client_register(&me);
    device_key = kit_key("p256");
    struct bytes spki = kit_spki(me.arena, device_key);
    (void)SHA256(spki.at, spki.len, key_sha256);
    beyond.attested_key = BYTES(key_sha256, sizeof key_sha256);
    run_and_reload("UPDATE acme.policy SET step_roots = 'S', tpm_roots = 'T' WHERE name = 'default'");
    return 0;
}

static int
end(void **state)
{
    EVP_PKEY_free(device_key);
    client_free(&me);
    postgres_kit_run(postgres, "TRUNCATE acme.account, acme.orders, acme.authorization, acme.challenge");
    run_and_reload("UPDATE acme.policy SET step_roots = '', tpm_roots = '', identifier_types = '{}' WHERE name = 'default'");
    return 0;
}

static struct made_order
ready_order(const char *name)
{
    struct made_order made = client_order_of(&me, "permanent-identifier", name);

    assert_status(client_post(&me, made.challenge, RESPONSE), 200);
    wait_for_status(&me, made.url, "ready");
    return made;
}

static const struct http_kit_reply *
finalize_with(const struct made_order *made, EVP_PKEY *key, const char *device)
{
    const struct identifier name = {IDENTIFIER_PERMANENT, device};
    struct kit_extension names = {.oid = "2.5.29.17"};

    if (device != NULL)
        names.value = identifiers_encode(me.arena, &name, 1);
    struct bytes csr = kit_csr(me.arena, &(struct kit_csr){.key = key, .subject = "/", .more = &names, .more_count = device != NULL});
    return client_post(&me, made->finalize, arena_format(me.arena, "{\"csr\":\"%s\"}", base64url_encode(me.arena, csr)));
}

static void
the_validator_gets_the_object_and_the_roots(void **state)
{
    struct made_order made = ready_order("C02XYZ");

    assert_string_equal(beyond.attestation, "object");
    assert_string_equal(beyond.attestation_roots, "step=S tpm=T ");
    assert_true(text_starts_with(beyond.validated, "device-attest-01 C02XYZ "));
    const struct http_kit_reply *reply = finalize_with(&made, device_key, "C02XYZ");
    assert_status(reply, 200);
    assert_string_equal(member(&me, reply, "status"), "valid");
    assert_string_equal(beyond.enrolled_names, "C02XYZ");
    assert_string_equal(beyond.enrolled_attested, "a maker's word");
    char *kept = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.challenge WHERE response IS NOT NULL");
    assert_string_equal(kept, "0");
    free(kept);
}

/* The POST's process dies, or the validator is away: the lease has all that is needed. */
static void
the_object_waits_for_a_validator(void **state)
{
    struct made_order made = client_order_of(&me, "permanent-identifier", "C02XYZ");

    beyond.validate_error = ERR_UNAVAILABLE;
    assert_status(client_post(&me, made.challenge, RESPONSE), 200);
    wait_until_postponed();
    beyond.validate_error = OK;
    beyond.attestation[0] = '\0';
    postgres_kit_run(postgres, "UPDATE acme.challenge SET due_at = now() - interval '1 second'");
    assert_int_equal(turn_validations(), 1);
    assert_string_equal(beyond.attestation, "object");
    assert_string_equal(member(&me, client_post(&me, made.url, ""), "status"), "ready");
}

static void
another_key_and_another_device_are_refused(void **state)
{
    struct made_order made = ready_order("C02XYZ");
    AUTO(EVP_PKEY, other) = kit_key("p256");

    assert_problem(&me, finalize_with(&made, other, "C02XYZ"), 400, "badCSR");
    assert_problem(&me, finalize_with(&made, other, NULL), 400, "badCSR");
    assert_problem(&me, finalize_with(&made, device_key, "C02XYY"), 400, "badCSR");
    assert_int_equal(beyond.enrolments, 0);
    assert_status(finalize_with(&made, device_key, NULL), 200);
    assert_int_equal(beyond.enrolments, 1);
}

static void
a_verdict_without_a_key_is_none(void **state)
{
    struct made_order made = client_order_of(&me, "permanent-identifier", "C02XYZ");

    beyond.attested_key = BYTES_NONE;
    assert_status(client_post(&me, made.challenge, RESPONSE), 200);
    wait_until_postponed();
    assert_string_equal(member(&me, client_post(&me, made.url, ""), "status"), "pending");
}

static void
a_proof_serves_no_other_order(void **state)
{
    (void)ready_order("C02XYZ");
    struct made_order second = client_order_of(&me, "permanent-identifier", "C02XYZ");
    assert_string_equal(member(&me, client_post(&me, second.url, ""), "status"), "pending");
    assert_problem(&me, client_post(&me, "/acme/new-authz", "{\"identifier\":{\"type\":\"permanent-identifier\",\"value\":\"C02XYZ\"}}"), 400,
                   "rejectedIdentifier");
}

static void
a_policy_has_the_identifiers_that_it_names(void **state)
{
    static const struct {
        const char *types, *asked, *problem;
    } cases[] = {
        {"{dns}", "permanent-identifier", "unsupportedIdentifier"},
        {"{permanent-identifier}", "hardware-module", "unsupportedIdentifier"},
        {"{permanent-identifier}", "dns", "unsupportedIdentifier"},
        {"{}", "email", "unsupportedIdentifier"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        run_and_reload(arena_format(me.arena, "UPDATE acme.policy SET identifier_types = '%s' WHERE name = 'default'", cases[i].types));
        const char *payload = arena_format(me.arena, "{\"identifiers\":[{\"type\":\"%s\",\"value\":\"a.example/1.2.3\"}]}", cases[i].asked);
        if (strcmp(cases[i].asked, "dns") == 0)
            payload = "{\"identifiers\":[{\"type\":\"dns\",\"value\":\"a.example\"}]}";
        assert_problem(&me, client_post(&me, "/acme/new-order", payload), 400, cases[i].problem);
    }
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, begin, end)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_validator_gets_the_object_and_the_roots),
        CASE(the_object_waits_for_a_validator),
        CASE(another_key_and_another_device_are_refused),
        CASE(a_verdict_without_a_key_is_none),
        CASE(a_proof_serves_no_other_order),
        CASE(a_policy_has_the_identifiers_that_it_names),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
