/* CreateCa on a real token and a real database: what it makes, what it refuses, and what is left when it breaks off. */
#include "signer_fixture.h"

#include <openssl/x509.h>

static void
makes_a_root_that_openssl_accepts(void **state)
{
    static const char *const key_types[] = {"p256", "p384", "p521", "rsa-2048", "rsa-3072"};

    for (size_t i = 0; i < COUNT_OF(key_types); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const Pb__Ca *ca = make_ca(rq, arena_format(rq->arena, "root-%s", key_types[i]), key_types[i], "");
        struct bytes der = message_bytes(ca->certificate);
        assert_string_equal(ca->status, "active");
        assert_string_equal(ca->key_type, key_types[i]);
        assert_false(ca->is_default);
        assert_true(openssl_verifies(der, &der, 1));
        X509 *x509 = x509_of(der);
        assert_int_equal(X509_check_ca(x509), 1);
        assert_int_equal(X509_get_key_usage(x509), KU_KEY_CERT_SIGN | KU_CRL_SIGN);
        assert_int_equal(X509_get_pathlen(x509), -1);
        X509_free(x509);
        assert_non_null(strstr(ca->evidence, "\"extractable\":false"));
        assert_non_null(strstr(ca->evidence, "\"sensitive\":true"));
        assert_non_null(strstr(ca->evidence, "\"value_readable\":false"));
    }
}

static void
uses_the_usual_digest_of_the_key_or_the_one_asked(void **state)
{
    static const struct {
        const char *key_type, *digest;
        int nid;
    } cases[] = {
        {"p256", "", NID_ecdsa_with_SHA256},           {"p384", "", NID_ecdsa_with_SHA384},       {"p521", "", NID_ecdsa_with_SHA512},
        {"rsa-2048", "", NID_sha256WithRSAEncryption}, {"p256", "sha384", NID_ecdsa_with_SHA384}, {"rsa-2048", "sha512", NID_sha512WithRSAEncryption},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__CreateCaRequest request = ca_request(arena_format(rq->arena, "digest-%zu", i), cases[i].key_type, "");
        Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;
        request.digest = cases[i].digest;
        assert_int_equal(create_ca(&signer, rq, &request, &reply), OK);
        X509 *x509 = x509_of(message_bytes(reply.ca->certificate));
        assert_int_equal(X509_get_signature_nid(x509), cases[i].nid);
        X509_free(x509);
    }
}

