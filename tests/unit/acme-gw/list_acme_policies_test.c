/* The list of policies: all by name, one, none. */
#include "gateway_fixture.h"

static void
lists_all_by_name_one_or_none(void **state)
{
    static const struct {
        const char *name;
        size_t count;
        const char *first;
    } cases[] = {{"", 3, "aaa"}, {"default", 1, "default"}, {"nobody", 0, NULL}};

    postgres_kit_run(postgres, "INSERT INTO acme.policy (name) VALUES ('zzz'), ('aaa')");
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__ListAcmePoliciesRequest input = PB__LIST_ACME_POLICIES_REQUEST__INIT;
        Pb__ListAcmePoliciesReply reply = PB__LIST_ACME_POLICIES_REPLY__INIT;
        input.name = cases[i].name;
        assert_int_equal(list_acme_policies(&gateway, rq, &input, &reply), OK);
        assert_int_equal(reply.n_policies, cases[i].count);
        if (cases[i].first != NULL)
            assert_string_equal(reply.policies[0]->name, cases[i].first);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists_all_by_name_one_or_none)};

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
