/* A batch of intents: one call to the signer for all of them, and whatever stops one of them stops that one alone. */
#include "ra_fixture.h"

#define MANY 12

struct batch {
    struct issue issues[MANY];
    void *items[MANY];
};

static struct issue
plan(struct fixture *fixture, struct request *rq, const Pb__EnrollRequest *request)
{
    struct application *application = arena_alloc(rq->arena, sizeof *application);
    struct issue issue = {.rq = rq};

    if (application_read(&fixture->ra, rq, request, application) != OK)
        fail_msg("%s", rq->failure.message);
    intent_plan(rq, application, &issue.intent);
    issue.key_sha256 = BYTES(application->key_sha256, sizeof application->key_sha256);
    assert_int_equal(store_ensure_partition(&fixture->ra, rq, serial_month_of(issue.intent.plan->not_after_s)), OK);
    return issue;
}

/* host-0.example … with the keys order-0 …; all of them usual. */
static struct batch *
plan_many(struct fixture *fixture)
{
    struct batch *batch = arena_alloc(fixture->rq->arena, sizeof *batch);

    for (int i = 0; i < MANY; i++) {
        struct request *rq = request_new();
        const char *key = arena_format(rq->arena, "order-%d", i), *name = arena_format(rq->arena, "host-%d.example", i);
        batch->issues[i] = plan(fixture, rq, good_request(rq, fixture->key, key, name));
        batch->items[i] = &batch->issues[i];
    }
    return batch;
}

static void
free_requests(struct batch *batch)
{
    for (int i = 0; i < MANY; i++)
        request_free(batch->issues[i].rq);
}

static void
assert_stored(const struct batch *batch, int number)
{
    const struct issue *issue = &batch->issues[number];
    struct certificate certificate;

    assert_int_equal(issue->error, OK);
    assert_int_equal(issue->progress, ISSUE_STORED);
    assert_false(issue->taken);
    assert_int_equal(certificate_parse(issue->rq, issue->certificate, &certificate), OK);
    assert_true(bytes_equal(certificate.serial, message_bytes(issue->intent.plan->serial)));
}

static void
many_intents_are_one_call_and_two_round_trips(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    for (int i = 0; i < MANY; i++)
        assert_stored(batch, i);
    assert_int_equal(signer.calls, 1);
    assert_int_equal(rq->sql_round_trips, 2);
    assert_int_equal(outbox_soon_wakes, 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), MANY);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'issued'"), MANY);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'certificate.issued'"), MANY);
    assert_string_equal(rq->trace_id, batch->issues[0].rq->trace_id);
    assert_int_equal(count_announced(fixture), MANY);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.outbox"), 1);
    free_requests(batch);
}

static void
one_that_the_signer_refuses_hurts_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes certificate;

    signer.refused_name = "host-5.example";
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    for (int i = 0; i < MANY; i++)
        if (i != 5)
            assert_stored(batch, i);
    struct issue *refused = &batch->issues[5];
    assert_int_equal(refused->progress, ISSUE_COMMITTED);
    assert_int_equal(refused->error, ERR_DENIED);
    assert_string_equal(refused->rq->failure.message, "the fake signer does not like this name");
    assert_int_equal(intent_finish(&fixture->ra, refused->rq, refused, &certificate), ERR_DENIED);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'refused' AND idempotency_key = 'order-5'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM audit.event WHERE action = 'intent.refused'"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), MANY - 1);
    assert_int_equal(signer.calls, 1);
    free_requests(batch);
}

static void
a_call_that_is_refused_is_asked_for_each_alone(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();

    signer.most_at_once = 1;
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    for (int i = 0; i < MANY; i++)
        assert_stored(batch, i);
    assert_int_equal(signer.calls, MANY + 1);
    free_requests(batch);
}

static void
while_the_signer_is_away_all_stay_open(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();

    signer.failing = ERR_UNAVAILABLE;
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    for (int i = 0; i < MANY; i++) {
        assert_int_equal(batch->issues[i].progress, ISSUE_COMMITTED);
        assert_int_equal(batch->issues[i].error, ERR_UNAVAILABLE);
        assert_int_equal(batch->issues[i].rq->failure.kind, ERR_UNAVAILABLE);
    }
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'open'"), MANY);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), 0);
    free_requests(batch);
}

static void
a_key_that_comes_twice_in_one_batch_is_stored_once(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();

    batch->issues[7].intent.idempotency_key = "order-3";
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), MANY - 1);
    int taken = batch->issues[3].taken ? 3 : 7;
    assert_true(batch->issues[taken].taken);
    assert_int_equal(batch->issues[taken].progress, ISSUE_PLANNED);
    for (int i = 0; i < MANY; i++)
        if (i != taken)
            assert_stored(batch, i);
    free_requests(batch);
}

