/* Questions about texts. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"

static void
equality_knows_null_and_case(void **state)
{
    assert_true(text_equal("a", "a"));
    assert_true(text_equal(NULL, NULL));
    assert_false(text_equal("a", "A"));
    assert_false(text_equal("a", NULL));
    assert_false(text_equal(NULL, ""));
    assert_true(text_equal_nocase("Content-TYPE", "content-type"));
    assert_true(text_equal_nocase(NULL, NULL));
    assert_false(text_equal_nocase("a", "ab"));
    assert_false(text_equal_nocase("ab", "a"));
    assert_false(text_equal_nocase("", NULL));
    assert_false(text_equal_nocase("\xc4", "\xe4")); /* Latin-1 Ä and ä: ASCII only */
    assert_false(text_equal_nocase("[", "{"));
}

static void
prefixes_suffixes_and_emptiness(void **state)
{
    assert_true(text_is_empty(NULL) && text_is_empty(""));
    assert_false(text_is_empty(" "));
    assert_true(text_starts_with("https://x", "https://"));
    assert_true(text_starts_with("x", ""));
    assert_false(text_starts_with("http", "https"));
    assert_false(text_starts_with(NULL, ""));
    assert_false(text_starts_with("", NULL));
    assert_true(text_ends_with("a.example", ".example"));
    assert_true(text_ends_with("x", ""));
    assert_false(text_ends_with("le", "example"));
    assert_false(text_ends_with(NULL, "x"));
    assert_false(text_ends_with("x", NULL));
}

static void
lower_case_is_ascii_only(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();

    assert_string_equal(text_lower(arena, "WWW.ExAmple-1.COM@[Z"), "www.example-1.com@[z");
    assert_string_equal(text_lower(arena, "\xc3\x84"), "\xc3\x84");
    assert_string_equal(text_lower(arena, NULL), "");
}

static void
utf8_is_what_rfc_3629_says(void **state)
{
    static const char *const valid[] = {"",
                                        "plain",
                                        "\xc2\x80",
                                        "\xdf\xbf",
                                        "\xe0\xa0\x80",
                                        "\xed\x9f\xbf",
                                        "\xee\x80\x80",
                                        "\xef\xbf\xbf",
                                        "\xf0\x90\x80\x80",
                                        "\xf4\x8f\xbf\xbf",
                                        "Zürich 東京 🔑"};
    static const char *const invalid[] = {
        "\x80",     "\xbf",         "\xc0\x80",     "\xc1\xbf",         "\xc2",         "\xc2\x41",         "\xe0\x9f\xbf",
        "\xe0\xa0", "\xed\xa0\x80", "\xed\xbf\xbf", "\xf0\x8f\xbf\xbf", "\xf0\x90\x80", "\xf4\x90\x80\x80", "\xf5\x80\x80\x80",
        "\xff",     "ok\xc3",       "\xe2\x28\xa1"};

    for (size_t i = 0; i < COUNT_OF(valid); i++)
        if (!text_is_utf8(bytes_of_text(valid[i])))
            fail_msg("refused valid case %zu", i);
    for (size_t i = 0; i < COUNT_OF(invalid); i++)
        if (text_is_utf8(bytes_of_text(invalid[i])))
            fail_msg("accepted invalid case %zu", i);
    assert_false(text_is_utf8(BYTES("a\0b", 3)));
    assert_true(text_is_utf8(BYTES_NONE));
}

static void
is_cut_between_characters(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    const char *text = "aü東b"; /* of 1, 2, 3 and 1 octets */
    static const char *const cut[] = {"", "a", "a", "aü", "aü", "aü", "aü東", "aü東b", "aü東b"};

    for (size_t i = 0; i < COUNT_OF(cut); i++)
        assert_string_equal(text_cut(arena, text, i), cut[i]);
}

static void
characters_are_measured_in_octets(void **state)
{
    assert_int_equal(text_utf8_length(BYTES_NONE), 0);
    assert_int_equal(text_utf8_length(BYTES("\0", 1)), 1);
    assert_int_equal(text_utf8_length(bytes_of_text("ab")), 1);
    assert_int_equal(text_utf8_length(bytes_of_text("üb")), 2);
    assert_int_equal(text_utf8_length(bytes_of_text("東b")), 3);
    assert_int_equal(text_utf8_length(bytes_of_text("🔑b")), 4);
    assert_int_equal(text_utf8_length(BYTES("🔑", 3)), 0);
}

static void
printable_ascii_has_no_controls_and_no_high_octets(void **state)
{
    assert_true(text_is_printable_ascii(bytes_of_text(" ~aZ09")));
    assert_true(text_is_printable_ascii(BYTES_NONE));
    assert_false(text_is_printable_ascii(bytes_of_text("a\tb")));
    assert_false(text_is_printable_ascii(bytes_of_text("a\x7f")));
    assert_false(text_is_printable_ascii(bytes_of_text("\xc3\xbc")));
    assert_false(text_is_printable_ascii(BYTES("\0", 1)));
}

