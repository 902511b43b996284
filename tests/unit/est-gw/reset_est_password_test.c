/* Passwords are drawn, shown once, and kept as a hash. */
#include "est_fixture.h"

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
    const char *hash;

    assert_ok(fixture->rq, store_find_user(&fixture->est, fixture->rq, "phones", "alice", &hash));
    return password_is(hash, bytes_of_text(password));
}

static void
a_new_password_holds_and_the_old_one_no_longer(void **state)
{
    struct fixture *fixture = *state;
    Pb__ResetEstPasswordReply first, second;

    must_store(fixture, "phones");
    assert_ok(fixture->rq, reset(fixture, "phones", "alice", &first));
    assert_true(first.created);
    assert_int_equal(strlen(first.password), PASSWORD_LEN);
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
    char *row = postgres_kit_ask(postgres, "SELECT u::text FROM est.basic_user u");
    assert_null(strstr(row, reply.password));
    assert_non_null(strstr(row, "pbkdf2-sha256$10000$"));
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

static void
no_hash_and_broken_hashes_let_nobody_in(void **state)
{
    static const char *const hashes[] = {NULL, "", "pbkdf2-sha256$10000$00$00", "plain$1$00$00", "pbkdf2-sha256$0$00$00", "pbkdf2-sha256$10$zz$00"};

    for (size_t i = 0; i < sizeof hashes / sizeof hashes[0]; i++)
        assert_false(password_is(hashes[i], bytes_of_text("")));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(a_new_password_holds_and_the_old_one_no_longer),
        CASE(the_password_is_not_in_the_database),
        CASE(refuses_names_that_basic_cannot_carry_and_unknown_profiles),
        cmocka_unit_test(no_hash_and_broken_hashes_let_nobody_in),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
