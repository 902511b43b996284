/* Group commit: batches under load, no wait when idle, and one bad item that must not spoil the others. */
#include "unit/kit.h"

#include <pthread.h>
#include <semaphore.h>
#include <stdatomic.h>
#include <stddef.h>

#include "base/clock.h"
#include "link/commit_queue.h"

static atomic_int pauses;

void
clock_sleep_ms(int milliseconds)
{
    pauses++;
    (void)nanosleep(&(struct timespec){.tv_nsec = milliseconds * 1000000L}, NULL);
}

struct item {
    bool bad;
    bool committed;
};

struct recorder {
    pthread_mutex_t mutex;
    size_t batches, largest, items;
    enum error trouble; /* every batch meets it */
    pthread_cond_t changed;
    size_t held; /* batches that wait for `open` */
    size_t most_held;
    bool open;
    struct commit_queue *aside_of; /* batches step aside for as long as they are held */
};

static enum error
record(void *context, struct request *rq, void *const *items, size_t count)
{
    struct recorder *recorder = context;

    pthread_mutex_lock(&recorder->mutex);
    recorder->batches++;
    recorder->items += count;
    recorder->largest = count > recorder->largest ? count : recorder->largest;
    recorder->held++;
    recorder->most_held = recorder->held > recorder->most_held ? recorder->held : recorder->most_held;
    pthread_cond_broadcast(&recorder->changed);
    if (recorder->aside_of != NULL)
        commit_queue_step_aside(recorder->aside_of);
    while (!recorder->open)
        pthread_cond_wait(&recorder->changed, &recorder->mutex);
    if (recorder->aside_of != NULL)
        commit_queue_step_back(recorder->aside_of);
    recorder->held--;
    pthread_mutex_unlock(&recorder->mutex);
    if (recorder->trouble)
        return fail(rq, recorder->trouble, "trouble");
    for (size_t i = 0; i < count; i++) {
        if (((struct item *)items[i])->bad)
            return fail(rq, ERR_CONFLICT, "bad item");
    }
    rq->sql_round_trips++;
    for (size_t i = 0; i < count; i++)
        ((struct item *)items[i])->committed = true;
    return OK;
}

#define CALLERS 40

struct caller {
    struct commit_queue *queue;
    struct request *rq;
    struct item item;
    enum error error;
    pthread_t thread;
};

static void *
run(void *argument)
{
    struct caller *caller = argument;

    caller->error = commit_queue_run(caller->queue, caller->rq, &caller->item);
    return NULL;
}

static void
start_callers(struct commit_queue *queue, struct caller *callers, int count)
{
    for (int i = 0; i < count; i++) {
        callers[i].queue = queue;
        callers[i].rq = request_new();
        assert_int_equal(pthread_create(&callers[i].thread, NULL, run, &callers[i]), 0);
    }
}

static void
wait_until_held(struct recorder *recorder, size_t batches)
{
    pthread_mutex_lock(&recorder->mutex);
    while (recorder->held < batches)
        pthread_cond_wait(&recorder->changed, &recorder->mutex);
    pthread_mutex_unlock(&recorder->mutex);
}

static void
open_and_join(struct recorder *recorder, struct caller *callers, int count)
{
    pthread_mutex_lock(&recorder->mutex);
    recorder->open = true;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->mutex);
    for (int i = 0; i < count; i++)
        assert_int_equal(pthread_join(callers[i].thread, NULL), 0);
}

/* The first batch is held until all callers have come, so that the rest must become one batch. */
static void
run_all_in(struct commit_queue *queue, struct recorder *recorder, struct caller *callers)
{
    start_callers(queue, callers, CALLERS);
    wait_until_held(recorder, 1);
    clock_sleep_ms(50); /* the others queue; were they late, there would only be more batches */
    open_and_join(recorder, callers, CALLERS);
    commit_queue_free(queue);
}

static void
run_all(struct recorder *recorder, struct caller *callers)
{
    run_all_in(commit_queue_new(record, recorder), recorder, callers);
}

static void
free_callers(struct caller *callers)
{
    for (int i = 0; i < CALLERS; i++)
        request_free(callers[i].rq);
}

