/* Lists as tables, and names that nothing is listed under. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "said.h"
#include "signetctl.h"

static void
add_identifier(struct request *rq, struct table *table, const void *element)
{
    const Pb__Name *one = element;
    const char *const cells[] = {one->value, arena_format(rq->arena, "%zu", strlen(one->value))};
    table_row(table, cells);
}

static const struct listing names = {.heads = {"NAME", "LENGTH"}, .add_row = add_identifier};

static void
every_element_is_a_row_below_the_heads(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__Name first = PB__NAME__INIT, second = PB__NAME__INIT;
    const void *const elements[] = {&first, &second};
    struct said said;

    first.value = "a.test";
    second.value = "b";
    said_begin(&said);
    list_print(rq, &names, elements, 2);
    assert_string_equal(said_end(&said, rq->arena), "NAME    LENGTH\na.test  6\nb       1\n");
    said_begin(&said);
    list_print(rq, &names, NULL, 0);
    assert_string_equal(said_end(&said, rq->arena), "NAME  LENGTH\n");
}

static void
only_a_name_that_was_asked_for_is_missed(void **state)
{
    static const struct {
        const char *name;
        size_t count;
        enum error error;
    } cases[] = {{"", 0, OK}, {"", 2, OK}, {"a", 1, OK}, {"a", 0, ERR_NOT_FOUND}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_int_equal(list_check_found(rq, cases[i].name, cases[i].count, "thing", "thing list"), cases[i].error);
        if (cases[i].error)
            assert_string_equal(rq->failure.message, "there is no thing named \"a\": see signetctl thing list");
    }
}

static void
texts_are_joined_by_commas(void **state)
{
    static const char *const texts[] = {"a", "b", "c"};
    static const char *const joined[] = {"", "a", "a,b", "a,b,c"};
    AUTO_STRUCT(arena, arena) = arena_new();

    for (size_t i = 0; i < COUNT_OF(joined); i++)
        assert_string_equal(list_joined(arena, texts, i), joined[i]);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_element_is_a_row_below_the_heads),
        cmocka_unit_test(only_a_name_that_was_asked_for_is_missed),
        cmocka_unit_test(texts_are_joined_by_commas),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
