/* CAA: what records mean (RFC 8659, RFC 8657), and which records count, against a real authoritative server. */
#include "zone_fixture.h"

#define ACCOUNT "https://ca.example/acme/account/1"

static struct bytes
record(struct arena *arena, const char *text)
{
    /* "128 issue ca.example" */
    struct buffer data = buffer_in(arena);
    uint8_t flags = (uint8_t)strtoul(text, NULL, 10);
    const char *tag = strchr(text, ' ') + 1;
    const char *value = strchr(tag, ' ') + 1;
    uint8_t len = (uint8_t)(value - tag - 1);

    buffer_append(&data, &flags, 1);
    buffer_append(&data, &len, 1);
    buffer_append(&data, tag, len);
    buffer_append_text(&data, value);
    return buffer_bytes(&data);
}

static struct caa_subject
subject_of(const char *name, bool wildcard, const char *method)
{
    static const char *const issuers[] = {"ca.example", "other-name.example"};

    return (struct caa_subject){
        .name = name, .wildcard = wildcard, .method = method, .account_uri = ACCOUNT, .issuer_names = issuers, .issuer_name_count = 2};
}

static const struct meaning {
    const char *name;
    const char *records; /* with '|' between */
    bool allowed, wildcard;
} meanings[] = {
    {"our_name_allows", "0 issue ca.example", true},
    {"our_other_name_allows", "0 issue other-name.example", true},
    {"our_name_in_capitals_allows", "0 issue CA.Example", true},
    {"a_tag_in_capitals_is_the_same", "0 ISSUE other.example", false},
    {"another_name_forbids", "0 issue other.example", false},
    {"a_name_below_ours_forbids", "0 issue sub.ca.example", false},
    {"a_name_that_begins_like_ours_forbids", "0 issue ca.exampl", false},
    {"one_of_several_allows", "0 issue other.example|0 issue ca.example", true},
    {"nobody_forbids", "0 issue ;", false},
    {"nobody_and_we_allows", "0 issue ;|0 issue ca.example", true},
    {"a_malformed_value_names_nobody", "0 issue ca.example oops", false},
    {"iodef_alone_allows", "0 iodef mailto:a@b.example", true},
    {"an_unknown_property_does_nothing", "0 tbs Unknown", true},
    {"an_unknown_critical_property_forbids", "128 tbs Unknown|0 issue ca.example", false},
    {"so_does_one_with_the_other_bit", "1 tbs Unknown|0 issue ca.example", false},
    {"a_known_critical_property_is_itself", "128 issue ca.example", true},
    {"other_flags_do_nothing", "64 tbs Unknown", true},
    {"issuewild_is_nothing_for_a_host", "0 issuewild other.example", true},
    {"issuewild_allows_a_wildcard", "0 issuewild ca.example|0 issue ;", true, true},
    {"issuewild_forbids_a_wildcard", "0 issuewild ;|0 issue ca.example", false, true},
    {"issuewild_forbids_only_wildcards", "0 issuewild ;|0 issue ca.example", true, false},
    {"issue_allows_a_wildcard_without_issuewild", "0 issue ca.example", true, true},
    {"issue_forbids_a_wildcard_without_issuewild", "0 issue other.example", false, true},
    {"our_account_allows", "0 issue ca.example; accounturi=" ACCOUNT, true},
    {"another_account_forbids", "0 issue ca.example; accounturi=" ACCOUNT "0", false},
    {"an_account_in_capitals_forbids", "0 issue ca.example; accounturi=HTTPS://ca.example/acme/account/1", false},
    {"two_accounts_forbid", "0 issue ca.example; accounturi=" ACCOUNT "; accounturi=" ACCOUNT, false},
    {"a_record_for_each_account_allows", "0 issue ca.example; accounturi=https://a|0 issue ca.example; accounturi=" ACCOUNT, true},
    {"our_method_allows", "0 issue ca.example; validationmethods=dns-01", true},
    {"our_method_among_others_allows", "0 issue ca.example; validationmethods=http-01,dns-01", true},
    {"another_method_forbids", "0 issue ca.example; validationmethods=http-01", false},
    {"a_method_that_begins_like_ours_forbids", "0 issue ca.example; validationmethods=dns-011,dns-0", false},
    {"no_method_forbids", "0 issue ca.example; validationmethods=", false},
    {"two_lists_of_methods_forbid", "0 issue ca.example; validationmethods=dns-01; validationmethods=dns-01", false},
    {"unknown_parameters_do_nothing", "0 issue ca.example; policy=ev", true},
};

static void
means(void **state)
{
    const struct meaning *meaning = *state;
    AUTO_STRUCT(arena, arena) = arena_new();
    size_t count;
    char **texts = text_split(arena, meaning->records, '|', &count);
    struct bytes *list = arena_array(arena, count, sizeof *list);

    for (size_t i = 0; i < count; i++)
        list[i] = record(arena, texts[i]);
    struct caa_subject subject = subject_of("host.example", meaning->wildcard, "dns-01");
    const char *refusal = caa_refusal(arena, list, count, &subject);
    if ((refusal == NULL) != meaning->allowed)
        fail_msg("%s", refusal == NULL ? "allowed" : refusal);
}

static void
to_a_ca_without_a_name_nothing_is_allowed_that_is_not_free(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes list[] = {record(arena, "0 issue ca.example")}, other[] = {record(arena, "0 iodef mailto:a@b")};
    struct caa_subject subject = subject_of("host.example", false, "dns-01");

    subject.issuer_name_count = 0;
    assert_non_null(caa_refusal(arena, list, 1, &subject));
    assert_null(caa_refusal(arena, other, 1, &subject));
}

