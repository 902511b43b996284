/* Credentials as operators make them: what is refused, and that their keys are shown once and kept sealed. */
#include "eab_fixture.h"

#include "base/base64.h"

static const struct refused {
    const char *name;
    Pb__EabCredential credential;
    enum error error;
} refused[] = {
    {"rejects_no_name", {.name = ""}, ERR_BAD_REQUEST},
    {"rejects_a_policy_that_is_not_there", {.name = "a", .policy = "nobody"}, ERR_NOT_FOUND},
    {"rejects_a_policy_that_binds_no_accounts", {.name = "a", .policy = "open"}, ERR_NOT_FOUND},
    {"rejects_a_time_in_the_past", {.name = "a", .expires_at_s = 1000}, ERR_BAD_REQUEST},
    {"rejects_too_many_uses", {.name = "a", .use_limit = 3000000000U}, ERR_BAD_REQUEST},
    {"rejects_a_name_pattern_that_is_none", {.name = "a", .n_allowed_names = 1, .allowed_names = (const char *[]){"a b"}}, ERR_BAD_REQUEST},
};

static enum error
create(struct request *rq, const Pb__EabCredential *row, Pb__CreateEabReply *ret_reply)
{
    Pb__CreateEabRequest input = PB__CREATE_EAB_REQUEST__INIT;
    Pb__EabCredential credential = PB__EAB_CREDENTIAL__INIT, whole = *row;

    whole.base = credential.base;
    whole.policy = row->policy != NULL ? row->policy : "default";
    whole.owner = whole.principal = whole.created_by = whole.status = whole.key_id = "";
    input.credential = &whole;
    pb__create_eab_reply__init(ret_reply);
    return create_eab(&gateway, rq, &input, ret_reply);
}

static void
rejects(void **state)
{
    const struct refused *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateEabReply reply;

    assert_int_equal(create(rq, &one->credential, &reply), one->error);
    char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM acme.eab");
    assert_string_equal(count, "0");
    free(count);
}

static void
a_name_exists_once_and_its_key_is_only_in_the_answer(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateEabReply reply;
    const Pb__EabCredential one = {.name = "one"};
    struct bytes key;

    assert_int_equal(create(rq, &one, &reply), OK);
    assert_true(text_starts_with(announced, arena_format(rq->arena, "acme eab credential %s created by ", one.name)));
    assert_null(strstr(announced, reply.hmac_key));
    assert_int_equal(strlen(reply.key_id), ACME_ID_LEN);
    assert_true(base64url_decode(rq->arena, bytes_of_text(reply.hmac_key), &key));
    assert_int_equal(key.len, EAB_KEY_LEN);
    char *kept =
        postgres_kit_ask(postgres, arena_format(rq->arena, "SELECT position('\\x%s'::bytea IN secret) FROM acme.eab", bytes_hex(rq->arena, key, 0)));
    assert_string_equal(kept, "0");
    free(kept);
    assert_int_equal(create(rq, &one, &reply), ERR_CONFLICT);
    postgres_kit_run(postgres, "TRUNCATE acme.eab");
}

/* certbot --eab-kid -x… is an error of certbot's. */
static void
nothing_that_looks_like_an_option_is_handed_out(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateEabReply reply;

    for (int i = 0; i < 500; i++) {
        const Pb__EabCredential one = {.name = arena_format(rq->arena, "credential %d", i)};
        assert_int_equal(create(rq, &one, &reply), OK);
        assert_int_not_equal(reply.key_id[0], '-');
        assert_int_not_equal(reply.hmac_key[0], '-');
    }
    postgres_kit_run(postgres, "TRUNCATE acme.eab");
}

#define CASES_BY_HAND 2

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(refused)] = {
        cmocka_unit_test(a_name_exists_once_and_its_key_is_only_in_the_answer),
        cmocka_unit_test(nothing_that_looks_like_an_option_is_handed_out),
    };

    for (size_t i = 0; i < COUNT_OF(refused); i++)
        tests[CASES_BY_HAND + i] = (struct CMUnitTest){.name = refused[i].name, .test_func = rejects, .initial_state = (void *)&refused[i]};
    return _cmocka_run_group_tests("create_eab", tests, COUNT_OF(tests), open_gateway_for_credentials, close_gateway);
}
