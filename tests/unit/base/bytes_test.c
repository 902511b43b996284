/* Spans, buffers, secrets. */
#include "unit/kit.h"

#include <string.h>

#include "base/bytes.h"

static struct arena *arena;

static int
make_arena(void **state)
{
    arena = arena_new();
    return 0;
}

static int
drop_arena(void **state)
{
    arena_free(TAKE(arena));
    return 0;
}

#define TEXT(text) bytes_of_text(text)

static void
spans_are_equal_when_length_and_octets_are(void **state)
{
    static bool (*const equal[])(struct bytes, struct bytes) = {bytes_equal, bytes_equal_secret};

    for (size_t i = 0; i < COUNT_OF(equal); i++) {
        assert_true(equal[i](TEXT("abc"), BYTES("abc", 3)));
        assert_true(equal[i](BYTES("a\0b", 3), BYTES("a\0b", 3)));
        assert_true(equal[i](BYTES_NONE, TEXT("")));
        assert_false(equal[i](TEXT("abc"), TEXT("abd")));
        assert_false(equal[i](BYTES("a\0b", 3), BYTES("a\0c", 3)));
        assert_false(equal[i](TEXT("abc"), TEXT("ab")));
        assert_false(equal[i](TEXT("a"), BYTES_NONE));
    }
}

static void
copies_do_not_follow_the_original(void **state)
{
    char original[] = "serial";
    struct bytes copy = bytes_copy(arena, TEXT(original));
    char *text = bytes_text(arena, BYTES(original, 3));

    memset(original, 'x', 6);
    assert_true(bytes_equal(copy, TEXT("serial")));
    assert_string_equal(text, "ser");
    assert_string_equal(bytes_text(arena, BYTES_NONE), "");
    assert_int_equal(bytes_copy(arena, BYTES_NONE).len, 0);
}

static void
hex_goes_there_and_back(void **state)
{
    struct bytes octets = BYTES("\x00\x9f\xAB\xff", 4), back;

    assert_string_equal(bytes_hex(arena, octets, 0), "009fabff");
    assert_string_equal(bytes_hex(arena, octets, ':'), "00:9f:ab:ff");
    assert_string_equal(bytes_hex(arena, BYTES_NONE, ':'), "");
    assert_true(bytes_from_hex(arena, "009fabff", &back) && bytes_equal(back, octets));
    assert_true(bytes_from_hex(arena, "00:9F:aB:ff", &back) && bytes_equal(back, octets));
    assert_true(bytes_from_hex(arena, "", &back) && back.len == 0);
}

static void
what_is_not_hex_is_refused_and_the_output_untouched(void **state)
{
    static const char *const refused[] = {"0", "000", "0g", "g0", " 00", "00 ", "0x00", "00::11", ":00", "00:", "0:0", "00:1", "-1"};
    struct bytes untouched = BYTES("u", 1);

    for (size_t i = 0; i < COUNT_OF(refused); i++) {
        if (bytes_from_hex(arena, refused[i], &untouched))
            fail_msg("accepted \"%s\"", refused[i]);
        assert_string_equal((const char *)untouched.at, "u");
    }
    assert_false(bytes_from_hex(arena, NULL, &untouched));
}

static void
a_buffer_grows_and_keeps_everything(void **state)
{
    struct buffer buffer = buffer_in(arena);

    assert_string_equal(buffer_text(&buffer), "");
    for (int i = 0; i < 2000; i++)
        buffer_append_format(&buffer, "%04d", i);
    assert_int_equal(buffer_bytes(&buffer).len, 8000);
    assert_memory_equal(buffer_bytes(&buffer).at + 4 * 1234, "1234", 4);
    assert_int_equal(strlen(buffer_text(&buffer)), 8000);
}

static void
a_buffer_takes_every_octet_nothing_and_parts_of_itself(void **state)
{
    struct buffer buffer = buffer_in(arena);

    buffer_append(&buffer, NULL, 0);
    buffer_append(&buffer, "a\0b", 3);
    for (int i = 0; i < 10; i++)
        buffer_append(&buffer, buffer.at, buffer.len);
    assert_int_equal(buffer.len, 3 * 1024);
    for (size_t i = 0; i < buffer.len; i += 3)
        assert_memory_equal(buffer.at + i, "a\0b", 3);
    buffer_append_text(&buffer, "");
    buffer_append_format(&buffer, "%s", "");
    assert_int_equal(buffer.len, 3 * 1024);
}

