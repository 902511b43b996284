/* A user goes, and is nobody at his next request. */
#include "est_fixture.h"

static enum error
delete_user(struct fixture *fixture, const char *profile, const char *user)
{
    Pb__DeleteEstUserRequest request = PB__DELETE_EST_USER_REQUEST__INIT;
    Pb__DeleteEstUserReply reply = PB__DELETE_EST_USER_REPLY__INIT;

    request.profile = profile;
    request.user = user;
    request.operator_ = "olga";
    return delete_est_user(&fixture->est, fixture->rq, &request, &reply);
}

static void
only_the_named_user_of_the_named_profile_goes(void **state)
{
    struct fixture *fixture = *state;

    must_store(fixture, "phones");
    must_store(fixture, "routers");
    (void)must_reset(fixture, "phones", "alice");
    (void)must_reset(fixture, "phones", "bob");
    (void)must_reset(fixture, "routers", "alice");
    assert_ok(fixture->rq, delete_user(fixture, "phones", "alice"));
    assert_row("SELECT string_agg(profile || '/' || name, ' ' ORDER BY profile) FROM est.basic_user", "phones/bob routers/alice");
    assert_int_equal(hash_of(fixture, "phones", "alice").len, 0);
    assert_string_equal(announced, "est user phones/alice deleted by olga as :");
    assert_int_equal(delete_user(fixture, "phones", "alice"), ERR_NOT_FOUND);
    assert_row("SELECT count(*) FROM est.outbox", "6");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {CASE(only_the_named_user_of_the_named_profile_goes)};
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
