/* SaveScepProfile: what is sound is in force at once, what is not is said by the field's name. */
#include "scep_fixture.h"

static void
a_new_profile_is_in_force_at_once(void **state)
{
    struct fixture *fixture = *state;
    const struct profile *profile = must_save(fixture, "phones");

    assert_int_equal(profile->authorization, BY_CHALLENGE);
    assert_int_equal(profile->passphrase.len, 0);
}

static void
create_makes_no_second_one_and_a_change_changes(void **state)
{
    struct fixture *fixture = *state;
    Pb__ScepProfile profile = good_profile("phones");
    bool changed;

    announcements = 0;
    (void)must_save(fixture, "phones");
    assert_int_equal(save(fixture, &profile, true, &changed), ERR_CONFLICT);
    assert_int_equal(save(fixture, &profile, false, &changed), OK);
    assert_false(changed);
    profile.legacy = true;
    assert_int_equal(save(fixture, &profile, false, &changed), OK);
    assert_true(changed);
    assert_string_equal(announced, "scep profile phones changed by  as : legacy: false → true");
    assert_int_equal(announcements, 2);
}

static void
what_another_operator_did_meanwhile_is_not_taken_back(void **state)
{
    struct fixture *fixture = *state;
    Pb__SaveScepProfileRequest request = PB__SAVE_SCEP_PROFILE_REQUEST__INIT;
    Pb__SaveScepProfileReply reply = PB__SAVE_SCEP_PROFILE_REPLY__INIT;
    Pb__ScepProfile first = good_profile("phones"), second = first, read = first;

    request.profile = &first;
    assert_int_equal(save_scep_profile(&fixture->scep, fixture->rq, &request, &reply), OK); /* as an import does it */
    assert_true(reply.created && reply.changed);
    first.legacy = true;
    second.ndes = true;
    request.read = &read;
    assert_int_equal(save_scep_profile(&fixture->scep, fixture->rq, &request, &reply), OK);
    assert_true(!reply.created && reply.changed);
    request.profile = &second;
    assert_int_equal(save_scep_profile(&fixture->scep, fixture->rq, &request, &reply), ERR_CONFLICT);
    assert_non_null(strstr(fixture->rq->failure.message, "(legacy: false → true)"));
}

static void
one_profile_has_the_paths_of_ndes(void **state)
{
    struct fixture *fixture = *state;
    Pb__ScepProfile one = good_profile("one"), two = good_profile("two");
    bool changed;

    one.ndes = two.ndes = true;
    assert_int_equal(save(fixture, &one, true, &changed), OK);
    assert_int_equal(save(fixture, &two, true, &changed), ERR_CONFLICT);
}

/* The key that was made for it meanwhile is nobody's. */
static void
the_ra_of_a_profile_that_was_not_made_is_destroyed(void **state)
{
    static const char announced_ras[] = "SELECT coalesce(string_agg(split_part(name, '.', 1), ' '), '') FROM scep.retired_ra WHERE due_at > now()";
    struct fixture *fixture = *state;
    Pb__ScepProfile one = good_profile("one"), two = good_profile("two");
    bool changed;

    one.ndes = two.ndes = true;
    assert_int_equal(save(fixture, &one, true, &changed), OK);
    char *none = postgres_kit_ask(postgres, announced_ras);
    assert_string_equal(none, "");
    free(none);
    assert_int_equal(save(fixture, &two, true, &changed), ERR_CONFLICT);
    char *left = postgres_kit_ask(postgres, announced_ras);
    assert_string_equal(left, "two");
    free(left);
}

static void
a_ca_that_the_signer_does_not_know_is_said_now(void **state)
{
    struct fixture *fixture = *state;
    Pb__ScepProfile profile = good_profile("phones");
    bool changed;

    signer_failing = ERR_NOT_FOUND;
    assert_int_equal(save(fixture, &profile, true, &changed), ERR_NOT_FOUND);
}

