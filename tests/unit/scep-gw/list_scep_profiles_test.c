/* ListScepProfiles: all or one, with what secrets there are, never what they are. */
#include "scep_fixture.h"

static Pb__ListScepProfilesReply
list(struct fixture *fixture, const char *name)
{
    Pb__ListScepProfilesRequest request = PB__LIST_SCEP_PROFILES_REQUEST__INIT;
    Pb__ListScepProfilesReply reply = PB__LIST_SCEP_PROFILES_REPLY__INIT;

    request.name = name;
    assert_int_equal(list_scep_profiles(&fixture->scep, fixture->rq, &request, &reply), OK);
    return reply;
}

static void
shows_all_or_the_named_one(void **state)
{
    struct fixture *fixture = *state;

    (void)must_save(fixture, "routers");
    (void)must_save(fixture, "phones");
    assert_int_equal(list(fixture, "").n_profiles, 2);
    assert_string_equal(list(fixture, "").profiles[0]->profile->name, "phones");
    assert_int_equal(list(fixture, "routers").n_profiles, 1);
    assert_int_equal(list(fixture, "nobody").n_profiles, 0);
}

static void
tells_which_secrets_there_are(void **state)
{
    struct fixture *fixture = *state;
    bool found;

    (void)must_save(fixture, "phones");
    assert_false(list(fixture, "phones").profiles[0]->has_passphrase);
    assert_int_equal(store_set_passphrase(&fixture->scep, fixture->rq, "phones", drawn_secret_hash(fixture->rq->arena, bytes_of_text("x")), &found),
                     OK);
    assert_true(list(fixture, "phones").profiles[0]->has_passphrase);
    assert_false(list(fixture, "phones").profiles[0]->has_admin_password);
}

/* Of a build that has other rules, or in which a field has another meaning. */
static void
one_that_cannot_be_read_takes_no_other_away_and_can_be_saved_anew(void **state)
{
    struct fixture *fixture = *state;
    Pb__ScepProfile anew = good_profile("phones");
    const struct profile *found;
    bool changed = false;

    (void)must_save(fixture, "phones");
    (void)must_save(fixture, "routers");
    postgres_kit_run(postgres, "UPDATE scep.profile SET settings = '\\x00' WHERE name = 'phones'");
    assert_int_equal(profiles_refresh(&fixture->scep, fixture->rq), OK);
    assert_int_equal(profile_find(&fixture->scep, fixture->rq, "routers", &found), OK);
    assert_int_equal(list(fixture, "").n_profiles, 1);
    assert_int_equal(profile_find(&fixture->scep, fixture->rq, "phones", &found), ERR_NOT_FOUND);
    failure_clear(fixture->rq);
    assert_int_equal(save(fixture, &anew, false, &changed), OK);
    assert_true(changed);
    assert_int_equal(profile_find(&fixture->scep, fixture->rq, "phones", &found), OK);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(shows_all_or_the_named_one), CASE(tells_which_secrets_there_are),
                                       CASE(one_that_cannot_be_read_takes_no_other_away_and_can_be_saved_anew)};

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
