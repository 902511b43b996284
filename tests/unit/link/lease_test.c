/* Leased rows in a real database: taken once, by as many threads as there are, and again when their holder is gone. */
#include "unit/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "base/clock.h"
#include "kit/postgres_kit.h"
#include "link/lease.h"
#include "wait_for.h"

static struct postgres_kit *postgres;
static struct request *process_rq;
static struct db *db;

/* ---- the seam to the process: a loop that does as service.h says, and a drain that goes backwards ---- */

struct service_loop {
    int pause_ms;
    void (*turn)(void *context, struct request *rq);
    void *context;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    bool woken, stopping;
    atomic_int failures;
};

static struct service_loop loops[24]; /* of all cases: what was drained stays, here as in the process */
static size_t loop_count;
static struct {
    void (*stop)(void *context);
    void *context;
} drains[8];
static size_t drain_count;

static void *
run_loop(void *argument)
{
    struct service_loop *loop = argument;
    for (;;) {
        AUTO_STRUCT(request, rq) = request_new();
        loop->turn(loop->context, rq);
        if (rq->failure.kind != OK)
            loop->failures++;
        struct timespec until;
        clock_gettime(CLOCK_REALTIME, &until);
        int64_t ns = until.tv_nsec + loop->pause_ms * INT64_C(1000000);
        until.tv_sec += ns / 1000000000;
        until.tv_nsec = ns % 1000000000;
        AUTO_LOCK(&loop->mutex);
        while (!loop->woken && !loop->stopping && pthread_cond_timedwait(&loop->changed, &loop->mutex, &until) == 0)
            ;
        loop->woken = false;
        if (loop->stopping)
            return NULL;
    }
}

static void
stop_loop(void *context)
{
    struct service_loop *loop = context;
    pthread_mutex_lock(&loop->mutex);
    loop->stopping = true;
    pthread_cond_signal(&loop->changed);
    pthread_mutex_unlock(&loop->mutex);
    pthread_join(loop->thread, NULL);
}

void
service_at_drain(struct service *service, void (*stop)(void *context), void *context)
{
    drains[drain_count].stop = stop;
    drains[drain_count++].context = context;
}

struct service_loop *
service_every(struct service *service, const char *name, int pause_ms, void (*turn)(void *context, struct request *rq), void *context)
{
    assert_true(loop_count < COUNT_OF(loops));
    struct service_loop *loop = &loops[loop_count++];
    *loop = (struct service_loop){.pause_ms = pause_ms, .turn = turn, .context = context};
    pthread_mutex_init(&loop->mutex, NULL);
    pthread_cond_init(&loop->changed, NULL);
    pthread_create(&loop->thread, NULL, run_loop, loop);
    service_at_drain(service, stop_loop, loop);
    return loop;
}

void
service_wake(struct service_loop *loop)
{
    AUTO_LOCK(&loop->mutex);
    loop->woken = true;
    pthread_cond_signal(&loop->changed);
}

const char *
service_instance(const struct service *service)
{
    return "test-1";
}

/* ---- the owner of the rows ---- */

#define PAUSE_LONG_MS 3600000

static const struct db_statement take_rows = {
    "take_rows", "UPDATE work SET lease_holder = $3, leased_until = now() + $2 * interval '1 second', attempts = attempts + 1 WHERE id IN "
                 "(SELECT id FROM work WHERE due_at <= now() AND (leased_until IS NULL OR leased_until < now()) ORDER BY id LIMIT $1 FOR UPDATE SKIP "
                 "LOCKED) RETURNING id::text, token, names"};
static const struct db_statement renew_rows = {
    "renew_rows", "UPDATE work SET leased_until = now() + $2 * interval '1 second' WHERE id = ANY ($1::text[]::bigint[]) AND lease_holder = $3"};
static const struct db_statement leave_rows = {
    "leave_rows", "UPDATE work SET lease_holder = NULL, leased_until = NULL WHERE id = ANY ($1::text[]::bigint[]) AND lease_holder = $2"};
