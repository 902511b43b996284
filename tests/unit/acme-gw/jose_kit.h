/* What an ACME client does before it sends: a key as JWK, a protected header, a signature by any of the algorithms. A mistake in a test aborts. */
#ifndef SIGNET_TESTS_ACME_JOSE_KIT_H
#define SIGNET_TESTS_ACME_JOSE_KIT_H

#include <assert.h>
#include <openssl/core_names.h>
#include <openssl/ecdsa.h>
#include <openssl/evp.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/base64.h"
#include "kit/pki_kit.h"

static inline char *
jose_number(struct arena *arena, EVP_PKEY *key, const char *param, int len)
{
    BIGNUM *number = NULL;

    assert(EVP_PKEY_get_bn_param(key, param, &number) == 1);
    int size = len != 0 ? len : BN_num_bytes(number);
    uint8_t *octets = arena_alloc(arena, (size_t)size);
    assert(BN_bn2binpad(number, octets, size) == size);
    BN_free(number);
    return base64url_encode(arena, BYTES(octets, (size_t)size));
}

static inline const char *
jose_jwk(struct arena *arena, EVP_PKEY *key)
{
    if (EVP_PKEY_is_a(key, "RSA"))
        return arena_format(arena, "{\"kty\":\"RSA\",\"n\":\"%s\",\"e\":\"%s\"}", jose_number(arena, key, OSSL_PKEY_PARAM_RSA_N, 0),
                            jose_number(arena, key, OSSL_PKEY_PARAM_RSA_E, 0));
    if (EVP_PKEY_is_a(key, "ED25519")) {
        uint8_t octets[32];
        size_t len = sizeof octets;
        assert(EVP_PKEY_get_raw_public_key(key, octets, &len) == 1);
        return arena_format(arena, "{\"kty\":\"OKP\",\"crv\":\"Ed25519\",\"x\":\"%s\"}", base64url_encode(arena, BYTES(octets, len)));
    }
    int bits = EVP_PKEY_get_bits(key);
    int len = (bits + 7) / 8;
    return arena_format(arena, "{\"kty\":\"EC\",\"crv\":\"P-%d\",\"x\":\"%s\",\"y\":\"%s\"}", bits,
                        jose_number(arena, key, OSSL_PKEY_PARAM_EC_PUB_X, len), jose_number(arena, key, OSSL_PKEY_PARAM_EC_PUB_Y, len));
}

static inline const EVP_MD *
jose_digest(const char *alg)
{
    if (strcmp(alg, "EdDSA") == 0)
        return NULL;
    return strstr(alg, "256") != NULL ? EVP_sha256() : strstr(alg, "384") != NULL ? EVP_sha384() : EVP_sha512();
}

static inline struct bytes
jose_raw_ecdsa(struct arena *arena, EVP_PKEY *key, struct bytes der)
{
    const uint8_t *at = der.at;
    ECDSA_SIG *signature = d2i_ECDSA_SIG(NULL, &at, (long)der.len);
    int half = (EVP_PKEY_get_bits(key) + 7) / 8;
    uint8_t *raw = arena_alloc(arena, 2 * (size_t)half);

    assert(signature != NULL);
    assert(BN_bn2binpad(ECDSA_SIG_get0_r(signature), raw, half) == half && BN_bn2binpad(ECDSA_SIG_get0_s(signature), raw + half, half) == half);
    ECDSA_SIG_free(signature);
    return BYTES(raw, 2 * (size_t)half);
}

static inline struct bytes
jose_sign(struct arena *arena, EVP_PKEY *key, const char *alg, const char *text)
{
    EVP_MD_CTX *md = EVP_MD_CTX_new();
    EVP_PKEY_CTX *pkey = NULL;
    size_t len = 1024;
    uint8_t *signature = arena_alloc(arena, len);

    assert(EVP_DigestSignInit(md, &pkey, jose_digest(alg), NULL, key) == 1);
    if (alg[0] == 'P')
        assert(EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, RSA_PSS_SALTLEN_DIGEST) == 1);
    assert(EVP_DigestSign(md, signature, &len, (const uint8_t *)text, strlen(text)) == 1);
    EVP_MD_CTX_free(md);
    struct bytes der = BYTES(signature, len);
    return EVP_PKEY_is_a(key, "EC") ? jose_raw_ecdsa(arena, key, der) : der;
}

static inline char *
jose_b64(struct arena *arena, const char *text)
{
    return base64url_encode(arena, bytes_of_text(text));
}

/* The whole JWS around a header and a payload as they are given. */
static inline const char *
jose_jws(struct arena *arena, EVP_PKEY *key, const char *alg, const char *header, const char *payload)
{
    const char *first = jose_b64(arena, header), *second = jose_b64(arena, payload);
    struct bytes signature = jose_sign(arena, key, alg, arena_format(arena, "%s.%s", first, second));

    return arena_format(arena, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}", first, second, base64url_encode(arena, signature));
}

#endif
