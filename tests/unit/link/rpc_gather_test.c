/* Calls of one moment over a real server: who travels with whom, and that each has an outcome of its own. */
#include "bus_fixture.h"

#include <stdatomic.h>

#include "link/message.h"
#include "link/rpc_gather.h"
#include "link/rpc_wire.h"
#include "signet/v1/call.pb-c.h"
#include "signet/v1/ra.pb-c.h"

#define CALLERS 40

static atomic_int calls_handled, messages, bundles;
static atomic_bool gate_open;

static enum error
enroll(void *context, struct request *rq, const Pb__EnrollRequest *input, Pb__EnrollReply *ret_reply)
{
    atomic_fetch_add(&calls_handled, 1);
    while (!gate_open)
        clock_sleep_ms(1);
    if (strcmp(input->channel, "refuse") == 0) {
        (void)fail(rq, ERR_DENIED, "not %s", input->template_);
        (void)fail_layer(rq, "AUTH-004");
        (void)fail_reason(rq, "badPublicKey");
        return fail_retry_after(rq, 17);
    }
    if (strcmp(input->channel, "large") == 0)
        ret_reply->certificate = (ProtobufCBinaryData){.data = arena_alloc(rq->arena, RPC_BODY_MAX / 4), .len = RPC_BODY_MAX / 4};
    ret_reply->issuer = arena_format(rq->arena, "%s %s %s %s", input->template_, rq->trace_id, rq->caller,
                                     request_time_left_ms(rq, 60000) > 20000 ? "long" : "short");
    return OK;
}

#define revoke revoke_certificate /* unistd.h has a revoke */
static enum error
revoke(void *context, struct request *rq, const Pb__RevokeRequest *input, Pb__RevokeReply *ret_reply)
{
    return OK;
}

static enum error
withdraw(void *context, struct request *rq, const Pb__WithdrawRequest *input, Pb__WithdrawReply *ret_reply)
{
    return OK;
}

static enum error
explain(void *context, struct request *rq, const Pb__ExplainRequest *input, Pb__ExplainReply *ret_reply)
{
    return OK;
}

static enum error
approve(void *context, struct request *rq, const Pb__ApproveRequest *input, Pb__ApproveReply *ret_reply)
{
    return OK;
}

static enum error
list_pending(void *context, struct request *rq, const Pb__ListPendingRequest *input, Pb__ListPendingReply *ret_reply)
{
    return OK;
}

RPC_HANDLER(Ra, Enroll, enroll)
RPC_HANDLER(Ra, Revoke, revoke)
RPC_HANDLER(Ra, Withdraw, withdraw)
RPC_HANDLER(Ra, Explain, explain)
RPC_HANDLER(Ra, Approve, approve)
RPC_HANDLER(Ra, ListPending, list_pending)
static Pb__Ra_Service table = PB__RA__INIT(serve_);

/* ---- what passes on the bus ---- */

static void
count(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *context)
{
    atomic_fetch_add(&messages, 1);
    if (rpc_header(message, HEADER_BUNDLE)[0] != '\0')
        atomic_fetch_add(&bundles, 1);
    natsMsg_Destroy(message);
}

/* An old callee: of a bundle it says that it is no request. */
static void
refuse_bundles(natsConnection *connection, natsSubscription *subscription, natsMsg *message, void *context)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    natsMsg *answer = NULL;

    reply.issuer = "alone";
    struct bytes body = message_pack(rq->arena, &reply.base);
    bool is_bundle = rpc_header(message, HEADER_BUNDLE)[0] != '\0';
    assert_int_equal(natsMsg_Create(&answer, natsMsg_GetReply(message), NULL, (const char *)body.at, is_bundle ? 0 : (int)body.len), NATS_OK);
    if (is_bundle)
        assert_int_equal(natsMsgHeader_Set(answer, HEADER_ERROR, error_name(ERR_BAD_REQUEST)), NATS_OK);
    assert_int_equal(natsConnection_PublishMsg(connection, answer), NATS_OK);
    natsMsg_Destroy(answer);
    count(connection, subscription, message, context);
}

static natsSubscription *
listen_on_bus(struct fixture *fixture, natsMsgHandler handler)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(fixture->bus);
    natsSubscription *subscription = NULL;

    assert_int_equal(natsConnection_Subscribe(&subscription, link->nats, "signet.ra.enroll.*", handler, NULL), NATS_OK);
    assert_int_equal(natsConnection_Flush(link->nats), NATS_OK);
    return subscription;
}

/* ---- callers ---- */

struct caller {
    struct rpc_gather *gather;
    const char *channel;
    int number;
    int deadline_in_ms;
    struct request *rq;
    const Pb__EnrollReply *reply;
    enum error result;
    pthread_t thread;
};

