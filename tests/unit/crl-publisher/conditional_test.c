/* Entity tags and dates as strangers write them. */
#include "unit/kit.h"

#include <string.h>

#include "crl_publisher.h"

static void
finds_a_tag_in_a_list(void **state)
{
    static const struct {
        const char *list;
        bool has;
    } cases[] = {
        {"\"abc\"", true},
        {"W/\"abc\"", true},
        {"\"x\", \"abc\"", true},
        {"\"x\",W/\"abc\" , \"y\"", true},
        {"*", true},
        {", \"abc\"", true},
        {"\"ab\"", false},
        {"\"abcd\"", false},
        {"abc", false},
        {"", false},
        {"\"abc", false},
        {"\"x\" \"abc", false},
        {"W/", false},
        {"\"x,abc\"", false},
        {"\"", false},
        {"\"*\"", false},
        {"w/\"abc\"", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        if (etag_list_has(cases[i].list, "\"abc\"") != cases[i].has)
            fail_msg("%s", cases[i].list);
}

static void
reads_the_three_forms_of_a_date(void **state)
{
    static const char *const dates[] = {"Sun, 06 Nov 1994 08:49:37 GMT", "Sunday, 06-Nov-94 08:49:37 GMT", "Sun Nov  6 08:49:37 1994"};
    int64_t unix_s;

    for (size_t i = 0; i < COUNT_OF(dates); i++) {
        unix_s = 0;
        assert_true(http_date_parse(dates[i], &unix_s));
        assert_int_equal(unix_s, 784111777);
    }
}

static void
refuses_what_is_no_date(void **state)
{
    static const char *const texts[] = {"",
                                        "yesterday",
                                        "784111777",
                                        "Sun, 06 Nov 1994 08:49:37",
                                        "Sun, 06 Nov 1994 08:49:37 CET",
                                        "Sun, 06 Nov 1994 08:49:37 GMT x",
                                        "Sun, 46 Nov 1994 08:49:37 GMT",
                                        "1994-11-06T08:49:37Z"};
    int64_t unix_s = 5;

    for (size_t i = 0; i < COUNT_OF(texts); i++)
        if (http_date_parse(texts[i], &unix_s) || unix_s != 5)
            fail_msg("%s", texts[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(finds_a_tag_in_a_list),
        cmocka_unit_test(reads_the_three_forms_of_a_date),
        cmocka_unit_test(refuses_what_is_no_date),
    };

    return cmocka_run_group_tests_name("conditional", tests, NULL, NULL);
}