static void
lone_item_is_committed_alone(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .open = true};
    struct commit_queue *queue = commit_queue_new(record, &recorder);
    AUTO_STRUCT(request, rq) = request_new();
    struct item item = {0};

    assert_int_equal(commit_queue_run(queue, rq, &item), OK);
    assert_true(item.committed);
    assert_int_equal(rq->sql_round_trips, 1);
    assert_int_equal(recorder.batches, 1);
    commit_queue_free(queue);
}

static void
waiting_items_share_a_batch(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};

    run_all(&recorder, callers);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].error, OK);
        assert_true(callers[i].item.committed);
        assert_int_equal(callers[i].rq->sql_round_trips, 1);
    }
    assert_int_equal(recorder.items, CALLERS);
    assert_true(recorder.largest > 1);
    assert_true(recorder.batches < CALLERS);
    free_callers(callers);
}

/* Of the callers that come while the first batch is on its way, so many do not wait for its end. */
static void
many_that_wait_become_a_second_batch_at_once(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};
    struct commit_queue *queue = commit_queue_new(record, &recorder);

    start_callers(queue, callers, CALLERS);
    wait_until_held(&recorder, 2);
    open_and_join(&recorder, callers, CALLERS);
    assert_int_equal(recorder.items, CALLERS);
    assert_int_equal(recorder.most_held, 2);
    commit_queue_free(queue);
    free_callers(callers);
}

static void
few_wait_for_the_batch_before_them_and_share_the_next(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};
    struct commit_queue *queue = commit_queue_new(record, &recorder);

    start_callers(queue, callers, 8);
    wait_until_held(&recorder, 1);
    clock_sleep_ms(50); /* the others queue; were they late, there would only be more batches */
    open_and_join(&recorder, callers, 8);
    assert_int_equal(recorder.items, 8);
    assert_int_equal(recorder.most_held, 1);
    commit_queue_free(queue);
    free_callers(callers);
}

static void
who_comes_while_a_batch_hangs_does_not_wait_for_it(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};
    struct commit_queue *queue = commit_queue_new(record, &recorder);

    start_callers(queue, callers, 1);
    wait_until_held(&recorder, 1);
    clock_sleep_ms(300);
    start_callers(queue, callers + 1, 1);
    wait_until_held(&recorder, 2);
    open_and_join(&recorder, callers, 2);
    commit_queue_free(queue);
    free_callers(callers);
}

static void
who_waits_for_a_batch_that_hangs_sets_out_although_nobody_else_comes(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};
    struct commit_queue *queue = commit_queue_new(record, &recorder);

    start_callers(queue, callers, 1);
    wait_until_held(&recorder, 1);
    start_callers(queue, callers + 1, 1);
    wait_until_held(&recorder, 2);
    open_and_join(&recorder, callers, 2);
    commit_queue_free(queue);
    free_callers(callers);
}

static void
some_need_not_wait_for_a_batch_that_waits_for_somebody_else(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};
    struct commit_queue *queue = recorder.aside_of = commit_queue_new(record, &recorder);

    start_callers(queue, callers, 1);
    wait_until_held(&recorder, 1);
    start_callers(queue, callers + 1, 20);
    wait_until_held(&recorder, 2);
    open_and_join(&recorder, callers, 21);
    assert_int_equal(recorder.items, 21);
    commit_queue_free(queue);
    free_callers(callers);
}

static void
who_waits_already_sets_out_when_the_batch_before_steps_aside(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};
    struct commit_queue *queue = commit_queue_new(record, &recorder);

    start_callers(queue, callers, 1);
    wait_until_held(&recorder, 1);
    start_callers(queue, callers + 1, 20);
    clock_sleep_ms(50); /* they queue; were they late, the test would be easier */
    commit_queue_step_aside(queue);
    wait_until_held(&recorder, 2);
    commit_queue_step_back(queue);
    open_and_join(&recorder, callers, 21);
    assert_int_equal(recorder.most_held, 2);
    commit_queue_free(queue);
    free_callers(callers);
}

static void
few_wait_also_for_a_batch_that_has_stepped_aside(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};
    struct commit_queue *queue = recorder.aside_of = commit_queue_new(record, &recorder);

    start_callers(queue, callers, 8);
    wait_until_held(&recorder, 1);
    clock_sleep_ms(50); /* the others queue; were they late, there would only be more batches */
    open_and_join(&recorder, callers, 8);
    assert_int_equal(recorder.items, 8);
    assert_int_equal(recorder.most_held, 1);
    commit_queue_free(queue);
    free_callers(callers);
}