static const struct db_statement end_row = {"end_row", "DELETE FROM work WHERE id = $1::text::bigint AND lease_holder = $2"};

struct owner {
    struct lease *lease;
    atomic_bool gate_closed;
    atomic_int begun, ended, at_once, at_once_most;
    atomic_int token_errors;
    bool abandons; /* as if the process died */
    atomic_bool leaves;
};

static void
work_on(void *context, struct request *rq, const struct db_rows *rows, size_t row)
{
    struct owner *owner = context;
    owner->begun++;
    int now = ++owner->at_once;
    for (int most = owner->at_once_most; now > most && !atomic_compare_exchange_weak(&owner->at_once_most, &most, now);)
        ;
    while (owner->gate_closed)
        clock_sleep_ms(1);
    /* Converted values must not be mixed up between threads that share the rows. */
    const char *const *names;
    if (db_text_array(rows, row, 2, &names) != 2 || strcmp(names[0], db_text(rows, row, 1)) != 0)
        owner->token_errors++;
    if (owner->leaves)
        lease_leave(owner->lease, db_text(rows, row, 0));
    else if (!owner->abandons && DB_QUERY(db, rq, &end_row, NULL, DB_TEXT(db_text(rows, row, 0)), DB_TEXT(lease_holder(owner->lease))) != OK)
        return;
    owner->at_once--;
    owner->ended++;
}

static void
insert_rows(int count)
{
    char sql[300];
    snprintf(sql, sizeof(sql),
             "INSERT INTO work (token, names) SELECT t, ARRAY[t::text, 'x'] FROM (SELECT gen_random_uuid() AS t FROM "
             "generate_series(1, %d)) AS made",
             count);
    postgres_kit_run(postgres, sql);
}

static bool
ask_is(const char *sql, const char *expected)
{
    AUTO_FREE char *value = postgres_kit_ask(postgres, sql);
    return strcmp(value, expected) == 0;
}

#define NO_ROWS_LEFT ask_is("SELECT count(*) FROM work", "0")

static void
open_renewed(struct request *rq, struct owner *owner, int threads, int seconds, int work_seconds, int pause_ms)
{
    struct lease_about about = {.name = "test.work",
                                .take = &take_rows,
                                .leave = &leave_rows,
                                .renew = work_seconds > 0 ? &renew_rows : NULL,
                                .seconds = seconds,
                                .work_seconds = work_seconds,
                                .threads = threads,
                                .pause_ms = pause_ms,
                                .work = work_on,
                                .context = owner};
    assert_int_equal(lease_open(NULL, rq, db, &about, &owner->lease), OK);
}

static void
open_lease(struct request *rq, struct owner *owner, int threads, int seconds, int pause_ms)
{
    open_renewed(rq, owner, threads, seconds, 0, pause_ms);
}

static void
drain(void)
{
    while (drain_count > 0) {
        drain_count--;
        drains[drain_count].stop(drains[drain_count].context);
    }
}

/* ---- cases ---- */

static void
works_on_rows_that_are_there_and_ends_them(void **state)
{
    struct owner owner = {0};
    insert_rows(5);
    open_lease(process_rq, &owner, 4, 60, PAUSE_LONG_MS);
    WAIT_FOR(owner.ended == 5);
    assert_true(NO_ROWS_LEFT);
    assert_int_equal(owner.begun, 5);
    drain();
}

static void
is_woken_for_new_rows(void **state)
{
    struct owner owner = {0};
    open_lease(process_rq, &owner, 2, 60, PAUSE_LONG_MS);
    for (int i = 0; i < 3; i++) {
        insert_rows(2);
        lease_wake(owner.lease);
        WAIT_FOR(owner.ended == 2 * (i + 1));
    }
    drain();
}

static void
looks_again_after_a_pause_without_being_woken(void **state)
{
    struct owner owner = {0};
    open_lease(process_rq, &owner, 2, 60, 50);
    insert_rows(2);
    WAIT_FOR(owner.ended == 2);
    drain();
}

