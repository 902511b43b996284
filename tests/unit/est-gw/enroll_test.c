/* Deliveries: what was handed out lately is handed out again, and what a batch holds twice is stored once. */
#include "est_fixture.h"

#include <string.h>

#include "base/clock.h"
#include "pki/serial.h"

/* The seam: ra, which gives one certificate for each key, and forgets nothing. */
static int64_t first_not_before_s; /* of generation 0 */
static char asked[8];              /* ".0" */

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    const Pb__EnrollRequest *request = (const Pb__EnrollRequest *)input;
    Pb__EnrollReply *reply = arena_alloc(rq->arena, sizeof *reply);
    struct serial serial = serial_new(clock_now_s() + 86400);

    assert_string_equal(method, "Enroll");
    (void)snprintf(asked, sizeof asked, "%s", strrchr(request->idempotency_key, '.'));
    pb__enroll_reply__init(reply);
    reply->status = PB__ENROLL_STATUS__ENROLL_STATUS_ISSUED;
    reply->serial = message_data(bytes_copy(rq->arena, BYTES(serial.octets, SERIAL_LEN)));
    reply->not_before_s = text_equal(asked, ".0") ? first_not_before_s : clock_now_s();
    *ret_reply = &reply->base;
    return OK;
}

#define NOT_KNOWN (-2)

static int
generation_of(struct fixture *fixture, uint8_t request)
{
    const uint8_t sha256[32] = {request};
    int generation = -1;
    bool known;

    assert_ok(fixture->rq, store_find_generation(&fixture->est, fixture->rq, BYTES(sha256, 32), &generation, &known));
    return known ? generation : NOT_KNOWN;
}

static void
deliver(struct fixture *fixture, const uint8_t (*requests)[32], const int *generations, size_t count)
{
    struct delivery deliveries[COMMIT_BATCH_MAX];
    void *items[COMMIT_BATCH_MAX];

    for (size_t i = 0; i < count; i++) {
        deliveries[i] = (struct delivery){
            .request_sha256 = BYTES(requests[i], 32), .serial = BYTES("serial", 6), .generation = generations[i], .expiry_month = 300};
        items[i] = &deliveries[i];
    }
    assert_ok(fixture->rq, store_record_deliveries(&fixture->est, fixture->rq, items, count));
}

static void
the_highest_generation_of_a_request_holds(void **state)
{
    static const uint8_t requests[][32] = {{1}, {2}, {1}, {3}, {1}};
    static const int generations[] = {0, 7, 2, 0, 1};
    struct fixture *fixture = *state;

    deliver(fixture, requests, generations, 5);
    assert_int_equal(generation_of(fixture, 1), 2);
    assert_int_equal(generation_of(fixture, 2), 7);
    assert_int_equal(generation_of(fixture, 3), 0);
    deliver(fixture, requests, generations, 1); /* an answer that was late */
    assert_int_equal(generation_of(fixture, 1), 2);
}

static void
after_a_while_the_next_generation_is_due(void **state)
{
    static const uint8_t requests[][32] = {{1}};
    static const int generations[] = {4};
    struct fixture *fixture = *state;

    assert_int_equal(generation_of(fixture, 1), NOT_KNOWN);
    deliver(fixture, requests, generations, 1);
    assert_int_equal(generation_of(fixture, 1), 4);
    postgres_kit_run(postgres, "UPDATE est.delivery SET delivered_at = now() - interval '2 hours'");
    assert_int_equal(generation_of(fixture, 1), 5);
}

static void
what_came_once_is_forgotten_and_what_came_again_is_not(void **state)
{
    static const uint8_t requests[][32] = {{1}, {2}, {3}};
    static const int generations[] = {0, 1, 0};
    struct fixture *fixture = *state;
    struct prune prune = {.db = fixture->est.db, .forget = &store_forget_deliveries, .keep_days = 30};
    size_t count = 0;

    deliver(fixture, requests, generations, 2);
    postgres_kit_run(postgres, "UPDATE est.delivery SET delivered_at = now() - interval '31 days'");
    deliver(fixture, requests + 2, generations + 2, 1);
    assert_ok(fixture->rq, prune_now(&prune, fixture->rq, &count));
    assert_int_equal(count, 1);
    assert_int_equal(generation_of(fixture, 1), NOT_KNOWN);
    assert_int_equal(generation_of(fixture, 2), 2);
    assert_int_equal(generation_of(fixture, 3), 0);
}

static void
enroll(struct fixture *fixture)
{
    const Pb__EstProfile settings = {.base = PROTOBUF_C_MESSAGE_INIT(&pb__est_profile__descriptor), .name = "phones", .template_ = "t", .issuer = ""};
    const struct profile profile = {.settings = &settings};
    const struct client client = {.kind = "est-user", .id = "alice", .user = "alice"};
    struct http_exchange x = {.peer = "192.0.2.1"};
    const Pb__EnrollReply *reply;

    request_begin(&x.rq, "test", "", NULL);
    assert_ok(&x.rq, enroll_ask(&fixture->est, &x, &profile, &client, BYTES("csr", 3), &reply));
    request_drop(&x.rq);
}

/* The same octets after its delivery was forgotten are a new wish; those whose answer was lost are not. */
static void
whoever_was_forgotten_gets_a_new_certificate(void **state)
{
    static const struct {
        int64_t age_s;
        bool forgotten;
        const char *generation;
    } cases[] = {{60, false, ".0"}, {60, true, ".0"}, {29 * 86400, true, ".0"}, {31 * 86400, true, ".1"}, {31 * 86400, false, ".0"}};
    struct fixture *fixture = *state;

    fixture->est.config.keep_days = 30;
    fixture->est.deliveries = commit_queue_new(store_record_deliveries, &fixture->est);
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        postgres_kit_run(postgres, "TRUNCATE est.delivery");
        first_not_before_s = clock_now_s() - cases[i].age_s;
        if (!cases[i].forgotten) { /* an approval that came late was delivered just now */
            first_not_before_s = clock_now_s();
            enroll(fixture);
            first_not_before_s = clock_now_s() - cases[i].age_s;
        }
        enroll(fixture);
        assert_string_equal(asked, cases[i].generation);
    }
    commit_queue_free(fixture->est.deliveries);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_highest_generation_of_a_request_holds),
        CASE(what_came_once_is_forgotten_and_what_came_again_is_not),
        CASE(whoever_was_forgotten_gets_a_new_certificate),
        CASE(after_a_while_the_next_generation_is_due),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