static void *
call(void *argument)
{
    struct caller *caller = argument;
    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;

    request.channel = caller->channel;
    request.template_ = arena_format(caller->rq->arena, "caller %d", caller->number);
    caller->result = RPC_CALL_GATHERED(caller->gather, caller->rq, Enroll, &request, &caller->reply);
    nats_ReleaseThreadMemory();
    return NULL;
}

static void
start(struct caller *caller, struct rpc_gather *gather, int number, const char *channel)
{
    *caller = (struct caller){.gather = gather, .channel = channel, .number = number, .rq = request_new()};
    caller->rq->deadline_ms = clock_monotonic_ms() + (number % 2 == 0 ? 31000 : 15000);
    assert_int_equal(pthread_create(&caller->thread, NULL, call, caller), 0);
}

/* So many go, each alone, as long as few are under way; what comes behind them travels together. */
static void
start_all(struct caller *callers, struct rpc_gather *gather, const char *channel)
{
    gate_open = false;
    calls_handled = messages = bundles = 0;
    for (int i = 0; i < CALLERS; i++)
        start(&callers[i], gather, i, channel);
}

static void
join_all(struct caller *callers)
{
    gate_open = true;
    for (int i = 0; i < CALLERS; i++)
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
}

static void
free_all(struct caller *callers)
{
    for (int i = 0; i < CALLERS; i++)
        request_free(callers[i].rq);
}

static void
serve(struct fixture *fixture, int threads, int queue_limit)
{
    struct rpc_options options = {.threads = threads, .queue_limit = queue_limit};

    assert_int_equal(rpc_serve(fixture->bus, fixture->rq, &table.base, NULL, &options), OK);
    WAIT_FOR(bus_is_ready(fixture->bus));
}

static void
assert_own_answer(const struct caller *caller)
{
    assert_int_equal(caller->result, OK);
    const char *expected =
        arena_format(caller->rq->arena, "caller %d %s test %s", caller->number, caller->rq->trace_id, caller->number % 2 == 0 ? "long" : "short");
    assert_string_equal(caller->reply->issuer, expected);
}

/* ---- cases ---- */

static void
who_comes_alone_goes_alone(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(rpc_gather, gather) = rpc_gather_new(fixture->bus, &pb__ra__descriptor, "Enroll");
    struct caller caller;

    serve(fixture, 2, 8);
    natsSubscription *ear = listen_on_bus(fixture, count);
    gate_open = true;
    messages = bundles = 0;
    for (int i = 0; i < 3; i++) {
        start(&caller, gather, i, "");
        pthread_join(caller.thread, NULL);
        assert_own_answer(&caller);
        request_free(caller.rq);
    }
    WAIT_FOR(messages == 3);
    assert_int_equal(bundles, 0);
    natsSubscription_Destroy(ear);
}

static void
calls_of_one_moment_share_a_message_and_have_their_own_answers(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(rpc_gather, gather) = rpc_gather_new(fixture->bus, &pb__ra__descriptor, "Enroll");
    struct caller callers[CALLERS];

    serve(fixture, CALLERS, 8);
    natsSubscription *ear = listen_on_bus(fixture, count);
    start_all(callers, gather, "");
    WAIT_FOR(calls_handled == CALLERS);
    join_all(callers);
    for (int i = 0; i < CALLERS; i++)
        assert_own_answer(&callers[i]);
    WAIT_FOR(bundles > 0);
    assert_true(messages < CALLERS);
    free_all(callers);
    natsSubscription_Destroy(ear);
}

static void
a_refusal_is_that_one_calls(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(rpc_gather, gather) = rpc_gather_new(fixture->bus, &pb__ra__descriptor, "Enroll");
    struct caller callers[CALLERS];

    serve(fixture, CALLERS, 8);
    gate_open = false;
    calls_handled = 0;
    for (int i = 0; i < CALLERS; i++)
        start(&callers[i], gather, i, i % 2 == 0 ? "" : "refuse");
    WAIT_FOR(calls_handled == CALLERS);
    join_all(callers);
    for (int i = 0; i < CALLERS; i++) {
        const struct failure *failure = &callers[i].rq->failure;
        if (i % 2 == 0) {
            assert_own_answer(&callers[i]);
            continue;
        }
        assert_int_equal(callers[i].result, ERR_DENIED);
        assert_string_equal(failure->message, arena_format(fixture->rq->arena, "not caller %d", i));
        assert_string_equal(failure->layer, "AUTH-004");
        assert_string_equal(failure->reason, "badPublicKey");
        assert_int_equal(failure->retry_after_s, 17);
    }
    free_all(callers);
}

