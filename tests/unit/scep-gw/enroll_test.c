/* PKCSReq that comes again: when its transaction was forgotten and ra still knows what it got, what has ended is passed over, what holds is given
 * again; what was authorised once stays so, for who began it. */
#include "scep_fixture.h"

#include "base/clock.h"

static EVP_PKEY *device_key;
static struct bytes device_der;
static struct bytes signer_der; /* of the message: usually the device's own */
static const char *passphrase;  /* of the profile */
static const char *sent;        /* the challenge password of the request, whose octets follow from it */
static int ended_rounds;        /* the certificates of so many rounds have ended */
static int asked, newest;       /* calls of ra, and the round of the last one */

static enum error
as_ra(struct request *rq, const Pb__EnrollRequest *request, const ProtobufCMessage **ret_reply)
{
    Pb__EnrollReply *reply = arena_alloc(rq->arena, sizeof *reply);

    asked++;
    newest = (int)strtol(strrchr(request->idempotency_key, ':') + 1, NULL, 10);
    pb__enroll_reply__init(reply);
    reply->status = PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED;
    reply->certificate = message_data(device_der);
    reply->not_after_s = clock_now_s() + (newest < ended_rounds ? -60 : 60);
    *ret_reply = &reply->base;
    return OK;
}

static enum error
answer_others(struct request *rq, const char *method, const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    if (text_equal(method, "Enroll"))
        return as_ra(rq, (const Pb__EnrollRequest *)input, ret_reply);
    assert_string_equal(method, "SignScepReply");
    Pb__SignScepReplyReply *reply = arena_alloc(rq->arena, sizeof *reply);
    pb__sign_scep_reply_reply__init(reply);
    reply->message = message_data(BYTES("signed", 6));
    *ret_reply = &reply->base;
    return OK;
}

/* A device that always sends the same. */
static enum error
try(struct fixture *fixture, unsigned *ret_round_trips)
{
    struct http_exchange x = {.peer = "192.0.2.1"};
    struct conversation c = {.scep = &fixture->scep, .x = &x, .rq = &x.rq, .cipher = PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC};
    struct profile profile;

    request_begin(&x.rq, "test", "", NULL);
    const struct profile *stored;
    assert_int_equal(profile_find(&fixture->scep, &x.rq, "phones", &stored), OK);
    profile = *stored;
    profile.authorization = BY_PASSPHRASE;
    profile.passphrase = drawn_secret_hash(x.rq.arena, bytes_of_text(passphrase));
    c.profile = &profile;
    assert_int_equal(ra_certificates_load(&fixture->scep, &x.rq, &profile, &c.ras), OK);
    c.message.type = PKCS_REQ;
    c.message.transaction_id = "T1";
    assert_true(peer_read(signer_der, &c.message.signer));
    c.content = kit_csr(house, &(struct kit_csr){.key = device_key, .subject = "/CN=device", .challenge_password = sent});
    asked = 0;
    unsigned before = x.rq.sql_round_trips;
    enum error error = enroll_request(&c);
    *ret_round_trips = x.rq.sql_round_trips - before;
    request_drop(&x.rq);
    return error;
}

static void
ask(struct fixture *fixture)
{
    unsigned round_trips;

    assert_int_equal(try(fixture, &round_trips), OK);
}

static void
what_has_ended_is_passed_over_and_what_holds_is_given_again(void **state)
{
    struct fixture *fixture = *state;

    (void)must_save(fixture, "phones");
    others_answer = answer_others;
    ended_rounds = 0;
    ask(fixture);
    ask(fixture);
    assert_int_equal(newest, 0);
    postgres_kit_run(postgres, "DELETE FROM scep.transaction");
    ask(fixture);
    assert_int_equal(newest, 0);
    ended_rounds = 3;
    postgres_kit_run(postgres, "DELETE FROM scep.transaction");
    ask(fixture);
    assert_int_equal(newest, 3);
    assert_int_equal(asked, 4);
    ask(fixture);
    assert_int_equal(asked, 1); /* the round is stored */
    ended_rounds = 4;
    ask(fixture);
    assert_int_equal(newest, 4);
    others_answer = NULL;
}

static void
what_is_new_costs_one_statement_and_what_comes_again_two(void **state)
{
    struct fixture *fixture = *state;
    unsigned round_trips;

    (void)must_save(fixture, "phones");
    others_answer = answer_others;
    ended_rounds = 0;
    assert_int_equal(try(fixture, &round_trips), OK);
    assert_int_equal(round_trips, 1);
    assert_int_equal(try(fixture, &round_trips), OK);
    assert_int_equal(round_trips, 2);
    others_answer = NULL;
}

static void
what_was_authorised_once_stays_so_and_nothing_else_does(void **state)
{
    struct fixture *fixture = *state;
    unsigned round_trips;

    (void)must_save(fixture, "phones");
    others_answer = answer_others;
    ended_rounds = 0;
    ask(fixture);
    passphrase = "another";
    ask(fixture);
    assert_int_equal(newest, 0);
    ended_rounds = 1; /* its certificate has ended: that is a new wish, with a passphrase that holds no more */
    assert_int_equal(try(fixture, &round_trips), ERR_DENIED);
    ended_rounds = 0;
    sent = "a guess";
    assert_int_equal(try(fixture, &round_trips), ERR_DENIED);
    assert_int_equal(asked, 0);
    others_answer = NULL;
}

static void
another_signer_gets_nothing_of_it(void **state)
{
    struct fixture *fixture = *state;
    struct bytes own = device_der;
    unsigned round_trips;

    (void)must_save(fixture, "phones");
    others_answer = answer_others;
    ended_rounds = 0;
    ask(fixture);
    EVP_PKEY *thief = kit_key("rsa-2048");
    signer_der = kit_certificate(house, &(struct kit_certificate){.key = thief, .subject = "/CN=device"});
    assert_int_equal(try(fixture, &round_trips), ERR_DENIED);
    assert_int_equal(asked, 0);
    signer_der = own;
    EVP_PKEY_free(thief);
    others_answer = NULL;
}

static int
as_usual(void **state)
{
    signer_der = device_der;
    passphrase = sent = "the passphrase";
    return open_fixture(state);
}

#define CASE_AS_USUAL(function) cmocka_unit_test_setup_teardown(function, as_usual, close_fixture)

static int
start(void **state)
{
    start_postgres(state);
    device_key = kit_key("rsa-2048");
    device_der = kit_certificate(house, &(struct kit_certificate){.key = device_key, .subject = "/CN=device"});
    return 0;
}

static int
stop(void **state)
{
    EVP_PKEY_free(device_key);
    return stop_postgres(state);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE_AS_USUAL(what_has_ended_is_passed_over_and_what_holds_is_given_again),
        CASE_AS_USUAL(what_is_new_costs_one_statement_and_what_comes_again_two),
        CASE_AS_USUAL(what_was_authorised_once_stays_so_and_nothing_else_does),
        CASE_AS_USUAL(another_signer_gets_nothing_of_it),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
