/* Envelopes and messages with OpenSSL as the other side: what it encrypts and signs we read, what we seal it opens. */
#include "unit/kit.h"

#include <openssl/cms.h>
#include <openssl/x509.h>
#include <string.h>

#include "kit/pki_kit.h"
#include "link/rpc.h"
#include "pki/oid.h"
#include "scep.h"

static EVP_PKEY *device_key, *ra_key, *ec_key;
static struct arena *house;
static struct bytes device_der, ra_der, ec_der;
static struct certificate ra;

/* The seam: the signer, with the key in hand. */
static int asked;

enum error
rpc_call(struct bus *bus, struct request *rq, const ProtobufCServiceDescriptor *callee, const char *subject_suffix, const char *method,
         const ProtobufCMessage *input, const ProtobufCMessage **ret_reply)
{
    const Pb__OpenScepEnvelopeRequest *request = (const Pb__OpenScepEnvelopeRequest *)input;
    Pb__OpenScepEnvelopeReply *reply = arena_alloc(rq->arena, sizeof *reply);
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(ra_key, NULL);
    uint8_t *plain = arena_alloc(rq->arena, 512);
    size_t len = 512;

    pb__open_scep_envelope_reply__init(reply);
    asked++;
    assert_int_equal(EVP_PKEY_decrypt_init(context), 1);
    if (EVP_PKEY_decrypt(context, plain, &len, request->encrypted_key.data, request->encrypted_key.len) != 1)
        len = 16; /* zeros: a key that fits nothing */
    EVP_PKEY_CTX_free(context);
    reply->key = message_data(BYTES(plain, len));
    *ret_reply = &reply->base;
    return OK;
}

static int
start(void **state)
{
    house = arena_new();
    device_key = kit_key("rsa-2048");
    ra_key = kit_key("rsa-2048");
    ec_key = kit_key("p256");
    device_der = kit_certificate(house, &(struct kit_certificate){.key = device_key, .subject = "/CN=device"});
    ra_der = kit_certificate(house, &(struct kit_certificate){.key = ra_key, .subject = "/CN=ra"});
    AUTO_STRUCT(request, rq) = request_new();
    assert_int_equal(certificate_parse(rq, ra_der, &ra), OK);
    ec_der = kit_certificate(house, &(struct kit_certificate){.key = ec_key, .subject = "/CN=curve"});
    return 0;
}

static int
stop(void **state)
{
    EVP_PKEY_free(device_key);
    EVP_PKEY_free(ra_key);
    EVP_PKEY_free(ec_key);
    arena_free(house);
    return 0;
}

static X509 *
x509_of(struct bytes der)
{
    const uint8_t *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

    assert_non_null(certificate);
    return certificate;
}

static struct bytes
der_of_cms(struct arena *arena, CMS_ContentInfo *cms)
{
    uint8_t *der = NULL;
    int len = i2d_CMS_ContentInfo(cms, &der);

    assert_true(len > 0);
    struct bytes copy = bytes_copy(arena, BYTES(der, (size_t)len));
    OPENSSL_free(der);
    CMS_ContentInfo_free(cms);
    return copy;
}

/* By OpenSSL, for whoever is named. */
static struct bytes
openssl_envelope(struct arena *arena, struct bytes recipient, const EVP_CIPHER *cipher, struct bytes content)
{
    BIO *in = BIO_new_mem_buf(content.at, (int)content.len);
    STACK_OF(X509) *recipients = sk_X509_new_null();

    sk_X509_push(recipients, x509_of(recipient));
    CMS_ContentInfo *cms = CMS_encrypt(recipients, in, cipher, CMS_BINARY);
    assert_non_null(cms);
    sk_X509_pop_free(recipients, X509_free);
    BIO_free(in);
    return der_of_cms(arena, cms);
}

static enum error
open_with(struct request *rq, bool legacy, struct bytes envelope, struct bytes *ret_content, Pb__ScepCipher *ret_cipher)
{
    Pb__ScepProfile about = PB__SCEP_PROFILE__INIT;
    struct profile profile = {.about = &about, .ra = "phones"};
    AUTO_STRUCT(rpc_gather, openings) = rpc_gather_new(NULL, &pb__signer__descriptor, "OpenScepEnvelope");
    struct scep scep = {.openings = openings};

    about.name = "phones";
    about.issuer = "issuing";
    about.legacy = legacy;
    return envelope_open(&scep, rq, &profile, &ra, envelope, ret_content, ret_cipher);
}

