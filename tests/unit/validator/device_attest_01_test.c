/* device-attest-01: attestations of each format are taken when everything in them is as it must be, and refused with what is not. */
#include "attestation_fixture.h"

#define SERIAL "C02XYZ"
#define UDID "00008030-001C2D3E4F5A6B7C"
#define APPLE .format = "apple", .serial = SERIAL, .udid = UDID
#define STEP .format = "step", .yubikey = 12345678
#define TPM .format = "tpm", .device = SERIAL

static const struct one {
    const char *name;
    const char *device;
    struct shape shape;
    const char *detail;        /* NULL: accepted */
    enum identifier_type type; /* 0: a permanent identifier */
} cases[] = {
    {"apple_proves_the_serial_number", SERIAL, {APPLE}, NULL},
    {"apple_proves_the_udid", UDID, {APPLE}, NULL},
    {"apple_with_a_key_of_another_curve", SERIAL, {APPLE, .key = "p384"}, NULL},
    {"apple_with_authenticator_data", SERIAL, {APPLE, .with_auth_data = true}, NULL},
    {"apple_of_another_device", "C02XYY", {APPLE}, "not about permanent-identifier C02XYY"},
    {"apple_says_nothing_about_assigners", SERIAL "/1.2.3", {APPLE}, "not about"},
    {"apple_says_nothing_about_modules", SERIAL "/1.2.3", {APPLE}, "not about", IDENTIFIER_HARDWARE_MODULE},
    {"apple_cannot_assign", "A/1.2.3", {.format = "apple", .serial = "A/1.2.3"}, "about no device by a number"},
    {"apple_for_another_token", SERIAL, {APPLE, .code_of_another_token = true}, "freshness"},
    {"apple_without_freshness", SERIAL, {APPLE, .without_code = true}, "freshness"},
    {"apple_of_another_root", SERIAL, {APPLE, .other_root = true}, "does not lead to a root"},
    {"apple_expired", SERIAL, {APPLE, .expired = true}, "expired"},
    {"apple_not_yet_valid", SERIAL, {APPLE, .not_yet = true}, "not yet valid"},
    {"apple_without_the_ca_between", SERIAL, {APPLE, .without_issuer = true}, "unable to get local issuer"},
    {"apple_below_what_is_no_ca", SERIAL, {APPLE, .issuer_is_no_ca = true}, "unable to get local issuer"},
    {"apple_with_a_leaf_of_garbage", SERIAL, {APPLE, .leaf_is_garbage = true}, "cannot be read"},
    {"apple_without_certificates", SERIAL, {APPLE, .without_certificates = true}, "has no certificates"},
    {"apple_with_nine_certificates", SERIAL, {APPLE, .too_many_certificates = true}, "too many certificates"},

    {"a_revoked_leaf", SERIAL, {APPLE, .revocation = OF_LEAF}, "certificate 1 of the attestation's chain was revoked"},
    {"a_leaf_that_an_old_list_revokes", SERIAL, {APPLE, .revocation = OF_LEAF_LONG_AGO}, "certificate 1 of the attestation's chain was revoked"},
    {"a_revoked_issuer", SERIAL, {APPLE, .revocation = OF_ISSUER}, "certificate 2 of the attestation's chain was revoked"},
    {"a_list_with_another_certificate", SERIAL, {APPLE, .revocation = OF_ANOTHER}, NULL},
    {"a_list_that_somebody_else_has_signed", SERIAL, {APPLE, .revocation = OF_LEAF_FORGED}, NULL},
    {"a_revocation_that_was_taken_back", SERIAL, {APPLE, .revocation = OF_LEAF_TAKEN_BACK}, NULL},

    {"step_proves_the_yubikey", "12345678", {STEP}, NULL},
    {"step_with_an_rsa_key", "12345678", {STEP, .key = "rsa-2048"}, NULL},
    {"step_with_pss", "12345678", {STEP, .key = "rsa-2048", .pss = true, .algorithm = -37}, NULL},
    {"step_with_pss_that_is_said_to_be_pkcs1", "12345678", {STEP, .key = "rsa-2048", .pss = true}, "\"sig\" is not the attested key's"},
    {"step_with_pkcs1_that_is_said_to_be_pss", "12345678", {STEP, .key = "rsa-2048", .algorithm = -37}, "\"sig\" is not the attested key's"},
    {"step_with_pss_of_another_digest", "12345678", {STEP, .key = "rsa-2048", .pss = true, .algorithm = -39}, "\"sig\" is not the attested key's"},
    {"step_with_pss_by_another_key",
     "12345678",
     {STEP, .key = "rsa-2048", .pss = true, .algorithm = -37, .signed_by_another_key = true},
     "\"sig\" is not the attested key's"},
    {"step_with_pss_for_an_elliptic_key", "12345678", {STEP, .algorithm = -37}, "does not fit the key"},
    {"step_with_sha1", "12345678", {STEP, .key = "rsa-2048", .algorithm = -65535}, "\"alg\" is RS1"},
    {"step_with_p384", "12345678", {STEP, .key = "p384"}, NULL},
    {"step_with_ed25519", "12345678", {STEP, .key = "ed25519"}, NULL},
    {"step_proves_a_managed_device", "box-17", {.format = "step", .managed = "box-17"}, NULL},
    {"step_of_another_device", "12345679", {STEP}, "permanent-identifier 12345678, not about"},
    {"step_of_no_device", "12345678", {.format = "step"}, "about no device by a number"},
    {"step_signed_by_another_key", "12345678", {STEP, .signed_by_another_key = true}, "\"sig\" is not the attested key's"},
    {"step_over_another_key_authorization", "12345678", {STEP, .signed_another_text = true}, "\"sig\" is not the attested key's"},
    {"step_with_a_bare_signature", "12345678", {STEP, .signature_not_wrapped = true}, "byte string in a byte string"},
    {"step_with_the_algorithm_of_other_keys", "12345678", {STEP, .algorithm = -257}, "\"alg\""},
    {"step_with_an_unknown_algorithm", "12345678", {STEP, .algorithm = -47}, "\"alg\" is none of"},
    {"step_with_a_huge_algorithm", "12345678", {STEP, .algorithm = INT64_MIN}, "\"alg\""},
    {"step_without_algorithm", "12345678", {STEP, .without_algorithm = true}, "\"alg\""},
    {"step_of_another_root", "12345678", {STEP, .other_root = true}, "does not lead to a root"},

    {"tpm_proves_a_permanent_identifier", SERIAL, {TPM}, NULL},
    {"tpm_proves_a_module", "0123/2.23.133.1.2", {TPM, .module = "0123/2.23.133.1.2"}, NULL, IDENTIFIER_HARDWARE_MODULE},
    {"tpm_with_an_elliptic_ak", SERIAL, {TPM, .ak = "p256"}, NULL},
    {"tpm_with_an_rsa_key", SERIAL, {TPM, .key = "rsa-2048"}, NULL},
    {"tpm_with_p384", SERIAL, {TPM, .key = "p384"}, NULL},
    {"tpm_of_another_device", "C02XYY", {TPM}, "not about"},
    {"tpm_of_no_device", SERIAL, {.format = "tpm"}, "about no device by a number"},
    {"tpm_of_another_version", SERIAL, {TPM, .version = "1.2"}, "\"ver\""},
    {"tpm_ak_with_a_subject", SERIAL, {TPM, .with_subject = true}, "has a subject"},
    {"tpm_ak_for_something_else", SERIAL, {TPM, .without_purpose = true}, "2.23.133.8.3"},
    {"tpm_ak_of_a_ca", SERIAL, {TPM, .ak_is_ca = true}, "of a CA"},
    {"tpm_ak_of_no_tpm", SERIAL, {TPM, .without_tpm = true}, "manufacturer, model and version"},
    {"tpm_ak_of_no_model", SERIAL, {TPM, .without_model = true}, "manufacturer, model and version"},
    {"tpm_signed_by_another_key", SERIAL, {TPM, .signed_by_another_key = true}, "not the signature of the attestation key"},
    {"tpm_signed_by_another_elliptic_key", SERIAL, {TPM, .ak = "p256", .signed_by_another_key = true}, "not the signature of the attestation key"},
    {"tpm_with_another_digest", SERIAL, {TPM, .another_digest = true}, "another digest"},
    {"tpm_with_the_algorithm_of_other_keys", SERIAL, {TPM, .algorithm = -7}, "\"alg\""},
    {"tpm_with_sha1", SERIAL, {TPM, .algorithm = -65535}, "\"alg\" is RS1"},
    {"tpm_with_eddsa", SERIAL, {TPM, .ak = "ed25519", .algorithm = -8}, "\"alg\" is EdDSA"},
    {"tpm_with_pss", SERIAL, {TPM, .pss = true, .algorithm = -37}, NULL},
    {"tpm_with_pss_and_a_long_salt", SERIAL, {TPM, .pss = true, .salt = 222, .algorithm = -37}, NULL},
    {"tpm_with_pss_that_is_said_to_be_pkcs1", SERIAL, {TPM, .pss = true}, "another RSA scheme"},
    {"tpm_with_pkcs1_that_is_said_to_be_pss", SERIAL, {TPM, .algorithm = -37}, "another RSA scheme"},
    {"tpm_with_pss_by_another_key", SERIAL, {TPM, .pss = true, .algorithm = -37, .signed_by_another_key = true}, "not the signature"},
    {"tpm_about_another_challenge", SERIAL, {TPM, .another_extra_data = true}, "extraData"},
    {"tpm_about_another_key", SERIAL, {TPM, .another_key_is_certified = true}, "another key than the one"},
    {"tpm_with_a_key_that_may_leave", SERIAL, {TPM, .movable = true}, "may leave it"},
    {"tpm_with_a_key_that_came_in", SERIAL, {TPM, .imported = true}, "not made in its TPM"},
    {"tpm_with_a_storage_key", SERIAL, {TPM, .storage_key = true}, "not that of a signing key"},
    {"tpm_that_is_none", SERIAL, {TPM, .not_a_tpm = true}, "magic"},
    {"tpm_quote", SERIAL, {TPM, .a_quote = true}, "TPM2_Certify"},
    {"tpm_certified_cut_off", SERIAL, {TPM, .cut_certified = true}, "cut off"},
    {"tpm_public_cut_off", SERIAL, {TPM, .cut_public = true}, "cut off"},
    {"tpm_public_with_something_behind", SERIAL, {TPM, .longer_public = true}, "followed by something"},
    {"tpm_signature_cut_off", SERIAL, {TPM, .cut_signature = true}, "cut off"},
    {"tpm_of_another_root", SERIAL, {TPM, .other_root = true}, "does not lead to a root"},

    {"an_unknown_format", SERIAL, {APPLE, .said_format = "android-key"}, "\"android-key\" are not taken; these are: apple, step, tpm"},
    {"another_format_than_it_is", SERIAL, {APPLE, .said_format = "tpm"}, "does not lead to a root"},
    {"an_object_that_is_cut", SERIAL, {APPLE, .cut = 1}, "cut off"},
    {"an_object_that_is_cut_to_its_head", SERIAL, {APPLE, .without_certificates = true, .cut = 6}, "cut off"},
    {"something_behind_the_object", SERIAL, {APPLE, .with_tail = true}, "followed by something"},
    {"a_member_twice", SERIAL, {APPLE, .member_twice = true}, "another type"},
    {"a_number_as_key", SERIAL, {APPLE, .number_as_key = true}, "not texts"},
    {"arrays_without_length", SERIAL, {APPLE, .indefinite = true}, "canonical"},
    {"tags", SERIAL, {APPLE, .tagged = true}, "canonical"},
    {"an_array_of_more_than_there_is", SERIAL, {APPLE, .huge_array = true}, "too long"},
    {"some_nesting", SERIAL, {APPLE, .nested = 5}, NULL},
    {"deep_nesting", SERIAL, {APPLE, .nested = 6}, "nested too deeply"},
    {"very_deep_nesting", SERIAL, {APPLE, .nested = 20000}, "nested too deeply"},
    {"no_statement", SERIAL, {APPLE, .without_statement = true}, "no \"attStmt\""},
};

