/* Which profile of a name a key belongs to. */
#include "unit/kit.h"

#include "base/incarnation.h"

#define ONE "0123456789abcdef"
#define OTHER "fedcba9876543210"
#define KEY "00112233445566778899aabbccddeeff.0"

static void
a_key_belongs_to_the_incarnation_that_made_it(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *key = incarnation_key(arena, ONE, KEY), *before = incarnation_key(arena, "", KEY);

    assert_string_equal(key, ONE "/" KEY);
    assert_string_equal(before, KEY);
    assert_true(incarnation_has(ONE, key));
    assert_false(incarnation_has(OTHER, key));
    assert_false(incarnation_has("", key));
    assert_true(incarnation_has("", before));
    assert_false(incarnation_has(ONE, before));
}

static void
a_key_that_says_nothing_is_one_from_before(void **state)
{
    assert_true(incarnation_has("", NULL));
    assert_false(incarnation_has(ONE, NULL));
    assert_true(incarnation_has("", "00112233445566778899aabbccddeeff:a/b:0"));
    assert_false(incarnation_has(ONE, "short"));
    assert_false(incarnation_has(ONE, ""));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(a_key_belongs_to_the_incarnation_that_made_it),
        cmocka_unit_test(a_key_that_says_nothing_is_one_from_before),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
