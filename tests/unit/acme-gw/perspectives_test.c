/* How many validators have to agree: the table of the CA/Browser Forum (Baseline Requirements §3.2.2.9), and asking them all at once. */
#include "unit/kit.h"

#include <pthread.h>
#include <stdatomic.h>
#include <string.h>

#include "acme.h"
#include "base/clock.h"

/* '+' saw it, '-' saw something else, '?' did not answer; the first is the primary one. */
static const struct one {
    const char *name;
    const char *verdicts;
    enum quorum quorum;
} cases[] = {
    {"one_alone_decides", "+", QUORUM_FOR},
    {"one_alone_decides_against", "-", QUORUM_AGAINST},
    {"one_alone_that_is_silent_decides_nothing", "?", QUORUM_UNKNOWN},
    {"of_two_both_must_see_it", "++", QUORUM_FOR},
    {"of_two_the_second_may_not_fail", "+-", QUORUM_AGAINST},
    {"of_two_the_second_may_not_be_silent", "+?", QUORUM_UNKNOWN},
    {"of_two_remotes_one_may_fail", "++-", QUORUM_FOR},
    {"of_two_remotes_one_may_be_silent", "+?+", QUORUM_FOR},
    {"of_two_remotes_two_may_not_fail", "+--", QUORUM_AGAINST},
    {"of_two_remotes_one_against_and_one_silent_is_not_known", "+-?", QUORUM_UNKNOWN},
    {"the_primary_one_may_never_fail", "-+++++++", QUORUM_AGAINST},
    {"the_primary_one_may_never_be_silent", "?+++++++", QUORUM_UNKNOWN},
    {"of_five_remotes_one_may_fail", "+++++-", QUORUM_FOR},
    {"of_five_remotes_two_may_not_fail", "++++--", QUORUM_AGAINST},
    {"of_six_remotes_two_may_fail", "+++++--", QUORUM_FOR},
    {"of_six_remotes_one_may_fail_and_one_be_silent", "+++++-?", QUORUM_FOR},
    {"of_six_remotes_three_may_not_fail", "++++---", QUORUM_AGAINST},
    {"of_six_remotes_three_that_are_silent_are_not_known", "++++???", QUORUM_UNKNOWN},
    {"of_ten_remotes_three_may_not_fail", "++++++++---", QUORUM_AGAINST},
};

static enum verdict
verdict_of_sign(char sign)
{
    return sign == '+' ? VERDICT_FOR : sign == '-' ? VERDICT_AGAINST : VERDICT_NONE;
}

static void
judges(void **state)
{
    const struct one *one = *state;
    enum verdict verdicts[32];

    for (size_t i = 0; i < strlen(one->verdicts); i++)
        verdicts[i] = verdict_of_sign(one->verdicts[i]);
    assert_int_equal(quorum_of(verdicts, strlen(one->verdicts)), one->quorum);
}

/* ---- asking ---- */

static struct acme gateway;
static atomic_int asked;
static const char *signs; /* by the perspective's letter: ".a" has the first */

static enum error
look_at_sign(struct acme *acme, struct request *rq, const char *suffix, const void *input, struct finding *ret_finding)
{
    char sign = suffix[0] == '\0' ? signs[0] : signs[suffix[1] - 'a'];

    assert_ptr_equal(input, &asked);
    asked++;
    if (sign == '?')
        return fail(rq, ERR_UNAVAILABLE, "%s is away", suffix);
    *ret_finding = (struct finding){.holds = sign == '+',
                                    .attested_key = bytes_of_text("a key"),
                                    .attestation = "a maker's word",
                                    .problem = sign == '+' ? "" : "dns",
                                    .detail = arena_format(rq->arena, "what %s saw", suffix),
                                    .valid_until_s = suffix[0] == '\0' ? 0 : 1000 - suffix[1]};
    return OK;
}

