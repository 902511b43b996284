/* Whom a request is counted for when proxies stand between: what they add to X-Forwarded-For is believed, what anybody else writes is not. */
#include "unit/kit.h"

#include <string.h>

#include "link/client_address.h"

static const struct address_case {
    const char *name, *peer, *forwarded, *client;
} cases[] = {
    {"a_client_without_a_proxy_is_the_peer", "192.0.2.1", "198.51.100.1", "192.0.2.1"},
    {"a_proxy_names_its_client", "10.0.0.1", "192.0.2.1", "192.0.2.1"},
    {"a_proxy_that_names_nobody_is_the_client", "10.0.0.1", "", "10.0.0.1"},
    {"what_a_client_made_up_is_not_read", "10.0.0.1", "203.0.113.9, 192.0.2.1", "192.0.2.1"},
    {"two_proxies_name_the_client_of_the_first", "10.0.0.1", "203.0.113.9,192.0.2.1 , 10.0.0.2", "192.0.2.1"},
    {"proxies_alone_are_the_first_of_them", "10.0.0.1", "10.0.0.3,10.0.0.2", "10.0.0.3"},
    {"no_address_is_not_believed", "10.0.0.1", "unknown", "10.0.0.1"},
    {"no_address_ends_the_reading", "10.0.0.1", "192.0.2.1, evil\" 1=1, 10.0.0.2", "10.0.0.2"},
    {"a_client_by_v6_is_written_shortly", "2001:db8::1", "2001:DB8:0:0:1::7", "2001:db8::1:0:0:7"},
};

static void
client_is_found(void **state)
{
    const struct address_case *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct proxies proxies;

    assert_int_equal(proxies_parse(rq, "SIGNET_SOME_PROXY_NETWORKS", "10.0.0.0/8, 2001:db8::/64", &proxies), OK);
    assert_string_equal(client_address(rq->arena, &proxies, one->peer, one->forwarded), one->client);
}

static void
without_proxies_nobody_is_believed(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct proxies proxies;

    assert_int_equal(proxies_parse(rq, "SIGNET_SOME_PROXY_NETWORKS", "", &proxies), OK);
    assert_string_equal(client_address(rq->arena, &proxies, "10.0.0.1", "192.0.2.1"), "10.0.0.1");
}

static void
what_is_no_network_is_refused(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct proxies proxies;

    assert_int_equal(proxies_parse(rq, "SIGNET_SOME_PROXY_NETWORKS", "10.0.0.0/8,loadbalancer", &proxies), ERR_BAD_REQUEST);
    assert_string_equal(rq->failure.message, "SIGNET_SOME_PROXY_NETWORKS: \"loadbalancer\" is not a network");
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(cases) + 2] = {cmocka_unit_test(without_proxies_nobody_is_believed),
                                                    cmocka_unit_test(what_is_no_network_is_refused)};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[i + 2] = (struct CMUnitTest){.name = cases[i].name, .test_func = client_is_found, .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests_name("client_address", tests, NULL, NULL);
}
