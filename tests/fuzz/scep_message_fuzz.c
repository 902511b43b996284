/*
 * A whole SCEP message: SignedData, the signer's certificate, the attributes. Cryptography says yes to everything here (a digest of no octets, a
 * signature that always verifies), so that what lies behind it is reached; the seeds have an empty messageDigest.
 */
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "scep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
EVP_Digest(const void *from, size_t count, unsigned char *to, unsigned int *ret_len, const EVP_MD *type, ENGINE *engine)
{
    *ret_len = 0;
    return 1;
}

int
EVP_DigestVerifyInit(EVP_MD_CTX *context, EVP_PKEY_CTX **ret_key_context, const EVP_MD *type, ENGINE *engine, EVP_PKEY *key)
{
    return 1;
}

int
EVP_DigestVerify(EVP_MD_CTX *context, const unsigned char *signature, size_t signature_len, const unsigned char *message, size_t len)
{
    return 1;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct pki_message message;
    struct request rq;
    struct peer peer;

    request_begin(&rq, "fuzz", "", NULL);
    if (pki_message_read(&rq, BYTES(data, size), &message) == OK) {
        size_t len = strlen(message.transaction_id);
        if (len == 0 || len > TRANSACTION_ID_MAX || message.sender_nonce.len > NONCE_MAX)
            abort();
        if (pki_message_verify(&rq, &message) == OK && message.signer.key.type == KEY_UNKNOWN)
            abort();
    }
    (void)peer_read(BYTES(data, size), &peer);
    request_drop(&rq);
    return 0;
}
