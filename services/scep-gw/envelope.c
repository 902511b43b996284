/*
 * Envelopes: opened with the key that the signer unwraps, sealed for the certificate that the request was signed with, or with a password. Nothing
 * vouches for what is inside of an envelope, so whoever has caught one could send it again and again, changed, and learn its octets from what is said
 * of it (Vaudenay's attack). Therefore nothing is said here: a wrong key, which the signer answers with one that fits nothing, and wrong padding give
 * rubbish, and of rubbish the readers of the content say one thing only.
 */
#include "scep.h"

#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/clock.h"
#include "pki/oid.h"

#define KEY_LEN_MAX 32
#define IV_LEN_MAX 16
#define RSA_LEN_MAX 1024
#define VERSION_WITH_PASSWORD 3 /* RFC 5652 §6.1 */

static const struct cipher {
    const struct bytes *oid;
    const EVP_CIPHER *(*evp)(void);
    int key_len, block_len;
} ciphers[] = {
    [PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC] = {&OID_AES128_CBC, EVP_aes_128_cbc, 16, 16},
    [PB__SCEP_CIPHER__SCEP_CIPHER_AES192_CBC] = {&OID_AES192_CBC, EVP_aes_192_cbc, 24, 16},
    [PB__SCEP_CIPHER__SCEP_CIPHER_AES256_CBC] = {&OID_AES256_CBC, EVP_aes_256_cbc, 32, 16},
    [PB__SCEP_CIPHER__SCEP_CIPHER_DES_EDE3_CBC] = {&OID_DES_EDE3_CBC, EVP_des_ede3_cbc, 24, 8},
    /* Triple DES with one key three times is DES; OpenSSL 3 has no other in its usual provider. micromdm's scepclient sends it. */
    [PB__SCEP_CIPHER__SCEP_CIPHER_DES_CBC] = {&OID_DES_CBC, EVP_des_ede3_cbc, 8, 8},
};

Pb__ScepCipher
envelope_cipher(struct bytes oid)
{
    for (int i = PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC; i <= PB__SCEP_CIPHER__SCEP_CIPHER_DES_CBC; i++)
        if (oid_is(oid, *ciphers[i].oid))
            return (Pb__ScepCipher)i;
    return PB__SCEP_CIPHER__SCEP_CIPHER_UNSPECIFIED;
}

/* Encrypts all of it with padding, or decrypts all of it and leaves the padding. */
static bool
run_cipher(const struct cipher *cipher, bool encrypt, struct bytes key, struct bytes iv, struct bytes from, uint8_t *to, size_t *ret_len)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    uint8_t whole[KEY_LEN_MAX];
    int first = 0, last = 0;

    for (size_t i = 0; i < sizeof whole; i++)
        whole[i] = key.at[i % key.len];
    bool good = context != NULL && EVP_CipherInit_ex(context, cipher->evp(), NULL, whole, iv.at, encrypt ? 1 : 0) == 1 &&
                EVP_CIPHER_CTX_set_padding(context, encrypt ? 1 : 0) == 1 && EVP_CipherUpdate(context, to, &first, from.at, (int)from.len) == 1 &&
                EVP_CipherFinal_ex(context, to + first, &last) == 1;

    EVP_CIPHER_CTX_free(context);
    wipe(whole, sizeof whole);
    *ret_len = (size_t)first + (size_t)last;
    return good;
}

static enum error
refuse_closed(struct request *rq)
{
    return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_MESSAGE_CHECK, "envelope", "the envelope does not open with our key");
}

/* RFC 5652 §6.3. All of it, where the padding is none. */
static size_t
length_without_padding(struct bytes plain, size_t block_len)
{
    size_t padding = plain.len == 0 ? 0 : plain.at[plain.len - 1];

    if (padding == 0 || padding > block_len || padding > plain.len)
        return plain.len;
    for (size_t i = 1; i <= padding; i++)
        if (plain.at[plain.len - i] != padding)
            return plain.len;
    return plain.len - padding;
}

enum error
envelope_decrypt(struct request *rq, const struct cms_enveloped *enveloped, Pb__ScepCipher cipher, struct bytes key, struct bytes *ret_content)
{
    const struct cipher *about = &ciphers[cipher];
    uint8_t *plain = arena_alloc(rq->arena, enveloped->content.len + IV_LEN_MAX);
    size_t len = 0;

    if (key.len != (size_t)about->key_len || !run_cipher(about, false, key, enveloped->iv, enveloped->content, plain, &len))
        return refuse_closed(rq);
    *ret_content = BYTES(plain, length_without_padding(BYTES(plain, len), (size_t)about->block_len));
    if (ret_content->len == len)
        request_note(rq, "envelope", "does not open with our key");
    return OK;
}

