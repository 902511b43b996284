/* Memory of one request. */
#include "unit/kit.h"

#include <string.h>

#include "base/arena.h"

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#endif

static bool
is_zero(const uint8_t *at, size_t len)
{
    for (size_t i = 0; i < len; i++)
        if (at[i] != 0)
            return false;
    return true;
}

/* Sizes around the block size and beyond the largest block; each piece is filled, so that an overlap would show in a neighbour. */
static void
pieces_are_zeroed_aligned_and_apart(void **state)
{
    static const size_t sizes[] = {1, 7, 16, 1000, 1007, 1008, 1009, 4000, 4032, 4096, 20000, 65536, 300000, 3, 0};
    uint8_t *pieces[COUNT_OF(sizes) * 20];
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(pieces); i++) {
        size_t size = sizes[i % COUNT_OF(sizes)];
        pieces[i] = arena_alloc(arena, size);
        assert_int_equal((uintptr_t)pieces[i] % _Alignof(max_align_t), 0);
        assert_true(is_zero(pieces[i], size));
        memset(pieces[i], (int)(i % 255) + 1, size);
    }
    for (size_t i = 0; i < COUNT_OF(pieces); i++)
        for (size_t at = 0; at < sizes[i % COUNT_OF(sizes)]; at++)
            assert_int_equal(pieces[i][at], i % 255 + 1);
}

static void
reused_memory_is_zeroed_again(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    for (int round = 0; round < 3; round++) {
        for (int i = 0; i < 50; i++) {
            uint8_t *piece = arena_alloc(arena, 500);
            assert_true(is_zero(piece, 500));
            memset(piece, 0xff, 500);
        }
        arena_reset(arena);
    }
}

static void
a_reset_arena_keeps_its_largest_block(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    uint8_t *first = NULL;

    for (int round = 0; round < 3; round++) {
        arena_reset(arena);
        uint8_t *begin = arena_alloc(arena, 8), *end = begin;
        for (int i = 0; i < 15; i++)
            end = arena_alloc(arena, 500);
        arena_alloc(arena, 100000);
        if (round > 0)
            assert_in_range(end - begin, 1, 8192); /* all in the block that was the second of the first round */
        if (round > 1)
            assert_ptr_equal(begin, first);
        first = begin;
    }
}

static void
an_arena_that_began_with_an_outsized_piece_can_be_reset(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    arena_alloc(arena, 200000);
    arena_reset(arena);
    arena_reset(arena);
    assert_string_equal(arena_text(arena, "again"), "again");
}

static void
texts_are_copied_and_formatted(void **state)
{
    char source[] = "order 17";
    AUTO_STRUCT(arena, arena) = arena_new();
    char *whole = arena_text(arena, source);
    char *part = arena_text_n(arena, source, 5);

    memset(source, 'x', sizeof source - 1);
    assert_string_equal(whole, "order 17");
    assert_string_equal(part, "order");
    assert_string_equal(arena_text_n(arena, NULL, 0), "");
    assert_string_equal(arena_format(arena, "%s/%d/%s", part, 9, ""), "order/9/");
    assert_int_equal(strlen(arena_format(arena, "%0*d", 70000, 7)), 70000);
    for (int len = 250; len < 262; len++) {
        const char *text = arena_format(arena, "%0*d", len, 7);
        assert_int_equal(strlen(text), len);
        assert_string_equal(text + len - 2, "07");
    }
}

static char order[8];
static size_t order_len;

static void
append_to_order(void *object)
{
    order[order_len++] = *(const char *)object;
}

static void
deferred_calls_run_newest_first_on_reset_and_on_free(void **state)
{
    char a[] = "a", b[] = "b", c[] = "c";
    struct arena *arena = arena_new();

    arena_defer(arena, append_to_order, a);
    arena_defer(arena, append_to_order, b);
    assert_string_equal(order, "");
    arena_reset(arena);
    assert_string_equal(order, "ba");
    arena_defer(arena, append_to_order, c);
    arena_free(arena);
    assert_string_equal(order, "bac");
}

static void
overflow_count(void *arena)
{
    arena_array(arena, SIZE_MAX / 8, 9);
}

static void
overflow_size(void *arena)
{
    arena_alloc(arena, SIZE_MAX - 4);
}

static void
sizes_that_overflow_abort(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_true(aborts(overflow_count, arena));
    assert_true(aborts(overflow_size, arena));
    assert_non_null(arena_array(arena, 10, 9));
}

#if defined(__SANITIZE_ADDRESS__)
static void
memory_past_a_piece_and_after_a_reset_is_poisoned(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    char *piece = arena_alloc(arena, 24);

    assert_false(__asan_address_is_poisoned(piece + 23));
    assert_true(__asan_address_is_poisoned(piece + 24));
    arena_reset(arena);
    assert_true(__asan_address_is_poisoned(piece));
}
#endif

#if !defined(__SANITIZE_ADDRESS__)
/* A reset keeps the memory, so that what is left in it can be looked at. */
static void
what_is_secret_is_wiped(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    for (int secret = 0; secret < 2; secret++) {
        uint8_t *piece = arena_alloc(arena, 32);
        memset(piece, 0xaa, 32);
        if (secret)
            arena_keep_secret(arena);
        assert_int_equal(arena_is_secret(arena), secret);
        arena_reset(arena);
        assert_int_equal(is_zero(piece, 32), secret);
        assert_false(arena_is_secret(arena));
    }
}
#endif

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(pieces_are_zeroed_aligned_and_apart),
        cmocka_unit_test(reused_memory_is_zeroed_again),
        cmocka_unit_test(a_reset_arena_keeps_its_largest_block),
        cmocka_unit_test(an_arena_that_began_with_an_outsized_piece_can_be_reset),
        cmocka_unit_test(texts_are_copied_and_formatted),
        cmocka_unit_test(deferred_calls_run_newest_first_on_reset_and_on_free),
        cmocka_unit_test(sizes_that_overflow_abort),
#if !defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(what_is_secret_is_wiped),
#endif
#if defined(__SANITIZE_ADDRESS__)
        cmocka_unit_test(memory_past_a_piece_and_after_a_reset_is_poisoned),
#endif
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