static void
takes_no_more_rows_than_it_has_threads(void **state)
{
    struct owner owner = {.gate_closed = true};
    insert_rows(10);
    open_lease(process_rq, &owner, 3, 60, PAUSE_LONG_MS);
    WAIT_FOR(owner.begun == 3);
    lease_wake(owner.lease);
    clock_sleep_ms(50);
    assert_true(ask_is("SELECT count(*) FROM work WHERE lease_holder IS NOT NULL", "3"));
    owner.gate_closed = false;
    WAIT_FOR(owner.ended == 10);
    assert_int_equal(owner.at_once_most, 3);
    drain();
}

static void
finishes_a_heap_of_rows_without_waiting_for_the_pause(void **state)
{
    struct owner owner = {0};
    insert_rows(500);
    open_lease(process_rq, &owner, 4, 60, PAUSE_LONG_MS);
    WAIT_FOR(owner.ended == 500);
    assert_true(NO_ROWS_LEFT);
    assert_int_equal(owner.begun, 500);
    assert_int_equal(owner.token_errors, 0);
    drain();
}

static void
two_holders_share_the_rows(void **state)
{
    struct owner owners[2] = {{0}, {0}};
    insert_rows(200);
    open_lease(process_rq, &owners[0], 2, 60, PAUSE_LONG_MS);
    open_lease(process_rq, &owners[1], 2, 60, PAUSE_LONG_MS);
    assert_string_not_equal(lease_holder(owners[0].lease), lease_holder(owners[1].lease));
    WAIT_FOR(owners[0].ended + owners[1].ended == 200);
    assert_int_equal(owners[0].begun + owners[1].begun, 200);
    drain();
}

static void
rows_of_a_dead_holder_are_taken_when_the_lease_ran_out(void **state)
{
    struct owner dead = {.abandons = true}, heir = {0};
    insert_rows(3);
    open_lease(process_rq, &dead, 3, 1, PAUSE_LONG_MS);
    WAIT_FOR(dead.ended == 3);
    drain();
    assert_true(ask_is("SELECT count(*) FROM work WHERE attempts = 1", "3"));
    open_lease(process_rq, &heir, 3, 60, 100);
    WAIT_FOR(heir.ended == 3);
    assert_true(NO_ROWS_LEFT);
    drain();
}

static void
a_row_that_was_left_is_taken_before_the_lease_runs_out(void **state)
{
    struct owner owner = {.leaves = true};
    insert_rows(3);
    open_lease(process_rq, &owner, 3, 3600, PAUSE_LONG_MS);
    WAIT_FOR(owner.ended >= 3);
    owner.leaves = false;
    WAIT_FOR(NO_ROWS_LEFT);
    drain();
}

static void
what_is_left_while_the_database_is_away_is_given_up_when_it_is_back(void **state)
{
    struct owner owner = {.leaves = true, .gate_closed = true};
    insert_rows(2);
    open_lease(process_rq, &owner, 2, 3600, 50);
    WAIT_FOR(owner.begun == 2);
    postgres_kit_kill(postgres);
    owner.gate_closed = false;
    WAIT_FOR(owner.ended == 2 && loops[loop_count - 1].failures > 0);
    owner.leaves = false;
    postgres_kit_start_again(postgres);
    WAIT_FOR(NO_ROWS_LEFT);
    assert_int_equal(owner.begun, 4);
    drain();
}

static void
a_lease_that_is_anothers_is_not_given_up(void **state)
{
    struct owner owner = {.leaves = true, .gate_closed = true};
    insert_rows(2);
    open_lease(process_rq, &owner, 2, 3600, PAUSE_LONG_MS);
    WAIT_FOR(owner.begun == 2);
    postgres_kit_run(postgres, "UPDATE work SET lease_holder = 'another'");
    owner.gate_closed = false;
    WAIT_FOR(owner.ended == 2);
    drain(); /* which gives up what was left */
    assert_true(ask_is("SELECT count(*) FROM work WHERE lease_holder = 'another' AND leased_until > now()", "2"));
}

