/* Path patterns, targets, percent-encoding and queries: pure functions on strangers' bytes. */
#include "unit/kit.h"

#include <string.h>

#include "link/http_internal.h"

struct path_case {
    const char *name, *pattern, *path;
    bool matches;
    const char *params; /* joined by '|' */
};

static const struct path_case paths[] = {
    {"a_literal_path_matches_itself", "/acme/directory", "/acme/directory", true, ""},
    {"a_longer_path_is_another", "/acme/directory", "/acme/directory/x", false, ""},
    {"a_trailing_slash_is_another_path", "/acme/directory", "/acme/directory/", false, ""},
    {"a_prefix_is_another_path", "/acme/directory", "/acme/dir", false, ""},
    {"a_name_takes_one_segment", "/order/{id}", "/order/7", true, "7"},
    {"a_name_takes_no_slash", "/order/{id}", "/order/7/8", false, ""},
    {"a_name_wants_at_least_one_character", "/order/{id}", "/order/", false, ""},
    {"a_name_may_stand_between_literals", "/order/{id}/finalize", "/order/7/finalize", true, "7"},
    {"several_names_come_in_order", "/{a}/x/{b}", "/1/x/2", true, "1|2"},
    {"an_encoded_slash_is_no_slash", "/order/{id}", "/order/a%2Fb", true, "a%2Fb"},
    {"the_rest_takes_slashes", "/ocsp/{request*}", "/ocsp/MFQw/Tg==", true, "MFQw/Tg=="},
    {"the_rest_may_be_empty", "/ocsp/{request*}", "/ocsp/", true, ""},
    {"dots_are_not_resolved", "/order/{id}", "/order/..", true, ".."},
    {"case_matters", "/acme", "/ACME", false, ""},
    {"an_empty_path_matches_nothing", "/", "", false, ""},
};

static void
path_is_matched(void **state)
{
    const struct path_case *c = *state;
    struct bytes params[HTTP_PARAMS_MAX];
    char joined[128] = "";
    size_t count = 0;

    assert_int_equal(http_path_matches(c->pattern, BYTES(c->path, strlen(c->path)), params, &count), c->matches);
    for (size_t i = 0; i < count; i++)
        snprintf(joined + strlen(joined), sizeof joined - strlen(joined), "%s%.*s", i == 0 ? "" : "|", (int)params[i].len, params[i].at);
    assert_string_equal(joined, c->params);
}

struct target_case {
    const char *name, *target, *path, *query;
};

static const struct target_case targets[] = {
    {"a_path_alone", "/a", "/a", ""},
    {"a_path_and_a_query", "/a?b=c", "/a", "b=c"},
    {"a_second_question_mark_is_of_the_query", "/a?b?c", "/a", "b?c"},
    {"an_absolute_target_loses_its_authority", "http://host:8080/a?b", "/a", "b"},
    {"an_absolute_target_of_https", "HTTPS://host/a", "/a", ""},
    {"an_absolute_target_without_path_is_the_root", "http://host", "/", ""},
    {"an_asterisk_stays", "*", "*", ""},
};

static void
target_is_split(void **state)
{
    const struct target_case *c = *state;
    struct bytes path, query;

    http_target_split(BYTES(c->target, strlen(c->target)), &path, &query);
    assert_true(bytes_equal(path, bytes_of_text(c->path)));
    assert_true(bytes_equal(query, bytes_of_text(c->query)));
}

struct decode_case {
    const char *name, *raw, *decoded; /* NULL: refused */
};

static const struct decode_case decodings[] = {
    {"plain_text_stays", "abc", "abc"},
    {"hex_of_either_case_is_decoded", "%2f%2F", "//"},
    {"a_plus_stays_a_plus_in_a_path", "a+b", "a+b"},
    {"an_encoded_octet_at_the_end_is_decoded", "x%41", "xA"},
    {"a_cut_escape_is_refused", "x%4", NULL},
    {"a_lone_percent_is_refused", "%", NULL},
    {"an_escape_that_is_not_hex_is_refused", "%4g", NULL},
    {"an_encoded_nul_is_refused", "a%00b", NULL},
    {"nothing_is_nothing", "", ""},
};

static void
percent_encoding_is_decoded(void **state)
{
    const struct decode_case *c = *state;
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes decoded;

    bool ok = http_percent_decode(arena, c->raw, &decoded);
    assert_int_equal(ok, c->decoded != NULL);
    if (ok)
        assert_true(bytes_equal(decoded, bytes_of_text(c->decoded)));
}

struct query_case {
    const char *name, *query, *wanted, *value; /* NULL: absent */
};

static const struct query_case queries[] = {
    {"a_parameter_is_found", "a=1&b=2", "b", "2"},
    {"the_first_of_two_wins", "a=1&a=2", "a", "1"},
    {"an_unknown_parameter_is_absent", "a=1", "b", NULL},
    {"a_parameter_without_value_is_empty", "a&b", "a", ""},
    {"an_encoded_name_is_found", "%61=1", "a", "1"},
    {"a_plus_is_a_blank", "a=x+y", "a", "x y"},
    {"an_encoded_value_is_decoded", "a=%26", "a", "&"},
    {"a_malformed_value_is_absent", "a=%zz", "a", NULL},
    {"a_prefix_of_a_name_is_another_name", "ab=1", "a", NULL},
    {"an_empty_query_has_nothing", "", "a", NULL},
    {"stray_ampersands_are_skipped", "&&a=1&", "a", "1"},
};

static void
query_is_read(void **state)
{
    const struct query_case *c = *state;
    AUTO_STRUCT(arena, arena) = arena_new();
    struct http_exchange x = {.query = c->query, .rq.arena = arena};

    const char *value = http_query(&x, c->wanted);
    if (c->value == NULL)
        assert_null(value);
    else
        assert_string_equal(value, c->value);
}

#define ADD(table, function)                                                                 \
    for (size_t i = 0; i < COUNT_OF(table); i++)                                             \
        tests[count++] = (struct CMUnitTest)                                                 \
        {                                                                                    \
            .name = table[i].name, .test_func = function, .initial_state = (void *)&table[i] \
        }

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(paths) + COUNT_OF(targets) + COUNT_OF(decodings) + COUNT_OF(queries)];
    size_t count = 0;

    ADD(paths, path_is_matched);
    ADD(targets, target_is_split);
    ADD(decodings, percent_encoding_is_decoded);
    ADD(queries, query_is_read);
    return cmocka_run_group_tests(tests, NULL, NULL);
}
