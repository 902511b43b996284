/*
 * PasswordRecipientInfo (RFC 5652 §6.2.4): how a content key is told to whom nothing can be encrypted for, because its key only signs. RFC 8894 §3.1
 * has the challengePassword for it. The key that wraps is PBKDF2 of the password; it wraps as RFC 3211 §2.3.1 says (id-alg-PWRI-KEK), which is what
 * OpenSSL and BouncyCastle read.
 */
#include "scep.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "pki/oid.h"

#define SALT_LEN 16
#define KEY_LEN_MAX 32
#define BLOCK_LEN_MAX 16
#define CHECK_LEN 3 /* of the key's own octets, inverted */
#define WRAPPED_LEN_MAX (KEY_LEN_MAX + BLOCK_LEN_MAX)
/* Challenges are drawn here, with 64 bits that serve once or 140 that serve long: nobody finds them by trying, however fast a try is. */
#define ROUNDS 10000

/* One octet of length, three to check, the key, and random octets up to a whole number of blocks, at least two. */
static size_t
format_key(struct bytes key, size_t block_len, uint8_t to[WRAPPED_LEN_MAX])
{
    size_t used = 1 + CHECK_LEN + key.len, len = (used + block_len - 1) / block_len * block_len;

    if (len < 2 * block_len)
        len = 2 * block_len;
    assert(key.len >= CHECK_LEN && key.len <= KEY_LEN_MAX && len <= WRAPPED_LEN_MAX);
    random_bytes(to, len);
    to[0] = (uint8_t)key.len;
    for (size_t i = 0; i < CHECK_LEN; i++)
        to[1 + i] = (uint8_t)~key.at[i];
    memcpy(to + 1 + CHECK_LEN, key.at, key.len);
    return len;
}

/* Twice through the cipher, the second time with the last block as IV, so that each octet depends on all. */
static bool
wrap(const EVP_CIPHER *cipher, const uint8_t *kek, const uint8_t *iv, uint8_t *in_place, size_t len)
{
    EVP_CIPHER_CTX *context = EVP_CIPHER_CTX_new();
    int made = 0;
    bool good = context != NULL && EVP_EncryptInit_ex(context, cipher, NULL, kek, iv) == 1 && EVP_CIPHER_CTX_set_padding(context, 0) == 1 &&
                EVP_EncryptUpdate(context, in_place, &made, in_place, (int)len) == 1 &&
                EVP_EncryptUpdate(context, in_place, &made, in_place, (int)len) == 1;

    EVP_CIPHER_CTX_free(context);
    return good;
}

struct parts {
    struct bytes cipher_oid, salt, iv, wrapped;
};

static void
put(struct buffer *out, const struct parts *parts)
{
    size_t info = der_open(out, DER_CONTEXT_CONSTRUCTED(3));

    der_put_int(out, 0);
    size_t derivation = der_open(out, DER_CONTEXT_CONSTRUCTED(0));
    der_put_oid(out, OID_PBKDF2);
    size_t parameters = der_open(out, DER_SEQUENCE);
    der_put(out, DER_OCTET_STRING, parts->salt);
    der_put_int(out, ROUNDS);
    size_t prf = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_HMAC_SHA256);
    der_put(out, DER_NULL, BYTES_NONE);
    der_close(out, prf);
    der_close(out, parameters);
    der_close(out, derivation);
    size_t wrapping = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_PWRI_KEK);
    size_t cipher = der_open(out, DER_SEQUENCE);
    der_put_oid(out, parts->cipher_oid);
    der_put(out, DER_OCTET_STRING, parts->iv);
    der_close(out, cipher);
    der_close(out, wrapping);
    der_put(out, DER_OCTET_STRING, parts->wrapped);
    der_close(out, info);
}

bool
password_recipient_put(struct buffer *out, struct bytes password, struct bytes cipher_oid, const EVP_CIPHER *cipher, struct bytes content_key)
{
    uint8_t salt[SALT_LEN], iv[BLOCK_LEN_MAX], kek[KEY_LEN_MAX], wrapped[WRAPPED_LEN_MAX];
    size_t block_len = (size_t)EVP_CIPHER_get_block_size(cipher), len = format_key(content_key, block_len, wrapped);

    random_bytes(salt, sizeof salt);
    random_bytes(iv, sizeof iv);
    bool good = PKCS5_PBKDF2_HMAC((const char *)password.at, (int)password.len, salt, sizeof salt, ROUNDS, EVP_sha256(),
                                  EVP_CIPHER_get_key_length(cipher), kek) == 1 &&
                wrap(cipher, kek, iv, wrapped, len);
    wipe(kek, sizeof kek);
    if (good)
        put(out,
            &(struct parts){.cipher_oid = cipher_oid, .salt = BYTES(salt, sizeof salt), .iv = BYTES(iv, block_len), .wrapped = BYTES(wrapped, len)});
    wipe(wrapped, sizeof wrapped);
    return good;
}
