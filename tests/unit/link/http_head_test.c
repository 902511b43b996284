/* Heads that h2o lets pass and we do not. Each refusal stands next to the acceptance. */
#include "unit/kit.h"

#include <string.h>

#include "link/http_internal.h"

#define LINE "GET / HTTP/1.1\r\n"

struct head_case {
    const char *name, *head;
    bool is_http_1_0;
    int refused; /* 0: accepted */
};

static const struct head_case heads[] = {
    {"accepts_one_host", LINE "Host: a\r\n\r\n", false, 0},
    {"accepts_what_follows_the_head", LINE "Host: a\r\n\r\nHost: b\r\nHost: c\r\n", false, 0},
    {"accepts_an_empty_line_before_the_request", "\r\n" LINE "Host: a\r\n\r\n", false, 0},
    {"accepts_http_1_0_without_host", LINE "\r\n", true, 0},
    {"accepts_a_length", LINE "Host: a\r\nContent-Length: 1\r\n\r\n", false, 0},
    {"accepts_chunked", LINE "Host: a\r\nTransfer-Encoding: chunked\r\n\r\n", false, 0},
    {"accepts_names_that_only_begin_like_others", LINE "Host: a\r\nHost-Name: b\r\nContent-Lengthy: c\r\nX-Host: d\r\n\r\n", false, 0},
    {"refuses_a_missing_host", LINE "Accept: */*\r\n\r\n", false, 400},
    {"refuses_two_hosts", LINE "Host: a\r\nHost: a\r\n\r\n", false, 400},
    {"refuses_two_hosts_of_different_spelling", LINE "host: a\r\nHOST: b\r\n\r\n", false, 400},
    {"refuses_two_lengths", LINE "Host: a\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n", false, 400},
    {"refuses_two_encodings", LINE "Host: a\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: x\r\n\r\n", false, 400},
    {"refuses_a_length_beside_an_encoding", LINE "Host: a\r\nTransfer-Encoding: chunked\r\nContent-Length: 1\r\n\r\n", false, 400},
    {"refuses_an_encoding_in_http_1_0", LINE "Transfer-Encoding: chunked\r\n\r\n", true, 400},
    {"refuses_a_folded_header", LINE "Host: a\r\nX: b\r\n c\r\n\r\n", false, 400},
    {"refuses_a_bare_line_feed", LINE "Host: a\nX: b\r\n\r\n", false, 400},
    {"refuses_a_bare_line_feed_at_the_end", LINE "Host: a\r\n\n", false, 400},
    {"refuses_a_head_without_end", LINE "Host: a\r\n", false, 400},
};

static void
head_is_judged(void **state)
{
    const struct head_case *c = *state;
    int status = 0;

    const char *problem = http_head_problem(BYTES(c->head, strlen(c->head)), c->is_http_1_0, &status);
    assert_int_equal(problem != NULL, c->refused != 0);
    if (problem != NULL)
        assert_int_equal(status, c->refused);
}

static void
refuses_a_head_over_the_limit_as_431(void **state)
{
    static char head[HTTP_HEAD_MAX + 256];
    int status = 0;

    int len = snprintf(head, sizeof head, LINE "Host: a\r\nX: ");
    memset(head + len, 'x', HTTP_HEAD_MAX);
    memcpy(head + len + HTTP_HEAD_MAX, "\r\n\r\n", 5);
    assert_non_null(http_head_problem(BYTES(head, strlen(head)), false, &status));
    assert_int_equal(status, 431);
}

static void
accepts_a_head_just_below_the_limit(void **state)
{
    static char head[HTTP_HEAD_MAX + 256];
    int status = 0;

    int len = snprintf(head, sizeof head, LINE "Host: a\r\nX: ");
    int fill = HTTP_HEAD_MAX - len - 4;
    memset(head + len, 'x', (size_t)fill);
    memcpy(head + len + fill, "\r\n\r\n", 5);
    assert_null(http_head_problem(BYTES(head, strlen(head)), false, &status));
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(heads) + 2];

    for (size_t i = 0; i < COUNT_OF(heads); i++)
        tests[i] = (struct CMUnitTest){.name = heads[i].name, .test_func = head_is_judged, .initial_state = (void *)&heads[i]};
    tests[COUNT_OF(heads)] = (struct CMUnitTest)cmocka_unit_test(refuses_a_head_over_the_limit_as_431);
    tests[COUNT_OF(heads) + 1] = (struct CMUnitTest)cmocka_unit_test(accepts_a_head_just_below_the_limit);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
