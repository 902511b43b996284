/* DeleteScepProfile: it is gone at once with what refers to it, and the other profiles are not. */
#include "scep_fixture.h"

static enum error
delete_it(struct fixture *fixture, const char *name)
{
    Pb__DeleteScepProfileRequest request = PB__DELETE_SCEP_PROFILE_REQUEST__INIT;
    Pb__DeleteScepProfileReply reply = PB__DELETE_SCEP_PROFILE_REPLY__INIT;

    failure_clear(fixture->rq);
    request.name = name;
    request.operator_ = "root@keyboard";
    return delete_scep_profile(&fixture->scep, fixture->rq, &request, &reply);
}

static void
assert_rows(const char *sql, const char *expected)
{
    char *found = postgres_kit_ask(postgres, sql);

    assert_string_equal(found, expected);
    free(found);
}

static void
it_takes_what_refers_to_it_along_and_nothing_else(void **state)
{
    static const char everything[] = "SELECT concat_ws('|', (SELECT count(*) FROM scep.profile), (SELECT count(*) FROM scep.challenge),"
                                     " (SELECT count(*) FROM scep.transaction), (SELECT count(*) FROM scep.revocation_pull))";
    struct fixture *fixture = *state;
    struct transaction transaction = {.transaction_id = "one", .csr = BYTES("csr", 3), .principal_kind = "k", .principal_id = "x"};
    const struct profile *profiles[] = {must_save(fixture, "phones"), must_save(fixture, "routers")};
    uint8_t challenge[32] = {1};
    bool added;

    for (size_t i = 0; i < 2; i++) {
        const char *name = profiles[i]->about->name;
        assert_int_equal(store_add_challenge(&fixture->scep, fixture->rq, profiles[i], BYTES(challenge, 32), &added), OK);
        assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, name, &transaction, BYTES_NONE, &added), OK);
        assert_int_equal(store_set_pull(&fixture->scep, fixture->rq, name, 60), OK);
    }
    assert_rows(everything, "2|2|2|2");
    assert_int_equal(delete_it(fixture, "phones"), OK);
    assert_rows(everything, "1|1|1|1");
    assert_rows("SELECT concat_ws('|', name ~ '^phones\\.[0-9a-f]{16}$', operator) FROM scep.retired_ra", "t|root@keyboard");
    assert_true(text_starts_with(announced, "scep profile phones deleted by root@keyboard"));
    const struct profile *found;
    assert_int_equal(profile_find(&fixture->scep, fixture->rq, "phones", &found), ERR_NOT_FOUND);
    assert_int_equal(profile_find(&fixture->scep, fixture->rq, "routers", &found), OK);
}

/* What the first has issued the second does not renew. */
static void
one_that_is_made_again_is_another_one(void **state)
{
    struct fixture *fixture = *state;
    const char *first = arena_text(fixture->rq->arena, must_save(fixture, "phones")->incarnation);

    assert_int_equal(strlen(first), INCARNATION_LEN);
    assert_int_equal(delete_it(fixture, "phones"), OK);
    assert_string_not_equal(must_save(fixture, "phones")->incarnation, first);
}

static void
one_that_is_not_there_is_said(void **state)
{
    struct fixture *fixture = *state;

    announcements = 0;
    assert_int_equal(delete_it(fixture, "nobody"), ERR_NOT_FOUND);
    assert_int_equal(announcements, 0);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(it_takes_what_refers_to_it_along_and_nothing_else),
        CASE(one_that_is_made_again_is_another_one),
        CASE(one_that_is_not_there_is_said),
    };

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
