/* The four layers as a table: one policy, many applications, the first layer that refuses. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "pki/name.h"
#include "pki/oid.h"
#include "ra.h"

#define NOW 1800000000
#define DAY_S 86400

static const char *rsa_and_p256[] = {"rsa", "p256"};
static const char *any_template[] = {"*"}, *server_templates[] = {"TLS-Server-*"};
static Pb__NameType dns_and_ip[] = {PB__NAME_TYPE__NAME_TYPE_DNS, PB__NAME_TYPE__NAME_TYPE_IP};

static struct role_member developers[] = {{"person", "dev-*"}, {"api-token", "CaseMatters"}}, everyone[] = {{"*", "*"}}, bound[] = {{"agent", "*"}};
static struct role_name contoso[] = {
    {"*.contoso.com", true}, {"10.*", true}, {"*.external.com", false}, {"root.contoso.com", false}, {"*.secret.contoso.com", false}};
static struct role_name any_name[] = {{"*", true}};
static struct role developer_role = {.name = "APP-WebDevelopers",
                                     .members = developers,
                                     .member_count = 2,
                                     .templates = server_templates,
                                     .template_count = 1,
                                     .names = contoso,
                                     .name_count = COUNT_OF(contoso)};
static struct role everyone_role = {
    .name = "everyone", .members = everyone, .member_count = 1, .templates = any_template, .template_count = 1, .names = any_name, .name_count = 1};
static struct role bound_role = {.name = "bound",
                                 .asset_required = true,
                                 .members = bound,
                                 .member_count = 1,
                                 .templates = any_template,
                                 .template_count = 1,
                                 .names = any_name,
                                 .name_count = 1};
static struct asset_owner owners[] = {{"db-01", "person:dev-anna"}, {"web-prod-01", "dev-otto"}, {"web-prod-01", "agent:a-1"}};

/* Everything that a case may change. */
struct subject {
    Pb__EnrollRequest request;
    Pb__Template template;
    Pb__Ca ca;
    struct issuer issuer;
    struct identifier names[12];
    struct application application;
    bool permissive;
};

static void
fill(struct subject *s)
{
    *s = (struct subject){0};
    pb__enroll_request__init(&s->request);
    pb__template__init(&s->template);
    pb__ca__init(&s->ca);
    s->ca.name = "issuing";
    s->template.name = "TLS-Server-Internal";
    s->template.enabled = true;
    s->template.validity_days = 90;
    s->template.key_types = rsa_and_p256;
    s->template.n_key_types = 2;
    s->template.min_rsa_bits = 3072;
    s->template.name_types = dns_and_ip;
    s->template.n_name_types = 2;
    s->template.san_required = true;
    s->template.backdate_s = 3600;
    s->template.max_names = 3;
    s->issuer = (struct issuer){.ca = &s->ca, .not_before_s = NOW - 100LL * DAY_S, .not_after_s = NOW + 1000LL * DAY_S};
    s->names[0] = (struct identifier){IDENTIFIER_DNS, "app.contoso.com"};
    s->application = (struct application){.request = &s->request,
                                          .principal_kind = "person",
                                          .principal_id = "dev-anna",
                                          .csr = {.key = {.type = KEY_P256, .bits = 256}},
                                          .asked = s->names,
                                          .asked_count = 1,
                                          .san_count = 1,
                                          .names = s->names,
                                          .name_count = 1,
                                          .template = &s->template,
                                          .issuer = &s->issuer,
                                          .now_s = NOW,
                                          .not_before_s = NOW - 3600,
                                          .not_after_s = NOW - 3600 + 90LL * DAY_S - 1};
}

static void
set_names(struct subject *s, size_t count)
{
    s->application.asked_count = s->application.san_count = s->application.name_count = count;
}

