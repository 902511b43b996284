/* What a CSR asks for and the certificate does not have, in words. */
#include "unit/kit.h"

#include <string.h>

#include "kit/pki_kit.h"
#include "ra.h"

static const struct kit_extension policies = {.oid = "2.5.29.32", .value = {(const uint8_t *)"\x30\x06\x30\x04\x06\x02\x2a\x03", 8}};
static const struct kit_extension others = {.oid = "2.5.29.32", .value = {(const uint8_t *)"\x30\x06\x30\x04\x06\x02\x2a\x04", 8}};
static const struct kit_extension unknown = {.oid = "1.3.6.1.4.1.311.20.2", .value = {(const uint8_t *)"\x05\x00", 2}};
static const struct kit_extension identifier = {.oid = "2.5.29.14", .value = {(const uint8_t *)"\x04\x02\x01\x02", 4}};
static const struct kit_extension no_feature = {.oid = "1.3.6.1.5.5.7.1.24", .value = {(const uint8_t *)"\x30\x03\x02\x01\x03", 5}};
static const struct kit_extension plain = {.oid = "2.5.29.19", .value = {(const uint8_t *)"\x30\x00", 2}};

struct wishes_case {
    const char *name;
    struct kit_csr asked;
    struct kit_certificate granted;
    const char *says;
};

#define NAMES .names = "DNS:a.example"
#define MORE(extension) .more = &(extension), .more_count = 1

static const struct wishes_case cases[] = {
    {"nothing_but_names_is_granted", {NAMES}, {NAMES}, ""},
    {"no_extension_at_all_is_granted", {.subject = "/CN=a.example"}, {NAMES}, ""},
    {"more_than_was_asked_is_granted", {NAMES}, {NAMES, .key_usage = "digitalSignature", .extended_key_usage = "serverAuth", MORE(policies)}, ""},
    {"the_same_is_granted",
     {NAMES, .key_usage = "critical,digitalSignature", .extended_key_usage = "serverAuth", MORE(policies)},
     {NAMES, .key_usage = "digitalSignature", .extended_key_usage = "clientAuth,serverAuth", MORE(policies)},
     ""},
    {"other_usages_are_named",
     {NAMES, .key_usage = "digitalSignature,keyEncipherment,keyCertSign,decipherOnly"},
     {NAMES, .key_usage = "digitalSignature"},
     "keyUsage keyEncipherment keyCertSign decipherOnly"},
    {"usages_of_a_certificate_without_any_are_named", {NAMES, .key_usage = "cRLSign"}, {NAMES}, "keyUsage cRLSign"},
    {"other_purposes_are_named",
     {NAMES, .extended_key_usage = "serverAuth,clientAuth,1.2.3.4"},
     {NAMES, .extended_key_usage = "serverAuth"},
     "extKeyUsage clientAuth 1.2.3.4"},
    {"purposes_of_a_certificate_without_any_are_named", {NAMES, .extended_key_usage = "serverAuth"}, {NAMES}, "extKeyUsage serverAuth"},
    {"names_that_a_template_leaves_out_are_named", {NAMES}, {.subject = "/CN=a"}, "subjectAltName"},
    {"an_extension_with_another_value_is_named", {NAMES, MORE(policies)}, {NAMES, MORE(others)}, "certificatePolicies"},
    {"an_unknown_extension_is_named", {NAMES, MORE(unknown)}, {NAMES}, "1.3.6.1.4.1.311.20.2"},
    {"a_tls_feature_is_named", {NAMES, MORE(no_feature)}, {NAMES}, "tlsFeature"},
    {"a_key_identifier_is_everybodys_own", {NAMES, MORE(identifier)}, {NAMES}, ""},
    {"that_it_is_no_ca_is_granted", {NAMES, MORE(plain)}, {NAMES}, ""},
    {"all_of_it_is_named",
     {NAMES, .key_usage = "cRLSign", .extended_key_usage = "codeSigning", MORE(unknown)},
     {NAMES},
     "keyUsage cRLSign, extKeyUsage codeSigning, 1.3.6.1.4.1.311.20.2"},
};

static const char *
ask(struct request *rq, EVP_PKEY *key, struct kit_csr asked, struct kit_certificate granted)
{
    struct certificate certificate;

    asked.key = granted.key = key;
    if (asked.subject == NULL)
        asked.subject = "/";
    if (granted.subject == NULL)
        granted.subject = "/CN=a";
    assert_int_equal(certificate_parse(rq, kit_certificate(rq->arena, &granted), &certificate), OK);
    return wishes_not_granted(rq->arena, kit_csr(rq->arena, &asked), &certificate);
}

static void
what_is_not_granted_is_named(void **state)
{
    AUTO(EVP_PKEY, key) = kit_key("p256");

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const char *said = ask(rq, key, cases[i].asked, cases[i].granted);
        if (strcmp(said, cases[i].says) != 0)
            fail_msg("%s: \"%s\"", cases[i].name, said);
    }
}

static void
what_is_long_is_cut(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(EVP_PKEY, key) = kit_key("p256");
    struct buffer purposes = buffer_in(rq->arena);

    for (int i = 0; i < 100; i++)
        buffer_append_format(&purposes, "%s1.2.3.%d", i > 0 ? "," : "", i);
    const struct kit_csr asked = {NAMES, .extended_key_usage = buffer_text(&purposes)};
    const char *said = ask(rq, key, asked, (struct kit_certificate){NAMES});
    assert_in_range(strlen(said), 200, 290);
    assert_string_equal(said + strlen(said) - 3, "...");
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_is_not_granted_is_named),
        cmocka_unit_test(what_is_long_is_cut),
    };
    return cmocka_run_group_tests_name("wishes", tests, NULL, NULL);
}
