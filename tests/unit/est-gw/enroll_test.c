/* Deliveries: what was handed out lately is handed out again, and what a batch holds twice is stored once. */
#include "est_fixture.h"

static int
generation_of(struct fixture *fixture, uint8_t request)
{
    const uint8_t sha256[32] = {request};
    int generation = -1;

    assert_ok(fixture->rq, store_find_generation(&fixture->est, fixture->rq, BYTES(sha256, 32), &generation));
    return generation;
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

    assert_int_equal(generation_of(fixture, 1), 0);
    deliver(fixture, requests, generations, 1);
    assert_int_equal(generation_of(fixture, 1), 4);
    postgres_kit_run(postgres, "UPDATE est.delivery SET delivered_at = now() - interval '2 hours'");
    assert_int_equal(generation_of(fixture, 1), 5);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(the_highest_generation_of_a_request_holds),
        CASE(after_a_while_the_next_generation_is_due),
    };
    return cmocka_run_group_tests(tests, start_postgres, stop_postgres);
}