/* ---- posted items ---- */

struct posted {
    struct request *rq;
    struct item item; /* what the queue is given */
    enum error error;
    sem_t done;
};

static void
tell_posted(void *item, enum error error)
{
    struct posted *posted = (struct posted *)((char *)item - offsetof(struct posted, item));

    posted->error = error;
    sem_post(&posted->done);
}

static void
post(struct commit_queue *queue, struct posted *posted, int count)
{
    for (int i = 0; i < count; i++) {
        posted[i].rq = request_new();
        sem_init(&posted[i].done, 0, 0);
        commit_queue_post(queue, posted[i].rq, &posted[i].item, tell_posted);
    }
}

static void
take_posted(struct posted *posted, int count)
{
    for (int i = 0; i < count; i++) {
        while (sem_wait(&posted[i].done) != 0)
            continue;
        request_free(posted[i].rq);
        sem_destroy(&posted[i].done);
    }
}

static void
set_open(struct recorder *recorder)
{
    pthread_mutex_lock(&recorder->mutex);
    recorder->open = true;
    pthread_cond_broadcast(&recorder->changed);
    pthread_mutex_unlock(&recorder->mutex);
}

static void
posted_items_share_a_batch_and_their_posters_wait_for_nothing(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct workers *leaders = workers_new("leaders", COMMIT_LEADERS, COMMIT_LEADERS, NULL);
    struct commit_queue *queue = commit_queue_new_in_turn(record, &recorder);
    struct posted posted[CALLERS] = {0};

    commit_queue_lead_on(queue, leaders);
    post(queue, posted, 1);
    wait_until_held(&recorder, 1);
    post(queue, posted + 1, CALLERS - 1);
    set_open(&recorder);
    take_posted(posted, CALLERS);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(posted[i].error, OK);
        assert_true(posted[i].item.committed);
    }
    assert_int_equal(recorder.batches, 2);
    assert_int_equal(recorder.items, CALLERS);
    workers_free(leaders);
    commit_queue_free(queue);
}

static void
one_bad_posted_item_fails_alone(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct workers *leaders = workers_new("leaders", COMMIT_LEADERS, COMMIT_LEADERS, NULL);
    struct commit_queue *queue = commit_queue_new_in_turn(record, &recorder);
    struct posted posted[4] = {[2] = {.item = {.bad = true}}};

    commit_queue_lead_on(queue, leaders);
    post(queue, posted, 1);
    wait_until_held(&recorder, 1);
    post(queue, posted + 1, 3);
    set_open(&recorder);
    take_posted(posted, 4);
    for (int i = 0; i < 4; i++)
        assert_int_equal(posted[i].error, i == 2 ? ERR_CONFLICT : OK);
    workers_free(leaders);
    commit_queue_free(queue);
}

static void
posted_items_and_those_that_are_waited_for_share_a_batch(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct workers *leaders = workers_new("leaders", COMMIT_LEADERS, COMMIT_LEADERS, NULL);
    struct commit_queue *queue = commit_queue_new_in_turn(record, &recorder);
    struct caller callers[CALLERS] = {0};
    struct posted posted[8] = {0};

    commit_queue_lead_on(queue, leaders);
    start_callers(queue, callers, 1);
    wait_until_held(&recorder, 1);
    post(queue, posted, 4); /* they lead the next one */
    start_callers(queue, callers + 1, 4);
    clock_sleep_ms(50); /* they queue; were they late, there would only be more batches */
    post(queue, posted + 4, 4);
    open_and_join(&recorder, callers, 5);
    take_posted(posted, 8);
    assert_int_equal(recorder.items, 13);
    assert_int_equal(recorder.most_held, 1);
    workers_free(leaders);
    commit_queue_free(queue);
    free_callers(callers);
}