static void
a_drain_gives_up_what_was_left(void **state)
{
    struct owner owner = {.leaves = true, .gate_closed = true};
    insert_rows(2);
    open_lease(process_rq, &owner, 2, 3600, PAUSE_LONG_MS);
    WAIT_FOR(owner.begun == 2);
    drain_count--;
    drains[drain_count].stop(drains[drain_count].context); /* the loop */
    owner.gate_closed = false;
    drain();
    assert_true(ask_is("SELECT count(*) FROM work WHERE lease_holder IS NULL", "2"));
}

static void
the_lease_of_work_that_takes_longer_is_renewed(void **state)
{
    struct owner owner = {.gate_closed = true}, other = {0};
    insert_rows(2);
    open_renewed(process_rq, &owner, 2, 3, 60, 50);
    WAIT_FOR(owner.begun == 2);
    open_renewed(process_rq, &other, 2, 3, 60, 50);
    postgres_kit_run(postgres, "CREATE TABLE first AS SELECT * FROM work");
    WAIT_FOR(ask_is("SELECT count(*) FROM work JOIN first USING (id) WHERE work.leased_until > first.leased_until + interval '3 seconds'", "2"));
    postgres_kit_run(postgres, "DROP TABLE first");
    owner.gate_closed = false;
    WAIT_FOR(owner.ended == 2);
    assert_int_equal(other.begun, 0);
    drain();
    assert_true(NO_ROWS_LEFT);
}

/* Else what hangs would never be taken from it. */
static void
the_lease_of_work_is_not_renewed_beyond_its_deadline(void **state)
{
    struct owner owner = {.gate_closed = true};
    insert_rows(1);
    open_renewed(process_rq, &owner, 2, 1, 2, 50);
    WAIT_FOR(owner.begun == 2);
    owner.gate_closed = false;
    drain();
}

/* As a request does that has taken a row itself, and leaves it behind in the end. */
static void
what_is_kept_is_renewed_until_it_is_let_go(void **state)
{
    struct owner owner = {0};
    struct kept_row before, kept, after;
    char sql[300];
    open_renewed(process_rq, &owner, 2, 3, 60, 50);
    lease_keep(owner.lease, "76", &before);
    lease_keep(owner.lease, "77", &kept);
    lease_keep(owner.lease, "78", &after);
    snprintf(sql, sizeof sql,
             "INSERT INTO work (id, token, names, lease_holder, leased_until) SELECT 77, t, ARRAY[t::text, 'x'], '%s', now() + interval '3 seconds' "
             "FROM gen_random_uuid() AS t",
             lease_holder(owner.lease));
    postgres_kit_run(postgres, sql);
    WAIT_FOR(ask_is("SELECT count(*) FROM work WHERE leased_until > due_at + interval '6 seconds'", "1"));
    assert_int_equal(owner.begun, 0);
    lease_let_go(owner.lease, &kept);
    lease_let_go(owner.lease, &after);
    lease_let_go(owner.lease, &before);
    WAIT_FOR(owner.ended == 1);
    drain();
}

/* The database was away for longer than a lease. */
static void
a_row_that_comes_back_to_who_works_on_it_is_not_begun_twice(void **state)
{
    struct owner owner = {.gate_closed = true};
    insert_rows(1);
    open_renewed(process_rq, &owner, 2, 60, 60, 50);
    WAIT_FOR(owner.begun == 1);
    postgres_kit_run(postgres, "UPDATE work SET leased_until = now() - interval '1 second'");
    WAIT_FOR(ask_is("SELECT attempts FROM work", "2"));
    owner.gate_closed = false;
    WAIT_FOR(NO_ROWS_LEFT);
    drain();
    assert_int_equal(owner.begun, 1);
}

