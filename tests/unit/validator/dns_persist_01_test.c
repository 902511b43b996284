/* dns-persist-01: what a record must say, with the examples of draft-ietf-acme-dns-persist-02 §10, and finding it at a real server. */
#include "zone_fixture.h"

#define THUMBPRINT "NzbLsXh8uDCcd-6MNwXF4W_7noWXFZAfHkxZsRGC9Xs"
#define ACCOUNT "https://ca.example/acct/123"
#define PREFIX "https://ca.example/account-hash/"
#define OF_DOMAIN "accounturi=" PREFIX "sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw"
#define OF_ANY "accounturi=" PREFIX "sha-256/NpDnSwUthQK8zCgFdefYxAdAVPnygMLbs9US6oO-5ug"
#define NOW INT64_C(1800000000)

static const char *const issuers[] = {"authority.example", "ca.example.net"};
static const char *const thumbprints[] = {"T8hb11vqzla9Owkkh1aFW-zrYgkSu64raHPYwbiEUjA", THUMBPRINT};

static const struct one {
    const char *name;
    const char *text;
    const char *problem; /* NULL: authorises */
    bool wildcard, old_draft;
    int64_t until_s;
} cases[] = {
    {"accepts_the_drafts_example", "authority.example; " OF_DOMAIN, NULL},
    {"accepts_the_hash_without_domain", "authority.example; " OF_ANY, NULL},
    {"accepts_the_other_name_in_capitals", "CA.example.NET; " OF_DOMAIN, NULL},
    {"accepts_unknown_parameters", "authority.example; future=1; " OF_DOMAIN, NULL},
    {"accepts_policy_wildcard", "authority.example; " OF_DOMAIN "; policy=wildcard", NULL, .wildcard = true},
    {"accepts_policy_wildcard_in_capitals", "authority.example; " OF_DOMAIN "; policy=WILDCARD", NULL, .wildcard = true},
    {"accepts_policy_wildcard_for_a_host", "authority.example; " OF_DOMAIN "; policy=wildcard", NULL},
    {"accepts_an_unknown_policy_for_a_host", "authority.example; " OF_DOMAIN "; policy=other", NULL},
    {"accepts_a_time_to_come", "authority.example; " OF_DOMAIN "; persistUntil=1800000001", NULL, .until_s = 1800000001},
    {"accepts_a_time_beyond_all_calendars", "authority.example; " OF_DOMAIN "; persistUntil=9223372036854775807", NULL, .until_s = 253402300799},
    {"rejects_a_wildcard_without_policy", "authority.example; " OF_DOMAIN, "unauthorized", .wildcard = true},
    {"rejects_a_wildcard_with_another_policy", "authority.example; " OF_DOMAIN "; policy=wild", "unauthorized", .wildcard = true},
    {"rejects_a_time_that_has_passed", "authority.example; " OF_DOMAIN "; persistUntil=1799999999", "unauthorized"},
    {"rejects_a_time_that_is_none", "authority.example; " OF_DOMAIN "; persistUntil=tomorrow", "malformed"},
    {"rejects_a_negative_time", "authority.example; " OF_DOMAIN "; persistUntil=-1", "malformed"},
    {"rejects_two_times", "authority.example; " OF_DOMAIN "; persistUntil=1800000001; persistuntil=1800000002", "malformed"},
    {"rejects_another_ca", "other.example; " OF_DOMAIN, "unauthorized"},
    {"rejects_nobody", "; " OF_DOMAIN, "unauthorized"},
    {"rejects_a_record_without_account", "authority.example", "malformed"},
    {"rejects_two_accounts", "authority.example; " OF_DOMAIN "; " OF_DOMAIN, "malformed"},
    {"rejects_two_policies", "authority.example; " OF_DOMAIN "; policy=wildcard; policy=wildcard", "malformed", .wildcard = true},
    {"rejects_another_account", "authority.example; accounturi=" PREFIX "sha-256/AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA", "unauthorized"},
    {"rejects_another_algorithm", "authority.example; accounturi=" PREFIX "sha-512/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", "malformed"},
    {"rejects_another_prefix", "authority.example; accounturi=https://x/sha-256/5SQm7n6tPh2-PlLbCKGnViTXX5z19SCN4cPGQHSk-kw", "malformed"},
    {"rejects_a_short_hash", "authority.example; accounturi=" PREFIX "sha-256/5SQm7n6tPh2", "malformed"},
    {"rejects_a_padded_hash", "authority.example; " OF_DOMAIN "=", "malformed"},
    {"rejects_the_accounts_own_url", "authority.example; accounturi=" ACCOUNT, "malformed"},
    {"rejects_what_is_no_issue_value", "authority.example " OF_DOMAIN, "malformed"},
    {"old_draft_accepts_the_accounts_own_url", "authority.example; accounturi=" ACCOUNT, NULL, .old_draft = true},
    {"old_draft_rejects_another_url", "authority.example; accounturi=" ACCOUNT "4", "unauthorized", .old_draft = true},
    {"old_draft_rejects_the_hash", "authority.example; " OF_DOMAIN, "unauthorized", .old_draft = true},
};

