/* What operators may write as a policy, and what of it is kept. */
#include "gateway_fixture.h"
#include "pki/pem.h"

static const struct refused {
    const char *name;
    Pb__AcmePolicy policy;
    enum error error;
} refused[] = {
    {"rejects_no_name", {.name = ""}, ERR_BAD_REQUEST},
    {"rejects_capitals_in_the_name", {.name = "Intra"}, ERR_BAD_REQUEST},
    {"rejects_a_slash_in_the_name", {.name = "a/b"}, ERR_BAD_REQUEST},
    {"rejects_a_hyphen_in_front", {.name = "-a"}, ERR_BAD_REQUEST},
    {"rejects_a_long_name", {.name = "abcdefghijabcdefghijabcdefghijabcdefghijk"}, ERR_BAD_REQUEST},
    {"rejects_the_name_of_a_resource", {.name = "order"}, ERR_BAD_REQUEST},
    {"rejects_the_name_of_another_resource", {.name = "new-account"}, ERR_BAD_REQUEST},
    {"rejects_an_unknown_rule_for_eab", {.name = "a", .eab = "sometimes"}, ERR_BAD_REQUEST},
    {"rejects_a_negative_validity", {.name = "a", .validity_days = -2}, ERR_BAD_REQUEST},
    {"rejects_a_validity_of_centuries", {.name = "a", .validity_days = 36500}, ERR_BAD_REQUEST},
    {"rejects_more_identifiers_than_a_certificate_has", {.name = "a", .identifiers_max = 101}, ERR_BAD_REQUEST},
    {"rejects_a_quota_beyond_a_column", {.name = "a", .orders_per_account = 3000000000U}, ERR_BAD_REQUEST},
    {"rejects_a_client_network_that_is_none",
     {.name = "a", .n_client_networks = 1, .client_networks = (const char *[]){"10.0.0.0/33"}},
     ERR_BAD_REQUEST},
    {"rejects_an_allowed_network_that_is_none",
     {.name = "a", .n_allowed_networks = 1, .allowed_networks = (const char *[]){"here"}},
     ERR_BAD_REQUEST},
    {"rejects_a_denied_network_that_is_none", {.name = "a", .n_denied_networks = 1, .denied_networks = (const char *[]){""}}, ERR_BAD_REQUEST},
    {"rejects_a_preapproved_name_that_is_none",
     {.name = "a", .n_preapproved_names = 1, .preapproved_names = (const char *[]){"*.*.example"}},
     ERR_BAD_REQUEST},
    {"rejects_devices_that_are_approved_beforehand",
     {.name = "a", .n_preapproved_names = 1, .preapproved_names = (const char *[]){"permanent-identifier:C02XYZ"}},
     ERR_BAD_REQUEST},
    {"rejects_devices_that_cannot_attest_themselves",
     {.name = "a", .n_identifier_types = 1, .identifier_types = (const char *[]){"permanent-identifier"}},
     ERR_BAD_REQUEST},
    {"rejects_identifiers_that_are_not_served",
     {.name = "a", .n_identifier_types = 1, .identifier_types = (const char *[]){"email"}},
     ERR_BAD_REQUEST},
    {"rejects_roots_that_are_no_certificates", {.name = "a", .tpm_roots = "here"}, ERR_BAD_REQUEST},
    {"rejects_roots_of_garbage", {.name = "a", .apple_roots = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n"}, ERR_BAD_REQUEST},
    {"rejects_a_profile_without_days", {.name = "a", .n_profiles = 1, .profiles = (const char *[]){"short=Web Server"}}, ERR_BAD_REQUEST},
    {"rejects_two_profiles_of_one_name", {.name = "a", .n_profiles = 2, .profiles = (const char *[]){"a=X:1", "a=Y:2"}}, ERR_BAD_REQUEST},
    {"rejects_a_challenge_that_is_not_known",
     {.name = "a", .n_challenge_types = 1, .challenge_types = (const char *[]){"telepathy-01"}},
     ERR_BAD_REQUEST},
};

/* Unset texts of a row above are empty, as they are in every message that comes over the bus. */
static Pb__AcmePolicy
complete(const Pb__AcmePolicy *row)
{
    Pb__AcmePolicy policy = PB__ACME_POLICY__INIT;
    ProtobufCMessage base = policy.base;
    const char *empty = policy.description;

    policy = *row;
    policy.base = base;
    policy.description = row->description != NULL ? row->description : empty;
    policy.template_ = row->template_ != NULL ? row->template_ : empty;
    policy.issuer = row->issuer != NULL ? row->issuer : empty;
    policy.eab = row->eab != NULL ? row->eab : empty;
    policy.limits = row->limits != NULL ? row->limits : empty;
    policy.apple_roots = row->apple_roots != NULL ? row->apple_roots : empty;
    policy.step_roots = row->step_roots != NULL ? row->step_roots : empty;
    policy.tpm_roots = row->tpm_roots != NULL ? row->tpm_roots : empty;
    return policy;
}

static enum error
put(struct request *rq, const Pb__AcmePolicy *row, bool must_be_new, bool must_exist, bool *ret_created)
{
    Pb__PutAcmePolicyRequest input = PB__PUT_ACME_POLICY_REQUEST__INIT;
    Pb__PutAcmePolicyReply reply = PB__PUT_ACME_POLICY_REPLY__INIT;
    Pb__AcmePolicy policy = complete(row);

    input.policy = &policy;
    input.must_be_new = must_be_new;
    input.must_exist = must_exist;
    enum error error = put_acme_policy(&gateway, rq, &input, &reply);
    *ret_created = reply.created;
    return error;
}

static int
end(void **state)
{
    postgres_kit_run(postgres, "DELETE FROM acme.policy WHERE name <> 'default'");
    return 0;
}

static void
rejects(void **state)
{
    const struct refused *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    bool created;

    assert_int_equal(put(rq, &one->policy, false, false, &created), one->error);
    assert_true(rq->failure.message[0] != '\0');
    char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.policy");
    assert_string_equal(count, "1");
    free(count);
}

static void
refuses_caa_that_could_never_allow(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const char *names = gateway.config.caa_identities;
    const Pb__AcmePolicy policy = {.name = "intra", .caa = true};
    bool created;

    gateway.config.caa_identities = "";
    enum error error = put(rq, &policy, false, false, &created);
    gateway.config.caa_identities = names;
    assert_int_equal(error, ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "SIGNET_ACME_CAA_IDENTITIES"));
}

static void
what_was_written_is_listed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ListAcmePoliciesRequest input = PB__LIST_ACME_POLICIES_REQUEST__INIT;
    Pb__ListAcmePoliciesReply reply = PB__LIST_ACME_POLICIES_REPLY__INIT;
    bool created = false;
    const Pb__AcmePolicy policy = {.name = "intra",
                                   .description = "inside",
                                   .template_ = "Device-Certificate",
                                   .validity_days = -1,
                                   .n_preapproved_names = 2,
                                   .preapproved_names = (const char *[]){"*.Intra.Example", "10.0.0.0/8"},
                                   .eab = "required",
                                   .caa = true,
                                   .subdomain_auth = true,
                                   .orders_per_account = 5,
                                   .n_profiles = 1,
                                   .profiles = (const char *[]){"day=Device-Certificate:1"},
                                   .n_challenge_types = 1,
                                   .challenge_types = (const char *[]){"http-01"}};

    assert_int_equal(put(rq, &policy, false, false, &created), OK);
    assert_true(created);
    input.name = "intra";
    assert_int_equal(list_acme_policies(&gateway, rq, &input, &reply), OK);
    assert_int_equal(reply.n_policies, 1);
    assert_string_equal(reply.policies[0]->description, "inside");
    assert_string_equal(reply.policies[0]->template_, "Device-Certificate");
    assert_int_equal(reply.policies[0]->validity_days, -1);
    assert_string_equal(reply.policies[0]->preapproved_names[0], "*.intra.example");
    assert_string_equal(reply.policies[0]->preapproved_names[1], "10.0.0.0/8");
    assert_string_equal(reply.policies[0]->eab, "required");
    assert_true(reply.policies[0]->caa);
    assert_true(reply.policies[0]->subdomain_auth);
    assert_int_equal(reply.policies[0]->orders_per_account, 5);
    assert_string_equal(reply.policies[0]->limits, "default");
    assert_string_equal(reply.policies[0]->challenge_types[0], "http-01");
    assert_int_equal(reply.policies[0]->n_profiles, 1);
    assert_string_equal(reply.policies[0]->profiles[0], "day=Device-Certificate:1");
}