static void
stars_match_runs_and_nothing_else_is_special(void **state)
{
    static const struct {
        const char *pattern, *text;
        bool matches;
    } cases[] = {
        {"", "", true},
        {"", "a", false},
        {"*", "", true},
        {"*", "anything.at.all", true},
        {"**", "x", true},
        {"www.example.com", "WWW.example.COM", true},
        {"www.example.com", "www.example.com.evil", false},
        {"*.example.com", "a.b.example.com", true},
        {"*.example.com", ".example.com", true},
        {"*.example.com", "example.com", false},
        {"*.example.com", "a.example.com.evil", false},
        {"a*b*c", "a-b-b-c", true},
        {"a*b*c", "a-c-b", false},
        {"*a*b", "aab", true},
        {"*ab", "aaab", true},
        {"*aab", "aaaab", true},
        {"a*a", "a", false},
        {"a.c", "abc", false},
        {"a?c", "abc", false},
        {"[ab]", "a", false},
        {"\\*", "*", false},
        {"\\*", "\\x", true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (text_matches(cases[i].pattern, cases[i].text) != cases[i].matches)
            fail_msg("\"%s\" and \"%s\"", cases[i].pattern, cases[i].text);
    assert_false(text_matches(NULL, ""));
    assert_false(text_matches("*", NULL));
}

/* With naive backtracking this would outlast every patience: 20 stars before a text that almost matches. */
static void
a_hostile_pattern_ends_soon(void **state)
{
    static const char pattern[] = "a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*a*b";
    char text[4001];

    memset(text, 'a', sizeof text - 1);
    text[sizeof text - 1] = '\0';
    assert_false(text_matches(pattern, text));
    text[sizeof text - 2] = 'b';
    assert_true(text_matches(pattern, text));
}

static void
numbers_are_decimal_whole_and_within_bounds(void **state)
{
    static const struct {
        const char *text;
        int64_t number;
    } accepted[] = {{"0", 0}, {"-0", 0}, {"007", 7}, {"9223372036854775807", INT64_MAX}, {"-9223372036854775808", INT64_MIN}};
    static const char *const refused[] = {
        "",    "-",     "+1", " 1", "1 ", "1.0", "0x10", "1e3", "--1", "9223372036854775808", "-9223372036854775809", "99999999999999999999",
        "abc", "12abc", "1\n"};
    int64_t number = 42;

    for (size_t i = 0; i < COUNT_OF(accepted); i++) {
        assert_true(text_parse_number(accepted[i].text, INT64_MIN, INT64_MAX, &number));
        assert_int_equal(number, accepted[i].number);
    }
    number = 42;
    for (size_t i = 0; i < COUNT_OF(refused); i++)
        if (text_parse_number(refused[i], INT64_MIN, INT64_MAX, &number) || number != 42)
            fail_msg("accepted \"%s\"", refused[i]);
    assert_true(text_parse_number("1", 1, 3, &number) && text_parse_number("3", 1, 3, &number));
    assert_false(text_parse_number("0", 1, 3, &number));
    assert_false(text_parse_number("4", 1, 3, &number));
    assert_false(text_parse_number(NULL, 0, 1, &number));
    assert_int_equal(number, 3);
}

static void
splitting_trims_and_drops_what_is_empty(void **state)
{
    size_t count = 99;
    AUTO_STRUCT(arena, arena) = arena_new();
    char **parts = text_split(arena, " a,,b c ,\t, d", ',', &count);

    assert_int_equal(count, 3);
    assert_string_equal(parts[0], "a");
    assert_string_equal(parts[1], "b c");
    assert_string_equal(parts[2], "d");
    assert_null(parts[3]);
    assert_null(text_split(arena, " , ,", ',', &count)[0]);
    assert_int_equal(count, 0);
    assert_null(text_split(arena, NULL, ',', &count)[0]);
    assert_null(text_split(arena, "", ',', &count)[0]);
    assert_string_equal(text_split(arena, "one two", ' ', &count)[1], "two");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(is_cut_between_characters),
        cmocka_unit_test(equality_knows_null_and_case),
        cmocka_unit_test(prefixes_suffixes_and_emptiness),
        cmocka_unit_test(lower_case_is_ascii_only),
        cmocka_unit_test(utf8_is_what_rfc_3629_says),
        cmocka_unit_test(characters_are_measured_in_octets),
        cmocka_unit_test(printable_ascii_has_no_controls_and_no_high_octets),
        cmocka_unit_test(stars_match_runs_and_nothing_else_is_special),
        cmocka_unit_test(a_hostile_pattern_ends_soon),
        cmocka_unit_test(numbers_are_decimal_whole_and_within_bounds),
        cmocka_unit_test(splitting_trims_and_drops_what_is_empty),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