/* The first question is answered too late: by nobody, or in haste. */
static struct {
    enum error error;
    bool holds;
    atomic_int asked;
    int64_t time_of_second_ms;
} slow;

static enum error
look_slowly(struct acme *acme, struct request *rq, const char *suffix, const void *input, struct finding *ret_finding)
{
    if (slow.asked++ > 0) {
        slow.time_of_second_ms = request_time_left_ms(rq, 60000);
        *ret_finding = (struct finding){.holds = true, .problem = "", .detail = "", .attestation = ""};
        return OK;
    }
    while (request_time_left_ms(rq, 60000) > 0)
        clock_sleep_ms(1);
    if (slow.error)
        return fail(rq, slow.error, "no answer");
    *ret_finding = (struct finding){.holds = slow.holds, .problem = "connection", .detail = "nobody answered in time", .attestation = ""};
    return OK;
}

static const struct slowness {
    const char *name;
    enum error error;
    bool holds;
    const char *perspectives;
    int64_t most_ms;
    int asked;
} slownesses[] = {
    {"who_died_with_the_question_is_not_waited_for", ERR_TIMEOUT, false, "", 1200, 2},
    {"who_died_with_it_at_a_perspective_is_not_waited_for", ERR_TIMEOUT, false, "a", 1200, 2},
    {"what_was_found_in_haste_is_looked_at_again", OK, false, "", 1200, 2},
    {"what_holds_is_good_however_late", OK, true, "", 1200, 1},
    {"a_short_look_is_one_question", ERR_TIMEOUT, false, "", 300, 1},
};

static void
is_asked_again(void **state)
{
    const struct slowness *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct finding finding = {.holds = false};

    slow.asked = 0;
    slow.error = one->error;
    slow.holds = one->holds;
    gateway.config.perspectives = one->perspectives;
    int64_t deadline_ms = rq->deadline_ms = clock_monotonic_ms() + one->most_ms;
    enum error error = perspectives_ask(&gateway, rq, look_slowly, &slow, &finding);
    assert_int_equal(rq->deadline_ms, deadline_ms);
    assert_int_equal(slow.asked, one->asked);
    if (one->asked == 1 && one->error) {
        assert_int_equal(error, one->error);
        return;
    }
    assert_int_equal(error, OK);
    assert_true(finding.holds);
    assert_int_equal(rq->failure.kind, OK);
    /* With all the time that is left. */
    if (one->asked == 2)
        assert_true(slow.time_of_second_ms > one->most_ms / 4);
}

/* What a host comes to that takes no connection: the validator waits 5 s for one. */
#define CONNECT_MS 5000
static int64_t given_ms;

static enum error
look_at_nobody(struct acme *acme, struct request *rq, const char *suffix, const void *input, struct finding *ret_finding)
{
    slow.asked++;
    given_ms = request_time_left_ms(rq, 60000);
    *ret_finding = (struct finding){.holds = false, .problem = "connection", .detail = "timeout", .attestation = ""};
    return OK;
}

static void
a_host_that_takes_no_connection_is_found_out_by_the_first_question(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct finding finding = {.holds = true};

    slow.asked = 0;
    gateway.config.perspectives = "";
    rq->deadline_ms = clock_monotonic_ms() + VALIDATION_ASK_MS;
    assert_int_equal(perspectives_ask(&gateway, rq, look_at_nobody, &slow, &finding), OK);
    assert_false(finding.holds);
    assert_int_equal(slow.asked, 1);
    assert_true(given_ms * 9 / 10 > CONNECT_MS); /* in the last tenth it would be found in haste */
}

static enum error
ask(struct request *rq, const char *perspectives, const char *what, struct finding *ret_finding)
{
    asked = 0;
    signs = what;
    gateway.config.perspectives = perspectives;
    return perspectives_ask(&gateway, rq, look_at_sign, &asked, ret_finding);
}

