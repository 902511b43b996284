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
one_profile_has_the_paths_of_ndes(void **state)
{
    struct fixture *fixture = *state;
    Pb__ScepProfile one = good_profile("one"), two = good_profile("two");
    bool changed;

    one.ndes = two.ndes = true;
    assert_int_equal(save(fixture, &one, true, &changed), OK);
    assert_int_equal(save(fixture, &two, true, &changed), ERR_CONFLICT);
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

    for (int i = 0; i < 12; i++) {
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
        assert_int_equal(save(fixture, &profile, true, &changed), ERR_BAD_REQUEST);
        assert_true(text_starts_with(fixture->rq->failure.message, field));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_profile_is_in_force_at_once),
        CASE(create_makes_no_second_one_and_a_change_changes),
        CASE(one_profile_has_the_paths_of_ndes),
        CASE(a_ca_that_the_signer_does_not_know_is_said_now),
        CASE(refuses_each_field_that_is_wrong_by_its_name),
    };

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