static void
a_policy_is_created_once_and_changed_only_when_it_exists(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const Pb__AcmePolicy first = {.name = "a", .description = "first"}, second = {.name = "a", .description = "second"};
    bool created = true;

    assert_int_equal(put(rq, &first, false, true, &created), ERR_NOT_FOUND);
    failure_clear(rq);
    assert_int_equal(put(rq, &first, true, false, &created), OK);
    assert_true(created);
    assert_int_equal(put(rq, &second, true, false, &created), ERR_CONFLICT);
    failure_clear(rq);
    assert_int_equal(put(rq, &second, false, true, &created), OK);
    assert_string_equal(announced, "acme policy a changed by  as : description: first → second");
    assert_false(created);
    /* Nothing goes on record that was not changed. */
    announced[0] = '\0';
    assert_int_equal(put(rq, &second, false, true, &created), OK);
    assert_string_equal(announced, "");
    assert_int_equal(put(rq, &first, false, false, &created), OK);
    assert_false(created);
    char *found = postgres_kit_ask(postgres, "SELECT description FROM acme.policy WHERE name = 'a'");
    assert_string_equal(found, "first");
    free(found);
}

struct setter {
    Pb__AcmePolicy policy, read;
    enum error error;
    char message[1000];
    pthread_t thread;
};

