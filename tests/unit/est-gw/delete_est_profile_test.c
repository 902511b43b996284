/* A profile goes, and its users with it. */
#include "est_fixture.h"

static enum error
delete_profile(struct fixture *fixture, const char *name)
{
    Pb__DeleteEstProfileRequest request = PB__DELETE_EST_PROFILE_REQUEST__INIT;
    Pb__DeleteEstProfileReply reply = PB__DELETE_EST_PROFILE_REPLY__INIT;

    request.name = name;
    return delete_est_profile(&fixture->est, fixture->rq, &request, &reply);
}

static void
takes_its_users_along_and_leaves_the_others(void **state)
{
    struct fixture *fixture = *state;

    must_store(fixture, "phones");
    must_store(fixture, "routers");
    (void)must_reset(fixture, "phones", "alice");
    (void)must_reset(fixture, "routers", "bob");
    assert_ok(fixture->rq, delete_profile(fixture, "phones"));
    assert_row("SELECT string_agg(name, ' ') FROM est.profile", "routers");
    assert_row("SELECT string_agg(name, ' ') FROM est.basic_user", "bob");
    const struct profiles *profiles = snapshot_hold(fixture->est.profiles, fixture->rq);
    assert_int_equal(profiles->count, 1);
}

static void
says_that_there_is_none(void **state)
{
    struct fixture *fixture = *state;

    assert_int_equal(delete_profile(fixture, "phones"), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(takes_its_users_along_and_leaves_the_others),
        CASE(says_that_there_is_none),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