static void *
drain_all(void *argument)
{
    drain();
    return NULL;
}

static void
a_drain_renews_for_as_long_as_the_work_may_last(void **state)
{
    struct owner owner = {.gate_closed = true};
    pthread_t thread;
    insert_rows(1);
    open_renewed(process_rq, &owner, 2, 60, 3600, PAUSE_LONG_MS);
    WAIT_FOR(owner.begun == 1);
    pthread_create(&thread, NULL, drain_all, NULL);
    WAIT_FOR(ask_is("SELECT count(*) FROM work WHERE leased_until > now() + interval '30 minutes'", "1"));
    owner.gate_closed = false;
    pthread_join(thread, NULL);
    assert_int_equal(owner.ended, 1);
}

static void
the_drain_finishes_what_was_begun(void **state)
{
    struct owner owner = {.gate_closed = true};
    insert_rows(4);
    open_lease(process_rq, &owner, 2, 60, PAUSE_LONG_MS);
    WAIT_FOR(owner.begun == 2);
    owner.gate_closed = false;
    drain();
    assert_int_equal(owner.ended, owner.begun);
    assert_int_equal(owner.at_once, 0);
    lease_wake(owner.lease); /* a late one does no harm */
}

static void
tells_when_the_database_is_away_and_goes_on_when_it_is_back(void **state)
{
    struct owner owner = {0};
    postgres_kit_kill(postgres);
    open_lease(process_rq, &owner, 2, 60, 50);
    WAIT_FOR(loops[loop_count - 1].failures > 0);
    postgres_kit_start_again(postgres);
    insert_rows(2);
    WAIT_FOR(owner.ended == 2);
    drain();
}

static int
start_database(void **state)
{
    postgres = postgres_kit_start();
    postgres_kit_run(postgres, "CREATE TABLE work (id bigserial PRIMARY KEY, token uuid, names text[], due_at timestamptz NOT NULL DEFAULT now(), "
                               "leased_until timestamptz, lease_holder text, attempts int NOT NULL DEFAULT 0)");
    process_rq = request_new();
    struct db_options options = {.name = "test", .url = postgres_kit_url(postgres), .password_file = "", .connections = 6};
    return db_open(process_rq, &options, &db);
}

static int
stop_database(void **state)
{
    db_close(db);
    request_free(process_rq);
    postgres_kit_stop(postgres);
    return 0;
}

static int
empty_table(void **state)
{
    postgres_kit_run(postgres, "TRUNCATE work");
    return 0;
}

#define CASE(name) cmocka_unit_test_setup(name, empty_table)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(works_on_rows_that_are_there_and_ends_them),
        CASE(is_woken_for_new_rows),
        CASE(looks_again_after_a_pause_without_being_woken),
        CASE(takes_no_more_rows_than_it_has_threads),
        CASE(finishes_a_heap_of_rows_without_waiting_for_the_pause),
        CASE(two_holders_share_the_rows),
        CASE(rows_of_a_dead_holder_are_taken_when_the_lease_ran_out),
        CASE(a_row_that_was_left_is_taken_before_the_lease_runs_out),
        CASE(what_is_left_while_the_database_is_away_is_given_up_when_it_is_back),
        CASE(a_lease_that_is_anothers_is_not_given_up),
        CASE(a_drain_gives_up_what_was_left),
        CASE(the_lease_of_work_that_takes_longer_is_renewed),
        CASE(the_lease_of_work_is_not_renewed_beyond_its_deadline),
        CASE(what_is_kept_is_renewed_until_it_is_let_go),
        CASE(a_row_that_comes_back_to_who_works_on_it_is_not_begun_twice),
        CASE(a_drain_renews_for_as_long_as_the_work_may_last),
        CASE(the_drain_finishes_what_was_begun),
        CASE(tells_when_the_database_is_away_and_goes_on_when_it_is_back),
    };
    return cmocka_run_group_tests_name("lease", tests, start_database, stop_database);
}
