/* The call that looks at CAA alone: several names, the first that is not allowed is named; and CAA as the end of a validation. */
#include "zone_fixture.h"

#include <netinet/in.h>
#include <poll.h>
#include <pthread.h>
#include <stdatomic.h>

#define TOKEN "token-token-token-token-token"
#define DIGEST "T8hb11vqzla9Owkkh1aFW-zrYgkSu64raHPYwbiEUjA"
#define ACCOUNT "https://ca.example/acme/account/1"

static const char records[] = "ours 5 CAA 0 issue \"ca.example\"\n"
                              "theirs 5 CAA 0 issue \"other.example\"\n"
                              "wild 5 CAA 0 issue \"ca.example\"\n"
                              "wild 5 CAA 0 issuewild \";\"\n"
                              "by-http 5 CAA 0 issue \"ca.example; validationmethods=http-01\"\n"
                              "_acme-challenge.ours 5 TXT \"" DIGEST "\"\n"
                              "_acme-challenge.theirs 5 TXT \"" DIGEST "\"\n"
                              "_acme-challenge.by-http 5 TXT \"" DIGEST "\"\n";

static struct validator validator;
static struct request *process_rq;
static char *issuer = (char *)"ca.example";
static size_t issuers = 1;

static int
open_all(void **state)
{
    open_zones(records, "");
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

struct asked {
    const char *name, *method;
    bool is_ip;
};

static enum error
ask(struct request *rq, const struct asked *asked, size_t count, Pb__CheckCaaReply *ret_reply)
{
    Pb__CheckCaaRequest input = PB__CHECK_CAA_REQUEST__INIT;
    Pb__Name *names = arena_array(rq->arena, count, sizeof *names);
    Pb__CaaSubject *subjects = arena_array(rq->arena, count, sizeof *subjects);
    Pb__CaaSubject **pointers = arena_array(rq->arena, count, sizeof(Pb__CaaSubject *));

    for (size_t i = 0; i < count; i++) {
        pb__name__init(&names[i]);
        names[i].type = asked[i].is_ip ? PB__NAME_TYPE__NAME_TYPE_IP : PB__NAME_TYPE__NAME_TYPE_DNS;
        names[i].value = asked[i].name;
        pb__caa_subject__init(&subjects[i]);
        subjects[i].name = &names[i];
        subjects[i].method = asked[i].method;
        pointers[i] = &subjects[i];
    }
    input.subjects = pointers;
    input.n_subjects = count;
    input.issuer_names = (void *)&issuer;
    input.n_issuer_names = issuers;
    input.account_uri = ACCOUNT;
    pb__check_caa_reply__init(ret_reply);
    return check_caa(&validator, rq, &input, ret_reply);
}

static void
allows_names_that_all_allow_it(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CheckCaaReply reply;
    struct asked asked[] = {{"ours.test", "dns-01"}, {"by-http.test", "http-01"}, {"127.0.0.1", "http-01", true}, {"nothing.test", "http-01"}};

    assert_int_equal(ask(rq, asked, COUNT_OF(asked), &reply), OK);
    assert_true(reply.allowed);
    assert_string_equal(reply.problem, "");
    assert_string_equal(reply.perspective, "here");
}

static void
names_the_first_that_is_not_allowed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CheckCaaReply reply;
    struct asked asked[] = {{"ours.test", "dns-01"}, {"by-http.test", "dns-01"}, {"theirs.test", "dns-01"}};

    assert_int_equal(ask(rq, asked, COUNT_OF(asked), &reply), OK);
    assert_false(reply.allowed);
    assert_string_equal(reply.problem, "caa");
    assert_string_equal(reply.name->value, "by-http.test");
    assert_non_null(strstr(reply.detail, "by dns-01"));
}

static void
a_wildcard_is_asked_as_one(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CheckCaaReply reply;

    assert_int_equal(ask(rq, &(struct asked){"wild.test", "dns-01"}, 1, &reply), OK);
    assert_true(reply.allowed);
    assert_int_equal(ask(rq, &(struct asked){"*.wild.test", "dns-01"}, 1, &reply), OK);
    assert_false(reply.allowed);
}

static void
rejects_what_is_no_name(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CheckCaaReply reply;

    assert_int_equal(ask(rq, &(struct asked){"no name", "dns-01"}, 1, &reply), ERR_BAD_NAME);
}

static void
every_record_forbids_a_ca_without_a_name(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CheckCaaReply ours = PB__CHECK_CAA_REPLY__INIT, nothing = PB__CHECK_CAA_REPLY__INIT;

    issuers = 0;
    enum error error = ask(rq, &(struct asked){"ours.test", "dns-01"}, 1, &ours);
    if (!error)
        error = ask(rq, &(struct asked){"nothing.test", "dns-01"}, 1, &nothing);
    issuers = 1;
    assert_int_equal(error, OK);
    assert_false(ours.allowed);
    assert_non_null(strstr(ours.detail, "this CA has no name"));
    assert_true(nothing.allowed);
}

