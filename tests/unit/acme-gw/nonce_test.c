/* Nonces in the memory of one replica: good once, forgotten in time, never mistaken. */
#include "unit/kit.h"

#include <string.h>

#include "acme.h"

#define KEY "0123456789abcdef0123456789abcdef"
#define RING (1 << 22)

static void
is_fresh_once(void **state)
{
    AUTO_STRUCT(nonces, nonces) = nonces_new(bytes_of_text(KEY));
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *nonce = nonce_mint(nonces, arena);

    assert_int_equal(strlen(nonce), NONCE_LEN);
    assert_int_equal(nonce_use(nonces, arena, nonce), NONCE_FRESH);
    assert_int_equal(nonce_use(nonces, arena, nonce), NONCE_STALE);
}

static void
is_forgotten_when_the_ring_has_gone_around(void **state)
{
    AUTO_STRUCT(nonces, nonces) = nonces_new(bytes_of_text(KEY));
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO_STRUCT(arena, scratch) = arena_new();
    const char *old = nonce_mint(nonces, arena);
    const char *used = nonce_mint(nonces, arena);
    const char *young = nonce_mint(nonces, arena);

    assert_int_equal(nonce_use(nonces, arena, used), NONCE_FRESH);
    for (int i = 0; i < RING - 1; i++) {
        (void)nonce_mint(nonces, scratch);
        if (i % 1000 == 0)
            arena_reset(scratch);
    }
    assert_int_equal(nonce_use(nonces, arena, old), NONCE_STALE);
    assert_int_equal(nonce_use(nonces, arena, used), NONCE_STALE);
    assert_int_equal(nonce_use(nonces, arena, young), NONCE_FRESH);
}

static void
a_nonce_of_another_suite_is_stale(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO_STRUCT(nonces, one) = nonces_new(bytes_of_text(KEY));
    AUTO_STRUCT(nonces, other) = nonces_new(bytes_of_text("another key of another suite, 32 octets"));

    assert_int_equal(nonce_use(one, arena, nonce_mint(other, arena)), NONCE_STALE);
}

static void
replicas_know_each_others_nonces(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO_STRUCT(nonces, one) = nonces_new(bytes_of_text(KEY));
    AUTO_STRUCT(nonces, other) = nonces_new(bytes_of_text(KEY));

    assert_string_not_equal(nonces_prefix(one), nonces_prefix(other));
    assert_int_equal(strlen(nonces_prefix(one)), NONCE_PREFIX_LEN);
    const char *nonce = nonce_mint(other, arena);
    assert_memory_equal(nonce, nonces_prefix(other), NONCE_PREFIX_LEN);
    assert_int_equal(nonce_use(one, arena, nonce), NONCE_OF_ANOTHER_REPLICA);
    assert_int_equal(nonce_use(other, arena, nonce), NONCE_FRESH);
}

/* Each octet counts. */
static void
no_changed_nonce_is_fresh(void **state)
{
    AUTO_STRUCT(nonces, nonces) = nonces_new(bytes_of_text(KEY));
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *nonce = nonce_mint(nonces, arena);

    for (size_t i = 0; i < NONCE_LEN; i++) {
        char *changed = arena_text(arena, nonce);
        changed[i] = changed[i] == 'A' ? 'B' : 'A';
        assert_int_equal(nonce_use(nonces, arena, changed), NONCE_STALE);
    }
    assert_int_equal(nonce_use(nonces, arena, nonce), NONCE_FRESH);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_fresh_once),
        cmocka_unit_test(is_forgotten_when_the_ring_has_gone_around),
        cmocka_unit_test(a_nonce_of_another_suite_is_stale),
        cmocka_unit_test(replicas_know_each_others_nonces),
        cmocka_unit_test(no_changed_nonce_is_fresh),
    };
    return cmocka_run_group_tests_name("nonce", tests, NULL, NULL);
}
