/* dns-01 and dns-account-01 against a real authoritative server: aliases, several records, strangers' records, DNSSEC. */
#include "zone_fixture.h"

#define DIGEST "T8hb11vqzla9Owkkh1aFW-zrYgkSu64raHPYwbiEUjA"
#define TOKEN "token-token-token-token-token"
#define KEY_AUTHORIZATION TOKEN ".nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"
#define ACCOUNT "https://example.com/acme/acct/ExampleAccount"
#define TEN "xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx"

static const char records[] = "_acme-challenge.one 5 TXT \"" DIGEST "\"\n"
                              "_acme-challenge.many 5 TXT \"wrong\"\n"
                              "_acme-challenge.many 5 TXT \"" DIGEST "\"\n"
                              "_acme-challenge.many 5 TXT \"another\"\n"
                              "_acme-challenge.split 5 TXT \"T8hb11vqzla9Owkkh1aFW\" \"-zrYgkSu64raHPYwbiEUjA\"\n"
                              "_acme-challenge.alias 5 CNAME there.elsewhere\n"
                              "there.elsewhere 5 CNAME further.elsewhere\n"
                              "further.elsewhere 5 TXT \"" DIGEST "\"\n"
                              "_acme-challenge.led 5 CNAME secret.inner\n"
                              "secret.inner 5 TXT \"of nobody's business\"\n"
                              "_acme-challenge.circle 5 CNAME circle\n"
                              "circle 5 CNAME _acme-challenge.circle\n"
                              "_acme-challenge.wrong 5 TXT \"nonsense\"\n"
                              "_acme-challenge.longer 5 TXT \"" DIGEST "A\"\n"
                              "_acme-challenge.empty 5 A 127.0.0.1\n"
                              "_acme-challenge.lower 5 TXT \"t8hb11vqzla9owkkh1afw-zrygksu64rahpywbieuja\"\n"
                              "_acme-challenge.big 5 TXT \"" TEN "\" \"" TEN "\" \"" TEN "\" \"" TEN "\"\n"
                              "_acme-challenge.big 5 TXT \"1" TEN "\" \"" TEN "\" \"" TEN "\" \"" TEN "\"\n"
                              "_acme-challenge.big 5 TXT \"2" TEN "\" \"" TEN "\" \"" TEN "\" \"" TEN "\"\n"
                              "_acme-challenge.big 5 TXT \"3" TEN "\" \"" TEN "\" \"" TEN "\" \"" TEN "\"\n"
                              "_acme-challenge.big 5 TXT \"" DIGEST "\"\n"
                              "_ujmmovf2vn55tgye._acme-challenge.account 5 TXT \"" DIGEST "\"\n";

static struct validator validator;
static struct request *process_rq;

static int
open_all(void **state)
{
    open_zones(records, "_acme-challenge 5 TXT \"" DIGEST "\"\n");
    process_rq = request_new();
    validator.config.perspective = "here";
    open_resolver(process_rq, zones.port, &validator.resolver);
    return 0;
}

static int
close_all(void **state)
{
    resolver_close(validator.resolver);
    request_free(process_rq);
    close_zones();
    return 0;
}

