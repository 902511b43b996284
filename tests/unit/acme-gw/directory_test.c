/* The settings that become URLs of the directory. */
#include "unit/kit.h"

#include "acme.h"

static enum error
check(const char *url, const char *terms_url, const char *website)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct acme_config config = {.url = url, .terms_url = terms_url, .website = website};
    enum error error = acme_check_urls(rq, &config);

    assert_true(error == OK || text_starts_with(rq->failure.message, "SIGNET_ACME_"));
    return error;
}

static void
takes_urls_and_none(void **state)
{
    assert_int_equal(check("", "", ""), OK);
    assert_int_equal(check("https://acme.example", "https://ca.example/terms?lang=de#all", "http://ca.example/"), OK);
    assert_int_equal(check("https://acme.example:14000/", "", ""), OK);
    assert_int_equal(check("http://[2001:db8::1]:8080", "", ""), OK);
    assert_int_equal(check("https://acme.example/pki", "", ""), OK);
}

static void
refuses_what_no_client_could_follow(void **state)
{
    static const char *const wrong[] = {"acme.example",       "https://",    "https:///acme", "https://?",
                                        "ftp://acme.example", "https://a b", "//acme.example"};

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(check(wrong[i], "", ""), ERR_BAD_REQUEST);
        assert_int_equal(check("", wrong[i], ""), ERR_BAD_REQUEST);
        assert_int_equal(check("", "", wrong[i]), ERR_BAD_REQUEST);
    }
}

static void
refuses_a_base_with_more_than_a_place(void **state)
{
    assert_int_equal(check("https://acme.example?x", "", ""), ERR_BAD_REQUEST);
    assert_int_equal(check("https://acme.example#x", "", ""), ERR_BAD_REQUEST);
    assert_int_equal(check("https://user@acme.example", "", ""), ERR_BAD_REQUEST);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(takes_urls_and_none),
        cmocka_unit_test(refuses_what_no_client_could_follow),
        cmocka_unit_test(refuses_a_base_with_more_than_a_place),
    };

    return cmocka_run_group_tests_name("directory", tests, NULL, NULL);
}