static struct proof
proof_of(const char *host, bool wildcard, bool old_draft)
{
    return (struct proof){.name = {.type = IDENTIFIER_DNS, .value = host},
                          .wildcard = wildcard,
                          .account_uri = ACCOUNT,
                          .issuer_names = issuers,
                          .issuer_name_count = 2,
                          .account_hash_prefix = old_draft ? "" : PREFIX,
                          .thumbprints = thumbprints,
                          .thumbprint_count = 2,
                          .top_domain = ""};
}

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct proof proof = proof_of("example.com", one->wildcard, one->old_draft);
    int64_t until_s = 7;

    enum error error = dns_persist_01_check(rq, bytes_of_text(one->text), &proof, NOW, &until_s);
    if (one->problem == NULL) {
        if (error != OK)
            fail_msg("%s: %s", rq->failure.reason, rq->failure.message);
        assert_int_equal(until_s, one->until_s);
        return;
    }
    assert_int_not_equal(error, OK);
    assert_string_equal(rq->failure.reason, one->problem);
    assert_int_equal(until_s, 7);
}

/* draft §7.2.3: the hash of one domain is nothing at another. */
static void
rejects_the_hash_of_another_domain(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct proof proof = proof_of("example.net", false, false);
    int64_t until_s;

    assert_int_not_equal(dns_persist_01_check(rq, bytes_of_text("authority.example; " OF_DOMAIN), &proof, NOW, &until_s), OK);
    assert_string_equal(rq->failure.reason, "unauthorized");
}

static const char records[] = "_validation-persist.both 5 TXT \"other.example; " OF_ANY "\"\n"
                              "_validation-persist.both 5 TXT \"authority.example;\" \" " OF_ANY "; persistUntil=4000000000\"\n"
                              "_validation-persist.theirs 5 TXT \"other.example; " OF_ANY "\"\n"
                              "_validation-persist.none 5 A 127.0.0.1\n"
                              "_validation-persist.wide.up 5 TXT \"authority.example; " OF_ANY "; policy=wildcard; persistUntil=4000000000\"\n"
                              "_validation-persist.narrow.up 5 TXT \"authority.example; " OF_ANY "\"\n"
                              "_validation-persist.own.narrow.up 5 TXT \"authority.example; " OF_ANY "\"\n"
                              "_validation-persist.wrong.wide.up 5 TXT \"other.example; " OF_ANY "\"\n"
                              "_validation-persist.up 5 TXT \"authority.example; " OF_ANY "; policy=wildcard\"\n"
                              "_validation-persist.broken 5 TXT \"authority.example; nonsense\"\n";

static struct resolver *resolver;
static struct request *process_rq;

