/* How a command ends: the reply for programs, a line for people. */
#include "unit/kit.h"

#include "said.h"
#include "signetctl.h"

static void
a_person_reads_the_line(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl = {.json = false};
    Pb__Template reply = PB__TEMPLATE__INIT;
    struct said said;

    said_begin(&said);
    enum error error = answer(&ctl, rq, &reply.base, "template %s: version %d\n", "a", 3);
    bool answered = answer_json(&ctl, rq, &reply.base);
    assert_string_equal(said_end(&said, rq->arena), "template a: version 3\n");
    assert_int_equal(error, OK);
    assert_false(answered);
}

static void
a_program_reads_the_reply(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ctl ctl = {.json = true};
    Pb__Name reply = PB__NAME__INIT;
    struct said said;

    reply.type = PB__NAME_TYPE__NAME_TYPE_DNS;
    reply.value = "a.test";
    said_begin(&said);
    enum error error = answer(&ctl, rq, &reply.base, "not for programs\n");
    const char *line = said_end(&said, rq->arena);
    assert_int_equal(error, OK);
    assert_string_equal(line, "{\n  \"type\": \"dns\",\n  \"value\": \"a.test\"\n}\n");
    said_begin(&said);
    bool answered = answer_json(&ctl, rq, &reply.base);
    assert_string_equal(said_end(&said, rq->arena), line);
    assert_true(answered);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(a_person_reads_the_line), cmocka_unit_test(a_program_reads_the_reply)};

    return cmocka_run_group_tests(tests, NULL, NULL);
}
