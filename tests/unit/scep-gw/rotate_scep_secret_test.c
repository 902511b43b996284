/* RotateScepSecret: a new secret each time, nothing of it in the database but salt and hash; and challenges, which are used by one of many. */
#include "scep_fixture.h"

static const char *
rotate(struct fixture *fixture, const char *secret, bool cancel)
{
    Pb__RotateScepSecretRequest request = PB__ROTATE_SCEP_SECRET_REQUEST__INIT;
    Pb__RotateScepSecretReply reply = PB__ROTATE_SCEP_SECRET_REPLY__INIT;

    request.profile = "phones";
    request.secret = secret;
    request.cancel = cancel;
    request.operator_ = "olga";
    assert_int_equal(rotate_scep_secret(&fixture->scep, fixture->rq, &request, &reply), OK);
    return reply.value;
}

static const struct profile *
phones(struct fixture *fixture)
{
    const struct profile *profile;

    assert_int_equal(profile_find(&fixture->scep, fixture->rq, "phones", &profile), OK);
    return profile;
}

static bool
opens(struct fixture *fixture, const char *value)
{
    return drawn_secret_is(phones(fixture)->passphrase, bytes_of_text(value));
}

static void
each_rotation_ends_the_one_before(void **state)
{
    struct fixture *fixture = *state;

    (void)must_save(fixture, "phones");
    assert_false(opens(fixture, ""));
    const char *first = rotate(fixture, "passphrase", false);
    assert_int_equal(strlen(first), DRAWN_SECRET_LEN);
    assert_true(opens(fixture, first));
    const char *second = rotate(fixture, "passphrase", false);
    assert_true(opens(fixture, second));
    assert_false(opens(fixture, first));
    assert_string_equal(announced, "scep profile phones passphrase-rotated by olga as :");
    assert_string_equal(rotate(fixture, "passphrase", true), "");
    assert_string_equal(announced, "scep profile phones passphrase-cancelled by olga as :");
    assert_false(opens(fixture, second));
}

static void
the_two_secrets_do_not_open_each_other(void **state)
{
    struct fixture *fixture = *state;

    (void)must_save(fixture, "phones");
    const char *passphrase = rotate(fixture, "passphrase", false), *admin = rotate(fixture, "admin-password", false);
    assert_true(opens(fixture, passphrase));
    assert_false(opens(fixture, admin));
    assert_true(drawn_secret_is(phones(fixture)->admin_password, bytes_of_text(admin)));
}

static void
refuses_unknown_profiles_and_secrets(void **state)
{
    struct fixture *fixture = *state;
    Pb__RotateScepSecretRequest request = PB__ROTATE_SCEP_SECRET_REQUEST__INIT;
    Pb__RotateScepSecretReply reply = PB__ROTATE_SCEP_SECRET_REPLY__INIT;

    request.profile = "nobody";
    request.secret = "passphrase";
    assert_int_equal(rotate_scep_secret(&fixture->scep, fixture->rq, &request, &reply), ERR_NOT_FOUND);
    failure_clear(fixture->rq);
    request.secret = "key";
    assert_int_equal(rotate_scep_secret(&fixture->scep, fixture->rq, &request, &reply), ERR_BAD_REQUEST);
}

/* ---- challenges ---- */

struct racer {
    struct fixture *fixture;
    int number;
    bool added;
};

static void *
race(void *argument)
{
    struct racer *racer = argument;
    AUTO_STRUCT(request, rq) = request_new();
    struct transaction transaction = {.transaction_id = "one", .csr = BYTES("csr", 3), .principal_kind = "scep-challenge", .principal_id = "x"};
    uint8_t challenge[32] = {7};

    transaction.request_sha256[0] = (uint8_t)racer->number;
    assert_int_equal(store_add_transaction(&racer->fixture->scep, rq, "phones", &transaction, BYTES(challenge, 32), &racer->added), OK);
    return NULL;
}

static void
of_many_who_bring_one_challenge_one_wins(void **state)
{
    struct fixture *fixture = *state;
    const struct profile *profile = must_save(fixture, "phones");
    struct racer racers[12];
    pthread_t threads[COUNT_OF(racers)];
    uint8_t challenge[32] = {7};
    int winners = 0;
    bool added;

    assert_int_equal(store_add_challenge(&fixture->scep, fixture->rq, profile, BYTES(challenge, 32), &added), OK);
    assert_true(added);
    for (size_t i = 0; i < COUNT_OF(racers); i++) {
        racers[i] = (struct racer){.fixture = fixture, .number = (int)i};
        assert_int_equal(pthread_create(&threads[i], NULL, race, &racers[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(racers); i++) {
        pthread_join(threads[i], NULL);
        winners += racers[i].added;
    }
    assert_int_equal(winners, 1);
}

static void
an_expired_challenge_and_one_of_another_profile_are_worth_nothing(void **state)
{
    struct fixture *fixture = *state;
    const struct profile *profile = must_save(fixture, "phones"), *other = must_save(fixture, "routers");
    struct racer racer = {.fixture = fixture};
    uint8_t challenge[32] = {7};
    bool added;

    assert_int_equal(store_add_challenge(&fixture->scep, fixture->rq, other, BYTES(challenge, 32), &added), OK);
    race(&racer);
    assert_false(racer.added);
    assert_int_equal(store_add_challenge(&fixture->scep, fixture->rq, profile, BYTES(challenge, 32), &added), OK);
    postgres_kit_run(postgres, "UPDATE scep.challenge SET expires_at = now() - interval '1 second'");
    race(&racer);
    assert_false(racer.added);
}

/* ---- strangers ---- */

static void
strangers_who_wait_for_a_person_do_not_fill_the_table(void **state)
{
    struct fixture *fixture = *state;
    struct transaction stranger = {.transaction_id = "new", .csr = BYTES("csr", 3), .principal_kind = "scep-challenge", .principal_id = "x"};
    bool added;

    (void)must_save(fixture, "phones");
    stranger.needs_approval = true;
    postgres_kit_run(postgres,
                     "INSERT INTO scep.transaction (profile, transaction_id, request_sha256, csr, signer_key_sha256, principal_kind, "
                     "principal_id, needs_approval) SELECT 'phones', n::text, 'x', 'x', 'x', 'x', 'x', true FROM generate_series(1, 1000) n");
    assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, "phones", &stranger, BYTES_NONE, &added), OK);
    assert_false(added);
    stranger.needs_approval = false;
    assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, "phones", &stranger, BYTES_NONE, &added), OK);
    assert_true(added);
    postgres_kit_run(postgres, "UPDATE scep.transaction SET created_at = now() - interval '2 days' WHERE transaction_id = '7'");
    stranger.needs_approval = true;
    stranger.transaction_id = "newer";
    assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, "phones", &stranger, BYTES_NONE, &added), OK);
    assert_true(added);
}

