/* Which service speaks for whom: a gateway has no say beyond its own protocol, whatever it writes into its calls. */
#include "unit/kit.h"

#include "ra.h"

struct enrolment {
    const char *name, *caller, *channel, *kind, *sponsor;
    enum error expected;
};

static const struct enrolment enrolments[] = {
    {"acme_gw_enrols_for_accounts", "acme-gw", "acme", "acme-account", NULL, OK},
    {"acme_gw_enrols_under_a_policy_and_for_who_gave_the_credential", "acme-gw", "acme/intra", "acme-account", "eab", OK},
    {"est_gw_enrols_for_its_users", "est-gw", "est/phones", "est-user", NULL, OK},
    {"scep_gw_enrols_for_its_challenges", "scep-gw", "scep/routers", "scep-challenge", NULL, OK},
    {"signetctl_enrols_for_operators", "signetctl", "operator", "operator", NULL, OK},
    {"est_gw_is_no_operator", "est-gw", "est/phones", "operator", NULL, ERR_DENIED},
    {"est_gw_has_no_other_channel", "est-gw", "operator", "est-user", NULL, ERR_DENIED},
    {"scep_gw_has_no_account", "scep-gw", "acme", "acme-account", NULL, ERR_DENIED},
    {"a_channel_that_only_begins_so_is_another", "acme-gw", "acmex", "acme-account", NULL, ERR_DENIED},
    {"est_gw_acts_on_behalf_of_nobody", "est-gw", "est/phones", "est-user", "eab", ERR_DENIED},
    {"acme_gw_acts_on_behalf_of_no_operator", "acme-gw", "acme", "acme-account", "operator", ERR_DENIED},
    {"inventory_enrols_nothing", "inventory", "operator", "operator", NULL, ERR_DENIED},
    {"nobody_enrols_nothing", "", "operator", "operator", NULL, ERR_DENIED},
};

static void
enrolment_is_judged(void **state)
{
    const struct enrolment *enrolment = *state;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__Principal principal = PB__PRINCIPAL__INIT, sponsor = PB__PRINCIPAL__INIT;

    rq->caller = enrolment->caller;
    principal.kind = enrolment->kind;
    sponsor.kind = enrolment->sponsor;
    assert_int_equal(caller_check_enroll(rq, enrolment->channel, &principal, enrolment->sponsor == NULL ? NULL : &sponsor), enrolment->expected);
}

struct revocation_case {
    const char *name, *caller, *channel, *kind, *authority, *holder;
    enum error expected;
};

static const struct revocation_case revocations[] = {
    {"an_account_revokes", "acme-gw", "acme", "acme-account", "account", "acme-account", OK},
    {"a_key_revokes_what_it_certifies_whoever_had_it", "acme-gw", "acme", "certificate-key", "certificate-key", "est-user", OK},
    {"intune_revokes_what_came_through_scep", "scep-gw", "scep/intune", "intune-tenant", "operator", "scep-challenge", OK},
    {"an_operator_revokes_anything", "signetctl", "operator", "operator", "operator", "acme-account", OK},
    {"intune_revokes_nothing_else", "scep-gw", "scep/intune", "intune-tenant", "operator", "acme-account", ERR_DENIED},
    {"acme_gw_is_no_operator", "acme-gw", "acme", "acme-account", "operator", "acme-account", ERR_DENIED},
    {"scep_gw_knows_no_accounts", "scep-gw", "scep/intune", "intune-tenant", "account", "scep-challenge", ERR_DENIED},
    {"est_gw_revokes_nothing", "est-gw", "est/phones", "est-user", "operator", "est-user", ERR_DENIED},
    {"ra_revokes_nothing_itself", "ra", "operator", "operator", "operator", "operator", ERR_DENIED},
};

static void
revocation_is_judged(void **state)
{
    const struct revocation_case *revocation = *state;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__RevokeRequest request = PB__REVOKE_REQUEST__INIT;
    Pb__Principal principal = PB__PRINCIPAL__INIT;

    rq->caller = revocation->caller;
    principal.kind = revocation->kind;
    request.principal = &principal;
    request.channel = revocation->channel;
    request.authority = revocation->authority;
    assert_int_equal(caller_check_revoke(rq, &request, revocation->holder), revocation->expected);
}

int
main(void)
{
    size_t enrolment_count = sizeof enrolments / sizeof enrolments[0], revocation_count = sizeof revocations / sizeof revocations[0];
    struct CMUnitTest tests[sizeof enrolments / sizeof enrolments[0] + sizeof revocations / sizeof revocations[0]];

    for (size_t i = 0; i < enrolment_count; i++)
        tests[i] = (struct CMUnitTest){.name = enrolments[i].name, .test_func = enrolment_is_judged, .initial_state = (void *)&enrolments[i]};
    for (size_t i = 0; i < revocation_count; i++)
        tests[enrolment_count + i] =
            (struct CMUnitTest){.name = revocations[i].name, .test_func = revocation_is_judged, .initial_state = (void *)&revocations[i]};
    return cmocka_run_group_tests_name("callers", tests, NULL, NULL);
}
