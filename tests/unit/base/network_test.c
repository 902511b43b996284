/* What is an address, what is a network, and which address lies in which network. */
#include "unit/kit.h"

#include <string.h>

#include "base/network.h"

#define LONGEST "2001:0db8:1111:2222:3333:4444:203.0.113.255"

static const char too_long[] = LONGEST "00";
static const char much_too_long[] = LONGEST "00000000000000000000000000000000000000000000000000000000000000000000/128";

static void
reads_what_is_a_network(void **state)
{
    static const struct {
        const char *text;
        int bits;
        bool v4;
    } cases[] = {
        {"10.0.0.0/8", 104, true},
        {"0.0.0.0/0", 96, true},
        {"192.0.2.7/32", 128, true},
        {"192.0.2.7", 128, true},
        {"10.1.2.3/8", 104, true}, /* host bits set */
        {"::/0", 0, false},
        {"fd00::/8", 8, false},
        {"2001:db8::1/128", 128, false},
        {"2001:db8::1", 128, false},
        {"2001:DB8::/33", 33, false},
        {LONGEST "/128", 128, false},
        {"::ffff:10.0.0.0/104", 104, true},
        {"::ffff:a00:0/104", 104, true},
        {"::ffff:0.0.0.0/96", 96, true},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct network network;
        if (!network_parse(cases[i].text, &network))
            fail_msg("%s: not read", cases[i].text);
        if (network.bits != cases[i].bits || address_is_v4(&network.address) != cases[i].v4)
            fail_msg("%s: %d bits", cases[i].text, network.bits);
    }
}

static void
rejects_what_is_no_network_and_leaves_the_result(void **state)
{
    static const char *const texts[] = {
        "",
        "/",
        "/8",
        "host.example",
        "10",
        "10.1",
        "10.0.0/8",
        "010.0.0.1",
        "10.0.0.256",
        "10.0.0.0/",
        "10.0.0.0/33",
        "10.0.0.0/-1",
        "10.0.0.0/+8",
        "10.0.0.0/8x",
        "10.0.0.0/ 8",
        "10.0.0.0 /8",
        " 10.0.0.0/8",
        "10.0.0.0/8/8",
        "10.0.0.0/255.0.0.0",
        "10.0.0.0/4294967304",           /* 2^32 + 8 */
        "10.0.0.0/18446744073709551624", /* 2^64 + 8 */
        "2001:db8::/129",
        "::ffff:10.0.0.0/129",
        "fe80::1%lo",
        "[::1]",
        "1::2::3",
        too_long,
        much_too_long,
    };
    struct network before, network;

    memset(&before, 0x5a, sizeof before);
    network = before;
    for (size_t i = 0; i < COUNT_OF(texts); i++) {
        if (network_parse(texts[i], &network))
            fail_msg("\"%s\": taken", texts[i]);
        assert_memory_equal(&network, &before, sizeof before);
    }
}

static void
covers_the_addresses_of_the_prefix_and_no_other(void **state)
{
    static const struct {
        const char *network, *address;
        bool covered;
    } cases[] = {
        {"10.0.0.0/8", "10.0.0.0", true},
        {"10.0.0.0/8", "10.255.255.255", true},
        {"10.0.0.0/8", "11.0.0.0", false},
        {"10.0.0.0/8", "9.255.255.255", false},
        {"10.1.2.3/8", "10.9.9.9", true}, /* host bits mean nothing */
        {"10.1.64.0/18", "10.1.127.255", true},
        {"10.1.64.0/18", "10.1.128.0", false},
        {"192.0.2.7/31", "192.0.2.6", true},
        {"192.0.2.7/31", "192.0.2.8", false},
        {"192.0.2.7/32", "192.0.2.7", true},
        {"192.0.2.7/32", "192.0.2.6", false},
        {"192.0.2.7", "192.0.2.8", false},
        {"0.0.0.0/0", "255.255.255.255", true},
        {"0.0.0.0/0", "::1", false},
        {"0.0.0.0/0", "2001:db8::1", false},
        {"0.0.0.0/0", "::203.0.113.9", false}, /* compatible, not mapped */
        {"0.0.0.0/1", "127.255.255.255", true},
        {"0.0.0.0/1", "128.0.0.0", false},
        {"::/0", "2001:db8::1", true},
        {"::/0", "10.0.0.1", true},
        {"::/1", "8000::", false},
        {"2001:db8::/33", "2001:db8:7fff::1", true},
        {"2001:db8::/33", "2001:db8:8000::1", false},
        {"2001:db8::1/127", "2001:db8::", true},
        {"2001:db8::1/128", "2001:db8::1", true},
        {"2001:db8::1/128", "2001:db8::", false},
        {"10.0.0.0/8", "::ffff:10.1.2.3", true},
        {"10.0.0.0/8", "::ffff:a01:203", true},
        {"10.0.0.0/8", "::ffff:11.1.2.3", false},
        {"::ffff:10.0.0.0/104", "10.1.2.3", true},
        {"::ffff:10.0.0.0/104", "11.1.2.3", false},
        {"::/0", "nonsense", false},
        {"::/0", "", false},
        {"::/0", "10.0.0.0/8", false},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct network network;
        assert_true(network_parse(cases[i].network, &network));
        if (networks_cover_text(&network, 1, cases[i].address) != cases[i].covered)
            fail_msg("%s, %s", cases[i].network, cases[i].address);
    }
}

static void
one_of_many_is_enough_and_none_covers_nothing(void **state)
{
    struct network networks[2];
    struct address address;

    assert_true(network_parse("10.0.0.0/8", &networks[0]) && network_parse("2001:db8::/32", &networks[1]));
    assert_true(address_parse("2001:db8::1", &address));
    assert_true(networks_cover(networks, 2, &address));
    assert_false(networks_cover(networks, 1, &address));
    assert_false(networks_cover(networks, 0, &address));
    assert_false(networks_cover_text(NULL, 0, "10.0.0.1"));
}

static void
addresses_are_written_in_their_shortest_form(void **state)
{
    static const struct {
        const char *text, *written;
    } cases[] = {
        {"192.0.2.1", "192.0.2.1"},
        {"::ffff:192.0.2.1", "192.0.2.1"},
        {"::FFFF:C000:201", "192.0.2.1"},
        {"2001:0DB8:0:0:0:0:0:1", "2001:db8::1"},
        {"::", "::"},
        {"ffff:ffff:ffff:ffff:ffff:ffff:255.255.255.255", "ffff:ffff:ffff:ffff:ffff:ffff:ffff:ffff"},
    };
    char written[ADDRESS_TEXT_MAX];
    struct address address;

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        assert_true(address_parse(cases[i].text, &address));
        address_format(&address, written);
        assert_string_equal(written, cases[i].written);
    }
}

static void
what_is_no_address_leaves_the_result(void **state)
{
    struct address before, address;

    memset(&before, 0x5a, sizeof before);
    address = before;
    assert_false(address_parse("2001:db8::1::", &address));
    assert_false(address_parse("192.0.2.", &address));
    assert_memory_equal(&address, &before, sizeof before);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_what_is_a_network),
        cmocka_unit_test(rejects_what_is_no_network_and_leaves_the_result),
        cmocka_unit_test(covers_the_addresses_of_the_prefix_and_no_other),
        cmocka_unit_test(one_of_many_is_enough_and_none_covers_nothing),
        cmocka_unit_test(addresses_are_written_in_their_shortest_form),
        cmocka_unit_test(what_is_no_address_leaves_the_result),
    };

    return cmocka_run_group_tests_name("network", tests, NULL, NULL);
}