/* ---- opening ---- */

static bool
is_for(const struct cms_recipient *recipient, const struct certificate *ra)
{
    struct bytes magnitude = recipient->serial;
    uint8_t key_id[20];

    if (recipient->key_id.len > 0) {
        public_key_identifier(&ra->key, key_id);
        return bytes_equal(recipient->key_id, BYTES(key_id, sizeof key_id));
    }
    /* The serial's content octets, with or without a sign octet. */
    while (magnitude.len > 1 && magnitude.at[0] == 0)
        magnitude = BYTES(magnitude.at + 1, magnitude.len - 1);
    return bytes_equal(magnitude, ra->serial);
}

/* Ours, or the only one there is: devices keep RA certificates that were renewed for the same key, and write issuers in forms of their own. */
static const struct cms_recipient *
find_recipient(const struct cms_enveloped *enveloped, const struct certificate *ra)
{
    for (size_t i = 0; i < enveloped->recipient_count; i++)
        if (is_for(&enveloped->recipients[i], ra))
            return &enveloped->recipients[i];
    return enveloped->recipient_count == 1 ? &enveloped->recipients[0] : NULL;
}

static enum error
check_cipher(struct request *rq, const struct profile *profile, const struct cms_enveloped *enveloped, Pb__ScepCipher *ret_cipher)
{
    Pb__ScepCipher cipher = envelope_cipher(enveloped->cipher_oid);

    if (cipher == PB__SCEP_CIPHER__SCEP_CIPHER_UNSPECIFIED)
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "cipher", "the envelope's cipher %s is not allowed",
                      oid_name(rq->arena, enveloped->cipher_oid));
    if (cipher >= PB__SCEP_CIPHER__SCEP_CIPHER_DES_EDE3_CBC && !profile->about->legacy)
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "cipher", "DES and triple DES are for profiles that are marked legacy");
    size_t block = (size_t)ciphers[cipher].block_len;
    if (enveloped->iv.len != block || enveloped->content.len == 0 || enveloped->content.len % block != 0)
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_MESSAGE_CHECK, "envelope", "the envelope's content has not the form of its cipher");
    *ret_cipher = cipher;
    return OK;
}

enum error
envelope_open(struct scep *scep, struct request *rq, const struct profile *profile, const struct certificate *ra, struct bytes envelope,
              struct bytes *ret_content, Pb__ScepCipher *ret_cipher)
{
    struct cms_enveloped *enveloped = arena_alloc(rq->arena, sizeof *enveloped);
    Pb__OpenScepEnvelopeRequest input = PB__OPEN_SCEP_ENVELOPE_REQUEST__INIT;
    const Pb__OpenScepEnvelopeReply *reply;
    struct bytes der;

    arena_keep_secret(rq->arena);
    const char *fault = !ber_to_der(rq->arena, envelope, &der) ? "it is not BER" : cms_read_enveloped(rq->arena, der, enveloped);
    if (fault != NULL)
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_MESSAGE_CHECK, "envelope", "the envelope cannot be read: %s", fault);
    enum error error = check_cipher(rq, profile, enveloped, &input.cipher);
    if (error != OK)
        return error;
    /* Nothing of ours is ever encrypted with DES: who sends it knows more than that, or is lost. */
    *ret_cipher = input.cipher == PB__SCEP_CIPHER__SCEP_CIPHER_DES_CBC ? PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC : input.cipher;
    const struct cms_recipient *recipient = find_recipient(enveloped, ra);
    if (recipient != NULL && !oid_is(recipient->key_algorithm, OID_RSA_ENCRYPTION))
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "cipher", "the envelope's key is wrapped by %s, and only by rsaEncryption it may be",
                      oid_name(rq->arena, recipient->key_algorithm));
    if (recipient == NULL || recipient->encrypted_key.len == 0)
        return refuse_closed(rq);
    input.profile = profile->ra;
    input.issuer = profile->about->issuer;
    input.encrypted_key = message_data(recipient->encrypted_key);
    error = RPC_CALL_GATHERED(scep->openings, rq, OpenScepEnvelope, &input, &reply);
    return error == OK ? envelope_decrypt(rq, enveloped, input.cipher, message_bytes(reply->key), ret_content) : error;
}

