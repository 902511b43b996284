/* The bounded pool. Threads meet at gates (semaphores), never by waiting for a time. */
#include "unit/kit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <string.h>

#include "link/workers.h"

/* Work that tells when it has begun and goes on when it is let. */
static sem_t begun, let_go;
static atomic_int done;
static atomic_bool refused;

static int
reset(void **state)
{
    sem_init(&begun, 0, 0);
    sem_init(&let_go, 0, 0);
    atomic_store(&done, 0);
    return 0;
}

static void
wait_for(sem_t *gate)
{
    while (sem_wait(gate) != 0)
        continue;
}

static void
work_at_gates(void *argument)
{
    sem_post(&begun);
    wait_for(&let_go);
    atomic_fetch_add(&done, 1);
}

static void
count_one(void *argument)
{
    atomic_fetch_add((atomic_int *)argument, 1);
}

/* Fills all threads and waits until each is inside its work. */
static void
occupy(struct workers *workers, int threads)
{
    for (int i = 0; i < threads; i++)
        assert_true(workers_try(workers, work_at_gates, NULL));
    for (int i = 0; i < threads; i++)
        wait_for(&begun);
}

static void
let_all_go(int count)
{
    for (int i = 0; i < count; i++)
        sem_post(&let_go);
}

static void
all_threads_work_at_once(void **state)
{
    struct workers *workers = workers_new("at once", 4, 1, NULL);

    occupy(workers, 4);
    let_all_go(4);
    workers_free(workers);
    assert_int_equal(atomic_load(&done), 4);
}

static void
a_full_queue_refuses_and_opens_again(void **state)
{
    struct workers *workers = workers_new("full", 2, 3, NULL);

    occupy(workers, 2);
    for (int i = 1; i <= 3; i++)
        assert_true(workers_try(workers, work_at_gates, NULL));
    assert_false(workers_try(workers, work_at_gates, NULL));
    let_all_go(1);
    wait_for(&begun);
    assert_true(workers_try(workers, work_at_gates, NULL));
    assert_false(workers_try(workers, work_at_gates, NULL));
    let_all_go(10);
    workers_free(workers);
    assert_int_equal(atomic_load(&done), 6);
}

/* Nobody waits here for the threads to have woken up: they count as free from the start. */
static void
a_burst_as_large_as_the_idle_pool_is_never_refused(void **state)
{
    for (int round = 0; round < 50; round++) {
        struct workers *workers = workers_new("burst", 4, 1, NULL);
        for (int i = 0; i < 5; i++)
            assert_true(workers_try(workers, work_at_gates, NULL));
        assert_false(workers_try(workers, work_at_gates, NULL));
        let_all_go(5);
        workers_free(workers);
    }
    assert_int_equal(atomic_load(&done), 250);
}

static void
a_queue_of_none_lets_only_idle_threads_in(void **state)
{
    struct workers *workers = workers_new("no queue", 1, 0, NULL);

    occupy(workers, 1);
    assert_false(workers_try(workers, work_at_gates, NULL));
    let_all_go(1);
    workers_free(workers);
    assert_int_equal(atomic_load(&done), 1);
}

static void
closing_finishes_what_is_queued(void **state)
{
    struct workers *workers = workers_new("closing", 1, 100, NULL);

    occupy(workers, 1);
    for (int i = 0; i < 100; i++)
        assert_true(workers_try(workers, count_one, &done));
    let_all_go(1);
    workers_free(workers);
    assert_int_equal(atomic_load(&done), 101);
}

/* Work that puts itself behind itself for as long as the pool lets it. */
static void
go_on_until_refused(void *workers)
{
    if (atomic_fetch_add(&done, 1) == 0)
        sem_post(&begun);
    if (!workers_try(workers, go_on_until_refused, workers))
        atomic_store(&refused, true);
}

