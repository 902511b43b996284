/* The policy tables in memory: read whole, and read again when somebody changes them. */
#include "ra_fixture.h"

#include "unit/link/wait_for.h"

/* The seams to the process: the loop is played by the cases. */
static void (*turn_of_loop)(void *context, struct request *rq);
static atomic_int wakes;

struct service_loop *
service_every(struct service *service, const char *name, int pause_ms, void (*turn)(void *context, struct request *rq), void *context)
{
    turn_of_loop = turn;
    return NULL;
}

void
service_wake(struct service_loop *loop)
{
    atomic_fetch_add(&wakes, 1);
}

static void
all_tables_are_read(void **state)
{
    struct fixture *fixture = *state;
    const struct policy *policy;

    postgres_kit_run(postgres, "INSERT INTO ra.role VALUES ('a-first', '', true), ('z-last', '', false);"
                               "INSERT INTO ra.role_member VALUES ('a-first', 'person', 'anna'), ('z-last', 'agent', '*'), ('z-last', 'person', 'x');"
                               "INSERT INTO ra.role_template VALUES ('z-last', 'TLS-*');"
                               "INSERT INTO ra.role_name VALUES ('a-first', '*.example', true), ('a-first', 'root.example', false);"
                               "INSERT INTO ra.asset VALUES ('b', '{x,y}'), ('B', '{z}'), ('empty', '{}')");
    assert_int_equal(policy_hold(&fixture->ra, fixture->rq, &policy), OK);
    assert_int_equal(policy->role_count, 3);
    const struct role *first = &policy->roles[0], *everyone = &policy->roles[1], *last = &policy->roles[2];
    assert_string_equal(first->name, "a-first");
    assert_true(first->asset_required);
    assert_int_equal(first->member_count, 1);
    assert_string_equal(first->members[0].id, "anna");
    assert_int_equal(first->template_count, 0);
    assert_int_equal(first->name_count, 2);
    assert_int_equal(everyone->member_count, 1);
    assert_int_equal(everyone->template_count, 1);
    assert_int_equal(everyone->name_count, 1);
    assert_int_equal(last->member_count, 2);
    assert_string_equal(last->templates[0], "TLS-*");
    assert_int_equal(last->name_count, 0);
    assert_int_equal(policy->owner_count, 3);
    assert_string_equal(policy->owners[0].asset, "B"); /* octet by octet, as layers.c searches */
}

/* Holds up a reader at the second table until this change, of the first two, is committed. */
static void *
change_while_somebody_reads(void *unused)
{
    postgres_kit_run(postgres, "BEGIN; LOCK TABLE ra.role_member; DO $$ BEGIN WHILE NOT EXISTS (SELECT FROM pg_locks WHERE NOT granted"
                               " AND relation = 'ra.role_member'::regclass) LOOP PERFORM pg_sleep(0.01); END LOOP; END $$;"
                               "INSERT INTO ra.role VALUES ('m-new', '', false); INSERT INTO ra.role_member VALUES ('m-new', 'person', 'x'); COMMIT");
    return NULL;
}

static void
a_change_is_seen_whole_or_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    const struct policy *policy;
    pthread_t changer;

    postgres_kit_run(postgres, "INSERT INTO ra.role VALUES ('z-last', '', false); INSERT INTO ra.role_member VALUES ('z-last', 'person', 'anna')");
    pthread_create(&changer, NULL, change_while_somebody_reads, NULL);
    WAIT_FOR(ask_number("SELECT count(*) FROM pg_locks WHERE granted AND relation = 'ra.role_member'::regclass AND mode = 'AccessExclusiveLock'") ==
             1);
    assert_int_equal(policy_hold(&fixture->ra, fixture->rq, &policy), OK);
    pthread_join(changer, NULL);
    assert_int_equal(policy->role_count, 2);
    for (size_t i = 0; i < policy->role_count; i++)
        assert_int_equal(policy->roles[i].member_count, 1);
}

static void
change_wakes_the_loop_and_the_next_turn_brings_it_in_force(void **state)
{
    struct fixture *fixture = *state;
    const struct policy *before, *after;

    atomic_store(&wakes, 0);
    assert_int_equal(policy_follow(&fixture->ra, fixture->rq), OK);
    assert_int_equal(policy_hold(&fixture->ra, fixture->rq, &before), OK);
    WAIT_FOR(atomic_load(&wakes) >= 1); /* the first look after LISTEN */
    int heard = atomic_load(&wakes);
    postgres_kit_run(postgres, "INSERT INTO ra.role VALUES ('new', '', false)");
    WAIT_FOR(atomic_load(&wakes) > heard);
    turn_of_loop(&fixture->ra, fixture->rq);
    assert_int_equal(policy_hold(&fixture->ra, fixture->rq, &after), OK);
    assert_int_equal(after->role_count, before->role_count + 1);
}

static void
last_policy_stays_in_force_while_the_database_is_away(void **state)
{
    struct fixture *fixture = *state;
    const struct policy *policy;
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(policy_follow(&fixture->ra, fixture->rq), OK);
    assert_int_equal(policy_hold(&fixture->ra, fixture->rq, &policy), OK);
    postgres_kit_shut_down(postgres);
    turn_of_loop(&fixture->ra, rq);
    assert_int_not_equal(rq->failure.kind, OK);
    assert_int_equal(policy_hold(&fixture->ra, fixture->rq, &policy), OK);
    postgres_kit_start_again(postgres);
}

static void
without_any_policy_nothing_is_allowed(void **state)
{
    struct fixture *fixture = *state;
    Pb__EnrollReply reply = PB__ENROLL_REPLY__INIT;
    Pb__EnrollRequest *request = good_request(fixture->rq, fixture->key, "order-1", "a.example");

    postgres_kit_shut_down(postgres);
    fixture->rq->deadline_ms = clock_monotonic_ms() + 2000;
    assert_true(error_is_retriable(enroll(&fixture->ra, fixture->rq, request, &reply)));
    postgres_kit_start_again(postgres);
    assert_int_equal(signer.signed_certificates, 0);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(all_tables_are_read),
        CASE(a_change_is_seen_whole_or_not_at_all),
        CASE(change_wakes_the_loop_and_the_next_turn_brings_it_in_force),
        CASE(last_policy_stays_in_force_while_the_database_is_away),
        CASE(without_any_policy_nothing_is_allowed),
    };

    return cmocka_run_group_tests(tests, start_servers, stop_servers);
}