static void
for_whom_there_is_no_worker_hears_busy(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(rpc_gather, gather) = rpc_gather_new(fixture->bus, &pb__ra__descriptor, "Enroll");
    struct caller callers[CALLERS];
    int served = 0;

    serve(fixture, 2, 2);
    start_all(callers, gather, "");
    WAIT_FOR(calls_handled == 2);
    join_all(callers);
    for (int i = 0; i < CALLERS; i++) {
        assert_true(callers[i].result == OK || callers[i].result == ERR_BUSY);
        served += callers[i].result == OK;
    }
    assert_true(served >= 4);
    free_all(callers);
}

static void
answers_that_are_too_large_together_come_alone(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(rpc_gather, gather) = rpc_gather_new(fixture->bus, &pb__ra__descriptor, "Enroll");
    struct caller callers[CALLERS];

    serve(fixture, CALLERS, CALLERS);
    start_all(callers, gather, "large");
    WAIT_FOR(calls_handled == CALLERS);
    join_all(callers);
    for (int i = 0; i < CALLERS; i++) {
        assert_own_answer(&callers[i]);
        assert_int_equal(callers[i].reply->certificate.len, RPC_BODY_MAX / 4);
    }
    assert_true(calls_handled > CALLERS);
    free_all(callers);
}

static void
a_callee_that_knows_no_bundles_is_asked_one_by_one(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(rpc_gather, gather) = rpc_gather_new(fixture->bus, &pb__ra__descriptor, "Enroll");
    struct caller callers[CALLERS];

    WAIT_FOR(bus_is_ready(fixture->bus));
    natsSubscription *old = listen_on_bus(fixture, refuse_bundles);
    for (int round = 0; round < 20 && bundles == 0; round++) {
        start_all(callers, gather, "");
        join_all(callers);
        for (int i = 0; i < CALLERS; i++) {
            assert_int_equal(callers[i].result, OK);
            assert_string_equal(callers[i].reply->issuer, "alone");
        }
        free_all(callers);
    }
    natsSubscription_Destroy(old);
}

static void
everybody_hears_that_nobody_serves(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(rpc_gather, gather) = rpc_gather_new(fixture->bus, &pb__ra__descriptor, "Enroll");
    struct caller callers[CALLERS];

    start_all(callers, gather, "");
    join_all(callers);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].result, ERR_UNAVAILABLE);
        assert_true(callers[i].rq->failure.retry_after_s > 0);
    }
    free_all(callers);
}

/* ---- calls that one thread has ---- */

static void
put_together(struct fixture *fixture, const char *every_other, struct rpc_part *parts, size_t count)
{
    Pb__EnrollRequest *inputs = arena_array(fixture->rq->arena, count, sizeof *inputs);

    for (size_t i = 0; i < count; i++) {
        struct request *rq = request_new();
        pb__enroll_request__init(&inputs[i]);
        inputs[i].channel = i % 2 == 0 ? "" : every_other;
        inputs[i].template_ = arena_format(rq->arena, "part %zu", i);
        parts[i] = (struct rpc_part){.rq = rq, .input = &inputs[i].base};
    }
    messages = bundles = 0;
    rpc_call_together(fixture->bus, &pb__ra__descriptor, "Enroll", parts, count);
}

static void
parts_share_a_message_and_have_their_own_answers(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_part parts[CALLERS];

    serve(fixture, CALLERS, 8);
    gate_open = true;
    natsSubscription *ear = listen_on_bus(fixture, count);
    put_together(fixture, "refuse", parts, CALLERS);
    for (size_t i = 0; i < CALLERS; i++) {
        const Pb__EnrollReply *reply = (const Pb__EnrollReply *)parts[i].reply;
        const char *own = arena_format(parts[i].rq->arena, "part %zu %s", i, parts[i].rq->trace_id);
        assert_int_equal(parts[i].error, i % 2 == 0 ? OK : ERR_DENIED);
        if (parts[i].error)
            assert_string_equal(parts[i].rq->failure.layer, "AUTH-004");
        else
            assert_memory_equal(reply->issuer, own, strlen(own));
        request_free(parts[i].rq);
    }
    WAIT_FOR(messages == 1 && bundles == 1);
    put_together(fixture, "", parts, 1);
    assert_int_equal(parts[0].error, OK);
    assert_non_null(parts[0].reply);
    request_free(parts[0].rq);
    WAIT_FOR(messages == 1);
    assert_int_equal(bundles, 0);
    natsSubscription_Destroy(ear);
}

static void
parts_that_a_callee_does_not_take_together_have_no_answer(void **state)
{
    struct fixture *fixture = *state;
    struct rpc_part parts[2];

    WAIT_FOR(bus_is_ready(fixture->bus));
    natsSubscription *old = listen_on_bus(fixture, refuse_bundles);
    put_together(fixture, "", parts, COUNT_OF(parts));
    for (size_t i = 0; i < COUNT_OF(parts); i++) {
        assert_int_equal(parts[i].error, OK);
        assert_null(parts[i].reply);
        request_free(parts[i].rq);
    }
    natsSubscription_Destroy(old);
}

