/* RFC 8659 §4.2 to the last octet: what is an issuer's name with parameters, and what is not. */
#include "unit/kit.h"

#include <string.h>

#include "validator.h"

static const struct one {
    const char *name;
    const char *text;
    const char *issuer;     /* NULL: refused */
    const char *parameters; /* "tag=value,…" */
} cases[] = {
    {"takes_a_name", "ca.example", "ca.example", ""},
    {"takes_blanks_around_it", " \tca.example \t", "ca.example", ""},
    {"takes_nobody", ";", "", ""},
    {"takes_an_empty_text", "", "", ""},
    {"takes_blanks_alone", "  ", "", ""},
    {"takes_a_parameter", "ca.example; account=230123", "ca.example", "account=230123"},
    {"takes_two", "ca.example ; a=1 ; b-2=x=y", "ca.example", "a=1,b-2=x=y"},
    {"takes_an_url", "ca.example;accounturi=https://ca.example/acct/1", "ca.example", "accounturi=https://ca.example/acct/1"},
    {"takes_an_empty_value", "ca.example;a=", "ca.example", "a="},
    {"takes_parameters_of_nobody", "; a=1", "", "a=1"},
    {"takes_blanks_around_the_equals_sign", "ca.example;a = 1", "ca.example", "a=1"},
    {"takes_a_semicolon_with_nothing_behind_it", "ca.example;", "ca.example", ""},
    {"rejects_a_parameter_without_value", "ca.example;a", NULL, NULL},
    {"rejects_a_parameter_without_tag", "ca.example;=1", NULL, NULL},
    {"rejects_a_blank_in_a_value", "ca.example;a=1 2", NULL, NULL},
    {"rejects_a_semicolon_behind_the_last", "ca.example;a=1;", NULL, NULL},
    {"rejects_two_names", "ca.example other.example", NULL, NULL},
    {"rejects_an_empty_label", "ca..example", NULL, NULL},
    {"rejects_a_final_dot", "ca.example.", NULL, NULL},
    {"rejects_a_label_that_ends_in_a_hyphen", "ca-.example", NULL, NULL},
    {"rejects_a_label_that_begins_with_a_hyphen", "-ca.example", NULL, NULL},
    {"rejects_an_underscore", "c_a.example", NULL, NULL},
    {"rejects_a_percent_sign", "%%%%%", NULL, NULL},
    {"rejects_a_control_character", "ca.example;a=\x01", NULL, NULL},
    {"rejects_an_octet_above_ascii", "ca.example;a=\xc3\xa4", NULL, NULL},
};

static void
parses(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(arena, arena) = arena_new();
    struct issue_value value;
    struct buffer parameters = buffer_in(arena);

    bool parsed = issue_value_parse(bytes_of_text(one->text), &value);
    assert_int_equal(parsed, one->issuer != NULL);
    if (!parsed)
        return;
    assert_string_equal(bytes_text(arena, value.issuer), one->issuer);
    for (size_t i = 0; i < value.parameter_count; i++)
        buffer_append_format(&parameters, "%s%s=%s", i == 0 ? "" : ",", bytes_text(arena, value.parameters[i].tag),
                             bytes_text(arena, value.parameters[i].value));
    assert_string_equal(buffer_text(&parameters), one->parameters);
}

static void
rejects_more_parameters_than_there_is_room_for(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer text = buffer_in(arena);
    struct issue_value value;

    buffer_append_text(&text, "ca.example");
    for (int i = 0; i < ISSUE_PARAMETERS_MAX; i++)
        buffer_append_text(&text, ";a=1");
    assert_true(issue_value_parse(buffer_bytes(&text), &value));
    buffer_append_text(&text, ";a=1");
    assert_false(issue_value_parse(buffer_bytes(&text), &value));
}

static void
counts_what_is_there_in_any_case_of_letters(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct issue_value value;
    struct bytes found = BYTES_NONE;

    assert_true(issue_value_parse(bytes_of_text("ca.example;one=1;TWO=2;two=3"), &value));
    assert_int_equal(issue_value_find(&value, "none", &found), 0);
    assert_int_equal(issue_value_find(&value, "on", &found), 0);
    assert_int_equal(found.len, 0);
    assert_int_equal(issue_value_find(&value, "two", &found), 2);
    assert_string_equal(bytes_text(arena, found), "2");
    assert_int_equal(issue_value_find(&value, "one", &found), 1);
}

int
main(void)
{
    struct CMUnitTest tests[2 + COUNT_OF(cases)] = {cmocka_unit_test(rejects_more_parameters_than_there_is_room_for),
                                                    cmocka_unit_test(counts_what_is_there_in_any_case_of_letters)};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[2 + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = parses, .initial_state = (void *)&cases[i]};
    return _cmocka_run_group_tests("issue_value", tests, COUNT_OF(tests), NULL, NULL);
}
