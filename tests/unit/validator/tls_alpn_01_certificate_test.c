/* The certificate of tls-alpn-01 (RFC 8737 §3, RFC 8738): accepted only when everything in it is as it must be. */
#include "alpn_fixture.h"

static const struct one {
    const char *name;
    const char *host;
    bool is_ip;
    struct shown shown;
    const char *detail; /* NULL: accepted */
} cases[] = {
    {"accepts_the_name_and_the_digest", "host.example", .shown = {"DNS:host.example"}},
    {"accepts_an_ipv4_address", "192.0.2.1", true, {"IP:192.0.2.1"}},
    {"accepts_an_ipv6_address", "2001:db8::1", true, {"IP:2001:db8::1"}},
    {"rejects_another_name", "host.example", .shown = {"DNS:other.example"}, .detail = "subjectAltName"},
    {"rejects_the_name_in_capitals", "host.example", .shown = {"DNS:HOST.example"}, .detail = "subjectAltName"},
    {"rejects_a_name_that_begins_so", "host.example", .shown = {"DNS:host.example.org"}, .detail = "subjectAltName"},
    {"rejects_two_names", "host.example", .shown = {"DNS:host.example,DNS:other.example"}, .detail = "subjectAltName"},
    {"rejects_the_name_twice", "host.example", .shown = {"DNS:host.example,DNS:host.example"}, .detail = "subjectAltName"},
    {"rejects_a_mail_address_beside_it", "host.example", .shown = {"DNS:host.example,email:a@host.example"}, .detail = "subjectAltName"},
    {"rejects_a_wildcard", "host.example", .shown = {"DNS:*.example"}, .detail = "subjectAltName"},
    {"rejects_no_names", "host.example", .shown = {NULL}, .detail = "subjectAltName"},
    {"rejects_the_name_as_an_uri", "host.example", .shown = {"URI:host.example"}, .detail = "subjectAltName"},
    {"rejects_an_address_as_a_dns_name", "192.0.2.1", true, {"DNS:192.0.2.1"}, "subjectAltName"},
    {"rejects_another_address", "192.0.2.1", true, {"IP:192.0.2.2"}, "subjectAltName"},
    {"rejects_an_ipv4_address_in_ipv6", "192.0.2.1", true, {"IP:::ffff:192.0.2.1"}, "subjectAltName"},
    {"rejects_names_twice", "host.example", .shown = {"DNS:host.example", .two_names_extensions = true}, .detail = "cannot be read"},
    {"rejects_the_digest_twice", "host.example", .shown = {"DNS:host.example", .twice = true}, .detail = "cannot be read"},
    {"rejects_no_digest", "host.example", .shown = {"DNS:host.example", .without_digest = true}, .detail = "no extension"},
    {"rejects_a_digest_that_is_not_critical", "host.example", .shown = {"DNS:host.example", .not_critical = true}, .detail = "not critical"},
    {"rejects_the_digest_of_something_else", "host.example", .shown = {"DNS:host.example", .of = "other"}, .detail = "not the SHA-256"},
    {"rejects_a_digest_that_is_cut", "host.example", .shown = {"DNS:host.example", .short_digest = true}, .detail = "not the SHA-256"},
    {"rejects_an_octet_behind_the_digest", "host.example", .shown = {"DNS:host.example", .with_octet_behind = true}, .detail = "not the SHA-256"},
    {"rejects_another_issuer", "host.example", .shown = {"DNS:host.example", .of_another_issuer = true}, .detail = "self-signed"},
    {"rejects_a_signature_of_another_key", "host.example", .shown = {"DNS:host.example", .signed_by_another_key = true}, .detail = "self-signed"},
};

static void
checks(void **state)
{
    const struct one *one = *state;
    AUTO_STRUCT(request, rq) = request_new();
    EVP_PKEY *key = kit_key("p256");
    X509 *certificate = make_certificate(&one->shown, key);
    struct proof proof = alpn_proof(one->host, one->is_ip);
    uint8_t *der = NULL;
    int len = i2d_X509(certificate, &der);

    enum error error = tls_alpn_01_certificate_check(rq, BYTES(der, (size_t)len), &proof);
    OPENSSL_free(der);
    X509_free(certificate);
    EVP_PKEY_free(key);
    if (one->detail == NULL ? error != OK
                            : error == OK || strcmp(rq->failure.reason, "incorrectResponse") != 0 || strstr(rq->failure.message, one->detail) == NULL)
        fail_msg("%s: %s", rq->failure.reason, rq->failure.message);
}

static void
accepts_keys_of_each_kind(void **state)
{
    static const char *const kinds[] = {"rsa-2048", "p384"};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        EVP_PKEY *key = kit_key(kinds[i]);
        X509 *certificate = make_certificate(&(struct shown){"DNS:host.example"}, key);
        struct proof proof = alpn_proof("host.example", false);
        uint8_t *der = NULL;
        int len = i2d_X509(certificate, &der);
        assert_int_equal(tls_alpn_01_certificate_check(rq, BYTES(der, (size_t)len), &proof), OK);
        OPENSSL_free(der);
        X509_free(certificate);
        EVP_PKEY_free(key);
    }
}

static void
rejects_what_is_no_certificate(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct proof proof = alpn_proof("host.example", false);

    assert_int_not_equal(tls_alpn_01_certificate_check(rq, bytes_of_text("no certificate"), &proof), OK);
    assert_string_equal(rq->failure.reason, "incorrectResponse");
}

int
main(void)
{
    struct CMUnitTest tests[2 + COUNT_OF(cases)] = {cmocka_unit_test(accepts_keys_of_each_kind), cmocka_unit_test(rejects_what_is_no_certificate)};

    for (size_t i = 0; i < COUNT_OF(cases); i++)
        tests[2 + i] = (struct CMUnitTest){.name = cases[i].name, .test_func = checks, .initial_state = (void *)&cases[i]};
    return _cmocka_run_group_tests("tls_alpn_01_certificate", tests, COUNT_OF(tests), NULL, NULL);
}
