/* What every question to the DNS has: letters in mixed case, no memory, a bound on what an answer may bring, no answer without its deadline. */
#include "zone_fixture.h"

#define LONG_NAME "a-rather-long-name-with-very-many-letters-in-it.test"
#define QUESTION_BEGINS 12 /* behind the header of a message */

static struct {
    int socket;
    int port;
    pthread_t thread;
    atomic_bool closing;
    atomic_int asked;
    char name[256]; /* of the last question, as it came: lengths of labels as dots */
} listener;

/* Of the zone test., to be remembered for 5 seconds. */
static const uint8_t soa[] = {4, 't', 'e', 's', 't', 0, 0, 6, 0, 1, 0, 0, 0, 5, 0, 22, 0, 0, 0,
                              0, 0,   1,   0,   0,   0, 5, 0, 0, 0, 5, 0, 0, 0, 5, 0,  0, 0, 5};

/* "There is no such name" (RFC 1035 §4.1.1, RFC 2308 §2.1), with the question as it was asked. */
static size_t
answer_nxdomain(uint8_t *message, size_t len)
{
    size_t end = QUESTION_BEGINS;

    while (end < len && message[end] != 0)
        end++;
    for (size_t i = QUESTION_BEGINS + 1; i < end; i++)
        listener.name[i - QUESTION_BEGINS - 1] = message[i] < 64 && message[i] != '-' ? '.' : (char)message[i];
    listener.name[end - QUESTION_BEGINS - 1] = '\0';
    message[2] = 0x84;
    message[3] = 0x83;
    memset(message + 6, 0, 6);
    message[9] = 1;
    memcpy(message + end + 5, soa, sizeof soa);
    return end + 5 + sizeof soa;
}

static void *
listen_for_questions(void *argument)
{
    uint8_t message[512];

    while (!listener.closing) {
        struct sockaddr_in from;
        socklen_t from_len = sizeof from;
        struct pollfd wait = {.fd = listener.socket, .events = POLLIN};
        if (poll(&wait, 1, 50) <= 0)
            continue;
        ssize_t len = recvfrom(listener.socket, message, sizeof message, 0, (struct sockaddr *)&from, &from_len);
        if (len <= QUESTION_BEGINS)
            continue;
        listener.asked++;
        if (strncasecmp((const char *)message + QUESTION_BEGINS + 1, "silent", strlen("silent")) == 0)
            continue;
        size_t answer_len = answer_nxdomain(message, (size_t)len);
        (void)sendto(listener.socket, message, answer_len, 0, (struct sockaddr *)&from, from_len);
    }
    return NULL;
}

static char records[8192];

static int
open_all(void **state)
{
    size_t len = 0;

    for (int i = 0; i < RECORDS_MAX; i++)
        len += (size_t)snprintf(records + len, sizeof records - len, "full 5 TXT \"%d\"\n", i);
    for (int i = 0; i <= RECORDS_MAX; i++)
        len += (size_t)snprintf(records + len, sizeof records - len, "over 5 TXT \"%d\"\n", i);
    open_zones(records, "");
    listener.socket = listen_on_loopback(SOCK_DGRAM, &listener.port);
    pthread_create(&listener.thread, NULL, listen_for_questions, NULL);
    return 0;
}

static int
close_all(void **state)
{
    listener.closing = true;
    pthread_join(listener.thread, NULL);
    close(listener.socket);
    close_zones();
    return 0;
}

static void
questions_come_in_mixed_case(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    struct lookup lookup = {.name = LONG_NAME, .type = RRTYPE_TXT};

    open_resolver(rq, listener.port, &resolver);
    look_up(resolver, rq, &lookup, 1);
    resolver_close(resolver);
    assert_false(lookup.failed);
    assert_string_equal(lookup.why, "the name does not exist (NXDOMAIN)");
    assert_int_equal(strcasecmp(listener.name, LONG_NAME), 0);
    assert_string_not_equal(listener.name, LONG_NAME);
}

static void
nothing_is_remembered(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    struct lookup lookup = {.name = "again.test", .type = RRTYPE_TXT};

    open_resolver(rq, listener.port, &resolver);
    look_up(resolver, rq, &lookup, 1);
    assert_string_equal(lookup.why, "the name does not exist (NXDOMAIN)");
    int asked = listener.asked;
    look_up(resolver, rq, &lookup, 1);
    resolver_close(resolver);
    assert_true(listener.asked > asked);
}