static void *
set(void *context)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct setter *setter = context;
    Pb__PutAcmePolicyRequest input = PB__PUT_ACME_POLICY_REQUEST__INIT;
    Pb__PutAcmePolicyReply reply = PB__PUT_ACME_POLICY_REPLY__INIT;

    input.policy = &setter->policy;
    input.read = &setter->read;
    input.must_exist = true;
    setter->error = put_acme_policy(&gateway, rq, &input, &reply);
    (void)snprintf(setter->message, sizeof setter->message, "%s", setter->error ? rq->failure.message : "");
    return NULL;
}

/* Each has read the same, and changes one thing of it. */
static void
of_two_operators_at_one_moment_one_is_told(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    const Pb__AcmePolicy first = {.name = "a", .description = "first", .eab = "none", .limits = "default"};
    bool created;

    assert_int_equal(put(rq, &first, true, false, &created), OK);
    struct setter setters[2] = {{.policy = complete(&first), .read = complete(&first)}, {.policy = complete(&first), .read = complete(&first)}};
    setters[0].policy.description = "second";
    setters[1].policy.validity_days = 30;
    for (size_t i = 0; i < 2; i++)
        pthread_create(&setters[i].thread, NULL, set, &setters[i]);
    for (size_t i = 0; i < 2; i++)
        pthread_join(setters[i].thread, NULL);
    size_t winner = setters[0].error == OK ? 0 : 1;
    assert_int_equal(setters[winner].error, OK);
    assert_int_equal(setters[1 - winner].error, ERR_CONFLICT);
    assert_non_null(strstr(setters[1 - winner].message, winner == 0 ? "was changed since you read it (description: first → second)"
                                                                    : "was changed since you read it (validity_days: 0 → 30)"));
    char *found = postgres_kit_ask(postgres, "SELECT description || ' ' || validity_days FROM acme.policy WHERE name = 'a'");
    assert_string_equal(found, winner == 0 ? "second 0" : "first 30");
    free(found);
}

/* Whatever else is in the file is looked at when it is given, not when a device comes. */
static void
refuses_crls_beside_roots_that_cannot_be_read(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct buffer pem = buffer_in(rq->arena);
    AUTO(EVP_PKEY, key) = kit_key("p256");
    bool created;

    pem_append(&pem, "CERTIFICATE", kit_certificate(rq->arena, &(struct kit_certificate){.key = key, .subject = "/CN=Maker", .is_ca = true}));
    const char *root = arena_text(rq->arena, buffer_text(&pem));
    Pb__AcmePolicy policy = {.name = "a", .apple_roots = root};
    assert_int_equal(put(rq, &policy, false, false, &created), OK);
    pem_append(&pem, "X509 CRL", bytes_of_text("garbage"));
    policy.apple_roots = buffer_text(&pem);
    assert_int_equal(put(rq, &policy, false, false, &created), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "apple_roots: CRL 1 cannot be used: the CRL is malformed"));
}

#define CASES_BY_HAND 5

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(refused)] = {
        cmocka_unit_test_teardown(refuses_caa_that_could_never_allow, end),
        cmocka_unit_test_teardown(refuses_crls_beside_roots_that_cannot_be_read, end),
        cmocka_unit_test_teardown(what_was_written_is_listed, end),
        cmocka_unit_test_teardown(a_policy_is_created_once_and_changed_only_when_it_exists, end),
        cmocka_unit_test_teardown(of_two_operators_at_one_moment_one_is_told, end),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tests[count++] =
            (struct CMUnitTest){.name = refused[i].name, .test_func = rejects, .teardown_func = end, .initial_state = (void *)&refused[i]};
    return _cmocka_run_group_tests("put_acme_policy", tests, count, open_gateway, close_gateway);
}
