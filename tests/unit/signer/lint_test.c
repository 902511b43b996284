/* The last look before a signature: each field that is not as planned, and each rule of the field, is found. */
#include "unit/kit.h"

#include <string.h>

#include "base/text.h"
#include "kit/pki_kit.h"
#include "pki/name.h"
#include "signer.h"

static struct request *rq;
static EVP_PKEY *key, *other_key;

static int
start(void **state)
{
    rq = request_new();
    key = kit_key("p256");
    other_key = kit_key("p256");
    return 0;
}

static int
stop(void **state)
{
    EVP_PKEY_free(key);
    EVP_PKEY_free(other_key);
    request_free(rq);
    return 0;
}

static struct bytes
name_of(const char *common_name)
{
    struct name_part part = {.type = OID_COMMON_NAME, .value = common_name};

    return name_encode(rq->arena, &part, 1);
}

static unsigned
usage(const char *name)
{
    return 1u << key_usage_bit(name);
}

static const uint8_t serial[] = {1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17}, key_id[20] = {7}, other_id[20] = {8};
static const struct identifier names[] = {{IDENTIFIER_DNS, "a.example"}, {IDENTIFIER_DNS, "b.example"}};
static const struct identifier other_names[] = {{IDENTIFIER_DNS, "a.example"}, {IDENTIFIER_DNS, "c.example"}};

static struct certificate_plan
server_plan(void)
{
    return (struct certificate_plan){.serial = BYTES(serial, sizeof serial),
                                     .algorithm = SIG_ECDSA_SHA256,
                                     .issuer = name_of("Issuing"),
                                     .subject = name_of("a.example"),
                                     .not_before_s = 1790000000,
                                     .not_after_s = 1795000000,
                                     .spki = kit_spki(rq->arena, key),
                                     .authority_key_id = BYTES(key_id, 20),
                                     .subject_key_id = BYTES(other_id, 20),
                                     .path_length = -1,
                                     .with_basic_constraints = true,
                                     .key_usage = usage("digitalSignature"),
                                     .extended_key_usage = &OID_SERVER_AUTH,
                                     .extended_key_usage_count = 1,
                                     .names = names,
                                     .name_count = 2,
                                     .ocsp_url = "http://ocsp.example",
                                     .ca_issuers_url = "http://aia.example",
                                     .crl_url = "http://crl.example"};
}

static struct certificate_plan
ca_plan(void)
{
    struct certificate_plan plan = server_plan();

    plan.is_ca = true;
    plan.path_length = 0;
    plan.key_usage = usage("keyCertSign") | usage("cRLSign");
    plan.extended_key_usage_count = plan.name_count = 0;
    return plan;
}

static struct certificate_plan
responder_plan(void)
{
    struct certificate_plan plan = server_plan();

    plan.extended_key_usage = &OID_OCSP_SIGNING;
    plan.ocsp_nocheck = true;
    plan.name_count = 0;
    return plan;
}

/* What lint says of a certificate encoded as `encoded` when `planned` was planned; "" for nothing. */
static const char *
lint(const struct certificate_plan *encoded, const struct certificate_plan *planned)
{
    struct bytes tbs = certificate_encode_tbs(rq->arena, encoded);

    failure_clear(rq);
    enum error error = lint_check(rq, tbs, planned);
    assert_true(error == OK || error == ERR_INTERNAL);
    return error == OK ? "" : rq->failure.detail;
}

static void
accepts_what_is_as_planned(void **state)
{
    struct certificate_plan plans[] = {server_plan(), ca_plan(), responder_plan(), server_plan(), ca_plan()};

    plans[3].subject = name_encode(rq->arena, NULL, 0); /* then the names are critical */
    plans[4].issuer = plans[4].subject;                 /* a root */
    plans[4].authority_key_id = BYTES_NONE;
    for (size_t i = 0; i < COUNT_OF(plans); i++)
        assert_string_equal(lint(&plans[i], &plans[i]), "");
}

