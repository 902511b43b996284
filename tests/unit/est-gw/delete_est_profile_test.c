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

/* What the first has issued the second does not renew. */
static void
one_that_is_made_again_is_another_one(void **state)
{
    struct fixture *fixture = *state;
    bool created;

    must_store(fixture, "phones");
    const struct profiles *first = snapshot_hold(fixture->est.profiles, fixture->rq);
    assert_int_equal(strlen(first->list[0].incarnation), INCARNATION_LEN);
    assert_ok(fixture->rq, store(fixture, good_profile(fixture->rq->arena, "phones"), false, &created));
    const struct profiles *changed = snapshot_hold(fixture->est.profiles, fixture->rq);
    assert_string_equal(first->list[0].incarnation, changed->list[0].incarnation);
    assert_ok(fixture->rq, delete_profile(fixture, "phones"));
    must_store(fixture, "phones");
    const struct profiles *second = snapshot_hold(fixture->est.profiles, fixture->rq);
    assert_string_not_equal(first->list[0].incarnation, second->list[0].incarnation);
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
        CASE(one_that_is_made_again_is_another_one),
        CASE(says_that_there_is_none),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
