/* Names that failed are tried again: of all accounts, or of one. */
#include "gateway_fixture.h"

static enum error
resume(const char *name, const char *account_id, uint32_t *ret_resumed)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ResumeNameRequest input = PB__RESUME_NAME_REQUEST__INIT;
    Pb__ResumeNameReply reply = PB__RESUME_NAME_REPLY__INIT;

    input.name = name;
    input.account_id = account_id;
    enum error error = resume_name(&gateway, rq, &input, &reply);
    *ret_resumed = reply.resumed;
    return error;
}

static void
resumes_one_account_or_all(void **state)
{
    uint32_t resumed = 0;

    postgres_kit_run(postgres, "INSERT INTO acme.failing_name SELECT a, n, 1, now(), now(), now() FROM unnest('{one,two,three}'::text[]) AS x (a), "
                               "unnest('{dns:a.example,dns:b.example,ip:10.0.0.1}'::text[]) AS y (n)");
    assert_int_equal(resume("A.Example", "two", &resumed), OK);
    assert_int_equal(resumed, 1);
    assert_int_equal(resume("a.example", "", &resumed), OK);
    assert_true(text_starts_with(announced, "acme name a.example resumed by "));
    assert_int_equal(resumed, 2);
    assert_int_equal(resume("a.example", "", &resumed), ERR_NOT_FOUND);
    assert_int_equal(resume("10.0.0.1", "", &resumed), OK);
    assert_int_equal(resumed, 3);
    assert_int_equal(resume("no name", "", &resumed), ERR_BAD_NAME);
    char *left = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.failing_name");
    assert_string_equal(left, "3");
    free(left);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(resumes_one_account_or_all)};

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
