/* Where the suite itself listens, in each way that settings say it: what is refused there, and what beside it is not. */
#include "unit/kit.h"

#include <string.h>

#include "validator.h"

static const struct one {
    const char *name;
    const char *endpoints, *bus; /* NULL: none */
    const char *address;
    int port;
    bool is_own;
} cases[] = {
    {"has_an_address", "10.0.0.5:5432", NULL, "10.0.0.5", 5432, true},
    {"has_not_its_neighbour", "10.0.0.5:5432", NULL, "10.0.0.6", 5432},
    {"has_not_its_other_ports", "10.0.0.5:5432", NULL, "10.0.0.5", 80},
    {"has_it_in_the_other_spelling", "10.0.0.5:5432", NULL, "::ffff:10.0.0.5", 5432, true},
    {"has_an_address_in_brackets", "[fd00::5]:5432", NULL, "fd00:0::5", 5432, true},
    {"has_each_of_a_list", "10.0.0.5:5432, 10.0.0.6:9101", NULL, "10.0.0.6", 9101, true},
    {"has_a_port_of_any_address", "*:5432", NULL, "192.168.7.7", 5432, true},
    {"has_a_port_of_any_v6_address", "*:5432", NULL, "fd00::7", 5432, true},
    {"has_no_other_port_of_any_address", "*:5432", NULL, "192.168.7.7", 5433},
    {"has_any_address_for_a_name", "postgres:5432", NULL, "10.9.8.7", 5432, true},
    {"has_any_address_for_localhost", "localhost:5432", NULL, "127.0.0.1", 5432, true},
    {"has_any_address_for_a_listener_on_all_of_v4", "0.0.0.0:9101", NULL, "10.9.8.7", 9101, true},
    {"has_any_address_for_a_listener_on_all_of_v6", "[::]:9101", NULL, "10.9.8.7", 9101, true},
    {"has_the_bus", NULL, "tls://10.0.0.5:14222", "10.0.0.5", 14222, true},
    {"has_not_beside_the_bus", NULL, "tls://10.0.0.5:14222", "10.0.0.6", 14222},
    {"has_the_bus_without_scheme", NULL, "10.0.0.5:14222", "10.0.0.5", 14222, true},
    {"has_the_bus_without_port", NULL, "nats://10.0.0.5", "10.0.0.5", 4222, true},
    {"has_the_bus_on_v6_without_port", NULL, "nats://[fd00::5]", "fd00::5", 4222, true},
    {"has_the_bus_on_v6", NULL, "nats://[fd00::5]:4333", "fd00::5", 4333, true},
    {"has_the_bus_with_user_and_path", NULL, "tls://us:e@r:pw@10.0.0.5:4333/", "10.0.0.5", 4333, true},
    {"has_each_server_of_the_bus", NULL, "tls://10.0.0.5:4222,tls://10.0.0.6:4222", "10.0.0.6", 4222, true},
    {"has_any_address_for_a_bus_with_a_name", NULL, "tls://nats.signet:4222", "10.9.8.7", 4222, true},
};

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct endpoints own = {.count = 0};
    struct address address;

    assert_int_equal(endpoints_add(rq, one->endpoints == NULL ? "" : one->endpoints, &own), OK);
    assert_int_equal(endpoints_add_bus(rq, one->bus == NULL ? "" : one->bus, &own), OK);
    assert_true(address_parse(one->address, &address));
    assert_int_equal(endpoints_have(&own, &address, one->port), one->is_own);
}

static void
rejects_what_is_no_address_with_a_port(void **state)
{
    static const char *const wrong[] = {"127.0.0.1", "*", "*:", "*:0", "*:70000", "fd00::5:80x", "a b:80", "10.0.0.5:0", "[fd00::5]"};

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct endpoints own = {.count = 0};
        assert_int_equal(endpoints_add(rq, wrong[i], &own), ERR_BAD_REQUEST);
        assert_int_equal(own.count, 0);
    }
}

static void
rejects_more_than_there_is_room_for(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct endpoints own = {.count = 0};

    for (int i = 0; i < ENDPOINTS_MAX; i++)
        assert_int_equal(endpoints_add(rq, "10.0.0.5:5432", &own), OK);
    assert_int_equal(endpoints_add(rq, "10.0.0.5:5432", &own), ERR_TOO_LARGE);
}

static void
a_port_of_which_nothing_is_left_is_no_port_to_ask(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct endpoints own = {.count = 0};

    assert_int_equal(endpoints_add(rq, "10.0.0.5:80, nats:443", &own), OK);
    assert_int_equal(endpoints_check(rq, &own, "SIGNET_HTTP01_PORT", 80), OK);
    assert_int_equal(endpoints_check(rq, &own, "SIGNET_TLSALPN01_PORT", 443), ERR_BAD_REQUEST);
    assert_non_null(strstr(rq->failure.message, "SIGNET_TLSALPN01_PORT"));
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(cases) + 3] = {
        cmocka_unit_test(rejects_what_is_no_address_with_a_port),
        cmocka_unit_test(rejects_more_than_there_is_room_for),
        cmocka_unit_test(a_port_of_which_nothing_is_left_is_no_port_to_ask),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[3 + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests_name("own_endpoints", tests, NULL, NULL);
}
