/* Passwords are remembered as long as it is sure that they have not changed. */
#include "est_fixture.h"

#include "base/drawn_secret.h"
#include "unit/link/wait_for.h"

static bool
logs_in(struct fixture *fixture, const char *profile, const char *password, unsigned *ret_round_trips)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct login login = {.rq = rq, .profile = profile, .user = "alice"};

    assert_ok(rq, logins_find(fixture->est.logins, &login));
    *ret_round_trips = rq->sql_round_trips;
    return drawn_secret_is(login.hash, bytes_of_text(password));
}

static void
who_logs_in_again_is_not_looked_for_again(void **state)
{
    struct fixture *fixture = *state;
    unsigned round_trips;

    must_store(fixture, "phones");
    must_store(fixture, "routers");
    const char *password = must_reset(fixture, "phones", "alice"), *other = must_reset(fixture, "routers", "alice");
    assert_true(logs_in(fixture, "phones", password, &round_trips));
    assert_int_equal(round_trips, 1);
    assert_true(logs_in(fixture, "phones", password, &round_trips));
    assert_int_equal(round_trips, 0);
    assert_false(logs_in(fixture, "phones", other, &round_trips));
    assert_int_equal(round_trips, 0);
    assert_true(logs_in(fixture, "routers", other, &round_trips));
}

static void
what_an_operator_changes_here_holds_at_once(void **state)
{
    struct fixture *fixture = *state;
    unsigned round_trips;

    must_store(fixture, "phones");
    const char *first = must_reset(fixture, "phones", "alice");
    assert_true(logs_in(fixture, "phones", first, &round_trips));
    const char *second = must_reset(fixture, "phones", "alice");
    assert_false(logs_in(fixture, "phones", first, &round_trips));
    assert_true(logs_in(fixture, "phones", second, &round_trips));
    Pb__DeleteEstUserRequest user = PB__DELETE_EST_USER_REQUEST__INIT;
    Pb__DeleteEstUserReply user_reply = PB__DELETE_EST_USER_REPLY__INIT;
    user.profile = "phones";
    user.user = "alice";
    assert_ok(fixture->rq, delete_est_user(&fixture->est, fixture->rq, &user, &user_reply));
    assert_false(logs_in(fixture, "phones", second, &round_trips));
    const char *third = must_reset(fixture, "phones", "alice");
    assert_true(logs_in(fixture, "phones", third, &round_trips));
    Pb__DeleteEstProfileRequest profile = PB__DELETE_EST_PROFILE_REQUEST__INIT;
    Pb__DeleteEstProfileReply profile_reply = PB__DELETE_EST_PROFILE_REPLY__INIT;
    profile.name = "phones";
    assert_ok(fixture->rq, delete_est_profile(&fixture->est, fixture->rq, &profile, &profile_reply));
    assert_false(logs_in(fixture, "phones", third, &round_trips));
}

/* Whatever another replica does is heard of: a new password, a user that goes, and a profile that goes with its users. */
static void
what_is_changed_elsewhere_is_heard_of(void **state)
{
    static const char *const changes[] = {
        "UPDATE est.basic_user SET password_hash = '\\x00'", "DELETE FROM est.basic_user", "DELETE FROM est.profile",
        "TRUNCATE est.basic_user", /* by nobody's rpc */
    };
    struct fixture *fixture = *state;
    unsigned round_trips;

    assert_ok(fixture->rq, logins_follow(&fixture->est, fixture->rq));
    for (size_t i = 0; i < COUNT_OF(changes); i++) {
        postgres_kit_run(postgres, "DELETE FROM est.profile");
        must_store(fixture, "phones");
        const char *password = must_reset(fixture, "phones", "alice");
        WAIT_FOR(logs_in(fixture, "phones", password, &round_trips) && round_trips == 0);
        postgres_kit_run(postgres, changes[i]);
        WAIT_FOR(!logs_in(fixture, "phones", password, &round_trips));
    }
}

static void
nobody_is_remembered_who_is_not_there(void **state)
{
    struct fixture *fixture = *state;
    unsigned round_trips;

    must_store(fixture, "phones");
    assert_false(logs_in(fixture, "phones", "", &round_trips));
    assert_false(logs_in(fixture, "phones", "", &round_trips));
    assert_int_equal(round_trips, 1);
    assert_true(logs_in(fixture, "phones", must_reset(fixture, "phones", "alice"), &round_trips));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_logs_in_again_is_not_looked_for_again),
        CASE(what_an_operator_changes_here_holds_at_once),
        CASE(what_is_changed_elsewhere_is_heard_of),
        CASE(nobody_is_remembered_who_is_not_there),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