static void
what_is_posted_behind_a_batch_that_hangs_sets_out_although_nobody_else_comes(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct workers *leaders = workers_new("leaders", COMMIT_LEADERS, COMMIT_LEADERS, NULL);
    struct commit_queue *queue = commit_queue_new(record, &recorder);
    struct posted posted[2] = {0};

    commit_queue_lead_on(queue, leaders);
    post(queue, posted, 1);
    wait_until_held(&recorder, 1);
    post(queue, posted + 1, 1);
    wait_until_held(&recorder, 2);
    set_open(&recorder);
    take_posted(posted, 2);
    workers_free(leaders);
    commit_queue_free(queue);
}

static void
batches_in_turn_are_never_two_at_once(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};

    run_all_in(commit_queue_new_in_turn(record, &recorder), &recorder, callers);
    assert_int_equal(recorder.items, CALLERS);
    assert_int_equal(recorder.most_held, 1);
    free_callers(callers);
}

static int
pauses_of_one_item(struct commit_queue *queue)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct item item = {0};
    int before = pauses;

    assert_int_equal(commit_queue_run(queue, rq, &item), OK);
    return pauses - before;
}

static void
company_is_waited_for_only_where_there_was_some_lately(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .open = true};
    AUTO_STRUCT(commit_queue, queue) = commit_queue_new_in_turn(record, &recorder);
    struct caller callers[CALLERS] = {0};

    for (int i = 0; i < 30; i++)
        assert_int_equal(pauses_of_one_item(queue), 0);
    recorder.open = false;
    start_callers(queue, callers, CALLERS);
    wait_until_held(&recorder, 1);
    clock_sleep_ms(50); /* the others queue */
    open_and_join(&recorder, callers, CALLERS);
    assert_int_equal(pauses_of_one_item(queue), 1);
    for (int i = 0; i < 30; i++)
        (void)pauses_of_one_item(queue);
    assert_int_equal(pauses_of_one_item(queue), 0);
    free_callers(callers);
}

static void
one_bad_item_fails_alone(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER};
    struct caller callers[CALLERS] = {0};

    callers[7].item.bad = true;
    run_all(&recorder, callers);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].error, i == 7 ? ERR_CONFLICT : OK);
        assert_int_equal(callers[i].rq->failure.kind, i == 7 ? ERR_CONFLICT : OK);
        assert_int_equal(callers[i].item.committed, i != 7);
    }
    free_callers(callers);
}

static void
trouble_outside_is_everybodys_and_not_tried_again(void **state)
{
    struct recorder recorder = {.mutex = PTHREAD_MUTEX_INITIALIZER, .changed = PTHREAD_COND_INITIALIZER, .trouble = ERR_TIMEOUT};
    struct caller callers[CALLERS] = {0};

    run_all(&recorder, callers);
    for (int i = 0; i < CALLERS; i++) {
        assert_int_equal(callers[i].error, ERR_TIMEOUT);
        assert_string_equal(callers[i].rq->failure.message, "trouble");
    }
    assert_int_equal(recorder.items, CALLERS);
    free_callers(callers);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(lone_item_is_committed_alone),
        cmocka_unit_test(waiting_items_share_a_batch),
        cmocka_unit_test(many_that_wait_become_a_second_batch_at_once),
        cmocka_unit_test(few_wait_for_the_batch_before_them_and_share_the_next),
        cmocka_unit_test(who_comes_while_a_batch_hangs_does_not_wait_for_it),
        cmocka_unit_test(who_waits_for_a_batch_that_hangs_sets_out_although_nobody_else_comes),
        cmocka_unit_test(some_need_not_wait_for_a_batch_that_waits_for_somebody_else),
        cmocka_unit_test(who_waits_already_sets_out_when_the_batch_before_steps_aside),
        cmocka_unit_test(few_wait_also_for_a_batch_that_has_stepped_aside),
        cmocka_unit_test(batches_in_turn_are_never_two_at_once),
        cmocka_unit_test(posted_items_share_a_batch_and_their_posters_wait_for_nothing),
        cmocka_unit_test(one_bad_posted_item_fails_alone),
        cmocka_unit_test(posted_items_and_those_that_are_waited_for_share_a_batch),
        cmocka_unit_test(what_is_posted_behind_a_batch_that_hangs_sets_out_although_nobody_else_comes),
        cmocka_unit_test(company_is_waited_for_only_where_there_was_some_lately),
        cmocka_unit_test(one_bad_item_fails_alone),
        cmocka_unit_test(trouble_outside_is_everybodys_and_not_tried_again),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
