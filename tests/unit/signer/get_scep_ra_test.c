/* GetScepRa: a certificate that SCEP clients can use, whatever key the CA has; kept, shared, renewed by itself for the same key. */
#include "signer_fixture.h"

static int64_t time_shift_s;

/* The seam: a year passes. */
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
    make_ca(rq, "issuing", "p256", "root");
    return 0;
}

static Pb__GetScepRaReply
ask(struct request *rq, const char *profile)
{
    Pb__GetScepRaRequest request = PB__GET_SCEP_RA_REQUEST__INIT;
    Pb__GetScepRaReply reply = PB__GET_SCEP_RA_REPLY__INIT;

    request.profile = profile;
    request.issuer = "issuing";
    if (get_scep_ra(&signer, rq, &request, &reply) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    return reply;
}

static void
it_is_an_rsa_certificate_of_the_ca_for_signing_and_enciphering(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__GetScepRaReply reply = ask(rq, "phones");
    struct bytes chain[] = {message_bytes(reply.chain[0]), message_bytes(reply.chain[1])};

    assert_int_equal(reply.n_chain, 2);
    assert_true(openssl_verifies(message_bytes(reply.certificate), chain, 2));
    X509 *x509 = x509_of(message_bytes(reply.certificate));
    assert_int_equal(EVP_PKEY_base_id(X509_get0_pubkey(x509)), EVP_PKEY_RSA);
    assert_int_equal(X509_get_key_usage(x509), KU_DIGITAL_SIGNATURE | KU_KEY_ENCIPHERMENT);
    assert_false(X509_check_ca(x509));
    X509_free(x509);
}

static void
the_key_may_decrypt_and_nothing_can_take_it_off_the_token(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    (void)ask(rq, "phones");
    assert_int_equal(ask_number("SELECT count(*) FROM ca.service_key WHERE name = 'scep:phones' AND evidence::jsonb -> 'attributes' @> "
                                "'{\"decrypt\": true, \"sign\": true, \"sensitive\": true, \"extractable\": false, \"unwrap\": false}'"),
                     1);
}

static void
profiles_do_not_share_keys_and_a_restart_keeps_them(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__GetScepRaReply first = ask(rq, "phones"), other = ask(rq, "routers");

    assert_false(bytes_equal(message_bytes(first.certificate), message_bytes(other.certificate)));
    restart_signer();
    assert_true(bytes_equal(message_bytes(ask(rq, "phones").certificate), message_bytes(first.certificate)));
}

static void
it_is_renewed_for_the_same_key_before_it_ends(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__GetScepRaReply old = ask(rq, "phones");

    time_shift_s = 300 * DAY_S;
    Pb__GetScepRaReply renewed = ask(rq, "phones");
    time_shift_s = 0;
    assert_true(renewed.not_after_s > old.not_after_s);
    X509 *one = x509_of(message_bytes(old.certificate)), *two = x509_of(message_bytes(renewed.certificate));
    assert_int_equal(EVP_PKEY_eq(X509_get0_pubkey(one), X509_get0_pubkey(two)), 1);
    X509_free(one);
    X509_free(two);
}

static void
what_no_profile_is_called_is_refused(void **state)
{
    static const char *const names[] = {"", "Phones", "a b", "../x", "0123456789012345678901234567890123456789x"};

    for (size_t i = 0; i < COUNT_OF(names); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__GetScepRaRequest request = PB__GET_SCEP_RA_REQUEST__INIT;
        Pb__GetScepRaReply reply = PB__GET_SCEP_RA_REPLY__INIT;
        request.profile = names[i];
        request.issuer = "issuing";
        assert_int_equal(get_scep_ra(&signer, rq, &request, &reply), ERR_BAD_REQUEST);
    }
    AUTO_STRUCT(request, rq) = request_new();
    Pb__GetScepRaRequest request = PB__GET_SCEP_RA_REQUEST__INIT;
    Pb__GetScepRaReply reply = PB__GET_SCEP_RA_REPLY__INIT;
    request.profile = "phones";
    request.issuer = "nobody";
    assert_int_equal(get_scep_ra(&signer, rq, &request, &reply), ERR_NOT_FOUND);
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(it_is_an_rsa_certificate_of_the_ca_for_signing_and_enciphering),
        cmocka_unit_test(the_key_may_decrypt_and_nothing_can_take_it_off_the_token),
        cmocka_unit_test(profiles_do_not_share_keys_and_a_restart_keeps_them),
        cmocka_unit_test(it_is_renewed_for_the_same_key_before_it_ends),
        cmocka_unit_test(what_no_profile_is_called_is_refused),
    };

    return cmocka_run_group_tests(tests, start, stop_house);
}