/* ---- many at one moment ---- */

static void
a_batch_is_stored_at_once_and_what_was_there_is_not_stored_again(void **state)
{
    struct fixture *fixture = *state;
    struct transaction transactions[4];
    struct admission admissions[5];
    void *items[5];

    (void)must_save(fixture, "phones");
    (void)must_save(fixture, "routers");
    for (int i = 0; i < 5; i++) {
        if (i < 4)
            transactions[i] = (struct transaction){
                .transaction_id = "one", .csr = BYTES("csr", 3), .request_sha256 = {(uint8_t)(i / 2)}, .principal_kind = "k", .principal_id = "x"};
        admissions[i] = (struct admission){.profile = i % 2 == 0 ? "phones" : "routers", .transaction = &transactions[i % 4]};
        items[i] = &admissions[i];
    }
    assert_int_equal(store_add_transactions(&fixture->scep, fixture->rq, items, 5), OK); /* the last is the first once more */
    for (int i = 0; i < 5; i++) {
        assert_true(admissions[i].added);
        admissions[i].added = false;
    }
    transactions[3].round = 1;
    assert_int_equal(store_add_transactions(&fixture->scep, fixture->rq, items, 4), OK);
    for (int i = 0; i < 4; i++)
        assert_int_equal(admissions[i].added, i == 3);
}

static void
one_of_a_profile_that_is_gone_harms_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct transaction transaction = {.transaction_id = "one", .csr = BYTES("csr", 3), .principal_kind = "k", .principal_id = "x"};
    bool added = false;

    (void)must_save(fixture, "phones");
    assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, "gone", &transaction, BYTES_NONE, &added), ERR_CONFLICT);
    failure_clear(fixture->rq);
    assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, "phones", &transaction, BYTES_NONE, &added), OK);
    assert_true(added);
}

static void
what_was_begun_long_ago_is_forgotten(void **state)
{
    struct fixture *fixture = *state;
    struct transaction transaction = {.transaction_id = "one", .csr = BYTES("csr", 3), .principal_kind = "k", .principal_id = "x"};
    struct prune prune = {.db = fixture->scep.db, .forget = &store_forget_transactions, .keep_days = 30};
    size_t count = 0;
    bool added, found;

    (void)must_save(fixture, "phones");
    assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, "phones", &transaction, BYTES_NONE, &added), OK);
    postgres_kit_run(postgres, "UPDATE scep.transaction SET created_at = now() - interval '29 days'");
    assert_int_equal(prune_now(&prune, fixture->rq, &count), OK);
    assert_int_equal(count, 0);
    postgres_kit_run(postgres, "UPDATE scep.transaction SET created_at = now() - interval '31 days'");
    transaction.round = 1; /* its certificate has ended, and it came again */
    assert_int_equal(store_add_transaction(&fixture->scep, fixture->rq, "phones", &transaction, BYTES_NONE, &added), OK);
    assert_int_equal(prune_now(&prune, fixture->rq, &count), OK);
    assert_int_equal(count, 0);
    postgres_kit_run(postgres, "UPDATE scep.transaction SET created_at = now() - interval '31 days'");
    assert_int_equal(prune_now(&prune, fixture->rq, &count), OK);
    assert_int_equal(count, 1);
    assert_int_equal(store_find_transaction(&fixture->scep, fixture->rq, "phones", &transaction, &found), OK);
    assert_false(found);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(each_rotation_ends_the_one_before),
        CASE(the_two_secrets_do_not_open_each_other),
        CASE(refuses_unknown_profiles_and_secrets),
        CASE(a_batch_is_stored_at_once_and_what_was_there_is_not_stored_again),
        CASE(one_of_a_profile_that_is_gone_harms_no_other),
        CASE(what_was_begun_long_ago_is_forgotten),
        CASE(of_many_who_bring_one_challenge_one_wins),
        CASE(strangers_who_wait_for_a_person_do_not_fill_the_table),
        CASE(an_expired_challenge_and_one_of_another_profile_are_worth_nothing),
    };

    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
