/* Passwords are drawn, shown once, and kept as a hash. */
#include "est_fixture.h"

#include "base/drawn_secret.h"

static enum error
reset(struct fixture *fixture, const char *profile, const char *user, Pb__ResetEstPasswordReply *ret_reply)
{
    Pb__ResetEstPasswordRequest request = PB__RESET_EST_PASSWORD_REQUEST__INIT;

    pb__reset_est_password_reply__init(ret_reply);
    request.profile = profile;
    request.user = user;
    return reset_est_password(&fixture->est, fixture->rq, &request, ret_reply);
}

static bool
password_holds(struct fixture *fixture, const char *password)
{
    return drawn_secret_is(hash_of(fixture, "phones", "alice"), bytes_of_text(password));
}

static void
a_new_password_holds_and_the_old_one_no_longer(void **state)
{
    struct fixture *fixture = *state;
    Pb__ResetEstPasswordReply first, second;

    must_store(fixture, "phones");
    assert_ok(fixture->rq, reset(fixture, "phones", "alice", &first));
    assert_true(first.created);
    assert_int_equal(strlen(first.password), DRAWN_SECRET_LEN);
    assert_true(password_holds(fixture, first.password));
    assert_ok(fixture->rq, reset(fixture, "phones", "alice", &second));
    assert_false(second.created);
    assert_string_not_equal(first.password, second.password);
    assert_false(password_holds(fixture, first.password));
    assert_true(password_holds(fixture, second.password));
}

static void
the_password_is_not_in_the_database(void **state)
{
    struct fixture *fixture = *state;
    Pb__ResetEstPasswordReply reply;

    must_store(fixture, "phones");
    assert_ok(fixture->rq, reset(fixture, "phones", "alice", &reply));
    char *row = postgres_kit_ask(postgres, "SELECT length(password_hash) || encode(password_hash, 'escape') FROM est.basic_user");
    assert_memory_equal(row, "48", 2);
    assert_null(strstr(row, reply.password));
    free(row);
}

static void
refuses_names_that_basic_cannot_carry_and_unknown_profiles(void **state)
{
    struct fixture *fixture = *state;
    Pb__ResetEstPasswordReply reply;
    const struct {
        const char *profile, *user;
        enum error error;
    } cases[] = {{"phones", "a:b", ERR_BAD_REQUEST}, {"phones", "", ERR_BAD_REQUEST}, {"printers", "alice", ERR_NOT_FOUND}};

    must_store(fixture, "phones");
    for (size_t i = 0; i < sizeof cases / sizeof cases[0]; i++) {
        assert_int_equal(reset(fixture, cases[i].profile, cases[i].user, &reply), cases[i].error);
        failure_clear(fixture->rq);
    }
    assert_row("SELECT count(*) FROM est.basic_user", "0");
}

/* A device that asks between the new release and its new password: migration 002 left no hash. */
static void
a_user_without_a_hash_is_let_in_by_nothing(void **state)
{
    struct fixture *fixture = *state;
    Pb__ResetEstPasswordReply reply;

    must_store(fixture, "phones");
    assert_ok(fixture->rq, reset(fixture, "phones", "alice", &reply));
    postgres_kit_run(postgres, "UPDATE est.basic_user SET password_hash = ''");
    assert_false(password_holds(fixture, reply.password));
    assert_false(password_holds(fixture, ""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_password_holds_and_the_old_one_no_longer),
        CASE(the_password_is_not_in_the_database),
        CASE(refuses_names_that_basic_cannot_carry_and_unknown_profiles),
        CASE(a_user_without_a_hash_is_let_in_by_nothing),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
