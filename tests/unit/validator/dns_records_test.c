/* The inside of TXT and CAA records, from whoever runs a zone. */
#include "unit/kit.h"

#include <string.h>

#include "validator.h"

static void
joins_the_strings_of_a_text(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes text;

    assert_true(txt_decode(arena, BYTES("\3abc\0\2de", 8), &text));
    assert_string_equal(bytes_text(arena, text), "abcde");
    assert_true(txt_decode(arena, BYTES("\0", 1), &text));
    assert_int_equal(text.len, 0);
}

static void
rejects_a_text_that_is_cut_or_too_long(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes text;
    uint8_t *many = arena_array(arena, 20, 256);

    assert_false(txt_decode(arena, BYTES("", 0), &text));
    assert_false(txt_decode(arena, BYTES("\4abc", 4), &text));
    assert_false(txt_decode(arena, BYTES("\3abc\1", 5), &text));
    for (size_t i = 0; i < 20; i++)
        many[i * 256] = 255;
    assert_true(txt_decode(arena, BYTES(many, 256 * 16), &text));
    assert_int_equal(text.len, 255 * 16);
    assert_false(txt_decode(arena, BYTES(many, 256 * 17), &text));
}

static void
reads_a_caa_record(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct caa caa;

    assert_true(caa_decode(BYTES("\x80\5issueca.example", 17), &caa));
    assert_int_equal(caa.flags, 0x80);
    assert_string_equal(bytes_text(arena, caa.tag), "issue");
    assert_string_equal(bytes_text(arena, caa.value), "ca.example");
    assert_true(caa_decode(BYTES("\0\5issue", 7), &caa));
    assert_int_equal(caa.value.len, 0);
}

static void
rejects_a_caa_record_whose_tag_is_none(void **state)
{
    struct caa caa;

    assert_false(caa_decode(BYTES("", 0), &caa));
    assert_false(caa_decode(BYTES("\0", 1), &caa));
    assert_false(caa_decode(BYTES("\0\0abc", 5), &caa));
    assert_false(caa_decode(BYTES("\0\6issue", 7), &caa));
    assert_false(caa_decode(BYTES("\0\5is-ue;", 8), &caa));
    assert_false(caa_decode(BYTES("\0\2\xff\xff", 4), &caa));
}

static void
shows_only_what_does_no_harm(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_string_equal(harmless(arena, BYTES("a\x1b[2J\0\n\x80z", 9)), "a?[2J???z");
    assert_int_equal(strlen(harmless(arena, BYTES(arena_alloc(arena, 300), 300))), 100);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(joins_the_strings_of_a_text),  cmocka_unit_test(rejects_a_text_that_is_cut_or_too_long),
        cmocka_unit_test(reads_a_caa_record),           cmocka_unit_test(rejects_a_caa_record_whose_tag_is_none),
        cmocka_unit_test(shows_only_what_does_no_harm),
    };
    return cmocka_run_group_tests_name("dns_records", tests, NULL, NULL);
}