/* Committed before: by this caller's first attempt, or by a process that died. It joins at the second step. */
static void
what_is_committed_is_not_committed_again(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, first) = request_new();
    AUTO_STRUCT(request, rq) = request_new();

    signer.failing = ERR_TIMEOUT;
    assert_int_equal(issue_batch(&fixture->ra, first, batch->items, 4), OK);
    signer.failing = OK;
    for (int i = 0; i < 4; i++) {
        batch->issues[i].error = OK;
        failure_clear(batch->issues[i].rq);
    }
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    for (int i = 0; i < MANY; i++)
        assert_stored(batch, i);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent"), MANY);
    free_requests(batch);
}

/* One certificate has no place, another was refused before: through the queue's second round each ends in its own way. */
static void
one_that_cannot_be_stored_hurts_no_other(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, alone) = request_new();
    Pb__EnrollRequest *other_month = good_request(batch->issues[2].rq, fixture->key, "order-2", "host-2.example");

    other_month->not_after_s = clock_now_s() + 40 * DAY_S;
    batch->issues[2] = plan(fixture, batch->issues[2].rq, other_month);
    int month = serial_month_of(other_month->not_after_s);
    assert_int_not_equal(month, serial_month_of(batch->issues[0].intent.plan->not_after_s));
    postgres_kit_run(postgres, arena_format(rq->arena, "DROP TABLE ra.certificate_%d_%02d", 2000 + month / 12, month % 12 + 1));
    signer.refused_name = "host-9.example";

    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), ERR_CONFLICT);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), 0);
    for (int i = 0; i < MANY; i++)
        assert_int_equal(issue_batch(&fixture->ra, alone, &batch->items[i], 1), OK);
    for (int i = 0; i < MANY; i++)
        if (i != 2 && i != 9)
            assert_stored(batch, i);
    assert_int_equal(batch->issues[2].error, ERR_CONFLICT);
    assert_int_equal(batch->issues[2].progress, ISSUE_SIGNED);
    assert_int_equal(batch->issues[9].error, ERR_DENIED);
    assert_string_equal(batch->issues[9].rq->failure.message, "the fake signer does not like this name");
    assert_int_equal(signer.calls, 1); /* what was signed is not signed again */
    free_requests(batch);
}

/* Somebody else closes one of them while they are signed: his certificate is the one that is stored and announced. */
static void
close_one(void *context)
{
    struct batch *batch = context;

    postgres_kit_run(postgres, arena_format(batch->issues[6].rq->arena, "UPDATE ra.intent SET status = 'refused' WHERE id = '\\x%s'",
                                            bytes_hex(batch->issues[6].rq->arena, batch->issues[6].intent.id, 0)));
}

static void
what_somebody_else_has_closed_is_not_announced(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();

    signer.before_answer = close_one;
    signer.before_answer_context = batch;
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    assert_true(batch->issues[6].taken);
    assert_int_equal(count_announced(fixture), MANY - 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), MANY - 1);
    free_requests(batch);
}

static void
a_bundle_of_events_fits_into_a_message(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();
    char *padding = arena_alloc(rq->arena, OUTBOX_BUNDLE_MAX / 4);

    memset(padding, 'x', OUTBOX_BUNDLE_MAX / 4 - 1);
    for (int i = 0; i < MANY; i++)
        batch->issues[i].intent.owner = padding;
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    assert_int_equal(count_announced(fixture), MANY);
    assert_true(ask_number("SELECT count(*) FROM ra.outbox") >= MANY / 4);
    assert_true(ask_number("SELECT max(octet_length(body)) FROM ra.outbox") <= OUTBOX_BUNDLE_MAX);
    free_requests(batch);
}

static void
a_pending_one_is_not_signed(void **state)
{
    struct fixture *fixture = *state;
    struct batch *batch = plan_many(fixture);
    AUTO_STRUCT(request, rq) = request_new();

    batch->issues[4].intent.status = INTENT_PENDING;
    batch->issues[4].record = "{}";
    assert_int_equal(issue_batch(&fixture->ra, rq, batch->items, MANY), OK);
    assert_int_equal(batch->issues[4].progress, ISSUE_COMMITTED);
    assert_int_equal(batch->issues[4].error, OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.certificate"), MANY - 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ra.intent WHERE status = 'pending'"), 1);
    free_requests(batch);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(many_intents_are_one_call_and_two_round_trips),
        CASE(one_that_the_signer_refuses_hurts_no_other),
        CASE(a_call_that_is_refused_is_asked_for_each_alone),
        CASE(while_the_signer_is_away_all_stay_open),
        CASE(a_key_that_comes_twice_in_one_batch_is_stored_once),
        CASE(what_is_committed_is_not_committed_again),
        CASE(one_that_cannot_be_stored_hurts_no_other),
        CASE(what_somebody_else_has_closed_is_not_announced),
        CASE(a_bundle_of_events_fits_into_a_message),
        CASE(a_pending_one_is_not_signed),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
