/* Both ends of a call over a real server: the contract of ra, with handlers that do as the channel says. */
#include "bus_fixture.h"

#include <stdatomic.h>

#include "link/rpc.h"
#include "link/rpc_wire.h"
#include "signet/v1/ra.pb-c.h"

static atomic_int calls_handled;
static atomic_bool gate_open;

static enum error
enroll(void *context, struct request *rq, const Pb__EnrollRequest *input, Pb__EnrollReply *ret_reply)
{
    atomic_fetch_add(&calls_handled, 1);
    if (strcmp(input->channel, "refuse") == 0) {
        (void)fail(rq, ERR_DENIED, "the key of %s is too short\r\nSignet-Error: ok", input->template_);
        (void)fail_layer(rq, "AUTH-004");
        (void)fail_reason(rq, "badPublicKey");
        return fail_retry_after(rq, 17);
    }
    if (strcmp(input->channel, "gate") == 0)
        while (!gate_open)
            clock_sleep_ms(1);
    if (strcmp(input->channel, "trace") == 0)
        ret_reply->issuer = arena_format(rq->arena, "%s %s %s", rq->trace_id, rq->caller, request_time_left_ms(rq, 60000) > 20000 ? "long" : "short");
    else
        ret_reply->issuer = input->template_;
    if (strcmp(input->channel, "huge") == 0)
        ret_reply->certificate = (ProtobufCBinaryData){.data = arena_alloc(rq->arena, RPC_BODY_MAX), .len = RPC_BODY_MAX};
    ret_reply->certificate_sha256 = input->csr;
    ret_reply->not_after_s = (int64_t)input->n_proven_names;
    return OK;
}

#define revoke revoke_certificate /* unistd.h has a revoke */
static enum error
revoke(void *context, struct request *rq, const Pb__RevokeRequest *input, Pb__RevokeReply *ret_reply)
{
    return ERR_INTERNAL; /* a handler that forgets to describe its refusal */
}

static enum error
withdraw(void *context, struct request *rq, const Pb__WithdrawRequest *input, Pb__WithdrawReply *ret_reply)
{
    return OK;
}

static enum error
explain(void *context, struct request *rq, const Pb__ExplainRequest *input, Pb__ExplainReply *ret_reply)
{
    return fail_privately(rq, ERR_UNAVAILABLE, "try again", "the password is hunter2");
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

static void
serve_ra(struct bus *bus, struct request *rq, int threads, int queue_limit)
{
    struct rpc_options options = {.threads = threads, .queue_limit = queue_limit};
    assert_int_equal(rpc_serve(bus, rq, &table.base, NULL, &options), OK);
}

static enum error
call(struct bus *bus, struct request *rq, const char *channel, const Pb__EnrollReply **ret_reply)
{
    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
    request.channel = channel;
    request.template_ = "Web Server";
    return RPC_CALL(bus, rq, ra, Enroll, &request, ret_reply);
}

static void
answers_with_the_handlers_reply(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 2, 8);
    uint8_t csr[3000];
    memset(csr, 0xA5, sizeof(csr));
    Pb__Name name = PB__NAME__INIT;
    name.value = "bücher.example";
    Pb__Name *names[] = {&name, &name};
    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
    request.template_ = "TLS-Server";
    request.csr = (ProtobufCBinaryData){.data = csr, .len = sizeof(csr)};
    request.proven_names = names;
    request.n_proven_names = 2;
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(RPC_CALL(fixture->bus, fixture->rq, ra, Enroll, &request, &reply), OK);
    assert_string_equal(reply->issuer, "TLS-Server");
    assert_int_equal(reply->not_after_s, 2);
    assert_int_equal(reply->certificate_sha256.len, sizeof(csr));
    assert_memory_equal(reply->certificate_sha256.data, csr, sizeof(csr));
}

static void
carries_trace_caller_and_deadline(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    fixture->rq->deadline_ms = clock_monotonic_ms() + 31000;
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "trace", &reply), OK);
    assert_string_equal(reply->issuer, arena_format(fixture->rq->arena, "%s test long", fixture->rq->trace_id));
}

static void
brings_a_refusal_with_layer_reason_and_pause(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "refuse", &reply), ERR_DENIED);
    const struct failure *failure = &fixture->rq->failure;
    assert_int_equal(failure->kind, ERR_DENIED);
    assert_non_null(strstr(failure->message, "the key of Web Server is too short"));
    assert_null(strpbrk(failure->message, "\r\n"));
    assert_string_equal(failure->layer, "AUTH-004");
    assert_string_equal(failure->reason, "badPublicKey");
    assert_int_equal(failure->retry_after_s, 17);
    assert_null(reply);
}