static void
rejects_a_ca_with_too_many_names(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CheckCaaReply reply;

    issuers = 11;
    enum error error = ask(rq, NULL, 0, &reply);
    issuers = 1;
    assert_int_equal(error, ERR_BAD_REQUEST);
}

/* ---- a resolver that takes its time ---- */

#define SLOW_MS 100
#define SLOW_NAMES 100
#define SLOW_WAITING 4096

struct waiting {
    uint8_t question[512];
    ssize_t len;
    struct sockaddr_in from;
    int64_t due_ms;
};

static struct {
    int fd;
    pthread_t thread;
    atomic_bool closing;
    struct waiting waiting[SLOW_WAITING];
} slow;

/* NOERROR without records, to the question as it was spelt. */
static void
answer_late(struct waiting *one)
{
    static const uint8_t flags_and_counts[] = {0x81, 0x80, 0, 1, 0, 0, 0, 0, 0, 0};
    size_t end = 12;

    while (one->question[end] != 0)
        end += one->question[end] + 1u;
    memcpy(one->question + 2, flags_and_counts, sizeof flags_and_counts);
    (void)sendto(slow.fd, one->question, end + 5, 0, (struct sockaddr *)&one->from, sizeof one->from);
}

static void *
answer_slowly(void *context)
{
    size_t first = 0, next = 0;

    while (!slow.closing) {
        struct pollfd wait = {.fd = slow.fd, .events = POLLIN};
        if (poll(&wait, 1, 5) > 0) {
            struct waiting *one = &slow.waiting[next++ % SLOW_WAITING];
            socklen_t len = sizeof one->from;
            one->len = recvfrom(slow.fd, one->question, sizeof one->question, 0, (struct sockaddr *)&one->from, &len);
            one->due_ms = clock_monotonic_ms() + SLOW_MS;
        }
        for (; first < next && slow.waiting[first % SLOW_WAITING].due_ms <= clock_monotonic_ms(); first++)
            answer_late(&slow.waiting[first % SLOW_WAITING]);
    }
    return NULL;
}

/* One after the other they would take three times as long as there is. */
static void
a_hundred_names_are_looked_at_in_the_time_that_clients_wait(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct asked asked[SLOW_NAMES];
    struct resolver *fast = validator.resolver;
    Pb__CheckCaaReply reply;
    int port;

    slow.fd = listen_on_loopback(SOCK_DGRAM, &port);
    assert_int_equal(pthread_create(&slow.thread, NULL, answer_slowly, NULL), 0);
    open_resolver(process_rq, port, &validator.resolver);
    for (size_t i = 0; i < SLOW_NAMES; i++)
        asked[i] = (struct asked){arena_format(rq->arena, "h%zu.slow.test", i), "dns-01", false};
    rq->deadline_ms = clock_monotonic_ms() + (int64_t)SLOW_NAMES * SLOW_MS / 3;
    enum error error = ask(rq, asked, SLOW_NAMES, &reply);
    resolver_close(validator.resolver);
    validator.resolver = fast;
    slow.closing = true;
    pthread_join(slow.thread, NULL);
    close(slow.fd);
    assert_int_equal(error, OK);
    assert_string_equal(reply.detail, "");
    assert_true(reply.allowed);
}

static Pb__ValidateChallengeReply
validate(struct request *rq, const char *host)
{
    Pb__ValidateChallengeRequest input = PB__VALIDATE_CHALLENGE_REQUEST__INIT;
    Pb__Name name = PB__NAME__INIT;
    Pb__ValidateChallengeReply reply = PB__VALIDATE_CHALLENGE_REPLY__INIT;

    name.type = PB__NAME_TYPE__NAME_TYPE_DNS;
    name.value = host;
    input.type = "dns-01";
    input.identifier = &name;
    input.token = TOKEN;
    input.key_authorization = TOKEN ".nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ";
    input.account_uri = ACCOUNT;
    input.check_caa = true;
    input.issuer_names = (void *)&issuer;
    input.n_issuer_names = 1;
    if (validate_challenge(&validator, rq, &input, &reply) != OK)
        fail_msg("%s", rq->failure.message);
    return reply;
}

static void
a_validation_ends_with_caa(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_true(validate(rq, "ours.test").valid);
    assert_string_equal(validate(rq, "theirs.test").problem, "caa");
    assert_string_equal(validate(rq, "by-http.test").problem, "caa");
    /* Nobody's CAA is of interest before his name is proven. */
    assert_string_equal(validate(rq, "below.theirs.test").problem, "dns");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(allows_names_that_all_allow_it),   cmocka_unit_test(names_the_first_that_is_not_allowed),
        cmocka_unit_test(a_wildcard_is_asked_as_one),       cmocka_unit_test(a_hundred_names_are_looked_at_in_the_time_that_clients_wait),
        cmocka_unit_test(rejects_what_is_no_name),          cmocka_unit_test(every_record_forbids_a_ca_without_a_name),
        cmocka_unit_test(rejects_a_ca_with_too_many_names), cmocka_unit_test(a_validation_ends_with_caa),
    };
    return cmocka_run_group_tests_name("check_caa", tests, open_all, close_all);
}