static void
makes_intermediates_within_the_limits_of_the_parent(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateCaRequest limited = ca_request("limited", "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    limited.path_length = 2;
    assert_int_equal(create_ca(&signer, rq, &limited, &reply), OK);
    const Pb__Ca *first = make_ca(rq, "limited-1", "p256", "limited");
    Pb__CreateCaRequest below = ca_request("limited-2", "rsa-2048", "limited-1");
    Pb__CreateCaReply below_reply = PB__CREATE_CA_REPLY__INIT;
    below.validity_days = 900; /* as long as the one above it would be a second too long, when the second is over */
    assert_int_equal(create_ca(&signer, rq, &below, &below_reply), OK);
    const Pb__Ca *second = below_reply.ca;
    struct bytes chain[] = {message_bytes(first->certificate), message_bytes(reply.ca->certificate)};
    assert_true(openssl_verifies(message_bytes(second->certificate), chain, 2));
    assert_int_equal(second->n_chain, 2);
    assert_true(bytes_equal(message_bytes(second->chain[0]), chain[0]));
    assert_true(bytes_equal(message_bytes(second->chain[1]), chain[1]));
    X509 *x509 = x509_of(message_bytes(second->certificate));
    assert_int_equal(X509_get_pathlen(x509), 0);
    STACK_OF(OPENSSL_STRING) *ocsp = X509_get1_ocsp(x509);
    assert_string_equal(sk_OPENSSL_STRING_value(ocsp, 0), "http://ocsp.example/ocsp");
    X509_email_free(ocsp);
    X509_free(x509);

    Pb__CreateCaRequest third = ca_request("limited-3", "p256", "limited-2");
    assert_int_equal(create_ca(&signer, rq, &third, &reply), ERR_DENIED);
    assert_non_null(strstr(rq->failure.message, "path length"));
    assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE name = 'limited-3'"), 0);
}

static void
announces_each_ca_once_it_is_active(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    Pb__CreateCaRequest request = ca_request("announced", "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    postgres_kit_run(postgres, "DELETE FROM ca.outbox");
    request.operator_ = "olga";
    rq->caller = "signetctl";
    assert_int_equal(create_ca(&signer, rq, &request, &reply), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.outbox WHERE subject = 'signet.event.ca.created'"), 1);
    char *hex = postgres_kit_ask(postgres, "SELECT encode(body, 'hex') FROM ca.outbox");
    struct bytes body;
    assert_true(bytes_from_hex(rq->arena, hex, &body));
    free(hex);
    const Pb__CaCreated *event = (const Pb__CaCreated *)message_unpack(rq->arena, &pb__ca_created__descriptor, body);
    assert_non_null(event);
    assert_string_equal(event->name, "announced");
    assert_string_equal(event->operator_, "olga");
    assert_string_equal(event->caller, "signetctl");
    assert_true(bytes_equal(message_bytes(event->certificate), message_bytes(reply.ca->certificate)));
}

static void
the_first_intermediate_is_the_default(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE is_default"), 1);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE is_default AND name = 'limited-1'"), 1);
    assert_false(make_ca(rq, "another", "p256", "limited")->is_default);
}

static void
csr_only_waits_with_a_request_that_verifies(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateCaRequest request = ca_request("foreign", "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    request.csr_only = true;
    assert_int_equal(create_ca(&signer, rq, &request, &reply), OK);
    assert_string_equal(reply.ca->status, "waiting-for-certificate");
    assert_int_equal(reply.ca->certificate.len, 0);
    const uint8_t *at = reply.ca->csr.data;
    X509_REQ *csr = d2i_X509_REQ(NULL, &at, (long)reply.ca->csr.len);
    assert_non_null(csr);
    assert_int_equal(X509_REQ_verify(csr, X509_REQ_get0_pubkey(csr)), 1);
    STACK_OF(X509_EXTENSION) *extensions = X509_REQ_get_extensions(csr);
    assert_true(X509v3_get_ext_by_NID(extensions, NID_basic_constraints, -1) >= 0);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(csr);
}

static void
refuses_what_makes_no_ca(void **state)
{
    static const struct {
        const char *what;
        enum error error;
        const char *message;
    } cases[] = {
        {"name", ERR_BAD_REQUEST, "name of a CA"},
        {"long-name", ERR_BAD_REQUEST, "name of a CA"},
        {"common-name", ERR_BAD_REQUEST, "common name"},
        {"country", ERR_BAD_REQUEST, "country"},
        {"key-type", ERR_BAD_REQUEST, "key type"},
        {"digest", ERR_BAD_REQUEST, "digest"},
        {"validity", ERR_BAD_REQUEST, "days"},
        {"path-length", ERR_BAD_REQUEST, "path length"},
        {"both", ERR_BAD_REQUEST, "either"},
        {"parent", ERR_NOT_FOUND, "there is no CA"},
        {"waiting-parent", ERR_NOT_FOUND, "no certificate yet"},
        {"too-long", ERR_DENIED, "longer than its parent"},
        {"taken", ERR_CONFLICT, "exists"},
        {"foreign-key", ERR_BAD_REQUEST, "pkcs11"},
        {"no-such-key", ERR_NOT_FOUND, "no private key"},
        {"own-key", ERR_CONFLICT, "belongs to another CA"},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__CreateCaRequest request = ca_request("refused", "p256", "");
        Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;
        const char *what = cases[i].what;
        request.name = text_equal(what, "name")        ? "Upper"
                       : text_equal(what, "long-name") ? "a2345678901234567890123456789012345678901"
                                                       : request.name;
        request.name = text_equal(what, "taken") ? "limited" : request.name;
        request.common_name = text_equal(what, "common-name") ? "" : request.common_name;
        request.country = text_equal(what, "country") ? "de" : request.country;
        request.key_type = text_equal(what, "key-type") ? "rsa-1024" : request.key_type;
        request.digest = text_equal(what, "digest") ? "sha1" : request.digest;
        request.validity_days = text_equal(what, "validity") ? 0 : text_equal(what, "too-long") ? 3651 : request.validity_days;
        request.path_length = text_equal(what, "path-length") ? -2 : request.path_length;
        request.csr_only = text_equal(what, "both");
        request.parent = text_equal(what, "both") || text_equal(what, "too-long") ? "limited" : request.parent;
        request.parent = text_equal(what, "parent") ? "nobody" : text_equal(what, "waiting-parent") ? "foreign" : request.parent;
        request.key_uri = text_equal(what, "foreign-key") ? "managed:some" : request.key_uri;
        request.key_uri = text_equal(what, "no-such-key") ? "pkcs11:token=signet;object=never-made" : request.key_uri;
        char *taken = postgres_kit_ask(postgres, "SELECT key_uri FROM ca.authority WHERE name = 'limited'");
        request.key_uri = text_equal(what, "own-key") ? taken : request.key_uri;
        enum error error = create_ca(&signer, rq, &request, &reply);
        if (error != cases[i].error || strstr(rq->failure.message, cases[i].message) == NULL)
            fail_msg("%s: %s: %s", what, error_name(error), rq->failure.message);
        free(taken);
        assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE name IN ('refused', 'Upper')"), 0);
    }
}

static void
a_key_that_the_token_made_extractable_makes_no_ca(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateCaRequest request = ca_request("careless", "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    softhsm_kit_disturb(softhsm, "generate extractable\n");
    assert_int_equal(create_ca(&signer, rq, &request, &reply), ERR_DENIED);
    softhsm_kit_disturb(softhsm, "");
    assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE name = 'careless'"), 0);
}

/* The row is there, the key too or not, the certificate is not: the same request finishes it with the same key and serial. */
static void
what_broke_off_is_finished_by_the_same_request(void **state)
{
    static const char *const faults[] = {"generate device-error\n", "sign device-error\n"};

    for (size_t i = 0; i < COUNT_OF(faults); i++) {
        AUTO_STRUCT(request, first_rq) = request_new();
        AUTO_STRUCT(request, rq) = request_new();
        Pb__CreateCaRequest request = ca_request(i == 0 ? "broken-key" : "broken-signature", "p256", "");
        Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;
        const char *ask = arena_format(rq->arena, "SELECT encode(serial, 'hex') FROM ca.authority WHERE name = '%s'", request.name);
        softhsm_kit_disturb(softhsm, faults[i]);
        enum error error = create_ca(&signer, first_rq, &request, &reply);
        assert_true(error_is_retriable(error));
        char *serial = postgres_kit_ask(postgres, ask);
        assert_int_equal(strlen(serial), 2 * SERIAL_LEN);
        softhsm_kit_disturb(softhsm, "");
        restart_signer();
        const Pb__Ca *ca = make_ca(rq, request.name, "p256", "");
        X509 *x509 = x509_of(message_bytes(ca->certificate));
        const ASN1_INTEGER *number = X509_get0_serialNumber(x509);
        assert_string_equal(bytes_hex(rq->arena, BYTES(number->data, (size_t)number->length), 0), serial);
        X509_free(x509);
        free(serial);
    }
}

static void
an_attempt_that_is_under_way_or_was_another_is_a_conflict(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO_STRUCT(request, under_way) = request_new();
    AUTO_STRUCT(request, changed) = request_new();
    Pb__CreateCaRequest request = ca_request("slow", "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    softhsm_kit_disturb(softhsm, "sign device-error\n");
    assert_int_equal(create_ca(&signer, rq, &request, &reply), ERR_UNAVAILABLE);
    softhsm_kit_disturb(softhsm, "");
    postgres_kit_run(postgres, "UPDATE ca.authority SET begun_at = now() WHERE name = 'slow'");
    assert_int_equal(create_ca(&signer, under_way, &request, &reply), ERR_CONFLICT);
    assert_non_null(strstr(under_way->failure.message, "is being created"));
    postgres_kit_run(postgres, "UPDATE ca.authority SET begun_at = now() - interval '91 seconds' WHERE name = 'slow'");
    request.organization = "Another";
    assert_int_equal(create_ca(&signer, changed, &request, &reply), ERR_CONFLICT);
    assert_non_null(strstr(changed->failure.message, "other parameters"));
}

static void
a_key_that_exists_is_used_when_it_is_protected(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateCaRequest request = ca_request("ceremony", "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;
    struct made_key made;

    request.key_uri = "pkcs11:token=signet;object=ceremony-key;id=%42";
    assert_int_equal(hsm_key_make(&signer, rq, request.key_uri, "p256", HSM_FOR_SIGNING, &made), OK);
    assert_int_equal(create_ca(&signer, rq, &request, &reply), OK);
    struct certificate certificate;
    assert_int_equal(certificate_parse(rq, message_bytes(reply.ca->certificate), &certificate), OK);
    assert_true(bytes_equal(certificate.key.spki, made.spki));
    assert_string_equal(reply.ca->key_uri, request.key_uri);
}

/* By whatever URI: its label alone names it, too. */
static void
a_key_that_has_another_use_makes_no_ca(void **state)
{
    static const char *const uris[] = {"pkcs11:token=signet;object=ceremony-key", "pkcs11:token=signet;object=signet-audit"};
    AUTO_STRUCT(request, setup) = request_new();
    struct service_key audit;

    assert_int_equal(service_key_load(&signer, setup, "audit", &audit), OK);
    for (size_t i = 0; i < COUNT_OF(uris); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__CreateCaRequest request = ca_request("borrower", "p256", "");
        Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;
        request.key_uri = uris[i];
        assert_int_equal(create_ca(&signer, rq, &request, &reply), ERR_DENIED);
        assert_non_null(strstr(rq->failure.message, "a key of its own"));
        assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE name = 'borrower'"), 0);
    }
}

static void
a_ca_does_not_have_the_subject_of_its_parent(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateCaRequest request = ca_request("namesake", "p256", "limited");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    request.common_name = "limited";
    request.path_length = 0;
    assert_int_equal(create_ca(&signer, rq, &request, &reply), ERR_DENIED);
    assert_non_null(strstr(rq->failure.message, "subject of its parent"));
}

static void
a_ca_with_a_key_cannot_be_deleted_by_the_service(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    static const struct db_statement drop = {"test_drop", "DELETE FROM ca.authority WHERE name = 'foreign'"};
    static const struct db_statement move = {"test_move", "UPDATE ca.authority SET key_uri = 'pkcs11:object=other' WHERE name = 'foreign'"};

    assert_int_not_equal(DB_QUERY0(signer.db, rq, &drop, NULL), OK);
    failure_clear(rq);
    assert_int_not_equal(DB_QUERY0(signer.db, rq, &move, NULL), OK);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.authority WHERE name = 'foreign'"), 1);
}

static void
without_the_database_nothing_is_made(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__CreateCaRequest request = ca_request("homeless", "p256", "");
    Pb__CreateCaReply reply = PB__CREATE_CA_REPLY__INIT;

    postgres_kit_kill(postgres);
    softhsm_kit_disturb(softhsm, "");
    enum error error = create_ca(&signer, rq, &request, &reply);
    assert_true(error_is_retriable(error));
    assert_int_equal(softhsm_kit_calls(softhsm, "generate"), 0);
    postgres_kit_start_again(postgres);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(makes_a_root_that_openssl_accepts),
        cmocka_unit_test(uses_the_usual_digest_of_the_key_or_the_one_asked),
        cmocka_unit_test(makes_intermediates_within_the_limits_of_the_parent),
        cmocka_unit_test(announces_each_ca_once_it_is_active),
        cmocka_unit_test(the_first_intermediate_is_the_default),
        cmocka_unit_test(csr_only_waits_with_a_request_that_verifies),
        cmocka_unit_test(refuses_what_makes_no_ca),
        cmocka_unit_test(a_key_that_the_token_made_extractable_makes_no_ca),
        cmocka_unit_test(what_broke_off_is_finished_by_the_same_request),
        cmocka_unit_test(an_attempt_that_is_under_way_or_was_another_is_a_conflict),
        cmocka_unit_test(a_key_that_exists_is_used_when_it_is_protected),
        cmocka_unit_test(a_key_that_has_another_use_makes_no_ca),
        cmocka_unit_test(a_ca_does_not_have_the_subject_of_its_parent),
        cmocka_unit_test(a_ca_with_a_key_cannot_be_deleted_by_the_service),
        cmocka_unit_test(without_the_database_nothing_is_made),
    };

    log_open("create-ca-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start_house, stop_house);
}
