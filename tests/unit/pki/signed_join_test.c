/* The outer form, octet by octet. That OpenSSL accepts it is shown by the tests of what is joined. */
#include "unit/kit.h"

#include "pki/certificate.h"

static void
joins_what_is_signed_with_algorithm_and_signature(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes joined = signed_join(arena, BYTES("\x30\x00", 2), SIG_ED25519, BYTES("\xaa\xbb", 2));

    assert_string_equal(bytes_hex(arena, joined, 0), "300e"
                                                     "3000"
                                                     "300506032b6570"
                                                     "030300aabb");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_what_is_signed_with_algorithm_and_signature),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