static void
nothing(struct subject *s)
{
}
static void
stranger(struct subject *s)
{
    s->application.principal_id = "ops-otto";
}
static void
other_kind(struct subject *s)
{
    s->application.principal_kind = "agent-of-nobody";
}
/* He stands in no role, but acts for somebody who does. */
static void
stranger_for_a_member(struct subject *s)
{
    s->application.principal_kind = "acme-account";
    s->application.principal_id = "x";
    s->application.sponsor_kind = "person";
    s->application.sponsor_id = "dev-anna";
}
static void
stranger_for_a_stranger(struct subject *s)
{
    stranger_for_a_member(s);
    s->application.sponsor_kind = "eab";
}
static void
owner_by_sponsor(struct subject *s)
{
    stranger_for_a_member(s);
    s->request.asset = "db-01";
}
static void
other_case(struct subject *s)
{
    s->application.principal_kind = "api-token";
    s->application.principal_id = "casematters";
}
static void
same_case(struct subject *s)
{
    s->application.principal_kind = "api-token";
    s->application.principal_id = "CaseMatters";
}
static void
other_template(struct subject *s)
{
    s->template.name = "Device-Certificate";
}
static void
other_domain(struct subject *s)
{
    s->names[0].value = "app.fabrikam.com";
}
static void
denied_domain(struct subject *s)
{
    s->names[0].value = "root.contoso.com";
}
static void
denied_below(struct subject *s)
{
    s->names[0].value = "a.secret.contoso.com";
}
static void
second_name_denied(struct subject *s)
{
    s->names[1] = (struct identifier){IDENTIFIER_DNS, "www.external.com"};
    set_names(s, 2);
}
static void
wildcard_over_denied(struct subject *s)
{
    s->names[0].value = "*.contoso.com";
}
static void
wildcard_beside_denied(struct subject *s)
{
    s->names[0].value = "*.dev.contoso.com";
}
static void
common_name_denied(struct subject *s)
{
    s->names[1] = (struct identifier){IDENTIFIER_DNS, "www.external.com"};
    s->application.asked_count = 2;
}
static void
address(struct subject *s)
{
    s->names[0] = (struct identifier){IDENTIFIER_IP, "10.0.0.1"};
}
static void
owned_asset(struct subject *s)
{
    s->request.asset = "db-01";
}
static void
foreign_asset(struct subject *s)
{
    s->request.asset = "web-prod-01";
}
static void
unknown_asset(struct subject *s)
{
    s->request.asset = "nowhere";
}
static void
owner_of_kind(struct subject *s)
{
    s->application.principal_kind = "agent";
    s->application.principal_id = "a-1";
    s->request.asset = "web-prod-01";
}
static void
owner_of_other_kind(struct subject *s)
{
    s->application.principal_kind = "agent";
    s->application.principal_id = "dev-anna";
    s->request.asset = "db-01";
}
static void
bound_without_asset(struct subject *s)
{
    s->application.principal_kind = "agent";
    s->application.principal_id = "a-2";
}
static void
disabled(struct subject *s)
{
    s->template.enabled = false;
}
static void
ca_template(struct subject *s)
{
    s->template.is_ca = true;
}
static void
pinned_issuer(struct subject *s)
{
    s->template.issuer = "another";
}

static void
root_above_others(struct subject *s)
{
    s->issuer.is_above_others = true;
}

