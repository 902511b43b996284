/* What is sealed opens with the same key, for the same thing, unchanged; and with nothing else. */
#include "unit/kit.h"

#include <string.h>

#include "acme.h"

static const char key_text[] = "0123456789abcdef0123456789abcdef";

static void
opens_what_it_sealed(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct secret_box *box = secret_box_new(bytes_of_text(key_text));
    struct bytes sealed = secret_box_seal(box, arena, bytes_of_text("the secret"), "id");
    struct bytes again = secret_box_seal(box, arena, bytes_of_text("the secret"), "id");

    AUTO_STRUCT(secret, secret) = secret_box_open(box, sealed, "id");
    assert_non_null(secret);
    assert_string_equal((const char *)secret->at, "the secret");
    assert_int_equal(secret->len, 10);
    assert_false(bytes_equal(sealed, again));
    assert_null(memmem(sealed.at, sealed.len, "secret", 6));
    secret_box_free(box);
}

static void
opens_nothing_else(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct secret_box *box = secret_box_new(bytes_of_text(key_text)), *other = secret_box_new(bytes_of_text("another key of 32 octets or more.."));
    struct bytes sealed = secret_box_seal(box, arena, bytes_of_text("the secret"), "id");

    assert_null(secret_box_open(other, sealed, "id"));
    assert_null(secret_box_open(box, sealed, "another id"));
    assert_null(secret_box_open(box, BYTES(sealed.at, 27), "id"));
    assert_null(secret_box_open(box, BYTES(sealed.at, sealed.len - 1), "id"));
    for (size_t i = 0; i < sealed.len; i++) {
        uint8_t *changed = (uint8_t *)(uintptr_t)bytes_copy(arena, sealed).at;
        changed[i] ^= 1;
        assert_null(secret_box_open(box, BYTES(changed, sealed.len), "id"));
    }
    secret_box_free(box);
    secret_box_free(other);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(opens_what_it_sealed), cmocka_unit_test(opens_nothing_else)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
