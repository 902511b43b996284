/* SignOcsp: answers that OpenSSL verifies through the delegated responder, whose certificate is made, kept and renewed by itself. */
#include "signer_fixture.h"

#include <pthread.h>

static int64_t time_shift_s;

/* The seam: a month passes. */
int64_t
clock_now_s(void)
{
    struct timespec now;

    clock_gettime(CLOCK_REALTIME, &now);
    return now.tv_sec + time_shift_s;
}

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "p256", "");
    make_ca(rq, "issuing", "rsa-2048", "root");
    make_ca(rq, "second", "p256", "root");
    make_ca(rq, "third", "p256", "root");
    return 0;
}

static X509 *
load_ca(struct request *rq, const char *name)
{
    char *hex = postgres_kit_ask(postgres, arena_format(rq->arena, "SELECT encode(certificate, 'hex') FROM ca.authority WHERE name = '%s'", name));
    struct bytes der;

    assert_true(bytes_from_hex(rq->arena, hex, &der));
    free(hex);
    return x509_of(der);
}

/* OpenSSL's own CertID. */
static struct bytes
cert_id(struct request *rq, const char *issuer, const EVP_MD *digest, long serial)
{
    X509 *x509 = load_ca(rq, issuer);
    ASN1_INTEGER *number = ASN1_INTEGER_new();
    uint8_t *der = NULL;

    ASN1_INTEGER_set(number, serial);
    OCSP_CERTID *id = OCSP_cert_id_new(digest, X509_get_subject_name(x509), X509_get0_pubkey_bitstr(x509), number);
    int len = i2d_OCSP_CERTID(id, &der);
    struct bytes copy = bytes_copy(rq->arena, BYTES(der, (size_t)len));
    OPENSSL_free(der);
    OCSP_CERTID_free(id);
    ASN1_INTEGER_free(number);
    X509_free(x509);
    return copy;
}

static Pb__SignOcspRequest *
usual_request(struct request *rq, const char *issuer, struct bytes id, Pb__CertStatus status)
{
    Pb__SignOcspRequest *request = arena_alloc(rq->arena, sizeof *request);
    Pb__SingleStatus *single = arena_alloc(rq->arena, sizeof *single);

    pb__sign_ocsp_request__init(request);
    pb__single_status__init(single);
    single->cert_id = message_data(id);
    single->status = status;
    if (status == PB__CERT_STATUS__CERT_STATUS_REVOKED) {
        single->revoked_at_s = clock_now_s() - 100;
        single->reason = PB__REVOCATION_REASON__REVOCATION_REASON_KEY_COMPROMISE;
    }
    request->issuer = issuer;
    request->statuses = arena_array(rq->arena, 1, sizeof *request->statuses);
    request->statuses[0] = single;
    request->n_statuses = 1;
    request->this_update_s = clock_now_s();
    request->next_update_s = clock_now_s() + DAY_S;
    return request;
}

static OCSP_BASICRESP *
basic_of(ProtobufCBinaryData response)
{
    const uint8_t *at = response.data;
    OCSP_RESPONSE *whole = d2i_OCSP_RESPONSE(NULL, &at, (long)response.len);

    assert_non_null(whole);
    assert_int_equal(OCSP_response_status(whole), OCSP_RESPONSE_STATUS_SUCCESSFUL);
    OCSP_BASICRESP *basic = OCSP_response_get1_basic(whole);
    OCSP_RESPONSE_free(whole);
    assert_non_null(basic);
    return basic;
}

static bool
openssl_verifies_response(struct request *rq, OCSP_BASICRESP *basic, const char *issuer)
{
    X509_STORE *store = X509_STORE_new();
    STACK_OF(X509) *known = sk_X509_new_null();
    X509 *root = load_ca(rq, "root");

    X509_STORE_add_cert(store, root);
    X509_VERIFY_PARAM_set_time(X509_STORE_get0_param(store), clock_now_s());
    sk_X509_push(known, load_ca(rq, issuer));
    bool good = OCSP_basic_verify(basic, known, store, 0) == 1;
    sk_X509_pop_free(known, X509_free);
    X509_free(root);
    X509_STORE_free(store);
    return good;
}