static void
root_that_the_template_names(struct subject *s)
{
    s->issuer.is_above_others = true;
    s->template.issuer = s->ca.name;
}
static void
own_issuer(struct subject *s)
{
    s->template.issuer = "issuing";
}
static void
p384(struct subject *s)
{
    s->application.csr.key = (struct public_key){.type = KEY_P384, .bits = 384};
}
static void
rsa_2048(struct subject *s)
{
    s->application.csr.key = (struct public_key){.type = KEY_RSA, .bits = 2048};
}
static void
rsa_3072(struct subject *s)
{
    s->application.csr.key = (struct public_key){.type = KEY_RSA, .bits = 3072};
}
static void
no_names(struct subject *s)
{
    set_names(s, 0);
}
static void
no_names_no_subject(struct subject *s)
{
    no_names(s);
    s->template.san_required = false;
}
static void
subject_alone(struct subject *s)
{
    static const uint8_t cn[] = {0x30, 0x0c, 0x31, 0x0a, 0x30, 0x08, 0x06, 0x03, 0x55, 0x04, 0x03, 0x0c, 0x01, 'x'};

    no_names_no_subject(s);
    s->application.subject = BYTES(cn, sizeof cn);
}
static void
san_where_none_is_allowed(struct subject *s)
{
    s->template.n_name_types = 0;
    s->application.name_count = 0;
}
static void
email(struct subject *s)
{
    s->names[0] = (struct identifier){IDENTIFIER_EMAIL, "anna@mail.contoso.com"};
}
static void
three_names(struct subject *s)
{
    s->names[1] = (struct identifier){IDENTIFIER_DNS, "b.contoso.com"};
    s->names[2] = (struct identifier){IDENTIFIER_DNS, "c.contoso.com"};
    set_names(s, 3);
}
static void
four_names(struct subject *s)
{
    three_names(s);
    s->names[3] = (struct identifier){IDENTIFIER_DNS, "d.contoso.com"};
    set_names(s, 4);
}
static void
one_second_too_long(struct subject *s)
{
    s->application.not_after_s++;
}
static void
too_far_back(struct subject *s)
{
    s->application.not_before_s = NOW - 3600 - VALIDITY_LEEWAY_S - 1;
    s->application.not_after_s = NOW + DAY_S;
}
static void
ended_already(struct subject *s)
{
    s->application.not_after_s = NOW;
}
static void
upside_down(struct subject *s)
{
    s->application.not_before_s = NOW + 2 * DAY_S;
    s->application.not_after_s = NOW + DAY_S;
}
static void
in_the_future(struct subject *s)
{
    s->application.not_before_s = NOW + 10 * DAY_S;
    s->application.not_after_s = NOW + 100 * DAY_S - 1;
}
static void
outlives_issuer(struct subject *s)
{
    s->issuer.not_after_s = s->application.not_after_s - 1;
}
static void
beyond_2099(struct subject *s)
{
    s->issuer.not_after_s = 5000000000;
    s->application.not_before_s = 4102444800 - DAY_S;
    s->application.not_after_s = 4102444800;
}
static void
end_of_2099(struct subject *s)
{
    beyond_2099(s);
    s->application.not_after_s--;
}
static void
older_than_issuer(struct subject *s)
{
    s->issuer.not_before_s = s->application.not_before_s + 1;
}
static void
approval(struct subject *s)
{
    s->template.requires_approval = true;
}
static void
stranger_under_permissive_policy(struct subject *s)
{
    s->permissive = true;
    stranger(s);
    other_domain(s);
}
static void
denial_counts_beside_a_permissive_role(struct subject *s)
{
    s->permissive = true;
    denied_domain(s);
}