static void
change(struct certificate_plan *plan, const char *what)
{
    plan->serial.len -= text_equal(what, "serial number");
    plan->issuer = text_equal(what, "issuer") ? name_of("Other") : plan->issuer;
    plan->subject = text_equal(what, "subject") ? name_of("c.example") : plan->subject;
    plan->not_before_s += text_equal(what, "validity");
    plan->spki = text_equal(what, "public key") ? kit_spki(rq->arena, other_key) : plan->spki;
    plan->authority_key_id = text_equal(what, "authorityKeyIdentifier") ? plan->subject_key_id : plan->authority_key_id;
    plan->subject_key_id = text_equal(what, "subjectKeyIdentifier") ? BYTES(key_id, 20) : plan->subject_key_id;
    plan->subject_key_id = text_equal(what, "key identifier") ? BYTES_NONE : plan->subject_key_id;
    plan->is_ca ^= text_equal(what, "being a CA");
    plan->with_basic_constraints ^= text_equal(what, "basicConstraints");
    plan->key_usage = text_equal(what, "keyUsage must be there") ? 0 : text_equal(what, "keyUsage is not") ? 1u << 2 : plan->key_usage;
    plan->extended_key_usage = text_equal(what, "extKeyUsage is not") ? &OID_CLIENT_AUTH : plan->extended_key_usage;
    plan->extended_key_usage_count = text_equal(what, "extKeyUsage is missing") ? 0 : plan->extended_key_usage_count;
    plan->names = text_equal(what, "subjectAltName is not") ? other_names : plan->names;
    plan->name_count = text_equal(what, "subjectAltName is missing") ? 0 : plan->name_count;
    plan->ocsp_url = text_equal(what, "authorityInfoAccess") ? "" : plan->ocsp_url;
    plan->ca_issuers_url = text_equal(what, "authorityInfoAccess") ? "" : plan->ca_issuers_url;
    plan->crl_url = text_equal(what, "cRLDistributionPoints") ? "" : plan->crl_url;
    plan->ocsp_nocheck ^= text_equal(what, "nocheck");
    plan->path_length += text_equal(what, "path length");
}

static void
finds_every_field_that_is_not_as_planned(void **state)
{
    static const char *const server_fields[] = {"serial number",
                                                "issuer",
                                                "subject",
                                                "validity",
                                                "public key",
                                                "authorityKeyIdentifier",
                                                "subjectKeyIdentifier",
                                                "key identifier",
                                                "being a CA",
                                                "basicConstraints",
                                                "keyUsage must be there",
                                                "keyUsage is not",
                                                "extKeyUsage is not",
                                                "extKeyUsage is missing",
                                                "subjectAltName is not",
                                                "subjectAltName is missing",
                                                "authorityInfoAccess",
                                                "cRLDistributionPoints",
                                                "nocheck"};

    for (size_t i = 0; i < COUNT_OF(server_fields); i++) {
        struct certificate_plan planned = server_plan(), encoded = server_plan();
        change(&encoded, server_fields[i]);
        const char *said = lint(&encoded, &planned);
        if (strstr(said, server_fields[i]) == NULL)
            fail_msg("%s: \"%s\"", server_fields[i], said);
    }
    struct certificate_plan planned = ca_plan(), encoded = ca_plan();
    change(&encoded, "path length");
    assert_non_null(strstr(lint(&encoded, &planned), "path length"));
}

static void
finds_plans_that_break_the_rules_of_the_field(void **state)
{
    static const uint8_t zero[] = {0}, long_serial[] = {0x80, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20};
    EVP_PKEY *weak = kit_key("rsa-1024");
    struct {
        const char *said;
        struct certificate_plan plan;
    } cases[] = {
        {"longer than 20", server_plan()}, {"zero", server_plan()},         {"or empty", server_plan()},           {"needs a subject", ca_plan()},
        {"ends before", server_plan()},    {"no kind", server_plan()},      {"only a self-signed", server_plan()}, {"for CAs only", server_plan()},
        {"for CAs only", ca_plan()},       {"names nobody", server_plan()}, {"go together", server_plan()},        {"go together", responder_plan()},
    };

    cases[0].plan.serial = BYTES(long_serial, sizeof long_serial);
    cases[1].plan.serial = BYTES(zero, sizeof zero);
    cases[2].plan.issuer = name_encode(rq->arena, NULL, 0);
    cases[3].plan.subject = name_encode(rq->arena, NULL, 0);
    cases[4].plan.not_after_s = cases[4].plan.not_before_s - 1;
    cases[5].plan.spki = kit_spki(rq->arena, weak);
    cases[6].plan.authority_key_id = BYTES_NONE;
    cases[7].plan.key_usage |= usage("cRLSign");
    cases[8].plan.key_usage = usage("cRLSign");
    cases[9].plan.subject = name_encode(rq->arena, NULL, 0);
    cases[9].plan.name_count = 0;
    cases[10].plan.ocsp_nocheck = true;
    cases[11].plan.ocsp_nocheck = false;
    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        const char *said = lint(&cases[i].plan, &cases[i].plan);
        if (strstr(said, cases[i].said) == NULL)
            fail_msg("case %zu, %s: \"%s\"", i, cases[i].said, said);
    }
    EVP_PKEY_free(weak);
}

static void
finds_what_is_no_certificate(void **state)
{
    static const uint8_t some_sequence[] = {0x30, 0x03, 0x02, 0x01, 0x05};
    struct certificate_plan plan = server_plan();

    failure_clear(rq);
    assert_int_equal(lint_check(rq, BYTES(some_sequence, sizeof some_sequence), &plan), ERR_INTERNAL);
    assert_non_null(strstr(rq->failure.detail, "cannot be read"));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(accepts_what_is_as_planned),
        cmocka_unit_test(finds_every_field_that_is_not_as_planned),
        cmocka_unit_test(finds_plans_that_break_the_rules_of_the_field),
        cmocka_unit_test(finds_what_is_no_certificate),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