static void
answers_verify_for_each_hash_and_status(void **state)
{
    static const struct {
        const char *issuer;
        bool sha256;
        Pb__CertStatus status;
        int openssl_status;
    } cases[] = {
        {"issuing", false, PB__CERT_STATUS__CERT_STATUS_GOOD, V_OCSP_CERTSTATUS_GOOD},
        {"issuing", true, PB__CERT_STATUS__CERT_STATUS_REVOKED, V_OCSP_CERTSTATUS_REVOKED},
        {"second", false, PB__CERT_STATUS__CERT_STATUS_UNKNOWN, V_OCSP_CERTSTATUS_UNKNOWN},
        {"root", true, PB__CERT_STATUS__CERT_STATUS_GOOD, V_OCSP_CERTSTATUS_GOOD},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__SignOcspReply reply = PB__SIGN_OCSP_REPLY__INIT;
        struct bytes id = cert_id(rq, cases[i].issuer, cases[i].sha256 ? EVP_sha256() : EVP_sha1(), 4711);
        if (sign_ocsp(&signer, rq, usual_request(rq, cases[i].issuer, id, cases[i].status), &reply) != OK)
            fail_msg("%s %s", rq->failure.message, rq->failure.detail);
        OCSP_BASICRESP *basic = basic_of(reply.response);
        assert_true(openssl_verifies_response(rq, basic, cases[i].issuer));
        OCSP_SINGLERESP *single = OCSP_resp_get0(basic, 0);
        int reason = -1;
        ASN1_GENERALIZEDTIME *revoked, *this_update, *next_update;
        assert_int_equal(OCSP_single_get0_status(single, &reason, &revoked, &this_update, &next_update), cases[i].openssl_status);
        assert_int_equal(OCSP_check_validity(this_update, next_update, 5, -1), 1);
        if (cases[i].openssl_status == V_OCSP_CERTSTATUS_REVOKED)
            assert_int_equal(reason, 1);
        uint8_t *echoed = NULL;
        int len = i2d_OCSP_CERTID((OCSP_CERTID *)OCSP_SINGLERESP_get0_id(single), &echoed);
        assert_true(bytes_equal(BYTES(echoed, (size_t)len), id));
        OPENSSL_free(echoed);
        OCSP_BASICRESP_free(basic);
    }
}

static void
the_responder_is_short_lived_and_says_so(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignOcspReply reply = PB__SIGN_OCSP_REPLY__INIT;

    assert_int_equal(
        sign_ocsp(&signer, rq, usual_request(rq, "issuing", cert_id(rq, "issuing", EVP_sha1(), 1), PB__CERT_STATUS__CERT_STATUS_GOOD), &reply), OK);
    OCSP_BASICRESP *basic = basic_of(reply.response);
    X509 *responder = sk_X509_value(OCSP_resp_get0_certs(basic), 0);
    assert_int_equal(X509_get_key_usage(responder), KU_DIGITAL_SIGNATURE);
    assert_int_equal(X509_get_extended_key_usage(responder), XKU_OCSP_SIGN);
    assert_true(X509_get_ext_by_NID(responder, NID_id_pkix_OCSP_noCheck, -1) >= 0);
    assert_int_equal(X509_check_ca(responder), 0);
    assert_true(reply.responder_not_after_s <= clock_now_s() + 30 * DAY_S);
    assert_true(reply.responder_not_after_s > clock_now_s() + 29 * DAY_S);
    OCSP_BASICRESP_free(basic);
}

