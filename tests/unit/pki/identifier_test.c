/* Identifiers: their canonical texts, and why others are refused. */
#include "unit/kit.h"

#include <string.h>

#include "pki/identifier.h"

#define DNS IDENTIFIER_DNS
#define IP IDENTIFIER_IP
#define EMAIL IDENTIFIER_EMAIL
#define URI IDENTIFIER_URI
#define DEVICE IDENTIFIER_PERMANENT
#define MODULE IDENTIFIER_HARDWARE_MODULE
#define UPN IDENTIFIER_UPN

#define LABEL_63 "aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff123"
#define NAME_253 LABEL_63 "." LABEL_63 "." LABEL_63 ".aaaaaaaaaabbbbbbbbbbccccccccccddddddddddeeeeeeeeeeffffffffff1"

static void
texts_become_canonical(void **state)
{
    static const struct {
        enum identifier_type type;
        const char *text, *canonical;
    } cases[] = {
        {DNS, "a.example", "a.example"},
        {DNS, "A.ExAmPle", "a.example"},
        {DNS, "a.example.", "a.example"},
        {DNS, "*.a.example", "*.a.example"},
        {DNS, "localhost", "localhost"},
        {DNS, "a-b.example", "a-b.example"},
        {DNS, "1.2.3.4.example", "1.2.3.4.example"},
        {DNS, "123.example", "123.example"},
        {DNS, "XN--bcher-KVA.example", "xn--bcher-kva.example"},
        {DNS, "*.xn--bcher-kva.example", "*.xn--bcher-kva.example"},
        {DNS, LABEL_63 ".example", LABEL_63 ".example"},
        {DNS, NAME_253, NAME_253},
        {DNS, NAME_253 ".", NAME_253},
        {IP, "192.0.2.1", "192.0.2.1"},
        {IP, "2001:DB8:0:0:0:0:0:1", "2001:db8::1"},
        {IP, "2001:db8:0:1:1:1:1:1", "2001:db8:0:1:1:1:1:1"},
        {IP, "2001:0:0:1:0:0:0:1", "2001:0:0:1::1"},
        {IP, "::", "::"},
        {IP, "::192.0.2.1", "::192.0.2.1"},
        {EMAIL, "Me.Too@Example.ORG", "Me.Too@example.org"},
        {EMAIL, "a+b=c@example.org", "a+b=c@example.org"},
        {URI, "HTTPS://Example.org:8443/Path?Q=%41#F", "https://example.org:8443/Path?Q=%41#F"},
        {URI, "spiffe://Cluster.local/ns/a/sa/b", "spiffe://cluster.local/ns/a/sa/b"},
        {URI, "urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6", "urn:uuid:F81D4FAE-7DEC-11D0-A765-00A0C91E6BF6"},
        {URI, "http://192.0.2.1/x", "http://192.0.2.1/x"},
        {URI, "IntuneDeviceId://f81d4fae-7dec-11d0-a765-00a0c91e6bf6", "IntuneDeviceId://f81d4fae-7dec-11d0-a765-00a0c91e6bf6"},
        {URI, "http://[2001:DB8::0:1]:80/x", "http://[2001:db8::1]:80/x"},
        {URI, "https://a.example", "https://a.example"},
        {URI, "mailto:me@example.org", "mailto:me@example.org"},
        {DEVICE, "C02xyZ.", "C02xyZ."},
        {DEVICE, "ABCDEF123456/1.2.3.4", "ABCDEF123456/1.2.3.4"},
        {DEVICE, "A/2.999.4294967295", "A/2.999.4294967295"},
        {MODULE, "ABCD/1.2.3.4", "ABCD/1.2.3.4"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct identifier identifier = {0}, again = {0};
        if (identifier_parse(rq, cases[i].type, cases[i].text, &identifier) != OK)
            fail_msg("%s: %s", cases[i].text, rq->failure.message);
        assert_string_equal(identifier.value, cases[i].canonical);
        assert_int_equal(identifier.type, cases[i].type);
        /* Canonical is a fixed point. */
        assert_int_equal(identifier_parse(rq, cases[i].type, identifier.value, &again), OK);
        assert_true(identifier_equal(&identifier, &again));
    }
}

static void
wrong_texts_are_refused_by_name_and_rule(void **state)
{
    static const struct {
        enum identifier_type type;
        const char *text, *why;
    } cases[] = {
        {DNS, "", "is empty"},
        {DNS, ".", "empty label"},
        {DNS, ".a.example", "empty label"},
        {DNS, "a..example", "empty label"},
        {DNS, "a.example..", "empty label"},
        {DNS, "-a.example", "hyphen"},
        {DNS, "a-.example", "hyphen"},
        {DNS, "a_b.example", "character that host names do not have"},
        {DNS, "a b.example", "blank"},
        {DNS, "a.example\n", "not printable ASCII"},
        {DNS,
         "b\xc3\xbc"
         "cher.example",
         "xn--"},
        {DNS, "a/b.example", "character"},
        {DNS, "a:443", "character"},
        {DNS, "a@b.example", "character"},
        {DNS, "*", "wildcard"},
        {DNS, "*.", "wildcard"},
        {DNS, "*.*.example", "wildcard"},
        {DNS, "a.*.example", "wildcard"},
        {DNS, "a*.example", "wildcard"},
        {DNS, "**.example", "wildcard"},
        {DNS, "192.0.2.1", "IP address"},
        {DNS, "*.192.0.2.1", "IP address"},
        {DNS, "2001:db8::1", "IP address"},
        {DNS, "1.2.3", "digits only"},
        {DNS, "host.123", "digits only"},
        {DNS, "ab--cd.example", "not an A-label"},
        {DNS, "xn--.example", "hyphen"},
        {DNS, "xn--99999999.example", "does not decode"},
        {DNS, "xn--abc-.example", "hyphen"},
        {DNS, LABEL_63 "4.example", "more than 63"},
        {DNS, NAME_253 "a", "too long"},
        {DNS, "*." NAME_253, "too long"},
        {IP, "", "not an IPv4 or IPv6"},
        {IP, "192.0.2", "not an IPv4 or IPv6"},
        {IP, "192.0.2.256", "not an IPv4 or IPv6"},
        {IP, "::ffff:192.0.2.1", "write 192.0.2.1"},
        {IP, "::FFFF:C000:0201", "write 192.0.2.1"},
        {IP, "192.0.2.01", "not an IPv4 or IPv6"},
        {IP, "192.0.2.1/24", "not an IPv4 or IPv6"},
        {IP, " 192.0.2.1", "not an IPv4 or IPv6"},
        {IP, "fe80::1%eth0", "not an IPv4 or IPv6"},
        {IP, "[::1]", "not an IPv4 or IPv6"},
        {IP, "a.example", "not an IPv4 or IPv6"},
        {EMAIL, "", "empty"},
        {EMAIL, "example.org", "local@domain"},
        {EMAIL, "@example.org", "local@domain"},
        {EMAIL, "me@", "empty"},
        {EMAIL, "me@*.example.org", "wildcard"},
        {EMAIL, "me@192.0.2.1", "IP address"},
        {EMAIL, ".me@example.org", "misplaced dot"},
        {EMAIL, "m..e@example.org", "misplaced dot"},
        {EMAIL, "\"me\"@example.org", "in front of the @"},
        {EMAIL, "a@b@example.org", "in front of the @"},
        {EMAIL, "Me <me@example.org>", "blank"},
        {EMAIL, LABEL_63 "45@example.org", "local@domain"},
        {URI, "", "empty"},
        {URI, "/path", "not an absolute"},
        {URI, "example.org/path", "not an absolute"},
        {URI, "http:", "not an absolute"},
        {URI, "1http://a.example", "not an absolute"},
        {URI, "ht_tp://a.example", "scheme"},
        {URI, "http://", "empty"},
        {URI, "http:///path", "empty"},
        {URI, "http://a_b.example/", "character"},
        {URI, "http://*.example/", "wildcard"},
        {URI, "http://user:pw@a.example/", "user information"},
        {URI, "http://a.example:8o/", "port"},
        {URI, "http://[::1/", "closing bracket"},
        {URI, "http://[192.0.2.1]/", "brackets"},
        {URI, "http://a.example/%4", "%"},
        {URI, "http://a.example/<", "character"},
        {URI, "http://a.example/a b", "blank"},
        {DEVICE, "", "empty"},
        {DEVICE, "/1.2.3", "empty"},
        {DEVICE, "A/", "object identifier"},
        {DEVICE, "A/3.1", "object identifier"},
        {DEVICE, "A/1.2/3", "object identifier"},
        {DEVICE, "A/1.02", "object identifier"},
        {DEVICE, "A/1.40", "object identifier"},
        {DEVICE, "A/CN", "object identifier"},
        {DEVICE, "A B", "blanks"},
        {DEVICE, "A\xc3\xa4", "printable"},
        {DEVICE, LABEL_63 LABEL_63 "123", "too long"},
        {MODULE, "ABCD", "type of the hardware module"},
        {UPN, "", "empty"},
        {UPN, "ada", "local@domain"},
        {UPN, "CORP\\ada@corp.example", "in front of the @"},
        {UPN, "ada@*", "wildcard"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct identifier identifier = {.value = "untouched"};
        if (identifier_parse(rq, cases[i].type, cases[i].text, &identifier) != ERR_BAD_NAME)
            fail_msg("\"%s\" is accepted", cases[i].text);
        if (strstr(rq->failure.message, cases[i].why) == NULL)
            fail_msg("%s instead of %s", rq->failure.message, cases[i].why);
        assert_non_null(strstr(rq->failure.message, identifier_type_name(cases[i].type)));
        assert_string_equal(identifier.value, "untouched");
    }
}

static void
the_refusal_names_the_name(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier identifier;

    assert_int_equal(identifier_parse(rq, IDENTIFIER_DNS, "a_b.example", &identifier), ERR_BAD_NAME);
    assert_string_equal(rq->failure.message, "the dns name \"a_b.example\" has a character that host names do not have");
}

static void
uris_have_a_bounded_length(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier identifier;
    char uri[2100] = "urn:x:";

    memset(uri + 6, 'a', 2042);
    assert_int_equal(identifier_parse(rq, IDENTIFIER_URI, uri, &identifier), OK);
    uri[2048] = 'a';
    assert_int_equal(identifier_parse(rq, IDENTIFIER_URI, uri, &identifier), ERR_BAD_NAME);
}

static void
no_type_is_no_name(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier identifier;

    assert_int_equal(identifier_parse(rq, (enum identifier_type)0, "a.example", &identifier), ERR_BAD_NAME);
    assert_string_equal(identifier_type_name((enum identifier_type)0), "unknown");
}

static void
sets_are_equal_in_any_order(void **state)
{
    const struct identifier a = {IDENTIFIER_DNS, "a.example"}, b = {IDENTIFIER_DNS, "b.example"}, c = {IDENTIFIER_EMAIL, "a.example"};
    const struct identifier ab[] = {a, b}, ba[] = {b, a}, ac[] = {a, c}, aab[] = {a, a, b};

    assert_true(identifiers_equal(ab, 2, ba, 2));
    assert_true(identifiers_equal(aab, 3, ab, 2));
    assert_true(identifiers_equal(NULL, 0, NULL, 0));
    assert_false(identifiers_equal(ab, 2, ac, 2));
    assert_false(identifiers_equal(ab, 2, ab, 1));
    assert_false(identifiers_equal(ab, 1, ab, 2));
    assert_false(identifiers_equal(aab, 2, ab, 2));
    assert_false(identifiers_equal(ab, 2, NULL, 0));
    assert_false(identifier_equal(&a, &c));
}

static void
only_whole_labels_are_above_a_name(void **state)
{
    assert_true(dns_name_is_below("a.example", "example"));
    assert_true(dns_name_is_below("b.a.example", "a.example"));
    assert_false(dns_name_is_below("a.example", "a.example"));
    assert_false(dns_name_is_below("ba.example", "a.example"));
    assert_false(dns_name_is_below(".example", "example"));
    assert_false(dns_name_is_below("example", "a.example"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(texts_become_canonical),
        cmocka_unit_test(wrong_texts_are_refused_by_name_and_rule),
        cmocka_unit_test(the_refusal_names_the_name),
        cmocka_unit_test(uris_have_a_bounded_length),
        cmocka_unit_test(no_type_is_no_name),
        cmocka_unit_test(sets_are_equal_in_any_order),
        cmocka_unit_test(only_whole_labels_are_above_a_name),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
