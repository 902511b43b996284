/* Which addresses may be asked: every kind of forbidden address in each of its spellings, and the settings that lift or add a refusal. */
#include "unit/kit.h"

#include "validator.h"

static const struct one {
    const char *name;
    const char *address;
    int port;
    const char *allow, *deny, *endpoints, *only, *not_to; /* NULL: empty */
    bool asked;
} cases[] = {
    {"asks_a_public_address", "93.184.216.34", 80, .asked = true},
    {"asks_a_public_v6_address", "2606:2800:220:1::1", 80, .asked = true},
    {"asks_private_10", "10.1.2.3", 80, .asked = true},
    {"asks_private_172", "172.16.0.1", 80, .asked = true},
    {"asks_private_192", "192.168.1.1", 80, .asked = true},
    {"asks_unique_local_v6", "fd12:3456::1", 80, .asked = true},
    {"refuses_loopback", "127.0.0.1", 80},
    {"refuses_any_loopback", "127.255.1.2", 80},
    {"refuses_loopback_v6", "::1", 80},
    {"refuses_loopback_mapped_into_v6", "::ffff:127.0.0.1", 80},
    {"refuses_loopback_mapped_into_v6_in_hex", "::ffff:7f00:1", 80},
    {"asks_loopback_when_allowed", "127.0.0.1", 80, .allow = "127.0.0.0/8", .asked = true},
    {"asks_mapped_loopback_when_allowed", "::ffff:127.0.0.1", 80, .allow = "127.0.0.0/8", .asked = true},
    {"refuses_v6_loopback_when_v4_is_allowed", "::1", 80, .allow = "127.0.0.0/8"},
    {"asks_v6_loopback_when_allowed", "::1", 80, .allow = "127.0.0.0/8, ::1", .asked = true},
    {"refuses_metadata", "169.254.169.254", 80},
    {"refuses_metadata_even_when_allowed", "169.254.169.254", 80, .allow = "0.0.0.0/0"},
    {"refuses_link_local_even_when_allowed", "169.254.1.1", 80, .allow = "169.254.0.0/16"},
    {"refuses_mapped_metadata", "::ffff:a9fe:a9fe", 80, .allow = "0.0.0.0/0, ::/0"},
    {"refuses_link_local_v6", "fe80::1", 80, .allow = "::/0"},
    {"refuses_the_end_of_link_local_v6", "febf:ffff::1", 80, .allow = "::/0"},
    {"refuses_v6_metadata", "fd00:ec2::254", 80, .allow = "::/0"},
    {"asks_a_neighbour_of_v6_metadata", "fd00:ec2::253", 80, .asked = true},
    {"refuses_alibaba_metadata", "100.100.100.200", 80, .allow = "0.0.0.0/0"},
    {"refuses_azure_wire_server", "168.63.129.16", 80, .allow = "0.0.0.0/0"},
    {"refuses_oracle_metadata", "192.0.0.192", 80, .allow = "0.0.0.0/0"},
    {"refuses_zero", "0.0.0.0", 80, .allow = "0.0.0.0/0"},
    {"refuses_this_network", "0.1.2.3", 80, .allow = "0.0.0.0/0"},
    {"refuses_v6_zero", "::", 80, .allow = "::/0"},
    {"refuses_multicast", "224.0.0.1", 80, .allow = "0.0.0.0/0"},
    {"refuses_multicast_v6", "ff02::1", 80, .allow = "::/0"},
    {"refuses_broadcast", "255.255.255.255", 80, .allow = "0.0.0.0/0"},
    {"refuses_compatible_v4", "::127.0.0.1", 80, .allow = "::/0"},
    {"refuses_translated_v4", "::ffff:0:7f00:1", 80, .allow = "::/0"},
    {"refuses_translated_v4_of_a_denied_network", "::ffff:0:10.1.2.3", 80, .deny = "10.0.0.0/8"},
    {"refuses_nat64", "64:ff9b::7f00:1", 80, .allow = "::/0"},
    {"refuses_local_nat64", "64:ff9b:1::7f00:1", 80, .allow = "::/0"},
    {"refuses_6to4", "2002:7f00:1::1", 80, .allow = "::/0"},
    {"refuses_teredo", "2001:0:1::1", 80, .allow = "::/0"},
    {"refuses_shared_space", "100.64.0.1", 80},
    {"asks_shared_space_when_allowed", "100.64.0.1", 80, .allow = "100.64.0.0/10", .asked = true},
    {"refuses_documentation", "192.0.2.1", 80},
    {"refuses_documentation_v6", "2001:db8::1", 80},
    {"refuses_a_denied_network", "10.1.2.3", 80, .deny = "10.0.0.0/8"},
    {"asks_beside_a_denied_network", "11.1.2.3", 80, .deny = "10.0.0.0/8", .asked = true},
    {"refuses_a_denied_network_that_is_also_allowed", "127.0.0.1", 80, .allow = "127.0.0.0/8", .deny = "127.0.0.1"},
    {"refuses_mapped_in_a_denied_network", "::ffff:10.1.2.3", 80, .deny = "10.0.0.0/8"},
    {"respects_bits_within_an_octet", "10.1.64.1", 80, .deny = "10.1.64.0/18"},
    {"respects_bits_within_an_octet_beyond", "10.1.128.1", 80, .deny = "10.1.64.0/18", .asked = true},
    {"refuses_the_suite", "10.0.0.5", 5432, .endpoints = "10.0.0.5:5432"},
    {"refuses_the_suite_even_when_allowed", "127.0.0.1", 5432, .allow = "127.0.0.0/8", .endpoints = "127.0.0.1:5432"},
    {"asks_another_port_beside_the_suite", "10.0.0.5", 80, .endpoints = "10.0.0.5:5432", .asked = true},
    {"refuses_the_suite_on_v6", "fd00::5", 4222, .endpoints = "127.0.0.1:1, [fd00::5]:4222"},
    {"asks_within_the_policys_networks", "10.1.2.3", 80, .only = "10.0.0.0/8", .asked = true},
    {"refuses_outside_the_policys_networks", "11.1.2.3", 80, .only = "10.0.0.0/8"},
    {"a_policy_does_not_lift_loopback", "127.0.0.1", 80, .only = "127.0.0.0/8"},
    {"a_policy_does_not_lift_a_denied_network", "10.1.2.3", 80, .deny = "10.0.0.0/8", .only = "10.0.0.0/8"},
    {"refuses_what_the_policy_denies", "10.1.2.3", 80, .not_to = "10.0.0.0/8"},
};

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    struct address_rules rules = {.http01_port = 80};
    struct address address;

    assert_int_equal(networks_parse(rq, one->allow == NULL ? "" : one->allow, &rules.allowed), OK);
    assert_int_equal(networks_parse(rq, one->deny == NULL ? "" : one->deny, &rules.denied), OK);
    assert_int_equal(networks_parse(rq, one->only == NULL ? "" : one->only, &rules.only), OK);
    assert_int_equal(networks_parse(rq, one->not_to == NULL ? "" : one->not_to, &rules.not_to), OK);
    assert_int_equal(endpoints_add(rq, one->endpoints == NULL ? "" : one->endpoints, &rules.own), OK);
    assert_true(address_parse(one->address, &address));
    const char *refusal = address_refusal(&rules, &address, one->port);
    if (one->asked)
        assert_null(refusal);
    else
        assert_non_null(refusal);
}

static void
rejects_settings_that_say_nothing(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct networks networks;

    assert_int_equal(networks_parse(rq, "10.0.0.0/8, office", &networks), ERR_BAD_REQUEST);
}

static void
follows_to_the_usual_ports_and_its_own(void **state)
{
    struct address_rules rules = {.http01_port = 5002};

    assert_true(port_is_allowed(&rules, 80));
    assert_true(port_is_allowed(&rules, 443));
    assert_true(port_is_allowed(&rules, 5002));
    assert_false(port_is_allowed(&rules, 22));
    assert_false(port_is_allowed(&rules, 8080));
}

int
main(void)
{
    struct CMUnitTest tests[COUNT_OF(cases) + 2] = {
        cmocka_unit_test(rejects_settings_that_say_nothing),
        cmocka_unit_test(follows_to_the_usual_ports_and_its_own),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[2 + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    return cmocka_run_group_tests_name("address_rules", tests, NULL, NULL);
}