static void
a_closing_pool_refuses(void **state)
{
    struct workers *workers = workers_new("closing", 1, 10, NULL);

    atomic_store(&refused, false);
    assert_true(workers_try(workers, go_on_until_refused, workers));
    wait_for(&begun);
    assert_false(atomic_load(&refused));
    workers_free(workers);
    assert_true(atomic_load(&refused));
}

static char order[8];
static size_t order_len;

static void
append_letter(void *argument)
{
    order[order_len++] = *(const char *)argument;
}

static void
work_is_begun_in_the_order_it_came(void **state)
{
    static char letters[][2] = {"a", "b", "c", "d", "e"};
    struct workers *workers = workers_new("order", 1, COUNT_OF(letters) + 1, NULL);

    /* Twice, so that the ring goes around. */
    for (int round = 0; round < 2; round++) {
        order_len = 0;
        occupy(workers, 1);
        for (size_t i = 0; i < COUNT_OF(letters); i++)
            assert_true(workers_try(workers, append_letter, letters[i]));
        let_all_go(1);
        occupy(workers, 1); /* behind the letters */
        assert_string_equal(order, "abcde");
        let_all_go(1);
    }
    workers_free(workers);
}

static atomic_int ended;

static void
thread_ends(void)
{
    atomic_fetch_add(&ended, 1);
}

static void
each_thread_calls_at_thread_end_once(void **state)
{
    workers_free(workers_new("ends", 3, 1, thread_ends));
    assert_int_equal(atomic_load(&ended), 3);
}

struct seen {
    char name[16];
    bool blocks_sigterm;
};

static void
look_around(void *argument)
{
    struct seen *seen = argument;
    sigset_t blocked;

    pthread_getname_np(pthread_self(), seen->name, sizeof seen->name);
    pthread_sigmask(SIG_BLOCK, NULL, &blocked);
    seen->blocks_sigterm = sigismember(&blocked, SIGTERM);
}

static void
threads_have_a_name_and_leave_signals_to_main(void **state)
{
    struct seen seen = {0};
    sigset_t mine;
    struct workers *workers = workers_new("a name too long for the kernel", 1, 1, NULL);

    assert_true(workers_try(workers, look_around, &seen));
    workers_free(workers);
    pthread_sigmask(SIG_BLOCK, NULL, &mine);
    assert_string_equal(seen.name, "a name too long");
    assert_true(seen.blocks_sigterm);
    assert_false(sigismember(&mine, SIGTERM));
}

struct producer {
    struct workers *workers;
    atomic_int *count;
    int accepted;
};

static void *
produce(void *argument)
{
    struct producer *producer = argument;

    for (int i = 0; i < 20000; i++)
        producer->accepted += workers_try(producer->workers, count_one, producer->count);
    return NULL;
}

static void
from_many_threads_each_accepted_work_is_done_once(void **state)
{
    pthread_t threads[4];
    struct producer producers[COUNT_OF(threads)];
    struct workers *workers = workers_new("many", 3, 7, NULL);
    int accepted = 0;

    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        producers[i] = (struct producer){.workers = workers, .count = &done};
        assert_int_equal(pthread_create(&threads[i], NULL, produce, &producers[i]), 0);
    }
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        pthread_join(threads[i], NULL);
        accepted += producers[i].accepted;
    }
    workers_free(workers);
    assert_true(accepted > 0);
    assert_int_equal(atomic_load(&done), accepted);
}

#define TEST(test) cmocka_unit_test_setup(test, reset)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        TEST(all_threads_work_at_once),
        TEST(a_full_queue_refuses_and_opens_again),
        TEST(a_burst_as_large_as_the_idle_pool_is_never_refused),
        TEST(a_queue_of_none_lets_only_idle_threads_in),
        TEST(closing_finishes_what_is_queued),
        TEST(a_closing_pool_refuses),
        TEST(work_is_begun_in_the_order_it_came),
        TEST(each_thread_calls_at_thread_end_once),
        TEST(threads_have_a_name_and_leave_signals_to_main),
        TEST(from_many_threads_each_accepted_work_is_done_once),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