static void
a_nonce_comes_back(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignOcspReply reply = PB__SIGN_OCSP_REPLY__INIT;
    Pb__SignOcspRequest *request = usual_request(rq, "issuing", cert_id(rq, "issuing", EVP_sha1(), 1), PB__CERT_STATUS__CERT_STATUS_GOOD);

    request->nonce = message_data(bytes_of_text("0123456789abcdef0123456789abcdef"));
    assert_int_equal(sign_ocsp(&signer, rq, request, &reply), OK);
    OCSP_BASICRESP *basic = basic_of(reply.response);
    int at = OCSP_BASICRESP_get_ext_by_NID(basic, NID_id_pkix_OCSP_Nonce, -1);
    assert_true(at >= 0);
    ASN1_OCTET_STRING *value = X509_EXTENSION_get_data(OCSP_BASICRESP_get_ext(basic, at));
    assert_int_equal(ASN1_STRING_length(value), 2 + 32);
    OCSP_BASICRESP_free(basic);
}

static void
refuses_what_it_cannot_answer_for(void **state)
{
    static const struct {
        const char *what;
        enum error error;
    } cases[] = {{"other issuer", ERR_BAD_REQUEST}, {"no status", ERR_BAD_REQUEST},  {"reason 7", ERR_BAD_REQUEST},
                 {"no time", ERR_BAD_REQUEST},      {"garbage", ERR_BAD_REQUEST},    {"future", ERR_BAD_REQUEST},
                 {"backwards", ERR_BAD_REQUEST},    {"long nonce", ERR_BAD_REQUEST}, {"nothing asked", ERR_BAD_REQUEST},
                 {"unknown issuer", ERR_NOT_FOUND}, {"before DER", ERR_BAD_REQUEST}, {"revoked after DER", ERR_BAD_REQUEST}};
    static const uint8_t long_nonce[129];

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        const char *what = cases[i].what;
        Pb__SignOcspReply reply = PB__SIGN_OCSP_REPLY__INIT;
        struct bytes id = cert_id(rq, text_equal(what, "other issuer") ? "second" : "issuing", EVP_sha1(), 1);
        Pb__SignOcspRequest *request = usual_request(rq, "issuing", id, PB__CERT_STATUS__CERT_STATUS_REVOKED);
        Pb__SingleStatus *single = request->statuses[0];
        if (text_equal(what, "no status"))
            single->status = PB__CERT_STATUS__CERT_STATUS_UNSPECIFIED;
        if (text_equal(what, "reason 7"))
            single->reason = (Pb__RevocationReason)7;
        if (text_equal(what, "no time"))
            single->revoked_at_s = 0;
        if (text_equal(what, "garbage"))
            single->cert_id.len--;
        if (text_equal(what, "future"))
            request->this_update_s += 3600;
        if (text_equal(what, "before DER"))
            request->this_update_s = INT64_MIN;
        if (text_equal(what, "revoked after DER"))
            single->revoked_at_s = INT64_MAX;
        if (text_equal(what, "backwards"))
            request->next_update_s = request->this_update_s;
        if (text_equal(what, "long nonce"))
            request->nonce = message_data(BYTES(long_nonce, sizeof long_nonce));
        if (text_equal(what, "nothing asked"))
            request->n_statuses = 0;
        if (text_equal(what, "unknown issuer"))
            request->issuer = "nobody";
        enum error error = sign_ocsp(&signer, rq, request, &reply);
        if (error != cases[i].error)
            fail_msg("%s: %s: %s", what, error_name(error), rq->failure.message);
    }
}

static int64_t
answer_until_s(const char *issuer)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignOcspReply reply = PB__SIGN_OCSP_REPLY__INIT;

    if (sign_ocsp(&signer, rq, usual_request(rq, issuer, cert_id(rq, issuer, EVP_sha1(), 1), PB__CERT_STATUS__CERT_STATUS_GOOD), &reply) != OK)
        fail_msg("%s %s", rq->failure.message, rq->failure.detail);
    OCSP_BASICRESP *basic = basic_of(reply.response);
    assert_true(openssl_verifies_response(rq, basic, issuer));
    OCSP_BASICRESP_free(basic);
    return reply.responder_not_after_s;
}

