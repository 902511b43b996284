/* Our kinds of error in ACME's words: each kind, each layer, each named type, and the documents that are stored. */
#include "unit/kit.h"

#include <string.h>

#include "acme.h"

static struct acme gateway = {.base_url = "https://acme.example", .terms_url = "https://acme.example/terms"};

static const struct one {
    const char *name;
    enum error kind;
    const char *layer, *word;
    int server_status; /* what the HTTP server has found; 0: nothing of its own */
    int status;
    const char *type;
} cases[] = {
    {"bad_request_is_malformed", ERR_BAD_REQUEST, NULL, NULL, 0, 400, "malformed"},
    {"bad_csr_is_badCSR", ERR_BAD_CSR, NULL, NULL, 0, 400, "badCSR"},
    {"bad_name_is_rejectedIdentifier", ERR_BAD_NAME, NULL, NULL, 0, 400, "rejectedIdentifier"},
    {"unauthenticated_is_unauthorized", ERR_UNAUTHENTICATED, NULL, NULL, 0, 403, "unauthorized"},
    {"denied_is_unauthorized", ERR_DENIED, NULL, NULL, 0, 403, "unauthorized"},
    {"denied_by_the_layer_of_roles_is_unauthorized", ERR_DENIED, "AUTH-001", NULL, 0, 403, "unauthorized"},
    {"denied_by_the_layer_of_names_is_rejectedIdentifier", ERR_DENIED, "AUTH-002", NULL, 0, 400, "rejectedIdentifier"},
    {"not_found_is_404", ERR_NOT_FOUND, NULL, NULL, 0, 404, "malformed"},
    {"conflict_is_malformed", ERR_CONFLICT, NULL, NULL, 0, 400, "malformed"},
    {"too_large_is_413", ERR_TOO_LARGE, NULL, NULL, 0, 413, "malformed"},
    {"rate_limited_is_429", ERR_RATE_LIMITED, NULL, NULL, 0, 429, "rateLimited"},
    {"busy_is_503", ERR_BUSY, NULL, NULL, 0, 503, "serverInternal"},
    {"unavailable_is_503", ERR_UNAVAILABLE, NULL, NULL, 0, 503, "serverInternal"},
    {"timeout_is_504", ERR_TIMEOUT, NULL, NULL, 0, 504, "serverInternal"},
    {"internal_is_500", ERR_INTERNAL, NULL, NULL, 0, 500, "serverInternal"},
    {"a_wrong_method_stays_405", ERR_BAD_REQUEST, NULL, NULL, 405, 405, "malformed"},
    {"a_long_head_stays_431", ERR_TOO_LARGE, NULL, NULL, 431, 431, "malformed"},
    {"badNonce_is_400", ERR_BAD_REQUEST, NULL, "badNonce", 0, 400, "badNonce"},
    {"orderNotReady_is_403", ERR_CONFLICT, NULL, "orderNotReady", 0, 403, "orderNotReady"},
    {"accountDoesNotExist_is_400", ERR_NOT_FOUND, NULL, "accountDoesNotExist", 0, 400, "accountDoesNotExist"},
    {"a_deactivated_account_is_401", ERR_DENIED, NULL, "accountDeactivated", 0, 401, "unauthorized"},
    {"a_wrong_media_type_is_415", ERR_BAD_REQUEST, NULL, "wrongMediaType", 0, 415, "malformed"},
    {"an_unknown_word_of_another_service_is_not_passed_on", ERR_CONFLICT, NULL, "certificate_pkey", 0, 400, "malformed"},
};

static void
checks(void **state)
{
    const struct one *one = *state;
    static const struct http_route route = {.method = "POST", .path = "/x"};
    AUTO_STRUCT(request, rq) = request_new();
    struct http_exchange x = {.rq = *rq, .route = &route};

    (void)fail(&x.rq, one->kind, "what happened");
    if (one->layer != NULL)
        (void)fail_layer(&x.rq, one->layer);
    if (one->word != NULL)
        (void)fail_reason(&x.rq, one->word);
    x.answer.status = one->server_status != 0 ? one->server_status : http_status_of(one->kind);
    problem_render(&gateway, &x);
    assert_int_equal(x.answer.status, one->status);
    const json_t *problem = json_parse_object(rq->arena, x.answer.body);
    assert_string_equal(json_text(problem, "type"), arena_format(rq->arena, "urn:ietf:params:acme:error:%s", one->type));
    assert_string_equal(json_text(problem, "detail"), "what happened");
    assert_int_equal(json_integer_value(json_object_get(problem, "status")), one->status);
    assert_true(text_equal(json_text(problem, "layer"), one->layer));
    assert_int_equal(strspn(json_text(problem, "instance") + strlen("urn:signet:trace:"), "0123456789abcdef"), 32);
}

static void
who_has_asked_too_often_is_told_where_there_is_help(void **state)
{
    static const struct {
        struct http_route route;
        const char *link;
    } links[] = {
        {{.method = "POST", .path = "/acme/new-order"}, "<https://acme.example/acme/limits>;rel=\"help\""},
        {{.method = "POST", .path = "/acme/{policy}/new-order"}, "<https://acme.example/acme/intra/limits>;rel=\"help\""},
    };

    for (size_t i = 0; i < COUNT_OF(links); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct http_exchange x = {.rq = *rq, .route = &links[i].route, .params = {"intra"}};
        bool linked = false;
        (void)fail(&x.rq, ERR_RATE_LIMITED, "too often");
        problem_render(&gateway, &x);
        for (size_t k = 0; k < x.answer.header_count; k++)
            linked = linked || text_equal(x.answer.headers[k].value, links[i].link);
        assert_true(linked);
    }
}

static void
the_private_detail_stays_private(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)fail_privately(rq, ERR_INTERNAL, "something went wrong here", "password of host db.internal");
    const char *problem = problem_of_failure(rq);
    assert_non_null(strstr(problem, "something went wrong here"));
    assert_null(strstr(problem, "db.internal"));
}

static void
a_validators_word_is_kept_when_it_is_one(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_non_null(strstr(problem_format(rq->arena, "dns", "no such name"), "urn:ietf:params:acme:error:dns\""));
    assert_non_null(strstr(problem_format(rq->arena, "dns\",\"x\":\"", "text"), "error:serverInternal\""));
    assert_non_null(json_parse_object(rq->arena, bytes_of_text(problem_format(rq->arena, "dns", "a \"quoted\" \x01 detail"))));
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(cases) + 3] = {
        cmocka_unit_test(who_has_asked_too_often_is_told_where_there_is_help),
        cmocka_unit_test(the_private_detail_stays_private),
        cmocka_unit_test(a_validators_word_is_kept_when_it_is_one),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[3 + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests_name("problem", tests, NULL, NULL);
}
