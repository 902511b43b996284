/* Profiles as operators write them: what is stored, what is refused. */
#include "est_fixture.h"

#include "kit/pki_kit.h"
#include "pki/pem.h"

static void
every_field_comes_back(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    Pb__EstProfile *profile = good_profile(arena, "phones");
    EVP_PKEY *key = kit_key("p256");
    struct buffer pem = buffer_in(arena);
    const char *patterns[] = {"SN*", "*.example"}, *subject[] = {"CN", "O=Example"}, *oids[] = {"1.2.3.4"}, *names[] = {"dns"},
               *uses[] = {"clientAuth"};
    Pb__EstProfile **found;
    size_t count;
    bool created;

    pem_append(&pem, "CERTIFICATE", kit_certificate(arena, &(struct kit_certificate){.key = key, .subject = "/CN=Maker CA", .is_ca = true}));
    EVP_PKEY_free(key);
    profile->description = "of the third floor";
    profile->disabled = true;
    profile->issuer = "demo-issuing";
    profile->validity_days = 365;
    profile->authentication = PB__EST_AUTHENTICATION__EST_AUTHENTICATION_BOTH;
    profile->anchors = buffer_text(&pem);
    profile->devices = patterns;
    profile->n_devices = 2;
    profile->names = patterns;
    profile->n_names = 2;
    profile->proof_required = true;
    profile->server_key_type = "rsa-2048";
    profile->retry_after_s = 17;
    profile->csr_attributes = oids;
    profile->n_csr_attributes = 1;
    profile->csr_key_type = "p384";
    profile->csr_subject = subject;
    profile->n_csr_subject = 2;
    profile->csr_names = names;
    profile->n_csr_names = 1;
    profile->csr_extended_key_usage = uses;
    profile->n_csr_extended_key_usage = 1;
    profile->csr_template = true;
    profile->client_revocation = PB__EST_CLIENT_REVOCATION__EST_CLIENT_REVOCATION_REQUIRED;
    assert_ok(fixture->rq, store(fixture, profile, true, &created));
    assert_ok(fixture->rq, store_load_profiles(fixture->est.db, fixture->rq, &found, NULL, &count));
    assert_int_equal(count, 1);
    struct bytes wrote = message_pack(arena, &profile->base), read = message_pack(arena, &found[0]->base);
    assert_true(bytes_equal(wrote, read));
}

static void
a_second_store_changes_the_profile_but_create_does_not(void **state)
{
    struct fixture *fixture = *state;
    Pb__EstProfile *profile = good_profile(fixture->rq->arena, "phones");
    bool created;

    must_store(fixture, "phones");
    profile->template_ = "TLS-Client-Auth";
    assert_ok(fixture->rq, store(fixture, profile, false, &created));
    assert_false(created);
    assert_row("SELECT template FROM est.profile", "TLS-Client-Auth");
    profile->template_ = "Web Server";
    assert_int_equal(store(fixture, profile, true, &created), ERR_CONFLICT);
    assert_row("SELECT template FROM est.profile", "TLS-Client-Auth");
}

static void
a_profile_that_is_as_it_was_is_unchanged_and_not_on_record(void **state)
{
    struct fixture *fixture = *state;
    Pb__StoreEstProfileRequest request = PB__STORE_EST_PROFILE_REQUEST__INIT;
    Pb__StoreEstProfileReply reply = PB__STORE_EST_PROFILE_REPLY__INIT;

    must_store(fixture, "phones");
    request.profile = good_profile(fixture->rq->arena, "phones");
    announced[0] = '\0';
    assert_ok(fixture->rq, store_est_profile(&fixture->est, fixture->rq, &request, &reply));
    assert_false(reply.created || reply.changed);
    assert_string_equal(announced, "");
    request.profile->retry_after_s = 17;
    assert_ok(fixture->rq, store_est_profile(&fixture->est, fixture->rq, &request, &reply));
    assert_true(reply.changed);
    assert_string_not_equal(announced, "");
}

