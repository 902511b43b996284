/* OpenScepEnvelope: the right key for what opens, a steady wrong one for everything else. */
#include "signer_fixture.h"

#include <openssl/rsa.h>

static int
start(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();

    start_house(state);
    make_ca(rq, "root", "p256", "");
    return 0;
}

static EVP_PKEY *
ra_key(struct request *rq)
{
    Pb__GetScepRaRequest request = PB__GET_SCEP_RA_REQUEST__INIT;
    Pb__GetScepRaReply reply = PB__GET_SCEP_RA_REPLY__INIT;

    request.profile = "phones";
    request.issuer = "root";
    assert_int_equal(get_scep_ra(&signer, rq, &request, &reply), OK);
    X509 *x509 = x509_of(message_bytes(reply.certificate));
    EVP_PKEY *key = X509_get_pubkey(x509);
    X509_free(x509);
    return key;
}

static struct bytes
encrypt(struct request *rq, int padding, struct bytes plain)
{
    EVP_PKEY *key = ra_key(rq);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(key, NULL);
    uint8_t *out = arena_alloc(rq->arena, 512);
    size_t len = 512;

    assert_int_equal(EVP_PKEY_encrypt_init(context), 1);
    assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(context, padding), 1);
    assert_int_equal(EVP_PKEY_encrypt(context, out, &len, plain.at, plain.len), 1);
    EVP_PKEY_CTX_free(context);
    EVP_PKEY_free(key);
    return BYTES(out, len);
}

static struct bytes
open_envelope(struct request *rq, struct bytes encrypted_key, Pb__ScepCipher cipher)
{
    Pb__OpenScepEnvelopeRequest request = PB__OPEN_SCEP_ENVELOPE_REQUEST__INIT;
    Pb__OpenScepEnvelopeReply reply = PB__OPEN_SCEP_ENVELOPE_REPLY__INIT;

    request.profile = "phones";
    request.issuer = "root";
    request.encrypted_key = message_data(encrypted_key);
    request.cipher = cipher;
    if (open_scep_envelope(&signer, rq, &request, &reply) != OK)
        fail_msg("%s (%s)", rq->failure.message, rq->failure.detail);
    return message_bytes(reply.key);
}

static void
what_was_encrypted_for_the_ra_opens(void **state)
{
    static const struct {
        Pb__ScepCipher cipher;
        size_t len;
    } ciphers[] = {{PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC, 16},
                   {PB__SCEP_CIPHER__SCEP_CIPHER_AES192_CBC, 24},
                   {PB__SCEP_CIPHER__SCEP_CIPHER_AES256_CBC, 32},
                   {PB__SCEP_CIPHER__SCEP_CIPHER_DES_EDE3_CBC, 24},
                   {PB__SCEP_CIPHER__SCEP_CIPHER_DES_CBC, 8}};

    for (size_t i = 0; i < COUNT_OF(ciphers); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes key = BYTES("0123456789abcdef0123456789abcdef", ciphers[i].len);
        struct bytes opened = open_envelope(rq, encrypt(rq, RSA_PKCS1_PADDING, key), ciphers[i].cipher);
        assert_true(bytes_equal(opened, key));
    }
}

/* Wrong padding, a wrong length, rubbish: all get a key, always the same for the same octets, and no worker is lost over it. */
static void
what_does_not_open_gets_a_steady_key_that_nobody_knows(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    uint8_t block[256] = {0, 1, 2, 3};
    struct bytes cases[] = {
        encrypt(rq, RSA_NO_PADDING, BYTES(block, sizeof block)),
        encrypt(rq, RSA_PKCS1_PADDING, BYTES("0123456789abcde", 15)),
        encrypt(rq, RSA_PKCS1_OAEP_PADDING, BYTES("0123456789abcdef", 16)),
        BYTES("short", 5),
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        struct bytes one = open_envelope(rq, cases[i], PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC);
        struct bytes two = open_envelope(rq, cases[i], PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC);
        assert_int_equal(one.len, 16);
        assert_true(bytes_equal(one, two));
        for (size_t k = 0; k < i; k++)
            assert_false(bytes_equal(one, open_envelope(rq, cases[k], PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC)));
    }
    struct bytes key = BYTES("0123456789abcdef", 16);
    assert_true(bytes_equal(open_envelope(rq, encrypt(rq, RSA_PKCS1_PADDING, key), PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC), key));
    assert_int_equal(hsm_pool_check(signer.hsm, rq), OK);
}

static void
the_steady_key_survives_a_restart(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes before = open_envelope(rq, BYTES("short", 5), PB__SCEP_CIPHER__SCEP_CIPHER_AES256_CBC);

    restart_signer();
    assert_true(bytes_equal(before, open_envelope(rq, BYTES("short", 5), PB__SCEP_CIPHER__SCEP_CIPHER_AES256_CBC)));
}

static void
refuses_unknown_ciphers_and_lengths_out_of_bounds(void **state)
{
    static uint8_t long_one[HSM_DATA_MAX + 1];
    static const struct {
        int cipher;
        size_t len;
    } wrong[] = {{0, 256}, {6, 256}, {1, 0}, {1, sizeof long_one}};

    for (size_t i = 0; i < COUNT_OF(wrong); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        Pb__OpenScepEnvelopeRequest request = PB__OPEN_SCEP_ENVELOPE_REQUEST__INIT;
        Pb__OpenScepEnvelopeReply reply = PB__OPEN_SCEP_ENVELOPE_REPLY__INIT;
        request.profile = "phones";
        request.issuer = "root";
        request.encrypted_key = message_data(BYTES(long_one, wrong[i].len));
        request.cipher = (Pb__ScepCipher)wrong[i].cipher;
        assert_int_equal(open_scep_envelope(&signer, rq, &request, &reply), ERR_BAD_REQUEST);
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_was_encrypted_for_the_ra_opens),
        cmocka_unit_test(what_does_not_open_gets_a_steady_key_that_nobody_knows),
        cmocka_unit_test(the_steady_key_survives_a_restart),
        cmocka_unit_test(refuses_unknown_ciphers_and_lengths_out_of_bounds),
    };

    return cmocka_run_group_tests(tests, start, stop_house);
}
