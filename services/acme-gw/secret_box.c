/*
 * Secrets that the database keeps and cannot read: AES-256-GCM (NIST SP 800-38D) with a random nonce. Few are ever sealed, so that 96 random bits
 * never meet again. Lost with the key file.
 */
#include "acme.h"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define KEY_OCTETS 32
#define NONCE_OCTETS 12
#define TAG_OCTETS 16

static const char label[] = "signet-acme-secret-v1";

struct secret_box {
    struct secret *key;
};

DEFINE_AUTO(EVP_CIPHER_CTX, EVP_CIPHER_CTX_free);

struct secret_box *
secret_box_new(struct bytes key)
{
    struct secret_box *box = calloc(1, sizeof *box);
    unsigned len;

    if (box == NULL)
        abort();
    box->key = secret_new(KEY_OCTETS);
    if (HMAC(EVP_sha256(), key.at, (int)key.len, (const uint8_t *)label, sizeof label - 1, box->key->at, &len) == NULL)
        abort();
    return box;
}

void
secret_box_free(struct secret_box *box)
{
    if (box == NULL)
        return;
    secret_free(box->key);
    free(box);
}

static void
must(int done)
{
    if (done != 1)
        abort(); /* out of memory: the arguments are ours */
}

struct bytes
secret_box_seal(const struct secret_box *box, struct arena *arena, struct bytes secret, const char *bound_to)
{
    AUTO(EVP_CIPHER_CTX, cipher) = EVP_CIPHER_CTX_new();
    uint8_t *out = arena_alloc(arena, NONCE_OCTETS + secret.len + TAG_OCTETS);
    int len;

    random_bytes(out, NONCE_OCTETS);
    must(EVP_EncryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, box->key->at, out));
    must(EVP_EncryptUpdate(cipher, NULL, &len, (const uint8_t *)bound_to, (int)strlen(bound_to)));
    must(EVP_EncryptUpdate(cipher, out + NONCE_OCTETS, &len, secret.at, (int)secret.len));
    must(EVP_EncryptFinal_ex(cipher, out + NONCE_OCTETS + len, &len));
    must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_GET_TAG, TAG_OCTETS, out + NONCE_OCTETS + secret.len));
    return BYTES(out, NONCE_OCTETS + secret.len + TAG_OCTETS);
}

struct secret *
secret_box_open(const struct secret_box *box, struct bytes sealed, const char *bound_to)
{
    AUTO(EVP_CIPHER_CTX, cipher) = EVP_CIPHER_CTX_new();
    int len;

    if (sealed.len < NONCE_OCTETS + TAG_OCTETS)
        return NULL;
    size_t secret_len = sealed.len - NONCE_OCTETS - TAG_OCTETS;
    AUTO_STRUCT(secret, secret) = secret_new(secret_len);
    must(EVP_DecryptInit_ex(cipher, EVP_aes_256_gcm(), NULL, box->key->at, sealed.at));
    must(EVP_DecryptUpdate(cipher, NULL, &len, (const uint8_t *)bound_to, (int)strlen(bound_to)));
    must(EVP_DecryptUpdate(cipher, secret->at, &len, sealed.at + NONCE_OCTETS, (int)secret_len));
    must(EVP_CIPHER_CTX_ctrl(cipher, EVP_CTRL_GCM_SET_TAG, TAG_OCTETS, (uint8_t *)sealed.at + NONCE_OCTETS + secret_len));
    if (EVP_DecryptFinal_ex(cipher, secret->at + secret_len, &len) != 1)
        return NULL;
    return TAKE(secret);
}