static void
keeps_private_details_at_home(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    Pb__ExplainRequest request = PB__EXPLAIN_REQUEST__INIT;
    const Pb__ExplainReply *reply = NULL;
    assert_int_equal(RPC_CALL(fixture->bus, fixture->rq, ra, Explain, &request, &reply), ERR_UNAVAILABLE);
    assert_string_equal(fixture->rq->failure.message, "try again");
    assert_null(strstr(fixture->rq->failure.detail, "hunter2"));
}

static void
survives_a_handler_that_does_not_describe_its_refusal(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    Pb__RevokeRequest request = PB__REVOKE_REQUEST__INIT;
    const Pb__RevokeReply *reply = NULL;
    assert_int_equal(RPC_CALL(fixture->bus, fixture->rq, ra, Revoke, &request, &reply), ERR_INTERNAL);
}

static void
is_unavailable_when_nobody_serves(void **state)
{
    struct fixture *fixture = *state;
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "", &reply), ERR_UNAVAILABLE);
    assert_true(fixture->rq->failure.retry_after_s > 0);
}

static void *
serve_later(void *argument)
{
    struct fixture *fixture = argument;
    AUTO_STRUCT(request, rq) = request_new();
    clock_sleep_ms(300);
    serve_ra(fixture->bus, rq, 1, 8);
    return NULL;
}

static void
waits_for_a_service_that_is_just_starting(void **state)
{
    struct fixture *fixture = *state;
    pthread_t thread;
    pthread_create(&thread, NULL, serve_later, fixture);
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "", &reply), OK);
    pthread_join(thread, NULL);
}

static void
times_out_at_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    gate_open = false;
    fixture->rq->deadline_ms = clock_monotonic_ms() + 100;
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "gate", &reply), ERR_TIMEOUT);
    gate_open = true;
}

static void
does_not_call_after_the_deadline(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    int before = calls_handled;
    fixture->rq->deadline_ms = clock_monotonic_ms() - 1;
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "", &reply), ERR_TIMEOUT);
    assert_int_equal(calls_handled, before);
}

struct background_call {
    struct bus *bus;
    const char *channel;
    int deadline_in_ms;
    enum error result;
    int retry_after_s;
    pthread_t thread;
};

static void *
call_in_background(void *argument)
{
    struct background_call *background = argument;
    AUTO_STRUCT(request, rq) = request_new();
    if (background->deadline_in_ms > 0)
        rq->deadline_ms = clock_monotonic_ms() + background->deadline_in_ms;
    const Pb__EnrollReply *reply;
    background->result = call(background->bus, rq, background->channel, &reply);
    background->retry_after_s = rq->failure.retry_after_s;
    nats_ReleaseThreadMemory();
    return NULL;
}

static void
start_call(struct background_call *background, struct bus *bus, const char *channel, int deadline_in_ms)
{
    *background = (struct background_call){.bus = bus, .channel = channel, .deadline_in_ms = deadline_in_ms};
    pthread_create(&background->thread, NULL, call_in_background, background);
}

static void
a_full_pool_is_busy_at_once(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 1);
    gate_open = false;
    int before = calls_handled;
    struct background_call held[2];
    start_call(&held[0], fixture->bus, "gate", 0);
    WAIT_FOR(calls_handled == before + 1);
    start_call(&held[1], fixture->bus, "gate", 0);
    clock_sleep_ms(100); /* it waits in the queue, where nothing can be seen of it */
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "gate", &reply), ERR_BUSY);
    assert_int_equal(fixture->rq->failure.retry_after_s, 1);
    gate_open = true;
    for (int i = 0; i < 2; i++) {
        pthread_join(held[i].thread, NULL);
        assert_int_equal(held[i].result, OK);
    }
}

static void
drops_a_request_whose_deadline_passed_in_the_queue(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    gate_open = false;
    int before = calls_handled;
    struct background_call first, second;
    start_call(&first, fixture->bus, "gate", 0);
    WAIT_FOR(calls_handled == before + 1);
    start_call(&second, fixture->bus, "", 50);
    pthread_join(second.thread, NULL);
    assert_int_equal(second.result, ERR_TIMEOUT);
    clock_sleep_ms(20);
    gate_open = true;
    pthread_join(first.thread, NULL);
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "", &reply), OK);
    assert_int_equal(calls_handled, before + 2); /* the first and the last */
}

static enum error
send_raw(struct fixture *fixture, const char *subject, const void *body, int len, const char **ret_message)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(fixture->bus);
    natsMsg *answer = NULL;
    assert_int_equal(natsConnection_Request(&answer, link->nats, subject, body, len, 3000), NATS_OK);
    const char *error = rpc_header(answer, HEADER_ERROR);
    *ret_message = arena_text(fixture->rq->arena, rpc_header(answer, HEADER_MESSAGE));
    enum error kind = error[0] == '\0' ? OK : error_from_name(error);
    natsMsg_Destroy(answer);
    return kind;
}