static struct proof
proof_of(struct arena *arena, const struct one *one, const struct world *world, struct bytes object)
{
    static const char *const formats[] = {"apple", "step", "tpm"};
    struct proof proof = {.name = {.type = one->type != 0 ? one->type : IDENTIFIER_PERMANENT, .value = one->device},
                          .token = TOKEN,
                          .key_authorization = KEY_AUTHORIZATION,
                          .attestation = object,
                          .attestation_root_count = COUNT_OF(formats)};
    Pb__AttestationRoots **roots = arena_array(arena, COUNT_OF(formats), sizeof(Pb__AttestationRoots *));

    for (size_t i = 0; i < COUNT_OF(formats); i++) {
        roots[i] = arena_alloc(arena, sizeof *roots[i]);
        pb__attestation_roots__init(roots[i]);
        roots[i]->format = formats[i];
        /* What is a root for one format is none for another. */
        roots[i]->pem =
            strcmp(formats[i], world->shape->format) == 0
                ? world->root_pem
                : pem_of(arena, kit_certificate(arena, &(struct kit_certificate){.key = key_of("p256", 5), .subject = "/CN=X", .is_ca = true}));
    }
    proof.attestation_roots = roots;
    return proof;
}

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct world world = make_world(rq->arena, &one->shape);
    struct proof proof = proof_of(rq->arena, one, &world, attestation_object(&world));
    struct bytes spki = kit_spki(rq->arena, world.device_key);
    uint8_t digest[32];

    enum error error = device_attest_01(NULL, rq, &proof);
    if (one->detail != NULL) {
        if (error == OK || strcmp(rq->failure.reason, "badAttestationStatement") != 0 || strstr(rq->failure.message, one->detail) == NULL)
            fail_msg("%s: %s", rq->failure.reason, rq->failure.message);
        assert_null(proof.attestation_text);
        return;
    }
    if (error != OK)
        fail_msg("%s", rq->failure.message);
    (void)SHA256(spki.at, spki.len, digest);
    assert_memory_equal(proof.attested_key, digest, sizeof digest);
    assert_non_null(strstr(proof.attestation_text, one->device));
    assert_non_null(strstr(proof.attestation_text, "root CN=Maker Root"));
}