#define PASSES LAYER_COUNT
static const struct {
    const char *name;
    void (*change)(struct subject *s);
    enum layer refusing; /* the first */
    const char *says;
} cases[] = {
    {"passes_what_is_allowed", nothing, PASSES, ""},
    {"identity_refuses_a_stranger", stranger, LAYER_IDENTITY, "User not authorized for certificate template: TLS-Server-Internal"},
    {"identity_refuses_another_kind_of_principal", other_kind, LAYER_IDENTITY, "User not authorized"},
    {"identity_accepts_who_acts_for_a_member", stranger_for_a_member, PASSES, ""},
    {"identity_refuses_who_acts_for_a_stranger", stranger_for_a_stranger, LAYER_IDENTITY, "User not authorized"},
    {"resource_accepts_who_acts_for_the_owner", owner_by_sponsor, PASSES, ""},
    {"identity_tells_ids_apart_by_case", other_case, LAYER_IDENTITY, "User not authorized"},
    {"identity_accepts_the_same_id", same_case, PASSES, ""},
    {"identity_refuses_template_of_no_role", other_template, LAYER_IDENTITY, "User not authorized for certificate template: Device-Certificate"},
    {"names_refuse_another_domain", other_domain, LAYER_NAMES, "Domain not authorized for user role: app.fabrikam.com"},
    {"names_refuse_what_is_denied", denied_domain, LAYER_NAMES, "Domain not authorized for user role: root.contoso.com"},
    {"names_refuse_below_a_denied_pattern", denied_below, LAYER_NAMES, "Domain not authorized"},
    {"names_refuse_when_one_of_two_is_denied", second_name_denied, LAYER_NAMES, "Domain not authorized for user role: www.external.com"},
    {"names_refuse_wildcard_that_serves_a_denied_name", wildcard_over_denied, LAYER_NAMES, "Domain not authorized for user role: *.contoso.com"},
    {"names_accept_wildcard_beside_a_denied_name", wildcard_beside_denied, PASSES, ""},
    {"names_judge_the_common_name_too", common_name_denied, LAYER_NAMES, "Domain not authorized for user role: www.external.com"},
    {"names_accept_an_address", address, PASSES, ""},
    {"resource_accepts_the_owner", owned_asset, PASSES, ""},
    {"resource_refuses_who_is_no_owner", foreign_asset, LAYER_RESOURCE,
     "Asset ownership verification failed: You do not have ownership of web-prod-01"},
    {"resource_refuses_an_unknown_asset", unknown_asset, LAYER_RESOURCE, "Asset ownership verification failed"},
    {"resource_accepts_owner_named_with_kind", owner_of_kind, PASSES, ""},
    {"resource_refuses_owner_of_another_kind", owner_of_other_kind, LAYER_RESOURCE, "You do not have ownership of db-01"},
    {"resource_refuses_bound_role_without_asset", bound_without_asset, LAYER_RESOURCE, "the request names no asset"},
    {"template_refuses_when_disabled", disabled, LAYER_TEMPLATE, "TLS-Server-Internal is disabled"},
    {"template_refuses_ca_certificates", ca_template, LAYER_TEMPLATE, "signetctl ca create"},
    {"template_refuses_another_issuer", pinned_issuer, LAYER_TEMPLATE, "issued by another only"},
    {"template_refuses_a_root_with_cas_below_it", root_above_others, LAYER_TEMPLATE, "a root with CAs below it"},
    {"template_that_names_a_root_is_issued_by_it", root_that_the_template_names, PASSES, ""},
    {"template_accepts_its_issuer", own_issuer, PASSES, ""},
    {"template_refuses_key_type", p384, LAYER_TEMPLATE, "does not allow the key p384"},
    {"template_refuses_short_rsa", rsa_2048, LAYER_TEMPLATE, "does not allow the key rsa-2048"},
    {"template_accepts_rsa_of_the_least_length", rsa_3072, PASSES, ""},
    {"template_wants_a_name", no_names, LAYER_TEMPLATE, "needs a subject alternative name"},
    {"template_wants_name_or_subject", no_names_no_subject, LAYER_TEMPLATE, "needs a subject or a subject alternative name"},
    {"template_accepts_subject_alone", subject_alone, PASSES, ""},
    {"template_refuses_san_where_none_is_allowed", san_where_none_is_allowed, LAYER_TEMPLATE, "allows no subject alternative names"},
    {"template_refuses_other_forms_of_names", email, LAYER_TEMPLATE, "allows no names of the form email"},
    {"template_accepts_as_many_names_as_it_says", three_names, PASSES, ""},
    {"template_refuses_more_names", four_names, LAYER_TEMPLATE, "allows 3 names, 4 are asked"},
    {"template_refuses_one_second_too_long", one_second_too_long, LAYER_TEMPLATE, "validity of that length"},
    {"template_refuses_a_begin_in_the_past", too_far_back, LAYER_TEMPLATE, "begins in the past"},
    {"template_refuses_what_has_ended", ended_already, LAYER_TEMPLATE, "ended before it begins"},
    {"template_refuses_an_end_before_the_begin", upside_down, LAYER_TEMPLATE, "ended before it begins"},
    {"template_accepts_a_begin_in_the_future", in_the_future, PASSES, ""},
    {"template_refuses_to_outlive_the_issuer", outlives_issuer, LAYER_TEMPLATE, "beyond that of the issuing CA"},
    {"template_refuses_the_year_2100", beyond_2099, LAYER_TEMPLATE, "beyond the year 2099"},
    {"template_accepts_the_last_second_of_2099", end_of_2099, PASSES, ""},
    {"template_refuses_to_begin_before_the_issuer", older_than_issuer, LAYER_TEMPLATE, "beyond that of the issuing CA"},
    {"template_passes_what_a_person_must_approve", approval, PASSES, ""},
    {"permissive_role_lets_everybody_in", stranger_under_permissive_policy, PASSES, ""},
    {"denial_of_one_role_counts_beside_a_permissive_one", denial_counts_beside_a_permissive_role, LAYER_NAMES, "root.contoso.com"},
};