static void
without_names_one_call_decides(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct finding finding;

    assert_int_equal(ask(rq, "", "-", &finding), OK);
    assert_false(finding.holds);
    assert_string_equal(finding.detail, "what  saw");
    assert_int_equal(asked, 1);
}

static void
with_names_all_are_asked(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct finding finding;

    assert_int_equal(ask(rq, "a, b, c", "++-", &finding), OK);
    assert_true(finding.holds);
    assert_int_equal(asked, 3);
    /* The earliest end of those who saw it. */
    assert_int_equal(finding.valid_until_s, 1000 - 'b');
    assert_true(bytes_equal(finding.attested_key, bytes_of_text("a key")));
    assert_string_equal(finding.attestation, "a maker's word");
}

static void
who_saw_something_else_is_named(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct finding finding;

    assert_int_equal(ask(rq, "a,b", "+-", &finding), OK);
    assert_false(finding.holds);
    assert_string_equal(finding.problem, "dns");
    assert_string_equal(finding.detail, "seen from \"b\": what .b saw");
}

static void
too_few_answers_are_trouble_that_may_pass(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct finding finding;

    assert_int_equal(ask(rq, "a,b,c", "+??", &finding), ERR_UNAVAILABLE);
    assert_string_equal(rq->failure.message, ".b is away");
}

static void *
ask_in_a_thread(void *argument)
{
    for (int i = 0; i < 50; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct finding finding;
        if (perspectives_ask(&gateway, rq, look_at_sign, &asked, &finding) != OK || !finding.holds)
            return &gateway;
    }
    return NULL;
}

/* More rounds than threads for them: whoever finds none free looks himself. */
static void
many_rounds_at_once_all_end(void **state)
{
    pthread_t threads[8];

    signs = "+++-++";
    gateway.config.perspectives = "a,b,c,d,e,f";
    for (size_t i = 0; i < COUNT_OF(threads); i++)
        pthread_create(&threads[i], NULL, ask_in_a_thread, NULL);
    for (size_t i = 0; i < COUNT_OF(threads); i++) {
        void *wrong;
        pthread_join(threads[i], &wrong);
        assert_null(wrong);
    }
}

static void
names_are_checked_at_start(void **state)
{
    static const char *const wrong[] = {"West", "a.b", "a,b,a", "a b", "*"};
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(perspectives_check(rq, ""), OK);
    assert_int_equal(perspectives_check(rq, "main, west-1,east-2"), OK);
    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        assert_int_equal(perspectives_check(rq, wrong[i]), ERR_BAD_REQUEST);
        failure_clear(rq);
    }
}

static int
open_all(void **state)
{
    gateway.onlookers = workers_new("perspective", 4, 0, NULL);
    return 0;
}

static int
close_all(void **state)
{
    workers_free(gateway.onlookers);
    return 0;
}

#define CASES_BY_HAND 7

int
main(void)
{
    struct CMUnitTest tests[CASES_BY_HAND + COUNT_OF(cases) + COUNT_OF(slownesses)] = {
        cmocka_unit_test(a_host_that_takes_no_connection_is_found_out_by_the_first_question),
        cmocka_unit_test(without_names_one_call_decides),
        cmocka_unit_test(with_names_all_are_asked),
        cmocka_unit_test(who_saw_something_else_is_named),
        cmocka_unit_test(too_few_answers_are_trouble_that_may_pass),
        cmocka_unit_test(many_rounds_at_once_all_end),
        cmocka_unit_test(names_are_checked_at_start),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[CASES_BY_HAND + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = judges, .initial_state = (void *)&cases[i]};
    for (size_t i = 0; i < COUNT_OF(slownesses); i++)
        tests[CASES_BY_HAND + COUNT_OF(cases) + i] =
            (struct CMUnitTest){.name = slownesses[i].name, .test_func = is_asked_again, .initial_state = (void *)&slownesses[i]};
    return _cmocka_run_group_tests("perspectives", tests, COUNT_OF(tests), open_all, close_all);
}
