/* Secrets that are drawn here: each another one, and known by its hash alone. */
#include "unit/kit.h"

#include <string.h>

#include "base/drawn_secret.h"

static void
each_is_another_one_in_groups(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    bool seen[256] = {false};
    int different = 0;

    for (int n = 0; n < 100; n++) {
        const char *secret = drawn_secret_new(arena);
        assert_int_equal(strlen(secret), DRAWN_SECRET_LEN);
        assert_string_not_equal(secret, drawn_secret_new(arena));
        for (size_t i = 0; i < DRAWN_SECRET_LEN; i++) {
            assert_int_equal(secret[i] == '-', i % 8 == 7);
            assert_null(strchr("IO01", secret[i]));
            different += !seen[(uint8_t)secret[i]];
            seen[(uint8_t)secret[i]] = true;
        }
    }
    assert_int_equal(different, 32 + 1); /* 2800 characters: each letter comes, but once in 10^37 */
}

static void
only_the_same_secret_is_it(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *secret = drawn_secret_new(arena), *other = drawn_secret_new(arena);
    struct bytes hash = drawn_secret_hash(arena, bytes_of_text(secret));

    assert_true(drawn_secret_is(hash, bytes_of_text(secret)));
    assert_false(drawn_secret_is(hash, bytes_of_text(other)));
    assert_false(drawn_secret_is(hash, BYTES(secret, DRAWN_SECRET_LEN - 1)));
    assert_false(drawn_secret_is(hash, BYTES_NONE));
    assert_false(bytes_equal(hash, drawn_secret_hash(arena, bytes_of_text(secret)))); /* salted */
}

/* Stored hashes must hold: `openssl mac -digest SHA256 -macopt hexkey:00…00 HMAC`. */
static void
the_form_stays(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes hash;

    assert_true(bytes_from_hex(arena,
                               "00000000000000000000000000000000"
                               "a610077b8d7704fd851346bb0ffc9b5f2b876f93163ad5243af62a91a694694a",
                               &hash));
    assert_true(drawn_secret_is(hash, bytes_of_text("ABCD")));
}

static void
no_hash_and_broken_hashes_let_nobody_in(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes hash = drawn_secret_hash(arena, BYTES_NONE);

    assert_true(drawn_secret_is(hash, BYTES_NONE));
    assert_false(drawn_secret_is(BYTES_NONE, BYTES_NONE));
    assert_false(drawn_secret_is(BYTES(hash.at, hash.len - 1), BYTES_NONE));
    assert_false(drawn_secret_is(BYTES("", 0), bytes_of_text("")));
}

static void
what_is_looked_up_has_another_mac_under_another_salt(void **state)
{
    static const uint8_t one[DRAWN_SECRET_SALT_LEN] = {1}, other[DRAWN_SECRET_SALT_LEN] = {2};
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes secret = bytes_of_text("1ED0DD50F7459D6E"), mac = drawn_secret_mac(arena, BYTES(one, sizeof one), secret);

    assert_int_equal(mac.len, DRAWN_SECRET_MAC_LEN);
    assert_true(bytes_equal(mac, drawn_secret_mac(arena, BYTES(one, sizeof one), secret)));
    assert_false(bytes_equal(mac, drawn_secret_mac(arena, BYTES(other, sizeof other), secret)));
    assert_false(bytes_equal(mac, drawn_secret_mac(arena, BYTES(one, sizeof one), bytes_of_text("1ED0DD50F7459D6F"))));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_looked_up_has_another_mac_under_another_salt),
        cmocka_unit_test(each_is_another_one_in_groups),
        cmocka_unit_test(only_the_same_secret_is_it),
        cmocka_unit_test(the_form_stays),
        cmocka_unit_test(no_hash_and_broken_hashes_let_nobody_in),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