static enum error
send_raw(struct fixture *fixture, const void *body, int len)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(fixture->bus);
    natsMsg *message = NULL, *answer = NULL;

    assert_int_equal(natsMsg_Create(&message, "signet.ra.enroll.test", NULL, body, len), NATS_OK);
    assert_int_equal(natsMsgHeader_Set(message, HEADER_BUNDLE, "1"), NATS_OK);
    assert_int_equal(natsConnection_RequestMsg(&answer, link->nats, message, 3000), NATS_OK);
    const char *error = rpc_header(answer, HEADER_ERROR);
    enum error kind = error[0] == '\0' ? OK : error_from_name(error);
    natsMsg_Destroy(message);
    natsMsg_Destroy(answer);
    return kind;
}

static void
what_is_no_bundle_is_refused(void **state)
{
    struct fixture *fixture = *state;
    Pb__CallBundle bundle = PB__CALL_BUNDLE__INIT;
    Pb__Call one = PB__CALL__INIT, *calls[RPC_BUNDLE_MOST + 1];

    serve(fixture, RPC_BUNDLE_MOST, 8);
    gate_open = true;
    one.deadline_ms = 3000;
    for (size_t i = 0; i <= RPC_BUNDLE_MOST; i++)
        calls[i] = &one;
    bundle.calls = calls;
    bundle.n_calls = RPC_BUNDLE_MOST;
    struct bytes most = message_pack(fixture->rq->arena, &bundle.base);
    bundle.n_calls++;
    struct bytes too_many = message_pack(fixture->rq->arena, &bundle.base);
    assert_int_equal(send_raw(fixture, "", 0), ERR_BAD_REQUEST);
    assert_int_equal(send_raw(fixture, "\x0a\x7fx", 3), ERR_BAD_REQUEST);
    assert_int_equal(send_raw(fixture, too_many.at, (int)too_many.len), ERR_BAD_REQUEST);
    calls_handled = 0;
    assert_int_equal(send_raw(fixture, most.at, (int)most.len), OK);
    assert_int_equal(calls_handled, RPC_BUNDLE_MOST);
}

static void
a_call_whose_time_is_over_is_dropped_and_the_others_are_not(void **state)
{
    struct fixture *fixture = *state;
    AUTO_STRUCT(bus_link, link) = bus_hold(fixture->bus);
    Pb__CallBundle bundle = PB__CALL_BUNDLE__INIT;
    Pb__Call late = PB__CALL__INIT, timely = PB__CALL__INIT, *calls[] = {&late, &timely};
    natsMsg *message = NULL, *answer = NULL;

    serve(fixture, 2, 8);
    gate_open = true;
    calls_handled = 0;
    timely.deadline_ms = 3000;
    bundle.calls = calls;
    bundle.n_calls = 2;
    struct bytes body = message_pack(fixture->rq->arena, &bundle.base);
    assert_int_equal(natsMsg_Create(&message, "signet.ra.enroll.test", NULL, (const char *)body.at, (int)body.len), NATS_OK);
    assert_int_equal(natsMsgHeader_Set(message, HEADER_BUNDLE, "1"), NATS_OK);
    assert_int_equal(natsConnection_RequestMsg(&answer, link->nats, message, 3000), NATS_OK);
    const Pb__AnswerBundle *answers = (const Pb__AnswerBundle *)message_unpack(fixture->rq->arena, &pb__answer_bundle__descriptor,
                                                                               BYTES(natsMsg_GetData(answer), (size_t)natsMsg_GetDataLength(answer)));
    assert_int_equal(answers->n_answers, 2);
    assert_string_equal(answers->answers[0]->error, error_name(ERR_TIMEOUT));
    assert_string_equal(answers->answers[1]->error, "");
    assert_int_equal(calls_handled, 1);
    natsMsg_Destroy(message);
    natsMsg_Destroy(answer);
}

#define CASE(function) cmocka_unit_test_setup_teardown(function, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(who_comes_alone_goes_alone),
        CASE(calls_of_one_moment_share_a_message_and_have_their_own_answers),
        CASE(a_refusal_is_that_one_calls),
        CASE(for_whom_there_is_no_worker_hears_busy),
        CASE(answers_that_are_too_large_together_come_alone),
        CASE(a_callee_that_knows_no_bundles_is_asked_one_by_one),
        CASE(everybody_hears_that_nobody_serves),
        CASE(parts_share_a_message_and_have_their_own_answers),
        CASE(parts_that_a_callee_does_not_take_together_have_no_answer),
        CASE(what_is_no_bundle_is_refused),
        CASE(a_call_whose_time_is_over_is_dropped_and_the_others_are_not),
    };
    return cmocka_run_group_tests(tests, start_nats, stop_nats);
}