/* However the object is cut, nothing but a refusal comes out. */
static void
every_beginning_of_an_object_is_refused(void **state)
{
    static const struct shape shapes[] = {{APPLE}, {STEP}, {TPM}};

    for (size_t i = 0; i < COUNT_OF(shapes); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct world world = make_world(rq->arena, &shapes[i]);
        struct bytes object = attestation_object(&world);
        for (size_t len = 0; len < object.len; len++) {
            struct statement statement;
            AUTO_FREE uint8_t *copy = malloc(len + (len == 0)); /* of its own, so that sanitizers see each step too far */
            memcpy(copy, object.at, len);
            assert_int_not_equal(statement_decode(rq, BYTES(copy, len), &statement), OK);
            assert_string_equal(rq->failure.reason, "badAttestationStatement");
            failure_clear(rq);
        }
    }
}

static void
roots_that_are_none_are_trouble_and_no_fact(void **state)
{
    static const struct one good = {"", SERIAL, {APPLE}, NULL};
    AUTO_STRUCT(request, rq) = request_new();
    struct world world = make_world(rq->arena, &good.shape);
    struct proof proof = proof_of(rq->arena, &good, &world, attestation_object(&world));

    proof.attestation_roots[0]->pem = "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n";
    assert_int_equal(device_attest_01(NULL, rq, &proof), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, "");
}

static void
lists_that_cannot_be_read_are_trouble_and_no_fact(void **state)
{
    static const struct one good = {"", SERIAL, {APPLE}, NULL};
    AUTO_STRUCT(request, rq) = request_new();
    struct world world = make_world(rq->arena, &good.shape);
    struct proof proof = proof_of(rq->arena, &good, &world, attestation_object(&world));

    proof.attestation_roots[0]->pem = arena_format(rq->arena, "%s-----BEGIN X509 CRL-----\nAAAA\n-----END X509 CRL-----\n", world.root_pem);
    assert_int_equal(device_attest_01(NULL, rq, &proof), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, "");
}

int
main(void)
{
    struct CMUnitTest tests[3 + COUNT_OF(cases)] = {cmocka_unit_test(every_beginning_of_an_object_is_refused),
                                                    cmocka_unit_test(roots_that_are_none_are_trouble_and_no_fact),
                                                    cmocka_unit_test(lists_that_cannot_be_read_are_trouble_and_no_fact)};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[3 + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests(tests, NULL, NULL);
}