static void
refuses_bodies_that_are_no_messages(void **state)
{
    static const struct {
        const char *name;
        const char *body;
        int len;
        enum error expected;
    } cases[] = {
        {"an empty message", "", 0, OK},
        {"a channel", "\x0a\x01x", 3, OK},
        {"a length beyond the end", "\x0a\x7fx", 3, ERR_BAD_REQUEST},
        {"a channel that is not UTF-8", "\x0a\x02\xc3\x28", 4, ERR_BAD_REQUEST},
        {"an overlong encoding", "\x0a\x02\xc0\x80", 4, ERR_BAD_REQUEST},
        {"a name within that is not UTF-8", "\x2a\x03\x12\x01\xff", 5, ERR_BAD_REQUEST},
        {"a name within that is", "\x2a\x03\x12\x01y", 5, OK},
        {"bytes that are not UTF-8", "\x1a\x01\xff", 3, OK},
        {"an unknown field", "\xfa\x3f\x01x", 4, OK},
    };
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    WAIT_FOR(bus_is_ready(fixture->bus));
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *message;
        print_message("    %s\n", cases[i].name);
        assert_int_equal(send_raw(fixture, "signet.ra.enroll.test", cases[i].body, cases[i].len, &message), cases[i].expected);
    }
}

static void
refuses_a_small_body_that_unpacks_to_a_huge_message(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    int len = 1000 * 1000;
    char *body = arena_alloc(fixture->rq->arena, (size_t)len);
    for (int i = 0; i < len; i += 2)
        body[i] = 0x2a; /* half a million empty names */
    const char *message;
    assert_int_equal(send_raw(fixture, "signet.ra.enroll.test", body, len, &message), ERR_BAD_REQUEST);
}

static void
refuses_an_answer_that_is_too_large(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 1, 8);
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "huge", &reply), ERR_TOO_LARGE);
}

static void
refuses_a_request_that_is_too_large(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
    request.csr = (ProtobufCBinaryData){.data = arena_alloc(fixture->rq->arena, RPC_BODY_MAX), .len = RPC_BODY_MAX};
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(RPC_CALL(fixture->bus, fixture->rq, ra, Enroll, &request, &reply), ERR_TOO_LARGE);
}

static void
survives_a_restart_of_the_server(void **state)
{
    struct fixture *fixture = *state;
    struct bus *callee = open_bus(fixture->rq, "ra", nats_kit_url(nats));
    serve_ra(callee, fixture->rq, 2, 8);
    const Pb__EnrollReply *reply = NULL;
    assert_int_equal(call(fixture->bus, fixture->rq, "", &reply), OK);
    gate_open = false;
    int before = calls_handled;
    struct background_call held;
    start_call(&held, fixture->bus, "gate", 0);
    WAIT_FOR(calls_handled == before + 1);
    nats_kit_kill(nats);
    WAIT_FOR(!bus_is_ready(fixture->bus));
    nats_kit_start_again(nats);
    gate_open = true;
    pthread_join(held.thread, NULL);
    assert_int_equal(held.result, OK); /* asked again after the reconnect */
    assert_int_equal(call(fixture->bus, fixture->rq, "", &reply), OK);
    bus_close(callee, 2000);
}

static void
is_unavailable_while_the_server_is_down(void **state)
{
    struct fixture *fixture = *state;
    nats_kit_kill(nats);
    WAIT_FOR(!bus_is_ready(fixture->bus));
    const Pb__EnrollReply *reply = NULL;
    enum error error = call(fixture->bus, fixture->rq, "", &reply);
    nats_kit_start_again(nats);
    assert_int_equal(error, ERR_UNAVAILABLE);
    assert_true(fixture->rq->failure.retry_after_s > 0);
    WAIT_FOR(bus_is_ready(fixture->bus));
}

static void
says_that_the_outcome_is_unknown_when_the_server_dies_with_a_call_under_way(void **state)
{
    struct fixture *fixture = *state;
    serve_ra(fixture->bus, fixture->rq, 2, 8);
    gate_open = false;
    int before = calls_handled;
    struct background_call held;
    start_call(&held, fixture->bus, "gate", 0);
    WAIT_FOR(calls_handled == before + 1);
    nats_kit_kill(nats);
    pthread_join(held.thread, NULL);
    gate_open = true;
    nats_kit_start_again(nats);
    assert_int_equal(held.result, ERR_TIMEOUT);
    WAIT_FOR(bus_is_ready(fixture->bus));
}

