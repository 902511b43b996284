/* A version lives as long as its last reader. Run under the address sanitizer this also shows that none lives longer. */
#include "unit/kit.h"

#include <pthread.h>

#include "base/snapshot.h"
#include "base/text.h"

static void
put(struct snapshot_slot *slot, const char *text)
{
    struct arena *arena = arena_new();

    snapshot_put(slot, arena, arena_text(arena, text));
}

static void
nothing_is_held_before_the_first(void **state)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    AUTO_STRUCT(request, rq) = request_new();

    assert_null(snapshot_hold(slot, rq));
    assert_int_equal(snapshot_age_ms(slot), -1);
    put(slot, "one");
    assert_string_equal(snapshot_hold(slot, rq), "one");
    assert_true(snapshot_age_ms(slot) >= 0);
    snapshot_slot_free(slot);
    assert_string_equal(snapshot_hold(slot = snapshot_slot_new(), rq) == NULL ? "none" : "some", "none");
    snapshot_slot_free(slot);
}

static void
reader_keeps_its_version(void **state)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    struct request *old = request_new(), *fresh = request_new();

    put(slot, "one");
    const char *one = snapshot_hold(slot, old);
    put(slot, "two");
    assert_string_equal(snapshot_hold(slot, fresh), "two");
    assert_string_equal(one, "one");
    snapshot_slot_free(slot);
    assert_string_equal(one, "one");
    request_free(old);
    request_free(fresh);
}

#define READS 20000

static void *
read_often(void *argument)
{
    for (int i = 0; i < READS; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const char *text = snapshot_hold(argument, rq);
        if (!text_equal(text, "one") && !text_equal(text, "two"))
            return argument;
    }
    return NULL;
}

static void
readers_and_writer_do_not_disturb_each_other(void **state)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    pthread_t readers[2];

    put(slot, "one");
    for (int i = 0; i < 2; i++)
        assert_int_equal(pthread_create(&readers[i], NULL, read_often, slot), 0);
    for (int i = 0; i < 500; i++)
        put(slot, i % 2 ? "one" : "two");
    for (int i = 0; i < 2; i++) {
        void *trouble;
        assert_int_equal(pthread_join(readers[i], &trouble), 0);
        assert_null(trouble);
    }
    snapshot_slot_free(slot);
}

static void
what_was_begun_later_counts_however_long_the_other_took(void **state)
{
    struct snapshot_slot *slot = snapshot_slot_new();
    AUTO_STRUCT(request, rq) = request_new();
    struct arena *slow = arena_new(), *fast = arena_new();
    uint64_t first = snapshot_begin(slot), second = snapshot_begin(slot);

    snapshot_put_begun(slot, second, fast, arena_text(fast, "two"));
    snapshot_put_begun(slot, first, slow, arena_text(slow, "one"));
    assert_string_equal(snapshot_hold(slot, rq), "two");
    put(slot, "three");
    assert_string_equal(snapshot_hold(slot, rq), "three");
    snapshot_slot_free(slot);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(nothing_is_held_before_the_first),
        cmocka_unit_test(reader_keeps_its_version),
        cmocka_unit_test(what_was_begun_later_counts_however_long_the_other_took),
        cmocka_unit_test(readers_and_writer_do_not_disturb_each_other),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
