/* Tables for people. */
#include "unit/kit.h"

#include <stdio.h>
#include <string.h>

#include "signetctl.h"

static void
columns_are_as_wide_as_their_longest_cell(void **state)
{
    static const char *const heads[] = {"NAME", "LONGER", "LAST"};
    static const char *const rows[][3] = {{"a", "b", "c"}, {"Größe", "", NULL}};
    AUTO_STRUCT(arena, arena) = arena_new();
    struct table *table = table_new(arena, heads, 3);
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    table_row(table, rows[0]);
    table_row(table, rows[1]);
    table_print(table, to);
    (void)fclose(to);
    assert_string_equal(text, "NAME   LONGER  LAST\n"
                              "a      b       c\n"
                              "Größe  -       -\n");
    free(text);
}

static void
facts_stand_one_below_the_other_and_absent_ones_are_left_out(void **state)
{
    static const char *const facts[][2] = {{"name", "x"}, {"a much longer name", NULL}, {"valid until", ""}};
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    table_facts(to, facts, COUNT_OF(facts));
    (void)fclose(to);
    assert_string_equal(text, "name         x\nvalid until  \n");
    free(text);
}

/* A certificate's subject is written by a stranger and read by an operator's terminal. */
static void
a_terminal_obeys_no_cell(void **state)
{
    static const char *const heads[] = {"SUBJECT", "LAST"};
    static const char *const row[] = {"CN=\x1b]0;owned\x07\nroot\x7f", "\xc2\x9b"
                                                                       "2J\xc2\xa0\xc3\xbc"};
    const char *const facts[][2] = {{"subject", "\x1b[2J"}};
    AUTO_STRUCT(arena, arena) = arena_new();
    struct table *table = table_new(arena, heads, 2);
    char *text = NULL;
    size_t len;
    FILE *to = open_memstream(&text, &len);

    table_row(table, row);
    table_print(table, to);
    table_facts(to, facts, 1);
    (void)fclose(to);
    assert_string_equal(text, "SUBJECT              LAST\n"
                              "CN=?]0;owned??root?  ??2J\xc2\xa0\xc3\xbc\n"
                              "subject  ?[2J\n");
    free(text);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(columns_are_as_wide_as_their_longest_cell),
        cmocka_unit_test(facts_stand_one_below_the_other_and_absent_ones_are_left_out),
        cmocka_unit_test(a_terminal_obeys_no_cell),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