/* ---- sealing ---- */

static bool
wrap_key(struct arena *arena, struct peer *peer, struct bytes key, uint8_t to[RSA_LEN_MAX], size_t *ret_len)
{
    EVP_PKEY *public_key = peer_import(arena, peer);

    if (public_key == NULL || peer->key.modulus.len > RSA_LEN_MAX)
        return false;
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new(public_key, NULL);
    *ret_len = RSA_LEN_MAX;
    bool good = context != NULL && EVP_PKEY_encrypt_init(context) == 1 && EVP_PKEY_CTX_set_rsa_padding(context, RSA_PKCS1_PADDING) == 1 &&
                EVP_PKEY_encrypt(context, to, ret_len, key.at, key.len) == 1;
    EVP_PKEY_CTX_free(context);
    return good;
}

/* KeyTransRecipientInfo (RFC 5652 §6.2.1) */
static bool
put_key_recipient(struct buffer *out, struct peer *peer, struct bytes key)
{
    uint8_t wrapped[RSA_LEN_MAX];
    size_t wrapped_len = 0;

    if (!wrap_key(out->arena, peer, key, wrapped, &wrapped_len))
        return false;
    size_t info = der_open(out, DER_SEQUENCE);
    der_put_int(out, 0);
    size_t id = der_open(out, DER_SEQUENCE);
    der_put_whole(out, peer->issuer);
    der_put(out, DER_INTEGER, peer->serial);
    der_close(out, id);
    size_t algorithm = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_RSA_ENCRYPTION);
    der_put(out, DER_NULL, BYTES_NONE);
    der_close(out, algorithm);
    der_put(out, DER_OCTET_STRING, BYTES(wrapped, wrapped_len));
    der_close(out, info);
    return true;
}

static bool
put_recipient(struct buffer *out, struct peer *peer, struct bytes password, const struct cipher *cipher, struct bytes key)
{
    size_t set = der_open(out, DER_SET);
    bool put = false;

    if (peer->key.type == KEY_RSA)
        put = put_key_recipient(out, peer, key);
    else if (password.len > 0)
        put = password_recipient_put(out, password, *cipher->oid, cipher->evp(), key);
    der_close(out, set);
    return put;
}

static void
put_content(struct buffer *out, const struct cipher *cipher, struct bytes iv, struct bytes encrypted)
{
    size_t content = der_open(out, DER_SEQUENCE);

    der_put_oid(out, OID_CMS_DATA);
    size_t algorithm = der_open(out, DER_SEQUENCE);
    der_put_oid(out, *cipher->oid);
    der_put(out, DER_OCTET_STRING, iv);
    der_close(out, algorithm);
    der_put(out, DER_CONTEXT(0), encrypted);
    der_close(out, content);
}

enum error
envelope_seal(struct request *rq, struct peer *peer, struct bytes password, Pb__ScepCipher cipher, struct bytes content, struct bytes *ret_envelope)
{
    const struct cipher *about = &ciphers[cipher];
    uint8_t secret[KEY_LEN_MAX], iv[IV_LEN_MAX];
    struct bytes key = BYTES(secret, (size_t)about->key_len);
    uint8_t *encrypted = arena_alloc(rq->arena, content.len + IV_LEN_MAX);
    struct buffer out = buffer_in(rq->arena);
    size_t len = 0, info = der_open(&out, DER_SEQUENCE);

    random_bytes(secret, sizeof secret);
    random_bytes(iv, sizeof iv);
    der_put_oid(&out, OID_CMS_ENVELOPED_DATA);
    size_t explicit = der_open(&out, DER_CONTEXT_CONSTRUCTED(0)), data = der_open(&out, DER_SEQUENCE);
    der_put_int(&out, peer->key.type == KEY_RSA ? 0 : VERSION_WITH_PASSWORD);
    bool good = put_recipient(&out, peer, password, about, key) &&
                run_cipher(about, true, key, BYTES(iv, (size_t)about->block_len), content, encrypted, &len);
    wipe(secret, sizeof secret);
    if (!good)
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "key", "nothing can be encrypted for the key of the signer's certificate");
    put_content(&out, about, BYTES(iv, (size_t)about->block_len), BYTES(encrypted, len));
    der_close(&out, data);
    der_close(&out, explicit);
    der_close(&out, info);
    *ret_envelope = buffer_bytes(&out);
    return OK;
}