static void
what_openssl_encrypts_opens(void **state)
{
    const EVP_CIPHER *ciphers[] = {EVP_aes_128_cbc(), EVP_aes_192_cbc(), EVP_aes_256_cbc()};

    for (size_t i = 0; i < COUNT_OF(ciphers); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes content = BYTES_NONE, said = bytes_of_text("the request");
        Pb__ScepCipher cipher;
        if (open_with(rq, false, openssl_envelope(rq->arena, ra_der, ciphers[i], said), &content, &cipher) != OK)
            fail_msg("%s", rq->failure.message);
        assert_true(bytes_equal(content, said));
    }
}

static void
triple_des_is_for_legacy_profiles(void **state)
{
    for (int legacy = 0; legacy < 2; legacy++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes content = BYTES_NONE, envelope = openssl_envelope(rq->arena, ra_der, EVP_des_ede3_cbc(), bytes_of_text("old"));
        Pb__ScepCipher cipher = PB__SCEP_CIPHER__SCEP_CIPHER_UNSPECIFIED;
        asked = 0;
        enum error error = open_with(rq, legacy == 1, envelope, &content, &cipher);
        assert_int_equal(error, legacy == 1 ? OK : ERR_BAD_REQUEST);
        assert_int_equal(asked, legacy);
        if (legacy == 0)
            assert_int_equal(fail_info_of(&rq->failure), FAIL_BAD_ALG);
    }
}

/* Nothing is said of it: whoever changes a caught envelope must not learn whether its padding is right. */
static void
what_is_for_somebody_else_is_rubbish(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes content, envelope = openssl_envelope(rq->arena, device_der, EVP_aes_128_cbc(), bytes_of_text("not for us"));
    Pb__ScepCipher cipher;

    assert_int_equal(open_with(rq, false, envelope, &content, &cipher), OK);
    assert_false(bytes_equal(content, bytes_of_text("not for us")));
}

/* Encrypted without padding: the test's own is in the text. */
static struct bytes
decrypted(struct request *rq, const char *text, size_t len)
{
    static const uint8_t key[16], iv[16];
    uint8_t *encrypted = arena_alloc(rq->arena, len);
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    struct bytes content;
    int made;

    assert_int_equal(EVP_EncryptInit_ex(context, EVP_aes_128_cbc(), NULL, key, iv), 1);
    EVP_CIPHER_CTX_set_padding(context, 0);
    assert_int_equal(EVP_EncryptUpdate(context, encrypted, &made, (const uint8_t *)text, (int)len), 1);
    EVP_CIPHER_CTX_free(context);
    struct cms_enveloped enveloped = {.iv = BYTES(iv, 16), .content = BYTES(encrypted, len)};
    assert_int_equal(envelope_decrypt(rq, &enveloped, PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC, BYTES(key, 16), &content), OK);
    return content;
}

static void
padding_is_taken_away_and_what_is_none_stays(void **state)
{
    static const struct {
        const char *text;
        size_t len, left;
    } cases[] = {
        {"0123456789abcde\1", 16, 15},
        {"0123456789abc\3\3\3", 16, 13},
        {"0123456789abcdef\20\20\20\20\20\20\20\20\20\20\20\20\20\20\20\20", 32, 16},
        {"\20\20\20\20\20\20\20\20\20\20\20\20\20\20\20\20", 16, 0},
        {"0123456789abcde\0", 16, 16},
        {"0123456789abcd\3\2", 16, 16},
        {"0123456789abcde\21", 16, 16},
        {"0123456789abcde\21\21\21\21\21\21\21\21\21\21\21\21\21\21\21\21\21", 32, 32},
    };

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        assert_true(bytes_equal(decrypted(rq, cases[i].text, cases[i].len), BYTES(cases[i].text, cases[i].left)));
    }
}

static void
openssl_opens_what_is_sealed(void **state)
{
    for (int i = PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC; i <= PB__SCEP_CIPHER__SCEP_CIPHER_DES_EDE3_CBC; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes envelope, said = bytes_of_text("the certificate");
        struct peer peer;
        char *text;
        assert_true(peer_read(device_der, &peer));
        assert_int_equal(envelope_seal(rq, &peer, BYTES_NONE, (Pb__ScepCipher)i, said, &envelope), OK);
        const uint8_t *at = envelope.at;
        CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)envelope.len);
        assert_non_null(cms);
        X509 *certificate = x509_of(device_der);
        BIO *out = BIO_new(BIO_s_mem());
        assert_int_equal(CMS_decrypt(cms, device_key, certificate, NULL, out, CMS_BINARY), 1);
        long len = BIO_get_mem_data(out, &text);
        assert_true(bytes_equal(BYTES(text, (size_t)len), said));
        BIO_free(out);
        X509_free(certificate);
        CMS_ContentInfo_free(cms);
    }
}

