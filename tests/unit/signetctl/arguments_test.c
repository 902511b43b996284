/* What was typed behind a command. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "signetctl.h"

static const struct command command = {"thing", "make", "NAME", 1, "colour= size= quick", "makes a thing", NULL};
static const struct command lone = {"migrate", "", "", 0, "", "brings it about", NULL};
static const struct command maybe = {"thing", "drop", "[NAME]", 1, "file=", "drops a thing", NULL};

struct line {
    const char *words[8]; /* behind the command's own words */
};

static enum error
parse(struct ctl *ctl, struct request *rq, const struct command *of, struct line line)
{
    char *words[12] = {(char *)"signetctl", (char *)"thing", (char *)"make"};
    int count = of->verb[0] == '\0' ? 2 : 3;

    for (size_t i = 0; i < COUNT_OF(line.words) && line.words[i] != NULL; i++)
        words[count++] = (char *)line.words[i];
    *ctl = (struct ctl){.command = of};
    return arguments_parse(ctl, rq, count, words);
}

static void
takes_options_before_and_behind_words(void **state)
{
    static const struct line lines[] = {
        {{"--colour", "red", "--quick", "box"}}, {{"box", "--quick", "--colour=red"}}, {{"--quick", "box", "--colour", "red"}}};

    for (size_t i = 0; i < COUNT_OF(lines); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct ctl ctl;
        assert_int_equal(parse(&ctl, rq, &command, lines[i]), OK);
        assert_string_equal(ctl.arguments.words[0], "box");
        assert_string_equal(argument(&ctl, "colour"), "red");
        assert_string_equal(argument(&ctl, "quick"), "");
        assert_null(argument(&ctl, "size"));
        assert_string_equal(argument_or(&ctl, "size", "small"), "small");
        assert_string_equal(argument_or(&ctl, "colour", "blue"), "red");
        assert_false(ctl.json);
    }
}

static void
values_may_be_empty_look_like_options_or_hold_equal_signs(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl;

    assert_int_equal(parse(&ctl, rq, &command, (struct line){{"box", "--colour=", "--size", "--quick"}}), OK);
    assert_string_equal(argument(&ctl, "colour"), "");
    assert_string_equal(argument(&ctl, "size"), "--quick");
    assert_null(argument(&ctl, "quick"));
    assert_int_equal(parse(&ctl, rq, &command, (struct line){{"-", "--colour=a=b", "--json"}}), OK);
    assert_string_equal(argument(&ctl, "colour"), "a=b");
    assert_string_equal(ctl.arguments.words[0], "-");
    assert_true(ctl.json);
}

/* Ids are base64url: one of some thousands begins so. */
static void
what_stands_behind_two_hyphens_is_a_word(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl;

    assert_int_equal(parse(&ctl, rq, &command, (struct line){{"--quick", "--", "--box"}}), OK);
    assert_string_equal(ctl.arguments.words[0], "--box");
    assert_int_equal(ctl.arguments.word_count, 1);
    assert_non_null(argument(&ctl, "quick"));
    assert_int_equal(parse(&ctl, rq, &command, (struct line){{"--"}}), ERR_BAD_REQUEST);
}

static void
refuses_wrong_usage_and_says_what_is_right(void **state)
{
    static const struct {
        const struct command *of;
        struct line line;
        const char *says;
    } cases[] = {
        {&command, {{NULL}}, "missing: NAME"},
        {&command, {{"box", "more"}}, "too many: more"},
        {&command, {{"box", "--flavour", "x"}}, "no option --flavour"},
        {&command, {{"box", "--col", "x"}}, "no option --col"},
        {&command, {{"box", "--colour"}}, "missing behind --colour"},
        {&command, {{"box", "--quick=yes"}}, "takes no value"},
        {&command, {{"box", "--size", "1", "--size", "2"}}, "given twice: --size"},
        {&lone, {{"now"}}, "too many: now"},
        {&maybe, {{"one", "two"}}, "too many: two"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct ctl ctl;
        assert_int_equal(parse(&ctl, rq, cases[i].of, cases[i].line), ERR_BAD_REQUEST);
        assert_string_equal(rq->failure.reason, "usage");
        assert_non_null(strstr(rq->failure.message, cases[i].says));
        assert_non_null(strstr(rq->failure.message, "usage: signetctl "));
    }
}

static void
words_in_brackets_may_be_missing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl;

    assert_int_equal(parse(&ctl, rq, &maybe, (struct line){{"--file", "x"}}), OK);
    assert_int_equal(ctl.arguments.word_count, 0);
    assert_int_equal(parse(&ctl, rq, &maybe, (struct line){{"box"}}), OK);
    assert_int_equal(ctl.arguments.word_count, 1);
}

static void
refuses_more_words_and_options_than_there_is_room(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl = {.command = &command};
    char *words[3 + ARGUMENTS_MAX + 8];

    for (size_t i = 0; i < COUNT_OF(words); i++)
        words[i] = (char *)"word";
    assert_int_equal(arguments_parse(&ctl, rq, COUNT_OF(words), words), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.reason, "usage");
}

static void
numbers_have_bounds(void **state)
{
    static const struct {
        const char *typed;
        enum error error;
        int64_t number;
    } cases[] = {
        {"1", OK, 1}, {"10", OK, 10}, {"0", ERR_BAD_REQUEST, 0}, {"11", ERR_BAD_REQUEST, 0}, {"many", ERR_BAD_REQUEST, 0}, {"", ERR_BAD_REQUEST, 0}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct ctl ctl;
        int64_t number = -7;
        assert_int_equal(parse(&ctl, rq, &command, (struct line){{"box", "--size", cases[i].typed}}), OK);
        assert_int_equal(argument_number(&ctl, rq, "size", 1, 10, 5, &number), cases[i].error);
        assert_int_equal(number, cases[i].error == OK ? cases[i].number : -7);
        if (cases[i].error != OK)
            assert_string_equal(rq->failure.reason, "usage");
        assert_int_equal(argument_number(&ctl, rq, "colour", 1, 10, 5, &number), OK);
        assert_int_equal(number, 5);
    }
}

/* The table of commands is what --help shows and the parser reads. */
static void
every_command_has_its_function_and_its_own_words(void **state)
{
    for (size_t i = 0; i < command_count; i++) {
        assert_non_null(commands[i].run);
        assert_int_equal(commands[i].word_count > 0, commands[i].words[0] != '\0');
        for (size_t k = 0; k < i; k++)
            assert_false(text_equal(commands[i].group, commands[k].group) && text_equal(commands[i].verb, commands[k].verb));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_options_before_and_behind_words),
        cmocka_unit_test(values_may_be_empty_look_like_options_or_hold_equal_signs),
        cmocka_unit_test(what_stands_behind_two_hyphens_is_a_word),
        cmocka_unit_test(refuses_wrong_usage_and_says_what_is_right),
        cmocka_unit_test(words_in_brackets_may_be_missing),
        cmocka_unit_test(refuses_more_words_and_options_than_there_is_room),
        cmocka_unit_test(numbers_have_bounds),
        cmocka_unit_test(every_command_has_its_function_and_its_own_words),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