static void
one_instance_answers_a_call_and_every_instance_a_survey(void **state)
{
    struct fixture *fixture = *state;
    struct bus *others[2];
    for (int i = 0; i < 2; i++) {
        others[i] = open_bus(fixture->rq, "ra", nats_kit_url(nats));
        serve_ra(others[i], fixture->rq, 1, 8);
        struct rpc_options everywhere = {.threads = 1, .queue_limit = 8, .subject_suffix = ".all", .every_instance = true};
        assert_int_equal(rpc_serve(others[i], fixture->rq, &table.base, NULL, &everywhere), OK);
        AUTO_STRUCT(bus_link, link) = bus_hold(others[i]);
        assert_int_equal(natsConnection_FlushTimeout(link->nats, 2000), NATS_OK);
    }
    const Pb__EnrollReply *reply = NULL;
    int before = calls_handled;
    for (int i = 0; i < 20; i++)
        assert_int_equal(call(fixture->bus, fixture->rq, "", &reply), OK);
    assert_int_equal(calls_handled, before + 20);

    Pb__EnrollRequest request = PB__ENROLL_REQUEST__INIT;
    request.template_ = "survey";
    size_t count = 0;
    const ProtobufCMessage **replies = NULL;
    assert_int_equal(
        rpc_survey(fixture->bus, fixture->rq, "signet.ra.all.enroll", &request.base, &pb__enroll_reply__descriptor, 300, &count, &replies), OK);
    assert_int_equal(count, 2);
    for (size_t i = 0; i < count; i++)
        assert_string_equal(((const Pb__EnrollReply *)replies[i])->issuer, "survey");
    assert_int_equal(
        rpc_survey(fixture->bus, fixture->rq, "signet.nobody.report", &request.base, &pb__enroll_reply__descriptor, 300, &count, &replies), OK);
    assert_int_equal(count, 0);
    for (int i = 0; i < 2; i++)
        bus_close(others[i], 2000);
}

static void
finishes_what_was_begun_when_the_bus_closes(void **state)
{
    struct fixture *fixture = *state;
    struct bus *callee = open_bus(fixture->rq, "ra", nats_kit_url(nats));
    serve_ra(callee, fixture->rq, 1, 8);
    gate_open = false;
    int before = calls_handled;
    struct background_call held[3];
    start_call(&held[0], fixture->bus, "gate", 0);
    WAIT_FOR(calls_handled == before + 1);
    start_call(&held[1], fixture->bus, "", 0);
    start_call(&held[2], fixture->bus, "", 0);
    clock_sleep_ms(100);
    gate_open = true;
    bus_close(callee, 5000);
    for (int i = 0; i < 3; i++) {
        pthread_join(held[i].thread, NULL);
        assert_int_equal(held[i].result, OK);
    }
}

static void
names_subjects_after_the_contract(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    assert_string_equal(rpc_split_words(arena, "Ra", '-'), "ra");
    assert_string_equal(rpc_split_words(arena, "AcmeGw", '-'), "acme-gw");
    assert_string_equal(rpc_split_words(arena, "OcspResponder", '-'), "ocsp-responder");
    assert_string_equal(rpc_split_words(arena, "DropAnswers", '_'), "drop_answers");
    assert_string_equal(rpc_split_words(arena, "", '_'), "");
    assert_string_equal(rpc_subject_of_service(arena, &pb__ra__descriptor, ".eu"), "signet.ra.eu");
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(answers_with_the_handlers_reply),
        CASE(carries_trace_caller_and_deadline),
        CASE(brings_a_refusal_with_layer_reason_and_pause),
        CASE(keeps_private_details_at_home),
        CASE(survives_a_handler_that_does_not_describe_its_refusal),
        CASE(is_unavailable_when_nobody_serves),
        CASE(waits_for_a_service_that_is_just_starting),
        CASE(times_out_at_the_deadline),
        CASE(does_not_call_after_the_deadline),
        CASE(a_full_pool_is_busy_at_once),
        CASE(drops_a_request_whose_deadline_passed_in_the_queue),
        CASE(refuses_bodies_that_are_no_messages),
        CASE(refuses_a_small_body_that_unpacks_to_a_huge_message),
        CASE(refuses_an_answer_that_is_too_large),
        CASE(refuses_a_request_that_is_too_large),
        CASE(survives_a_restart_of_the_server),
        CASE(is_unavailable_while_the_server_is_down),
        CASE(says_that_the_outcome_is_unknown_when_the_server_dies_with_a_call_under_way),
        CASE(one_instance_answers_a_call_and_every_instance_a_survey),
        CASE(finishes_what_was_begun_when_the_bus_closes),
        cmocka_unit_test(names_subjects_after_the_contract),
    };
    return cmocka_run_group_tests_name("rpc", tests, start_nats, stop_nats);
}
