/* Profiles and their users, as operators see them. */
#include "est_fixture.h"

static void
list(struct fixture *fixture, const char *name, Pb__ListEstProfilesReply *ret_reply)
{
    Pb__ListEstProfilesRequest request = PB__LIST_EST_PROFILES_REQUEST__INIT;

    pb__list_est_profiles_reply__init(ret_reply);
    request.name = name;
    assert_ok(fixture->rq, list_est_profiles(&fixture->est, fixture->rq, &request, ret_reply));
}

static void
lists_all_by_name_each_with_its_own_users(void **state)
{
    struct fixture *fixture = *state;
    Pb__ListEstProfilesReply reply;

    must_store(fixture, "routers");
    must_store(fixture, "phones");
    (void)must_reset(fixture, "phones", "bob");
    (void)must_reset(fixture, "phones", "alice");
    list(fixture, "", &reply);
    assert_int_equal(reply.n_profiles, 2);
    assert_string_equal(reply.profiles[0]->profile->name, "phones");
    assert_int_equal(reply.profiles[0]->n_users, 2);
    assert_string_equal(reply.profiles[0]->users[0], "alice");
    assert_string_equal(reply.profiles[0]->users[1], "bob");
    assert_string_equal(reply.profiles[1]->profile->name, "routers");
    assert_int_equal(reply.profiles[1]->n_users, 0);
}

static void
lists_one_or_none(void **state)
{
    struct fixture *fixture = *state;
    Pb__ListEstProfilesReply reply;

    must_store(fixture, "routers");
    must_store(fixture, "phones");
    list(fixture, "routers", &reply);
    assert_int_equal(reply.n_profiles, 1);
    assert_string_equal(reply.profiles[0]->profile->name, "routers");
    list(fixture, "printers", &reply);
    assert_int_equal(reply.n_profiles, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(lists_all_by_name_each_with_its_own_users),
        CASE(lists_one_or_none),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