static void
nothing_is_sealed_for_a_key_that_cannot_decrypt(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes envelope;
    struct peer peer;

    assert_true(peer_read(ec_der, &peer));
    assert_int_equal(envelope_seal(rq, &peer, BYTES_NONE, PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC, bytes_of_text("x"), &envelope), ERR_BAD_REQUEST);
    assert_int_equal(fail_info_of(&rq->failure), FAIL_BAD_ALG);
}

/* RFC 5652 §6.2.4, for a key that only signs. */
static void
openssl_opens_what_is_sealed_with_a_password_and_with_no_other(void **state)
{
    for (int i = PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC; i <= PB__SCEP_CIPHER__SCEP_CIPHER_DES_EDE3_CBC; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes envelope, said = bytes_of_text("the certificate");
        struct peer peer;
        char *text;
        assert_true(peer_read(ec_der, &peer));
        assert_int_equal(envelope_seal(rq, &peer, bytes_of_text("ABCDEFG-HJKLMNP"), (Pb__ScepCipher)i, said, &envelope), OK);
        for (int right = 0; right < 2; right++) {
            const uint8_t *at = envelope.at;
            CMS_ContentInfo *cms = d2i_CMS_ContentInfo(NULL, &at, (long)envelope.len);
            assert_non_null(cms);
            BIO *out = BIO_new(BIO_s_mem());
            bool opened = CMS_decrypt_set1_password(cms, (unsigned char *)(right ? "ABCDEFG-HJKLMNP" : "ABCDEFG-HJKLMNQ"), 15) == 1 &&
                          CMS_decrypt(cms, NULL, NULL, NULL, out, CMS_BINARY) == 1;
            assert_int_equal(opened, right);
            long len = BIO_get_mem_data(out, &text);
            assert_true(!opened || bytes_equal(BYTES(text, (size_t)len), said));
            BIO_free(out);
            CMS_ContentInfo_free(cms);
        }
    }
}

/* ---- messages ---- */

static void
add_text(CMS_SignerInfo *signer, const char *oid, int type, const char *text)
{
    assert_int_equal(CMS_signed_add1_attr_by_txt(signer, oid, type, text, (int)strlen(text)), 1);
}

static struct bytes
openssl_message(struct arena *arena, EVP_PKEY *key, struct bytes certificate, const char *message_type, const char *transaction)
{
    BIO *in = BIO_new_mem_buf("envelope", 8);
    X509 *x509 = x509_of(certificate);
    CMS_ContentInfo *cms = CMS_sign(NULL, NULL, NULL, in, CMS_BINARY | CMS_PARTIAL);
    CMS_SignerInfo *signer = CMS_add1_signer(cms, x509, key, EVP_sha256(), CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL);

    assert_non_null(signer);
    if (message_type != NULL)
        add_text(signer, "2.16.840.1.113733.1.9.2", V_ASN1_PRINTABLESTRING, message_type);
    if (transaction != NULL)
        add_text(signer, "2.16.840.1.113733.1.9.7", V_ASN1_PRINTABLESTRING, transaction);
    add_text(signer, "2.16.840.1.113733.1.9.5", V_ASN1_OCTET_STRING, "sixteen octets!!");
    assert_int_equal(CMS_final(cms, in, NULL, CMS_BINARY), 1);
    BIO_free(in);
    X509_free(x509);
    return der_of_cms(arena, cms);
}

static void
a_message_of_openssl_is_read(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct pki_message message;

    if (pki_message_read(rq, openssl_message(rq->arena, device_key, device_der, "19", "AB12"), &message) != OK ||
        pki_message_verify(rq, &message) != OK)
        fail_msg("%s", rq->failure.message);
    assert_int_equal(message.type, PKCS_REQ);
    assert_string_equal(message.transaction_id, "AB12");
    assert_int_equal(message.sender_nonce.len, 16);
    assert_int_equal(message.digest, PB__SCEP_DIGEST__SCEP_DIGEST_SHA256);
    assert_true(bytes_equal(message.signed_data.content, bytes_of_text("envelope")));
    assert_true(bytes_equal(message.signer.der, device_der));
}

static void
the_answer_is_encrypted_with_the_key_that_verified_the_request(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct pki_message message;
    struct bytes envelope;

    assert_int_equal(pki_message_read(rq, openssl_message(rq->arena, device_key, device_der, "19", "AB12"), &message), OK);
    assert_int_equal(pki_message_verify(rq, &message), OK);
    EVP_PKEY *verified = message.signer.imported;
    assert_non_null(verified);
    assert_int_equal(envelope_seal(rq, &message.signer, BYTES_NONE, PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC, bytes_of_text("x"), &envelope), OK);
    assert_ptr_equal(message.signer.imported, verified);
}