static void
an_answer_counts_although_another_does_not_come(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    char too_long[300];
    struct lookup lookups[] = {
        {.name = "silent.test", .type = RRTYPE_TXT}, {.name = too_long, .type = RRTYPE_TXT}, {.name = "answered.test", .type = RRTYPE_TXT}};

    memset(too_long, 'a', sizeof too_long - 1);
    too_long[sizeof too_long - 1] = '\0';
    open_resolver(rq, listener.port, &resolver);
    rq->deadline_ms = clock_monotonic_ms() + 1500;
    look_up(resolver, rq, lookups, 3);
    resolver_close(resolver);
    assert_true(lookups[0].failed);
    assert_string_equal(lookups[0].why, "the resolver did not answer in time");
    assert_true(lookups[1].failed);
    assert_non_null(lookups[1].why);
    assert_false(lookups[2].failed);
    assert_string_equal(lookups[2].why, "the name does not exist (NXDOMAIN)");
}

static void
many_records_are_bounded(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    struct lookup lookups[] = {{.name = "full.test", .type = RRTYPE_TXT}, {.name = "over.test", .type = RRTYPE_TXT}};

    open_resolver(rq, zones.port, &resolver);
    look_up(resolver, rq, lookups, 2);
    resolver_close(resolver);
    assert_false(lookups[0].failed);
    assert_int_equal(lookups[0].count, RECORDS_MAX);
    assert_true(lookups[1].failed);
    assert_int_equal(lookups[1].count, 0);
}

static void
what_cannot_be_a_name_is_not_asked(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    char name[300];
    struct lookup lookup = {.name = name, .type = RRTYPE_TXT};

    memset(name, 'a', sizeof name - 1);
    name[sizeof name - 1] = '\0';
    open_resolver(rq, zones.port, &resolver);
    look_up(resolver, rq, &lookup, 1);
    resolver_close(resolver);
    assert_true(lookup.failed);
    assert_non_null(lookup.why);
}

#define AT_ONCE 40 /* more than the contexts that are kept */

static void *
ask_some(void *context)
{
    AUTO_STRUCT(request, rq) = request_new();
    size_t found = 0;

    for (int i = 0; i < 3; i++) {
        struct lookup lookups[] = {{.name = "full.test", .type = RRTYPE_TXT}, {.name = "ns.test", .type = RRTYPE_A}};
        look_up(context, rq, lookups, 2);
        found += lookups[0].count == RECORDS_MAX && lookups[1].count == 1 && lookups[1].records[0].at[0] == 127;
    }
    return (void *)found;
}

static void
many_ask_at_once_and_each_gets_its_own(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    pthread_t threads[AT_ONCE];

    open_resolver(rq, zones.port, &resolver);
    for (int i = 0; i < AT_ONCE; i++)
        assert_int_equal(pthread_create(&threads[i], NULL, ask_some, resolver), 0);
    for (int i = 0; i < AT_ONCE; i++) {
        void *found;
        pthread_join(threads[i], &found);
        assert_int_equal((size_t)found, 3);
    }
    resolver_close(resolver);
}

static void
a_look_that_ran_out_of_time_leaves_nothing_to_the_next(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct resolver *resolver;
    struct lookup silent = {.name = "silent.test", .type = RRTYPE_TXT}, next = {.name = "answered.test", .type = RRTYPE_TXT};

    open_resolver(rq, listener.port, &resolver);
    rq->deadline_ms = clock_monotonic_ms() + 50;
    look_up(resolver, rq, &silent, 1);
    rq->deadline_ms = 0;
    look_up(resolver, rq, &next, 1);
    resolver_close(resolver);
    assert_string_equal(silent.why, "the resolver did not answer in time");
    assert_string_equal(next.why, "the name does not exist (NXDOMAIN)");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(questions_come_in_mixed_case),
        cmocka_unit_test(nothing_is_remembered),
        cmocka_unit_test(an_answer_counts_although_another_does_not_come),
        cmocka_unit_test(many_records_are_bounded),
        cmocka_unit_test(what_cannot_be_a_name_is_not_asked),
        cmocka_unit_test(many_ask_at_once_and_each_gets_its_own),
        cmocka_unit_test(a_look_that_ran_out_of_time_leaves_nothing_to_the_next),
    };
    return cmocka_run_group_tests_name("resolver", tests, open_all, close_all);
}
