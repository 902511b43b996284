/*
 * The issuance warrant: proof that ra has decided and stored what the signer is asked to sign (ARCHITECTURE §3). It is checked over the very octets
 * that arrived, before anything of them is read. Several keys may be valid at once, so that ra's can be replaced without a gap.
 */
#include "signer.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/sha.h>
#include <stdio.h>

#include "base/text.h"

#define WARRANT_PREFIX "signet-warrant-v2" /* and its NUL; then the SHA-256 of each intent */
#define WARRANT_LEN 64

DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);
DEFINE_AUTO(FILE, fclose);

static enum error
load_one(struct signer *signer, struct request *rq, const char *path)
{
    AUTO(FILE, file) = fopen(path, "re");

    if (file == NULL)
        return fail(rq, ERR_BAD_REQUEST, "the warrant key %s (SIGNET_SIGNER_WARRANT_KEY_FILES) cannot be read", path);
    AUTO(EVP_PKEY, key) = PEM_read_PUBKEY(file, NULL, NULL, NULL);
    if (key == NULL || EVP_PKEY_is_a(key, "ED25519") != 1)
        return fail(rq, ERR_BAD_REQUEST, "%s (SIGNET_SIGNER_WARRANT_KEY_FILES) is not an Ed25519 public key in PEM form", path);
    signer->warrant_keys[signer->warrant_key_count++] = TAKE(key);
    return OK;
}

enum error
warrant_keys_load(struct signer *signer, struct request *rq)
{
    size_t count;
    char **paths = text_split(rq->arena, signer->config.warrant_key_files, ',', &count);

    if (count == 0 || count > WARRANT_KEYS_MAX)
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_SIGNER_WARRANT_KEY_FILES names %zu files; 1 to %d are needed", count, WARRANT_KEYS_MAX);
    for (size_t i = 0; i < count; i++) {
        enum error error = load_one(signer, rq, paths[i]);
        if (error != OK)
            return error;
    }
    return OK;
}

void
warrant_keys_free(struct signer *signer)
{
    while (signer->warrant_key_count > 0)
        EVP_PKEY_free(signer->warrant_keys[--signer->warrant_key_count]);
}

static bool
is_signed_by(EVP_PKEY *key, struct bytes message, struct bytes warrant)
{
    AUTO(EVP_MD_CTX, context) = EVP_MD_CTX_new();

    return context != NULL && EVP_DigestVerifyInit(context, NULL, NULL, NULL, key) == 1 &&
           EVP_DigestVerify(context, warrant.at, warrant.len, message.at, message.len) == 1;
}

enum error
warrant_check(struct signer *signer, struct request *rq, const struct bytes *intents, size_t count, struct bytes warrant)
{
    struct buffer message = buffer_in(rq->arena);
    uint8_t digest[SHA256_DIGEST_LENGTH];

    buffer_append(&message, WARRANT_PREFIX, sizeof WARRANT_PREFIX);
    for (size_t i = 0; i < count; i++)
        buffer_append(&message, SHA256(intents[i].at, intents[i].len, digest), sizeof digest);
    for (size_t i = 0; warrant.len == WARRANT_LEN && i < signer->warrant_key_count; i++)
        if (is_signed_by(signer->warrant_keys[i], buffer_bytes(&message), warrant))
            return OK;
    return fail(rq, ERR_UNAUTHENTICATED, "the warrant is not one of ra's for these intents");
}
