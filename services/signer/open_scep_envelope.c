/*
 * rpc OpenScepEnvelope: the content-encryption key of a SCEP request. Whoever sends envelopes that are wrong on purpose must learn nothing from the
 * answers (Bleichenbacher's attack): a key that does not open, or has another length than the cipher wants, becomes one derived from the octets and a
 * secret of ours. The caller decrypts with it, finds rubbish, and says what it says of all rubbish.
 */
#include "signer.h"

#include <openssl/hmac.h>

static size_t
key_length(Pb__ScepCipher cipher)
{
    switch (cipher) {
    case PB__SCEP_CIPHER__SCEP_CIPHER_AES128_CBC:
        return 16;
    case PB__SCEP_CIPHER__SCEP_CIPHER_AES192_CBC:
    case PB__SCEP_CIPHER__SCEP_CIPHER_DES_EDE3_CBC:
        return 24;
    case PB__SCEP_CIPHER__SCEP_CIPHER_AES256_CBC:
        return 32;
    case PB__SCEP_CIPHER__SCEP_CIPHER_DES_CBC:
        return 8;
    case PB__SCEP_CIPHER__SCEP_CIPHER_UNSPECIFIED:
    case _PB__SCEP_CIPHER_IS_INT_SIZE:
        break;
    }
    return 0;
}

static struct bytes
rejection_key(struct request *rq, const struct delegate *ra, struct bytes encrypted_key, size_t len)
{
    uint8_t *key = arena_alloc(rq->arena, EVP_MAX_MD_SIZE);
    unsigned int made = 0;

    (void)HMAC(EVP_sha256(), ra->secret, sizeof ra->secret, encrypted_key.at, encrypted_key.len, key, &made);
    return BYTES(key, len);
}

enum error
open_scep_envelope(struct signer *signer, struct request *rq, const Pb__OpenScepEnvelopeRequest *request, Pb__OpenScepEnvelopeReply *ret_reply)
{
    struct bytes encrypted_key = message_bytes(request->encrypted_key), plain = BYTES_NONE;
    size_t len = key_length(request->cipher);
    const struct delegate *ra;

    arena_keep_secret(rq->arena);
    if (len == 0)
        return fail(rq, ERR_BAD_REQUEST, "the cipher is not known");
    if (encrypted_key.len == 0 || encrypted_key.len > HSM_DATA_MAX)
        return fail(rq, ERR_BAD_REQUEST, "the encrypted key has %zu octets", encrypted_key.len);
    enum error error = scep_ra_of(signer, rq, request->profile, request->issuer, &ra);
    if (error != OK)
        return error;
    struct bytes rejection = rejection_key(rq, ra, encrypted_key, len);
    error = hsm_key_decrypt(signer, rq, &ra->key, encrypted_key, &plain);
    if (error != OK && error != ERR_BAD_REQUEST)
        return error;
    failure_clear(rq);
    bool opened = error == OK && plain.len == len;
    ret_reply->key = message_data(opened ? plain : rejection);
    return OK;
}