static void
a_malformed_record_forbids(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes list[] = {record(arena, "0 issue ca.example"), BYTES("\0\0", 2)};
    struct caa_subject subject = subject_of("host.example", false, "dns-01");

    assert_null(caa_refusal(arena, list, 1, &subject));
    assert_non_null(caa_refusal(arena, list, 2, &subject));
}

/* ---- which records count ---- */

static const char records[] = "open 5 A 127.0.0.1\n"
                              "ours 5 CAA 0 issue \"ca.example\"\n"
                              "theirs 5 CAA 0 issue \"other.example\"\n"
                              "ours.theirs 5 CAA 0 issue \"ca.example\"\n"
                              "theirs.ours 5 CAA 0 issue \"other.example\"\n"
                              "a.b.c.d.e.f.theirs 5 A 127.0.0.1\n"
                              "alias 5 CNAME theirs\n"
                              "away 5 CNAME refused.example.\n";

static struct resolver *resolver;
static struct request *process_rq;

static int
open_all(void **state)
{
    open_zones(records, "@ 5 CAA 0 issue \"other.example\"\nwww 5 A 127.0.0.1\n");
    process_rq = request_new();
    open_resolver(process_rq, zones.port, &resolver);
    return 0;
}

static int
close_all(void **state)
{
    resolver_close(resolver);
    request_free(process_rq);
    close_zones();
    return 0;
}

static const struct climb {
    const char *name;
    const char *host;
    const char *problem, *detail; /* NULL: allowed */
} climbs[] = {
    {"no_record_up_to_the_root_allows", "open.test", NULL, NULL},
    {"a_name_that_does_not_exist_has_none", "nothing.test", NULL, NULL},
    {"the_names_own_records_count", "ours.test", NULL, NULL},
    {"the_names_own_records_forbid", "theirs.test", "caa", "theirs.test"},
    {"they_count_before_those_above", "ours.theirs.test", NULL, NULL},
    {"they_forbid_before_those_above", "theirs.ours.test", "caa", "theirs.ours.test"},
    {"those_above_count_for_a_name_without", "www.theirs.test", "caa", "of theirs.test do not"},
    {"those_far_above_count", "a.b.c.d.e.f.theirs.test", "caa", "of theirs.test do not"},
    {"those_behind_an_alias_count", "alias.test", "caa", "alias.test"},
    {"what_cannot_be_looked_up_forbids", "away.test", "dns", "without an answer nothing is issued"},
    {"what_cannot_be_looked_up_above_forbids", "refused.example", "dns", "refused.example"},
};

static void
climbs_to(void **state)
{
    const struct climb *climb = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct caa_subject subject = subject_of(climb->host, false, "dns-01");

    enum error error = caa_check(resolver, rq, &subject, 1, &(size_t){0});
    if (climb->problem == NULL ? error != OK
                               : error == OK || strcmp(rq->failure.reason, climb->problem) != 0 || strstr(rq->failure.message, climb->detail) == NULL)
        fail_msg("%s: %s", rq->failure.reason, rq->failure.message);
}

static void
bogus_records_forbid(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *strict;
    struct resolver_options options = {
        .dns_address = arena_format(rq->arena, "127.0.0.1:%d", zones.port), .trust_anchor_file = zones_file("wrong-anchor"), .insecure_domains = ""};
    struct caa_subject subject = subject_of("ours.test", false, "dns-01");

    assert_int_equal(resolver_open(rq, &options, &strict), OK);
    assert_int_not_equal(caa_check(strict, rq, &subject, 1, &(size_t){0}), OK);
    assert_string_equal(rq->failure.reason, "dns");
    assert_non_null(strstr(rq->failure.message, "DNSSEC"));
    resolver_close(strict);
}

static void
a_resolver_that_says_nothing_forbids(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *away;
    struct caa_subject subject = subject_of("ours.test", false, "dns-01");
    int port;
    int silent = listen_on_loopback(SOCK_DGRAM, &port);

    open_resolver(rq, port, &away);
    rq->deadline_ms = clock_monotonic_ms() + 300;
    assert_int_not_equal(caa_check(away, rq, &subject, 1, &(size_t){0}), OK);
    assert_string_equal(rq->failure.reason, "dns");
    resolver_close(away);
    close(silent);
}

#define CASES_BY_HAND 4

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(meanings) + COUNT_OF(climbs)] = {
        cmocka_unit_test(a_malformed_record_forbids),
        cmocka_unit_test(to_a_ca_without_a_name_nothing_is_allowed_that_is_not_free),
        cmocka_unit_test(bogus_records_forbid),
        cmocka_unit_test(a_resolver_that_says_nothing_forbids),
    };
    size_t count = CASES_BY_HAND;

    for (size_t i = 0; i < COUNT_OF(meanings); i++)
        tests[count++] = (struct CMUnitTest){.name = meanings[i].name, .test_func = means, .initial_state = (void *)&meanings[i]};
    for (size_t i = 0; i < COUNT_OF(climbs); i++)
        tests[count++] = (struct CMUnitTest){.name = climbs[i].name, .test_func = climbs_to, .initial_state = (void *)&climbs[i]};
    return _cmocka_run_group_tests("caa", tests, count, open_all, close_all);
}
