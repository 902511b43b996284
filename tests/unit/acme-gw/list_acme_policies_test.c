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

static void
roots_are_told_of_one_policy_alone(void **state)
{
    static const char *const names[] = {"", "attested"};

    postgres_kit_run(postgres, "INSERT INTO acme.policy (name, apple_roots, step_roots, tpm_roots) VALUES ('attested', 'a', 's', 't')");
    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__ListAcmePoliciesRequest input = PB__LIST_ACME_POLICIES_REQUEST__INIT;
        Pb__ListAcmePoliciesReply reply = PB__LIST_ACME_POLICIES_REPLY__INIT;
        size_t found = 0;
        input.name = names[i];
        assert_int_equal(list_acme_policies(&gateway, rq, &input, &reply), OK);
        while (strcmp(reply.policies[found]->name, "attested") != 0)
            found++;
        assert_string_equal(reply.policies[found]->apple_roots, i == 0 ? "" : "a");
        assert_string_equal(reply.policies[found]->step_roots, i == 0 ? "" : "s");
        assert_string_equal(reply.policies[found]->tpm_roots, i == 0 ? "" : "t");
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {cmocka_unit_test(lists_all_by_name_one_or_none), cmocka_unit_test(roots_are_told_of_one_policy_alone)};

    return cmocka_run_group_tests(tests, open_gateway, close_gateway);
}
