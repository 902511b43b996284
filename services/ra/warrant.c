/*
 * The issuance warrant: what tells the signer that ra has decided and stored. Called by issue.c for every call to the signer; verified by
 * services/signer/warrant.c. The key is read and imported once.
 */
#include "ra.h"

#include <assert.h>
#include <stdlib.h>

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>

#include "base/config.h"

#define WARRANT_PREFIX "signet-warrant-v2" /* and its NUL; then the SHA-256 of each intent */

struct warrant_key {
    EVP_PKEY *key;
};

DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);
DEFINE_AUTO(BIO, BIO_free_all);

enum error
warrant_key_load(struct request *rq, const char *file, struct warrant_key **ret_key)
{
    AUTO_STRUCT(secret, pem) = NULL;
    enum error error = config_read_secret(rq, file, &pem);
    if (error)
        return error;
    AUTO(BIO, bio) = BIO_new_mem_buf(pem->at, (int)pem->len);
    /* Without a password of ours OpenSSL would ask the terminal for that of an encrypted key. */
    AUTO(EVP_PKEY, key) = bio == NULL ? NULL : PEM_read_bio_PrivateKey(bio, NULL, NULL, (void *)"");
    if (key == NULL || !EVP_PKEY_is_a(key, "ED25519"))
        return fail(rq, ERR_BAD_REQUEST, "%s holds no Ed25519 private key in PEM form", file);
    struct warrant_key *warrant_key = calloc(1, sizeof *warrant_key);
    if (warrant_key == NULL)
        abort();
    warrant_key->key = TAKE(key);
    *ret_key = warrant_key;
    return OK;
}

void
warrant_key_free(struct warrant_key *key)
{
    if (key == NULL)
        return;
    EVP_PKEY_free(key->key);
    free(key);
}

void
warrant_sign(struct request *rq, const struct warrant_key *key, const struct bytes *intents, size_t count, uint8_t ret_signature[WARRANT_LEN])
{
    struct buffer message = buffer_in(rq->arena);
    AUTO(EVP_MD_CTX, context) = EVP_MD_CTX_new();
    uint8_t digest[SHA256_DIGEST_LENGTH];
    size_t len = WARRANT_LEN;

    buffer_append(&message, WARRANT_PREFIX, sizeof WARRANT_PREFIX);
    for (size_t i = 0; i < count; i++)
        buffer_append(&message, SHA256(intents[i].at, intents[i].len, digest), sizeof digest);
    /* With a good key in memory nothing of this can fail but for want of memory. */
    if (context == NULL || EVP_DigestSignInit(context, NULL, NULL, NULL, key->key) != 1 ||
        EVP_DigestSign(context, ret_signature, &len, message.at, message.len) != 1)
        abort();
    assert(len == WARRANT_LEN);
}
