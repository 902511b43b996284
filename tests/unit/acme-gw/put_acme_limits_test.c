/* What operators may write as rate limits. */
#include "gateway_fixture.h"

static enum error
put(const Pb__AcmeLimits *row, bool *ret_created)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__PutAcmeLimitsRequest input = PB__PUT_ACME_LIMITS_REQUEST__INIT;
    Pb__PutAcmeLimitsReply reply = PB__PUT_ACME_LIMITS_REPLY__INIT;
    Pb__AcmeLimits whole = PB__ACME_LIMITS__INIT, limits = *row;

    limits.base = whole.base;
    input.limits = &limits;
    input.operator_ = "olga";
    enum error error = put_acme_limits(&gateway, rq, &input, &reply);
    *ret_created = reply.created;
    return error;
}

static void
refuses_what_no_row_can_be(void **state)
{
    static const Pb__AcmeLimits wrong[] = {
        {.name = ""},
        {.name = "Big"},
        {.name = "a b"},
        {.name = "a", .new_orders_per_account = 3000000000U},
        {.name = "a", .new_accounts_period_s = 3000000000U},
        {.name = "a", .failures_before_pause = 3000000000U},
    };
    bool created;

    for (size_t i = 0; i < COUNT_OF(wrong); i++)
        assert_int_equal(put(&wrong[i], &created), ERR_BAD_REQUEST);
}

static void
a_set_is_created_changed_and_has_the_usual_periods(void **state)
{
    const Pb__AcmeLimits first = {.name = "tight", .new_orders_per_account = 5}, second = {.name = "tight", .certificates_per_domain = 6};
    bool created = false;

    assert_int_equal(put(&first, &created), OK);
    assert_true(created);
    assert_true(text_starts_with(announced, "acme limits tight created by olga"));
    assert_int_equal(put(&second, &created), OK);
    assert_false(created);
    assert_string_equal(announced, "acme limits tight changed by olga as : new_orders_per_account: 5 → 0; certificates_per_domain: 0 → 6");
    announced[0] = '\0';
    assert_int_equal(put(&second, &created), OK);
    assert_string_equal(announced, ""); /* nothing goes on record that was not changed */
    char *found =
        postgres_kit_ask(postgres, "SELECT new_orders_per_account || ' ' || new_orders_period_s || ' ' || certificates_per_domain || ' ' || "
                                   "certificates_period_s FROM acme.limits WHERE name = 'tight'");
    assert_string_equal(found, "0 3600 6 604800");
    free(found);
}

/* Of the sets that two operators make, or change, at one moment. */
static void
what_another_operator_did_meanwhile_is_not_taken_back(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__PutAcmeLimitsRequest input = PB__PUT_ACME_LIMITS_REQUEST__INIT;
    Pb__PutAcmeLimitsReply reply = PB__PUT_ACME_LIMITS_REPLY__INIT;
    Pb__AcmeLimits read = PB__ACME_LIMITS__INIT, first = PB__ACME_LIMITS__INIT, second = PB__ACME_LIMITS__INIT, **stored;
    size_t count;

    first.name = second.name = "both";
    first.new_orders_per_account = 1;
    second.certificates_per_domain = 2;
    input.must_be_new = true;
    input.limits = &first;
    assert_int_equal(put_acme_limits(&gateway, rq, &input, &reply), OK);
    input.limits = &second;
    assert_int_equal(put_acme_limits(&gateway, rq, &input, &reply), ERR_CONFLICT);
    failure_clear(rq);
    assert_int_equal(store_list_limits(&gateway, rq, "both", &stored, &count), OK);
    read = first = second = *stored[0];
    first.failures_before_pause = 7;
    second.certificates_per_domain = 2;
    input = (Pb__PutAcmeLimitsRequest)PB__PUT_ACME_LIMITS_REQUEST__INIT;
    input.read = &read;
    input.limits = &first;
    assert_int_equal(put_acme_limits(&gateway, rq, &input, &reply), OK);
    input.limits = &second;
    assert_int_equal(put_acme_limits(&gateway, rq, &input, &reply), ERR_CONFLICT);
    assert_non_null(strstr(rq->failure.message, "(failures_before_pause: 0 → 7)"));
    failure_clear(rq);
    postgres_kit_run(postgres, "DELETE FROM acme.limits WHERE name = 'both'");
    assert_int_equal(put_acme_limits(&gateway, rq, &input, &reply), ERR_CONFLICT);
    assert_non_null(strstr(rq->failure.message, "was deleted since you read it"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(refuses_what_no_row_can_be),
        cmocka_unit_test(what_another_operator_did_meanwhile_is_not_taken_back),
        cmocka_unit_test(a_set_is_created_changed_and_has_the_usual_periods),
    };

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
