/* The text that was found against the text that was to be there, and what the client is shown of it. */
#include "unit/kit.h"

#include <string.h>

#include "validator.h"

#define EXPECTED "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA.nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"

static const struct one {
    const char *name;
    const char *body;
    bool truncated;
    const char *shown; /* NULL: accepted */
} cases[] = {
    {"accepts_the_text", EXPECTED, false, NULL},
    {"accepts_a_line_end_behind_it", EXPECTED "\n", false, NULL},
    {"accepts_other_white_space_behind_it", EXPECTED " \t\r\n\r\n", false, NULL},
    {"accepts_much_white_space_behind_it", EXPECTED "                                                                            \n", false, NULL},
    {"rejects_white_space_before_it", " " EXPECTED, false, " evaGxf"},
    {"rejects_more_text", EXPECTED "x", false, "cerQx"},
    {"rejects_less_text", "evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA", false, "\"evaGxfADs6pSRb2LAv9IZf17Dt3juxGJ-PCt92wr-oA\" was found"},
    {"rejects_nothing", "", false, "\"\" was found"},
    {"rejects_a_page_and_shows_it_harmless", "<html>\x1b[2J\xff</html>", false, "\"<html>?[2J?</html>\" was found"},
    {"rejects_what_was_cut", EXPECTED, true, "longer than 128 octets"},
};

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();

    enum error error = http_01_body_check(rq, "here", bytes_of_text(one->body), one->truncated, EXPECTED);
    if (one->shown == NULL) {
        assert_int_equal(error, OK);
        return;
    }
    assert_int_not_equal(error, OK);
    assert_string_equal(rq->failure.reason, "incorrectResponse");
    assert_non_null(strstr(rq->failure.message, one->shown));
}

static void
shows_at_most_a_hundred_characters(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    uint8_t body[BODY_READ];

    memset(body, 'z', sizeof body);
    assert_int_not_equal(http_01_body_check(rq, "here", BYTES(body, sizeof body), true, EXPECTED), OK);
    assert_int_equal(strspn(strchr(rq->failure.message, 'z'), "z"), 100);
}

static void
a_nul_is_no_end_of_text(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    static const uint8_t body[] = EXPECTED "\0\0";

    assert_int_not_equal(http_01_body_check(rq, "here", BYTES(body, sizeof body), false, EXPECTED), OK);
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(cases) + 2] = {
        cmocka_unit_test(shows_at_most_a_hundred_characters),
        cmocka_unit_test(a_nul_is_no_end_of_text),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[2 + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests_name("http_01_body", tests, NULL, NULL);
}
