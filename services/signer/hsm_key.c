/*
 * A signature by a key on the token: hash here, sign in a worker, bring it to the form of X.509, verify with the public key. Every signature of this
 * service is made by hsm_key_sign; what does not verify never leaves (a fault in an ECDSA or RSA-CRT signature gives the key away).
 */
#include "signer.h"

#include <assert.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/text.h"
#include "pki/key_uri.h"

#define KEY_MISSING_RETRY_AFTER_S 30

enum error
hsm_key_open(struct request *rq, const char *uri, struct bytes spki, enum signature_algorithm algorithm, struct token_key *ret_key)
{
    struct token_key key = {.algorithm = algorithm};
    struct key_uri parsed;

    enum error error = key_uri_parse(rq, uri, &parsed);
    if (error != OK)
        return error;
    if (parsed.place != KEY_IN_TOKEN || strlen(parsed.object) >= sizeof key.label || parsed.id.len > HSM_ID_MAX)
        return fail(rq, ERR_BAD_REQUEST, "%s names no key that the HSM workers can use", uri);
    memcpy(key.label, parsed.object, strlen(parsed.object) + 1);
    key.id = parsed.id;
    error = public_key_parse(rq, spki, &key.public_key);
    if (error == OK && !signature_algorithm_fits(algorithm, key.public_key.type))
        error = fail(rq, ERR_BAD_REQUEST, "the signature algorithm does not fit the key %s", uri);
    if (error == OK)
        error = public_key_import(rq, &key.public_key, &key.verify);
    if (error != OK)
        return error;
    *ret_key = key;
    return OK;
}

void
hsm_key_close(struct token_key *key)
{
    EVP_PKEY_free(TAKE(key->verify));
}

/* DigestInfo of RFC 8017 §9.2 up to the digest itself. */
static const uint8_t info_sha256[] = {0x30, 0x31, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x01, 0x05, 0x00, 0x04, 0x20};
static const uint8_t info_sha384[] = {0x30, 0x41, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x02, 0x05, 0x00, 0x04, 0x30};
static const uint8_t info_sha512[] = {0x30, 0x51, 0x30, 0x0d, 0x06, 0x09, 0x60, 0x86, 0x48, 0x01,
                                      0x65, 0x03, 0x04, 0x02, 0x03, 0x05, 0x00, 0x04, 0x40};

static void
put(struct hsm_call *call, const uint8_t *from, size_t len)
{
    assert(call->data_len + len <= sizeof call->data);
    memcpy(call->data + call->data_len, from, len);
    call->data_len += (uint32_t)len;
}

static void
put_digest(struct hsm_call *call, enum signature_algorithm algorithm, struct bytes message)
{
    uint8_t digest[SHA512_DIGEST_LENGTH];

    switch (algorithm) {
    case SIG_RSA_SHA256:
        put(call, info_sha256, sizeof info_sha256);
        __attribute__((fallthrough));
    case SIG_ECDSA_SHA256:
        put(call, SHA256(message.at, message.len, digest), SHA256_DIGEST_LENGTH);
        return;
    case SIG_RSA_SHA384:
        put(call, info_sha384, sizeof info_sha384);
        __attribute__((fallthrough));
    case SIG_ECDSA_SHA384:
        put(call, SHA384(message.at, message.len, digest), SHA384_DIGEST_LENGTH);
        return;
    case SIG_RSA_SHA512:
        put(call, info_sha512, sizeof info_sha512);
        __attribute__((fallthrough));
    case SIG_ECDSA_SHA512:
        put(call, SHA512(message.at, message.len, digest), SHA512_DIGEST_LENGTH);
        return;
    case SIG_ED25519:
    case SIG_UNKNOWN:
        break;
    }
    assert(!"an algorithm that no CA key of ours has");
}

/* r || s of PKCS#11 → SEQUENCE { r, s } (RFC 3279 §2.2.3). */
static struct bytes
ecdsa_der(struct arena *arena, struct bytes r_and_s)
{
    struct buffer out = buffer_in(arena);
    size_t half = r_and_s.len / 2, mark = der_open(&out, DER_SEQUENCE);

    der_put_unsigned(&out, BYTES(r_and_s.at, half));
    der_put_unsigned(&out, BYTES(r_and_s.at + half, half));
    der_close(&out, mark);
    return buffer_bytes(&out);
}