static void
what_another_operator_did_meanwhile_is_not_taken_back(void **state)
{
    struct fixture *fixture = *state;
    Pb__StoreEstProfileRequest request = PB__STORE_EST_PROFILE_REQUEST__INIT;
    Pb__StoreEstProfileReply reply = PB__STORE_EST_PROFILE_REPLY__INIT;

    must_store(fixture, "phones");
    const Pb__EstProfile *stored;
    assert_ok(fixture->rq, store_find_profile(&fixture->est, fixture->rq, "phones", &stored));
    Pb__EstProfile read = *stored;
    request.read = &read;
    request.profile = good_profile(fixture->rq->arena, "phones");
    request.profile->template_ = "TLS-Client-Auth";
    assert_ok(fixture->rq, store_est_profile(&fixture->est, fixture->rq, &request, &reply));
    request.profile = good_profile(fixture->rq->arena, "phones");
    request.profile->retry_after_s = 17;
    assert_int_equal(store_est_profile(&fixture->est, fixture->rq, &request, &reply), ERR_CONFLICT);
    assert_non_null(strstr(fixture->rq->failure.message, "→ TLS-Client-Auth"));
    assert_row("SELECT template || ' ' || retry_after_s FROM est.profile", "TLS-Client-Auth 0");
}

static void
a_stored_profile_is_in_force(void **state)
{
    struct fixture *fixture = *state;

    must_store(fixture, "phones");
    const struct profiles *profiles = snapshot_hold(fixture->est.profiles, fixture->rq);
    assert_int_equal(profiles->count, 1);
    assert_string_equal(profiles->list[0].settings->name, "phones");
}

static void
refuses_what_makes_no_sense(void **state)
{
    struct fixture *fixture = *state;
    struct arena *arena = fixture->rq->arena;
    const char *empty[] = {""}, *odd[] = {"nonsense"};
    struct {
        const char *says;
        Pb__EstProfile *profile;
    } cases[] = {
        {"label", good_profile(arena, "Phones")},      {"label", good_profile(arena, "")},
        {"label", good_profile(arena, "a/b")},         {"label", good_profile(arena, "-a")},
        {"operation", good_profile(arena, "cacerts")}, {"template", good_profile(arena, "a")},
        {"authentication", good_profile(arena, "a")},  {"authentication", good_profile(arena, "a")},
        {"anchors", good_profile(arena, "a")},         {"anchors", good_profile(arena, "a")},
        {"server_key_type", good_profile(arena, "a")}, {"approval", good_profile(arena, "a")},
        {"names", good_profile(arena, "a")},           {"csr_attributes", good_profile(arena, "a")},
        {"csr_names", good_profile(arena, "a")},       {"csr_subject", good_profile(arena, "a")},
        {"validity_days", good_profile(arena, "a")},   {"client_revocation", good_profile(arena, "a")},
    };
    bool created;

    cases[5].profile->template_ = "";
    cases[6].profile->authentication = PB__EST_AUTHENTICATION__EST_AUTHENTICATION_UNSPECIFIED;
    cases[7].profile->authentication = (Pb__EstAuthentication)9;
    cases[8].profile->anchors = "no PEM at all";
    cases[9].profile->anchors = "-----BEGIN CERTIFICATE-----\nMAA=\n-----END CERTIFICATE-----\n";
    cases[10].profile->server_key_type = "rsa-512";
    cases[11].profile->server_key_type = "p256";
    cases[11].profile->approval = true;
    cases[12].profile->names = empty;
    cases[12].profile->n_names = 1;
    cases[13].profile->csr_attributes = odd;
    cases[13].profile->n_csr_attributes = 1;
    cases[14].profile->csr_names = odd;
    cases[14].profile->n_csr_names = 1;
    cases[15].profile->csr_subject = odd;
    cases[15].profile->n_csr_subject = 1;
    cases[16].profile->validity_days = 100000;
    cases[17].profile->client_revocation = (Pb__EstClientRevocation)9;
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(store(fixture, cases[i].profile, true, &created), ERR_BAD_REQUEST);
        if (strstr(fixture->rq->failure.message, cases[i].says) == NULL)
            fail_msg("case %zu: %s", i, fixture->rq->failure.message);
        failure_clear(fixture->rq);
    }
    assert_row("SELECT count(*) FROM est.profile", "0");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(every_field_comes_back),
        CASE(a_second_store_changes_the_profile_but_create_does_not),
        CASE(a_profile_that_is_as_it_was_is_unchanged_and_not_on_record),
        CASE(what_another_operator_did_meanwhile_is_not_taken_back),
        CASE(a_stored_profile_is_in_force),
        CASE(refuses_what_makes_no_sense),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