static void
first_refusing_layer_is_the_expected_one(void **state)
{
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        struct subject s;
        struct verdict verdicts[LAYER_COUNT];
        enum layer refusing = LAYER_IDENTITY;

        fill(&s);
        s.application.subject = name_encode(arena, NULL, 0);
        cases[i].change(&s);
        struct role roles[] = {developer_role, bound_role, everyone_role};
        struct policy policy = {.roles = roles, .role_count = s.permissive ? 3 : 2, .owners = owners, .owner_count = COUNT_OF(owners)};
        layers_judge(arena, &policy, &s.application, verdicts);
        while (refusing < LAYER_COUNT && verdicts[refusing].passed)
            refusing++;
        if (refusing != cases[i].refusing)
            fail_msg("%s: refused by layer %d: %s", cases[i].name, (int)refusing, refusing < LAYER_COUNT ? verdicts[refusing].message : "none");
        if (refusing < LAYER_COUNT && strstr(verdicts[refusing].message, cases[i].says) == NULL)
            fail_msg("%s: says \"%s\"", cases[i].name, verdicts[refusing].message);
        if (refusing < LAYER_COUNT && (verdicts[refusing].reason != NULL) != (strstr(cases[i].says, "does not allow the key") != NULL))
            fail_msg("%s: only another key would help, and gateways are to know that", cases[i].name);
    }
}

static void
approval_is_told_in_the_known_words(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct subject s;
    struct verdict verdicts[LAYER_COUNT];
    struct policy policy = {.roles = &everyone_role, .role_count = 1};

    fill(&s);
    approval(&s);
    layers_judge(arena, &policy, &s.application, verdicts);
    assert_string_equal(verdicts[LAYER_TEMPLATE].message, "Certificate template requires manual approval");
    assert_string_equal(layer_code(LAYER_TEMPLATE), "AUTH-004");
    assert_string_equal(layer_code(LAYER_IDENTITY), "AUTH-001");
    assert_string_equal(layer_name(LAYER_RESOURCE), "resource");
}

static void
empty_policy_refuses_everybody(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct subject s;
    struct verdict verdicts[LAYER_COUNT];
    struct policy policy = {0};

    fill(&s);
    layers_judge(arena, &policy, &s.application, verdicts);
    assert_false(verdicts[LAYER_IDENTITY].passed);
    assert_false(verdicts[LAYER_NAMES].passed);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(first_refusing_layer_is_the_expected_one),
        cmocka_unit_test(approval_is_told_in_the_known_words),
        cmocka_unit_test(empty_policy_refuses_everybody),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
