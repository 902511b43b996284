/* Intents whose process died: leased, finished or refused, and one certificate whoever finishes. The lease's own loop is tested with the link layer.
 */
#include "ra_fixture.h"

#include "link/lease.h"

static struct lease_about about;

/* The seam: the loop is not started, the cases play it. */
enum error
lease_open(struct service *service, struct request *rq, struct db *db, const struct lease_about *lease_about, struct lease **ret_lease)
{
    about = *lease_about;
    *ret_lease = NULL;
    return OK;
}

/* Takes what is due and works on it, as the loop would; returns how many rows were taken. */
static size_t
recover_once(struct fixture *fixture, const char *holder)
{
    struct db_rows *rows;

    assert_int_equal(recover_open(&fixture->ra, fixture->rq), OK);
    assert_int_equal(DB_QUERY(fixture->ra.db, fixture->rq, about.take, &rows, DB_INT(10), DB_INT(about.seconds), DB_TEXT(holder)), OK);
    for (size_t i = 0; i < db_count(rows); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        about.work(about.context, rq, rows, i);
    }
    return db_count(rows);
}

/* An intent that was committed and never signed. */
static void
leave_open(struct fixture *fixture, const char *idempotency_key)
{
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, idempotency_key, "a.example"), &reply),
                     ERR_UNAVAILABLE);
    failure_clear(fixture->rq);
    signer.failing = OK;
}

static void
make_due(void)
{
    postgres_kit_run(postgres, "UPDATE ra.intent SET due_at = now() - interval '1 second', leased_until = NULL");
}

static int64_t
count_of(const char *status)
{
    char sql[100];

    (void)snprintf(sql, sizeof sql, "SELECT count(*) FROM ra.intent WHERE status = '%s'", status);
    return ask_number(sql);
}

static void
young_intents_are_left_to_their_request(void **state)
{
    struct fixture *fixture = *state;

    leave_open(fixture, "order-1");
    assert_int_equal(recover_once(fixture, "one"), 0);
    make_due();
    assert_int_equal(recover_once(fixture, "one"), 1);
}

static void
open_intent_is_finished_and_the_client_gets_it(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    signer.failing = ERR_TIMEOUT;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_TIMEOUT);
    failure_clear(fixture->rq);
    signer.failing = OK;
    make_due();
    assert_int_equal(recover_once(fixture, "one"), 1);
    assert_int_equal(count_of("issued"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.issued'"), 1);
    assert_int_equal(count_announced(fixture), 1);
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), OK);
    assert_true(bytes_equal(message_bytes(reply.serial), signer.last_serial));
    assert_int_equal(signer.signed_certificates, 1);
}

static void
intent_is_postponed_while_the_signer_is_away(void **state)
{
    struct fixture *fixture = *state;

    leave_open(fixture, "order-1");
    make_due();
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(recover_once(fixture, "one"), 1);
    assert_int_equal(count_of("open"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE due_at > now() AND lease_holder IS NULL AND attempts = 1"), 1);
    assert_int_equal(recover_once(fixture, "one"), 0);
    signer.failing = OK;
    make_due();
    assert_int_equal(recover_once(fixture, "one"), 1);
    assert_int_equal(count_of("issued"), 1);
}

static void
intent_whose_template_is_gone_is_refused(void **state)
{
    struct fixture *fixture = *state;

    leave_open(fixture, "order-1");
    make_due();
    signer.failing = ERR_NOT_FOUND;
    signer.failing_message = "no such template";
    assert_int_equal(recover_once(fixture, "one"), 1);
    assert_int_equal(count_of("refused"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'intent.refused' AND result = 'not-found'"), 1);
    make_due();
    assert_int_equal(recover_once(fixture, "one"), 0);
}

static void
intent_that_only_makes_internal_errors_is_given_up_in_the_end(void **state)
{
    struct fixture *fixture = *state;

    leave_open(fixture, "order-1");
    signer.failing = ERR_INTERNAL;
    for (int i = 0; i < 29; i++) {
        make_due();
        assert_int_equal(recover_once(fixture, "one"), 1);
    }
    assert_int_equal(count_of("open"), 1);
    make_due();
    assert_int_equal(recover_once(fixture, "one"), 1);
    assert_int_equal(count_of("refused"), 1);
}

static void
leased_intent_is_left_to_its_holder_until_the_lease_ends(void **state)
{
    struct fixture *fixture = *state;

    leave_open(fixture, "order-1");
    make_due();
    postgres_kit_run(postgres, "UPDATE ra.intent SET lease_holder = 'dead', leased_until = now() + interval '1 minute'");
    assert_int_equal(recover_once(fixture, "one"), 0);
    postgres_kit_run(postgres, "UPDATE ra.intent SET leased_until = now() - interval '1 second'");
    assert_int_equal(recover_once(fixture, "one"), 1);
    assert_int_equal(count_of("issued"), 1);
}

#define BATCH_HANGS_MS 250 /* beside one that takes so long, commit_queue.c lets another one out */

/* Called while the client's own request waits for its signature: recovery is faster. */
static void
recover_in_between(void *context)
{
    clock_sleep_ms(BATCH_HANGS_MS);
    make_due();
    assert_int_equal(recover_once(context, "one"), 1);
}

static void
two_finishers_store_one_certificate_and_both_get_it(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    struct bytes stored;

    issue(fixture, "warm-up", "warm.example");
    signer.before_answer = recover_in_between;
    signer.before_answer_context = fixture;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, good_request(fixture->rq, fixture->key, "order-1", "a.example"), &reply), OK);
    assert_int_equal(signer.signed_certificates, 3);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.issued'"), 2);
    assert_int_equal(count_announced(fixture), 2);
    assert_int_equal(store_load_certificate(&fixture->ra, fixture->rq, serial_month_of(reply.not_after_s), message_bytes(reply.serial), &stored), OK);
    assert_true(bytes_equal(stored, message_bytes(reply.certificate))); /* ECDSA: the two signatures differ */
}

static void
intent_whose_time_has_passed_is_refused(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;

    request->not_after_s = clock_now_s() + 2;
    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(enroll(&fixture->ra, fixture->rq, request, &reply), ERR_UNAVAILABLE);
    failure_clear(fixture->rq);
    signer.failing = OK;
    while (clock_now_s() < request->not_after_s)
        clock_sleep_ms(100);
    make_due();
    assert_int_equal(recover_once(fixture, "one"), 1);
    assert_int_equal(count_of("refused"), 1);
    assert_int_equal(signer.signed_certificates, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(young_intents_are_left_to_their_request),
        CASE(open_intent_is_finished_and_the_client_gets_it),
        CASE(intent_is_postponed_while_the_signer_is_away),
        CASE(intent_whose_template_is_gone_is_refused),
        CASE(intent_that_only_makes_internal_errors_is_given_up_in_the_end),
        CASE(leased_intent_is_left_to_its_holder_until_the_lease_ends),
        CASE(two_finishers_store_one_certificate_and_both_get_it),
        CASE(intent_whose_time_has_passed_is_refused),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
