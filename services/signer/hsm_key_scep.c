/* What the RA keys of SCEP do beyond signing as every key does: open the key of an envelope, and sign with SHA-1 for devices that know nothing else.
 * Called by open_scep_envelope.c and sign_scep_reply.c. */
#include "signer.h"

#include <openssl/sha.h>
#include <string.h>

/* DigestInfo of RFC 8017 §9.2 up to the digest itself. */
static const uint8_t info_sha1[] = {0x30, 0x21, 0x30, 0x09, 0x06, 0x05, 0x2b, 0x0e, 0x03, 0x02, 0x1a, 0x05, 0x00, 0x04, 0x14};

static struct hsm_call
call_with(const struct token_key *key, enum hsm_operation operation)
{
    struct hsm_call call = {.operation = operation, .mechanism = HSM_RSA_PKCS1, .id_len = (uint32_t)key->id.len};

    memcpy(call.label, key->label, sizeof call.label);
    if (key->id.len > 0)
        memcpy(call.id, key->id.at, key->id.len);
    return call;
}

static enum error
fail_without_key(struct request *rq, const struct hsm_answer *answer)
{
    fail_privately(rq, ERR_UNAVAILABLE, "the key is not on the token", "%s", answer->text);
    return fail_retry_after(rq, 30);
}

enum error
hsm_key_decrypt(struct signer *signer, struct request *rq, const struct token_key *key, struct bytes ciphertext, struct bytes *ret_plaintext)
{
    struct hsm_call call = call_with(key, HSM_DECRYPT);
    struct hsm_answer answer;

    if (ciphertext.len != key->public_key.modulus.len)
        return fail(rq, ERR_BAD_REQUEST, "the ciphertext has not the length of the key");
    memcpy(call.data, ciphertext.at, ciphertext.len);
    call.data_len = (uint32_t)ciphertext.len;
    enum error error = hsm_pool_call(signer->hsm, rq, &call, &answer);
    if (error != OK)
        return error;
    if (answer.status == HSM_REFUSED)
        return fail(rq, ERR_BAD_REQUEST, "the ciphertext does not open");
    if (answer.status != HSM_OK)
        return fail_without_key(rq, &answer);
    *ret_plaintext = bytes_copy(rq->arena, BYTES(answer.data, answer.data_len));
    wipe(answer.data, answer.data_len);
    return OK;
}

static bool
verifies_sha1(EVP_PKEY *key, struct bytes message, struct bytes signature)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestVerifyInit(context, NULL, EVP_sha1(), NULL, key) == 1 &&
                EVP_DigestVerify(context, signature.at, signature.len, message.at, message.len) == 1;

    EVP_MD_CTX_free(context);
    return good;
}

enum error
hsm_key_sign_sha1(struct signer *signer, struct request *rq, const struct token_key *key, struct bytes message, struct bytes *ret_signature)
{
    struct hsm_call call = call_with(key, HSM_SIGN);
    struct hsm_answer answer;

    memcpy(call.data, info_sha1, sizeof info_sha1);
    (void)SHA1(message.at, message.len, call.data + sizeof info_sha1);
    call.data_len = sizeof info_sha1 + SHA_DIGEST_LENGTH;
    enum error error = hsm_pool_call(signer->hsm, rq, &call, &answer);
    if (error != OK)
        return error;
    if (answer.status != HSM_OK)
        return fail_without_key(rq, &answer);
    struct bytes signature = bytes_copy(rq->arena, BYTES(answer.data, answer.data_len));
    if (!verifies_sha1(key->verify, message, signature)) {
        metric_add(signer->bad_signatures, 1);
        return fail_privately(rq, ERR_INTERNAL, "internal error", "the HSM's signature with key %s does not verify; it was thrown away", key->label);
    }
    *ret_signature = signature;
    return OK;
}