static void
refuses_each_field_that_is_wrong_by_its_name(void **state)
{
    static const char *const long_network[] = {"10.0.0.0/33"};

    for (int i = 0; i < 15; i++) {
        struct fixture *fixture = *state;
        Pb__ScepProfile profile = good_profile("phones");
        const char *field = NULL;
        bool changed;
        if (i == 0)
            field = "name", profile.name = "Phones";
        if (i == 1)
            field = "name", profile.name = "";
        if (i == 2)
            field = "issuer", profile.issuer = "";
        if (i == 3)
            field = "template", profile.template_ = "";
        if (i == 4)
            field = "authorization", profile.authorization = "anybody";
        if (i == 5)
            field = "ca_certificates", profile.ca_certificates = "some";
        if (i == 6)
            field = "request_networks", profile.request_networks = (const char **)long_network, profile.n_request_networks = 1;
        if (i == 7)
            field = "admin_user", profile.admin_user = "a:b";
        if (i == 8)
            field = "challenge_minutes", profile.challenge_minutes = 1000000;
        if (i == 9)
            field = "webhook_url", profile.authorization = "webhook", profile.webhook_url = "ftp://host";
        if (i == 10)
            field = "intune_tenant", profile.authorization = "intune", profile.intune_tenant = "contoso";
        if (i == 11)
            field = "renewal_window_days", profile.renewal_window_days = 100000;
        if (i == 12)
            field = "webhook_secret_file", profile.webhook_secret_file = "/etc/hostname";
        if (i == 13)
            field = "webhook_secret_file", profile.webhook_secret_file = "..";
        if (i == 14)
            field = "webhook_secret_file and intune_secret_file", profile.intune_secret_file = "keys/bus";
        assert_int_equal(save(fixture, &profile, true, &changed), ERR_BAD_REQUEST);
        assert_true(text_starts_with(fixture->rq->failure.message, field));
    }
}

/* ---- who asks Intune for revocations, and when ---- */

static size_t
take_pulls(struct fixture *fixture, const char *holder, int *ret_minutes)
{
    struct db_rows *rows;

    assert_int_equal(DB_QUERY(fixture->scep.db, fixture->rq, &store_take_pulls, &rows, DB_INT(10), DB_INT(60), DB_TEXT(holder)), OK);
    if (db_count(rows) > 0)
        *ret_minutes = (int)db_int(rows, 0, 2);
    return db_count(rows);
}

static Pb__ScepProfile
intune_profile(uint32_t minutes)
{
    Pb__ScepProfile profile = good_profile("phones");

    profile.authorization = "intune";
    profile.intune_tenant = "contoso.example";
    profile.intune_application = "app";
    profile.intune_secret_file = "intune.secret";
    profile.intune_revocation_minutes = minutes;
    return profile;
}

static void
one_at_a_time_pulls_revocations_and_ends_what_is_his(void **state)
{
    struct fixture *fixture = *state;
    struct scep *scep = &fixture->scep;
    Pb__ScepProfile off = intune_profile(0), on = intune_profile(60);
    int minutes = 0;
    bool changed;

    assert_int_equal(save(fixture, &off, false, &changed), OK);
    assert_int_equal(take_pulls(fixture, "a", &minutes), 0);
    assert_int_equal(save(fixture, &on, false, &changed), OK);
    assert_int_equal(take_pulls(fixture, "a", &minutes), 1);
    assert_int_equal(minutes, 60);
    assert_int_equal(take_pulls(fixture, "b", &minutes), 0);
    assert_int_equal(store_end_pull(scep, fixture->rq, "phones", "b", 0), OK); /* not his */
    assert_int_equal(take_pulls(fixture, "b", &minutes), 0);
    postgres_kit_run(postgres, "UPDATE scep.revocation_pull SET leased_until = now() - interval '1 second'"); /* a has died */
    assert_int_equal(take_pulls(fixture, "b", &minutes), 1);
    assert_int_equal(store_end_pull(scep, fixture->rq, "phones", "a", 0), OK); /* too late */
    assert_int_equal(store_end_pull(scep, fixture->rq, "phones", "b", 60), OK);
    assert_int_equal(take_pulls(fixture, "a", &minutes), 0); /* not due */
    assert_int_equal(save(fixture, &off, false, &changed), OK);
    postgres_kit_run(postgres, "UPDATE scep.revocation_pull SET due_at = now()");
    assert_int_equal(take_pulls(fixture, "a", &minutes), 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_profile_is_in_force_at_once),
        CASE(create_makes_no_second_one_and_a_change_changes),
        CASE(what_another_operator_did_meanwhile_is_not_taken_back),
        CASE(one_profile_has_the_paths_of_ndes),
        CASE(the_ra_of_a_profile_that_was_not_made_is_destroyed),
        CASE(a_ca_that_the_signer_does_not_know_is_said_now),
        CASE(one_at_a_time_pulls_revocations_and_ends_what_is_his),
        CASE(refuses_each_field_that_is_wrong_by_its_name),
    };

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