static enum error
fail_not_signed(struct request *rq, const struct hsm_answer *answer)
{
    if (answer->status == HSM_NO_KEY) {
        fail_privately(rq, ERR_UNAVAILABLE, "the key is not on the token", "%s", answer->text);
        return fail_retry_after(rq, KEY_MISSING_RETRY_AFTER_S);
    }
    return fail_privately(rq, ERR_INTERNAL, "internal error", "the HSM refused to sign: %s", answer->text);
}

static struct hsm_call
call_for(const struct token_key *key)
{
    bool is_rsa = key->public_key.type == KEY_RSA;
    struct hsm_call call;

    /* Only the head: what lies behind data_len is not sent. */
    memset(&call, 0, offsetof(struct hsm_call, data));
    call.operation = HSM_SIGN;
    call.mechanism = is_rsa ? HSM_RSA_PKCS1 : HSM_ECDSA;
    memcpy(call.label, key->label, sizeof call.label);
    call.id_len = (uint32_t)key->id.len;
    if (key->id.len > 0)
        memcpy(call.id, key->id.at, key->id.len);
    return call;
}

/* What does not verify is thrown away, and what came with it. */
static enum error
read_signatures(struct signer *signer, struct request *rq, const struct token_key *key, const struct hsm_answer *answer, const struct bytes *messages,
                struct bytes *ret_signatures)
{
    size_t len = answer->data_len / answer->count;

    for (uint32_t i = 0; i < answer->count; i++) {
        struct bytes raw = BYTES(answer->data + i * len, len);
        struct bytes signature = key->public_key.type == KEY_RSA ? bytes_copy(rq->arena, raw) : ecdsa_der(rq->arena, raw);
        if (!signature_verify_with(key->verify, key->algorithm, messages[i], signature)) {
            metric_add(signer->bad_signatures, 1);
            return fail_privately(rq, ERR_INTERNAL, "internal error", "the HSM's signature with key %s does not verify; it was thrown away",
                                  key->label);
        }
        ret_signatures[i] = signature;
    }
    return OK;
}

/* As many as one call takes, and the token does in one. */
static enum error
sign_some(struct signer *signer, struct request *rq, const struct token_key *key, const struct bytes *messages, size_t count,
          struct bytes *ret_signatures, size_t *ret_done)
{
    struct hsm_call call = call_for(key);
    struct hsm_answer answer;

    while (call.count < count && call.count < HSM_SIGN_MOST)
        put_digest(&call, key->algorithm, messages[call.count++]);
    enum error error = hsm_pool_call(signer->hsm, rq, &call, &answer);
    if (error != OK)
        return error;
    if (answer.status != HSM_OK)
        return fail_not_signed(rq, &answer);
    if (answer.count == 0 || answer.count > call.count || answer.data_len % answer.count != 0)
        return fail_privately(rq, ERR_INTERNAL, "internal error", "the HSM made %u signatures of %u", answer.count, call.count);
    *ret_done = answer.count;
    return read_signatures(signer, rq, key, &answer, messages, ret_signatures);
}

enum error
hsm_key_sign_all(struct signer *signer, struct request *rq, const struct token_key *key, const struct bytes *messages, size_t count,
                 struct bytes *ret_signatures)
{
    for (size_t done = 0, some = 0; done < count; done += some) {
        enum error error = sign_some(signer, rq, key, messages + done, count - done, ret_signatures + done, &some);
        if (error != OK)
            return error;
    }
    return OK;
}

enum error
hsm_key_sign(struct signer *signer, struct request *rq, const struct token_key *key, struct bytes message, struct bytes *ret_signature)
{
    struct bytes signature;

    enum error error = hsm_key_sign_all(signer, rq, key, &message, 1, &signature);
    if (error == OK)
        *ret_signature = signature;
    return error;
}