static int
open_all(void **state)
{
    open_zones(records, "");
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

static void
finds_ours_among_the_records_of_others(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct proof proof = proof_of("both.test", false, false);

    if (dns_persist_01(resolver, rq, &proof) != OK)
        fail_msg("%s", rq->failure.message);
    assert_int_equal(proof.valid_until_s, 4000000000);
    assert_int_equal(rq->failure.kind, OK);
}

static void
says_what_is_wrong_with_what_it_finds(void **state)
{
    static const char *const expected[][3] = {
        {"theirs.test", "unauthorized", "does not name this CA"},
        {"none.test", "unauthorized", "there is no TXT record at _validation-persist.none.test"},
        {"broken.test", "malformed", "nonsense"},
        {"nothing.test", "dns", "NXDOMAIN"},
    };

    for (size_t i = 0; i < COUNT_OF(expected); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct proof proof = proof_of(expected[i][0], false, false);
        assert_int_not_equal(dns_persist_01(resolver, rq, &proof), OK);
        if (strcmp(rq->failure.reason, expected[i][1]) != 0 || strstr(rq->failure.message, expected[i][2]) == NULL)
            fail_msg("%s: %s", rq->failure.reason, rq->failure.message);
    }
}

static const struct above {
    const char *name, *host, *top;
    bool wildcard;
    const char *problem, *says; /* NULL: authorised */
} above[] = {
    {"accepts_a_record_of_the_domain_above", "www.wide.up.test", "wide.up.test", false, NULL, NULL},
    {"accepts_a_record_far_above", "a.b.c.wide.up.test", "wide.up.test", false, NULL, NULL},
    {"accepts_a_record_above_for_a_wildcard", "www.wide.up.test", "wide.up.test", true, NULL, NULL},
    {"accepts_a_record_above_though_the_own_is_another_cas", "wrong.wide.up.test", "wide.up.test", false, NULL, NULL},
    {"accepts_the_record_of_the_name_first", "own.narrow.up.test", "narrow.up.test", false, NULL, NULL},
    {"rejects_a_record_above_without_policy", "www.narrow.up.test", "narrow.up.test", false, "unauthorized", "does not say policy=wildcard"},
    {"rejects_a_record_above_the_top", "www.other.up.test", "other.up.test", false, "dns", "_validation-persist.www.other.up.test"},
    {"rejects_a_record_above_when_none_counts", "www.wide.up.test", "", false, "dns", "_validation-persist.www.wide.up.test"},
    {"rejects_a_top_that_only_ends_alike", "www.xwide.up.test", "wide.up.test", false, "dns", "_validation-persist.www.xwide.up.test"},
    {"rejects_a_record_above_the_name_that_is_the_top", "wide2.up.test", "wide2.up.test", false, "dns", "_validation-persist.wide2.up.test"},
    {"accepts_a_record_eight_domains_above", "a.b.c.d.e.f.g.h.wide.up.test", "wide.up.test", false, NULL, NULL},
    {"rejects_a_record_nine_domains_above", "a.b.c.d.e.f.g.h.i.wide.up.test", "wide.up.test", false, "dns", "_validation-persist.a.b.c"},
};

static void
climbs(void **state)
{
    const struct above *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct proof proof = proof_of(one->host, one->wildcard, false);

    proof.top_domain = one->top;
    enum error error = dns_persist_01(resolver, rq, &proof);
    if (one->problem == NULL) {
        if (error != OK)
            fail_msg("%s: %s", rq->failure.reason, rq->failure.message);
        assert_int_equal(proof.valid_until_s, strstr(one->host, "narrow") != NULL ? 0 : 4000000000);
        assert_string_equal(proof.name.value, one->host);
        return;
    }
    assert_int_not_equal(error, OK);
    if (strcmp(rq->failure.reason, one->problem) != 0 || strstr(rq->failure.message, one->says) == NULL)
        fail_msg("%s: %s", rq->failure.reason, rq->failure.message);
}

#define CASES_BY_HAND 3

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(cases) + COUNT_OF(above)] = {
        cmocka_unit_test(rejects_the_hash_of_another_domain),
        cmocka_unit_test(finds_ours_among_the_records_of_others),
        cmocka_unit_test(says_what_is_wrong_with_what_it_finds),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[CASES_BY_HAND + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    for (size_t i = 0; i < COUNT_OF(above); i++)
        tests[CASES_BY_HAND + COUNT_OF(cases) + i] =
            (struct CMUnitTest){.name = above[i].name, .test_func = climbs, .initial_state = (void *)&above[i]};
    return _cmocka_run_group_tests("dns_persist_01", tests, COUNT_OF(tests), open_all, close_all);
}