/* Lengths at which the room is exactly used up: the NUL must still fit (the sanitizer build would see it written outside). */
static void
a_buffer_takes_formatted_text_wherever_its_room_ends(void **state)
{
    for (int before = 0; before < 300; before++) {
        struct buffer buffer = buffer_in(arena);
        buffer_append_format(&buffer, "%0*d", before, 1);
        size_t len = buffer.len;
        buffer_append_format(&buffer, "<%s>", "text");
        buffer_append_format(&buffer, "%d", 9);
        assert_string_equal(buffer_text(&buffer) + len, "<text>9");
    }
}

static void
a_buffer_has_room_for_its_nul(void **state)
{
    for (size_t len = 250; len < 260; len++) {
        struct buffer buffer = buffer_in(arena);
        for (size_t i = 0; i < len; i++)
            buffer_append(&buffer, "x", 1);
        assert_int_equal(strlen(buffer_text(&buffer)), len);
    }
}

static void
a_secret_holds_a_copy_and_ends_in_nul(void **state)
{
    char pin[] = "hsm-pin-1234";
    AUTO_STRUCT(secret, secret) = secret_copy(TEXT(pin));

    wipe(pin, sizeof pin - 1);
    assert_int_equal(pin[0], 0);
    assert_int_equal(pin[11], 0);
    assert_int_equal(secret->len, 12);
    assert_string_equal((const char *)secret->at, "hsm-pin-1234");
}

static void
secrets_may_be_empty_or_longer_than_a_page(void **state)
{
    static const size_t lengths[] = {0, 4095, 4096, 4097, 70000};

    for (size_t i = 0; i < COUNT_OF(lengths); i++) {
        AUTO_STRUCT(secret, secret) = secret_new(lengths[i]);
        memset(secret->at, 'k', secret->len);
        assert_int_equal(secret->at[lengths[i]], 0);
    }
    secret_free(NULL);
    wipe(NULL, 0);
}

static void
hashes_as_fnv_1a_does(void **state)
{
    /* From the authors' list of test vectors. */
    assert_true(bytes_hash(BYTES_NONE) == UINT64_C(0xcbf29ce484222325));
    assert_true(bytes_hash(bytes_of_text("a")) == UINT64_C(0xaf63dc4c8601ec8c));
    assert_true(bytes_hash(bytes_of_text("foobar")) == UINT64_C(0x85944171f73967e8));
}

/* Octets that share a place under one secret do not share it under others. */
static void
hashes_otherwise_under_another_secret(void **state)
{
    int same = 0;

    for (uint64_t secret = 1; secret <= 64; secret++) {
        uint64_t a = bytes_hash_keyed(secret << 40, bytes_of_text("a")), b = bytes_hash_keyed(secret << 40, bytes_of_text("b"));
        assert_true(a != b && a == bytes_hash_keyed(secret << 40, bytes_of_text("a")));
        same += a % 16 == b % 16;
    }
    assert_true(same < 32);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(spans_are_equal_when_length_and_octets_are),
        cmocka_unit_test(hashes_as_fnv_1a_does),
        cmocka_unit_test(hashes_otherwise_under_another_secret),
        cmocka_unit_test_setup_teardown(copies_do_not_follow_the_original, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(hex_goes_there_and_back, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(what_is_not_hex_is_refused_and_the_output_untouched, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(a_buffer_grows_and_keeps_everything, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(a_buffer_takes_every_octet_nothing_and_parts_of_itself, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(a_buffer_takes_formatted_text_wherever_its_room_ends, make_arena, drop_arena),
        cmocka_unit_test_setup_teardown(a_buffer_has_room_for_its_nul, make_arena, drop_arena),
        cmocka_unit_test(a_secret_holds_a_copy_and_ends_in_nul),
        cmocka_unit_test(secrets_may_be_empty_or_longer_than_a_page),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