static Pb__ValidateChallengeReply
ask_for(struct request *rq, const char *type, const char *host)
{
    Pb__ValidateChallengeRequest input = PB__VALIDATE_CHALLENGE_REQUEST__INIT;
    Pb__Name name = PB__NAME__INIT;
    Pb__ValidateChallengeReply reply = PB__VALIDATE_CHALLENGE_REPLY__INIT;

    name.type = PB__NAME_TYPE__NAME_TYPE_DNS;
    name.value = host;
    input.type = type;
    input.identifier = &name;
    input.token = TOKEN;
    input.key_authorization = KEY_AUTHORIZATION;
    input.account_uri = ACCOUNT;
    if (validate_challenge(&validator, rq, &input, &reply) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    return reply;
}

static const struct one {
    const char *name;
    const char *type, *host;
    const char *problem, *detail; /* NULL: valid */
} cases[] = {
    {"accepts_the_digest", "dns-01", "one.test", NULL, NULL},
    {"accepts_it_for_a_wildcard", "dns-01", "*.one.test", NULL, NULL},
    {"accepts_one_of_several", "dns-01", "many.test", NULL, NULL},
    {"accepts_it_in_two_strings", "dns-01", "split.test", NULL, NULL},
    {"follows_aliases", "dns-01", "alias.test", NULL, NULL},
    {"accepts_it_among_much_text", "dns-01", "big.test", NULL, NULL},
    {"rejects_a_circle_of_aliases", "dns-01", "circle.test", "dns", "_acme-challenge.circle.test"},
    {"does_not_show_what_an_alias_leads_to", "dns-01", "led.test", "incorrectResponse", "the last one is something that is not shown"},
    {"rejects_another_text", "dns-01", "wrong.test", "incorrectResponse", "\"nonsense\""},
    {"rejects_the_digest_with_more_behind_it", "dns-01", "longer.test", "incorrectResponse", DIGEST "A"},
    {"rejects_the_digest_in_small_letters", "dns-01", "lower.test", "incorrectResponse", "t8hb"},
    {"rejects_a_name_without_text", "dns-01", "empty.test", "incorrectResponse", "there is no TXT record"},
    {"rejects_a_name_that_does_not_exist", "dns-01", "nothing.test", "dns", "NXDOMAIN"},
    {"rejects_what_its_server_does_not_answer", "dns-01", "refused.example", "dns", "SERVFAIL"},
    {"does_not_take_the_account_label_for_dns_01", "dns-01", "account.test", "incorrectResponse", "there is no TXT record"},
    {"accepts_it_below_the_label_of_the_account", "dns-account-01", "account.test", NULL, NULL},
    {"accepts_that_for_a_wildcard", "dns-account-01", "*.account.test", NULL, NULL},
    {"rejects_it_without_the_label_of_the_account", "dns-account-01", "one.test", "dns", "_ujmmovf2vn55tgye._acme-challenge.one.test"},
};

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ValidateChallengeReply reply = ask_for(rq, one->type, one->host);

    if (one->problem == NULL) {
        if (!reply.valid)
            fail_msg("%s: %s", reply.problem, reply.detail);
        return;
    }
    if (reply.valid || strcmp(reply.problem, one->problem) != 0 || strstr(reply.detail, one->detail) == NULL)
        fail_msg("%s: %s", reply.problem, reply.detail);
}

/* draft-ietf-acme-dns-account-label §3 */
static void
the_label_is_that_of_the_drafts_example(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    assert_string_equal(dns_account_01_label(arena, ACCOUNT), "_ujmmovf2vn55tgye._acme-challenge");
}

static Pb__ValidateChallengeReply
ask_with_anchor(struct request *rq, const char *anchor, const char *insecure, const char *host)
{
    struct validator careful = validator;
    struct resolver_options options = {
        .dns_address = arena_format(rq->arena, "127.0.0.1:%d", zones.port), .trust_anchor_file = zones_file(anchor), .insecure_domains = insecure};

    assert_int_equal(resolver_open(rq, &options, &validator.resolver), OK);
    Pb__ValidateChallengeReply reply = ask_for(rq, "dns-01", host);
    resolver_close(validator.resolver);
    validator = careful;
    return reply;
}

static void
a_signed_zone_is_validated(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ValidateChallengeReply reply = ask_with_anchor(rq, "anchor", "", "signed.test");

    if (!reply.valid)
        fail_msg("%s: %s", reply.problem, reply.detail);
}

static void
what_a_zone_does_not_sign_is_bogus_below_a_trust_anchor(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ValidateChallengeReply reply = ask_with_anchor(rq, "wrong-anchor", "", "one.test");

    assert_false(reply.valid);
    assert_string_equal(reply.problem, "dns");
    assert_non_null(strstr(reply.detail, "DNSSEC"));
}

static void
what_is_named_insecure_is_believed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    assert_true(ask_with_anchor(rq, "wrong-anchor", "example.com, one.test", "one.test").valid);
}

static void
rejects_a_trust_anchor_that_is_none(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    struct resolver_options options = {.dns_address = "127.0.0.1:53", .trust_anchor_file = "/nonexistent", .insecure_domains = ""};

    assert_int_equal(resolver_open(rq, &options, &resolver), ERR_BAD_REQUEST);
}

#define CASES_BY_HAND 5

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(cases)] = {
        cmocka_unit_test(the_label_is_that_of_the_drafts_example),
        cmocka_unit_test(a_signed_zone_is_validated),
        cmocka_unit_test(what_a_zone_does_not_sign_is_bogus_below_a_trust_anchor),
        cmocka_unit_test(what_is_named_insecure_is_believed),
        cmocka_unit_test(rejects_a_trust_anchor_that_is_none),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[CASES_BY_HAND + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    return _cmocka_run_group_tests("dns_01", tests, COUNT_OF(tests), open_all, close_all);
}