static void
the_responder_is_kept_renewed_in_time_and_survives_a_restart(void **state)
{
    int64_t first_s = answer_until_s("second");

    assert_int_equal(answer_until_s("second"), first_s);
    restart_signer();
    assert_int_equal(answer_until_s("second"), first_s);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.responder_certificate WHERE authority = 'second'"), 1);
    time_shift_s = 19 * DAY_S;
    assert_int_equal(answer_until_s("second"), first_s);
    time_shift_s = 21 * DAY_S;
    assert_true(answer_until_s("second") > first_s + 20 * DAY_S);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.responder_certificate WHERE authority = 'second' AND certificate IS NOT NULL"), 2);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.service_key WHERE name = 'ocsp:second'"), 1);
    time_shift_s = 0;
}

static void
a_renewal_that_fails_leaves_the_old_one_in_force(void **state)
{
    int64_t first_s = answer_until_s("issuing");

    time_shift_s = 25 * DAY_S;
    postgres_kit_run(postgres, "REVOKE INSERT ON ca.responder_certificate FROM signer");
    assert_int_equal(answer_until_s("issuing"), first_s);
    postgres_kit_run(postgres, "GRANT INSERT ON ca.responder_certificate TO signer");
    assert_true(answer_until_s("issuing") > first_s);
    time_shift_s = 0;
}

static void *
ask_once(void *context)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignOcspReply reply = PB__SIGN_OCSP_REPLY__INIT;
    struct bytes *id = context;

    return sign_ocsp(&signer, rq, usual_request(rq, "third", *id, PB__CERT_STATUS__CERT_STATUS_GOOD), &reply) == OK ? context : NULL;
}

static void
many_first_callers_make_one_responder(void **state)
{
    enum { CALLERS = 8 };
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes id = cert_id(rq, "third", EVP_sha1(), 1);
    pthread_t threads[CALLERS];
    int good = 0;

    for (int i = 0; i < CALLERS; i++)
        pthread_create(&threads[i], NULL, ask_once, &id);
    for (int i = 0; i < CALLERS; i++) {
        void *result = NULL;
        pthread_join(threads[i], &result);
        good += result != NULL;
    }
    assert_int_equal(good, CALLERS);
    assert_int_equal(ask_number("SELECT count(*) FROM ca.responder_certificate WHERE authority = 'third'"), 1);
}

static void
without_the_database_known_responders_still_sign(void **state)
{
    int64_t first_s = answer_until_s("third");
    AUTO_STRUCT(request, rq) = request_new();
    Pb__SignOcspReply reply = PB__SIGN_OCSP_REPLY__INIT;
    struct bytes id = cert_id(rq, "third", EVP_sha1(), 1);

    postgres_kit_kill(postgres);
    authority_cache_forget(signer.authorities);
    assert_int_equal(sign_ocsp(&signer, rq, usual_request(rq, "third", id, PB__CERT_STATUS__CERT_STATUS_GOOD), &reply), OK);
    assert_int_equal(reply.responder_not_after_s, first_s);
    postgres_kit_start_again(postgres);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(answers_verify_for_each_hash_and_status),
        cmocka_unit_test(the_responder_is_short_lived_and_says_so),
        cmocka_unit_test(a_nonce_comes_back),
        cmocka_unit_test(refuses_what_it_cannot_answer_for),
        cmocka_unit_test(the_responder_is_kept_renewed_in_time_and_survives_a_restart),
        cmocka_unit_test(a_renewal_that_fails_leaves_the_old_one_in_force),
        cmocka_unit_test(many_first_callers_make_one_responder),
        cmocka_unit_test(without_the_database_known_responders_still_sign),
    };

    log_open("sign-ocsp-test", "1", LOG_LEVEL_ERROR);
    return cmocka_run_group_tests(tests, start, stop_house);
}