static void
a_message_that_a_curve_has_signed_is_read(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct pki_message message;
    struct bytes good = openssl_message(rq->arena, ec_key, ec_der, "19", "AB12");

    assert_int_equal(pki_message_read(rq, good, &message), OK);
    assert_int_equal(pki_message_verify(rq, &message), OK);
    assert_int_equal(message.signer.key.type, KEY_P256);
    uint8_t *spoiled = arena_alloc(rq->arena, good.len);
    memcpy(spoiled, good.at, good.len);
    spoiled[good.len - 5] ^= 1;
    assert_int_equal(pki_message_read(rq, BYTES(spoiled, good.len), &message), OK);
    assert_int_equal(pki_message_verify(rq, &message), ERR_BAD_REQUEST);
}

static void
refuses_messages_that_lack_something(void **state)
{
    for (int i = 0; i < 2; i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct pki_message message;
        struct bytes ber = i == 0 ? openssl_message(rq->arena, device_key, device_der, NULL, "AB12")
                                  : openssl_message(rq->arena, device_key, device_der, "19", NULL);
        assert_int_equal(pki_message_read(rq, ber, &message), ERR_BAD_REQUEST);
    }
}

static void
every_octet_of_the_signature_counts(void **state)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes good = openssl_message(rq->arena, device_key, device_der, "19", "AB12");
    uint8_t *spoiled = arena_alloc(rq->arena, good.len);
    struct pki_message message;

    for (size_t i = 1; i <= 256; i += 17) {
        failure_clear(rq);
        memcpy(spoiled, good.at, good.len);
        spoiled[good.len - i] ^= 0x10;
        assert_int_equal(pki_message_read(rq, BYTES(spoiled, good.len), &message), OK);
        assert_int_equal(pki_message_verify(rq, &message), ERR_BAD_REQUEST);
        assert_int_equal(fail_info_of(&rq->failure), FAIL_BAD_MESSAGE_CHECK);
    }
}

/* ---- GET ---- */

static void
a_message_in_a_query_is_read_as_devices_write_it(void **state)
{
    static const struct {
        const char *query, *octets; /* NULL: refused */
    } queries[] = {
        {"operation=PKIOperation&message=+/+/", "\xfb\xff\xbf"},
        {"message=%2B%2F%2B%2F&operation=PKIOperation", "\xfb\xff\xbf"},
        {"message=%20/ /", "\xfb\xff\xbf"},
        {"message=YWI%3D%0A", "ab"},
        {"message=YWI=", "ab"},
        {"message=YWI", "ab"},
        {"message=YW%0D%0AI%3D", "ab"},
        {"message=", NULL},
        {"massage=YWI=", NULL},
        {"message=%zz", NULL},
        {"message=*", NULL},
        {"", NULL},
    };

    for (size_t i = 0; i < COUNT_OF(queries); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        struct bytes message;
        enum error error = get_message_decode(rq, queries[i].query, &message);
        if ((error == OK) != (queries[i].octets != NULL))
            fail_msg("%s: %s", queries[i].query, error == OK ? "taken" : rq->failure.message);
        if (error == OK)
            assert_true(bytes_equal(message, bytes_of_text(queries[i].octets)));
    }
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(what_openssl_encrypts_opens),
        cmocka_unit_test(triple_des_is_for_legacy_profiles),
        cmocka_unit_test(what_is_for_somebody_else_is_rubbish),
        cmocka_unit_test(padding_is_taken_away_and_what_is_none_stays),
        cmocka_unit_test(openssl_opens_what_is_sealed),
        cmocka_unit_test(nothing_is_sealed_for_a_key_that_cannot_decrypt),
        cmocka_unit_test(openssl_opens_what_is_sealed_with_a_password_and_with_no_other),
        cmocka_unit_test(a_message_of_openssl_is_read),
        cmocka_unit_test(the_answer_is_encrypted_with_the_key_that_verified_the_request),
        cmocka_unit_test(a_message_that_a_curve_has_signed_is_read),
        cmocka_unit_test(refuses_messages_that_lack_something),
        cmocka_unit_test(every_octet_of_the_signature_counts),
        cmocka_unit_test(a_message_in_a_query_is_read_as_devices_write_it),
    };

    return cmocka_run_group_tests(tests, start, stop);
}
