/* Accounts' keys and what they sign (RFC 7515, RFC 7518 §3.4): ES256 only. */
#include "acme.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/sha.h>
#include <stdlib.h>

#include "base/base64.h"

#define HALF 32 /* octets of a coordinate, and of r and s */

DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);
DEFINE_AUTO(ECDSA_SIG, ECDSA_SIG_free);
DEFINE_AUTO(BIGNUM, BN_free);

static const char *
coordinate(struct arena *arena, EVP_PKEY *key, const char *which)
{
    AUTO(BIGNUM, number) = NULL;
    uint8_t octets[HALF];

    if (EVP_PKEY_get_bn_param(key, which, &number) != 1 || BN_bn2binpad(number, octets, HALF) != HALF)
        abort();
    return base64url_encode(arena, BYTES(octets, HALF));
}

struct account_key
account_key_new(struct arena *arena)
{
    struct account_key key = {.key = EVP_EC_gen("P-256")};
    uint8_t digest[SHA256_DIGEST_LENGTH];

    if (key.key == NULL)
        abort();
    const char *x = coordinate(arena, key.key, OSSL_PKEY_PARAM_EC_PUB_X);
    const char *y = coordinate(arena, key.key, OSSL_PKEY_PARAM_EC_PUB_Y);
    /* In the order of RFC 7638 §3.2, so that it is what the thumbprint covers. */
    key.jwk = arena_format(arena, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    struct bytes text = bytes_of_text(key.jwk);
    (void)SHA256(text.at, text.len, digest);
    key.thumbprint = base64url_encode(arena, BYTES(digest, sizeof digest));
    return key;
}

static const char *
sign(struct arena *arena, EVP_PKEY *key, struct bytes message)
{
    AUTO(EVP_MD_CTX, md) = EVP_MD_CTX_new();
    uint8_t der[80], octets[2 * HALF];
    const uint8_t *at = der;
    size_t len = sizeof der;

    if (md == NULL || EVP_DigestSignInit(md, NULL, EVP_sha256(), NULL, key) != 1 || EVP_DigestSign(md, der, &len, message.at, message.len) != 1)
        abort();
    AUTO(ECDSA_SIG, signature) = d2i_ECDSA_SIG(NULL, &at, (long)len);
    if (signature == NULL || BN_bn2binpad(ECDSA_SIG_get0_r(signature), octets, HALF) != HALF ||
        BN_bn2binpad(ECDSA_SIG_get0_s(signature), octets + HALF, HALF) != HALF)
        abort();
    return base64url_encode(arena, BYTES(octets, sizeof octets));
}

struct bytes
jws_format(struct arena *arena, const struct account_key *key, const char *kid, const char *nonce, const char *url, const char *payload)
{
    const char *who = kid != NULL ? arena_format(arena, "\"kid\":\"%s\"", kid) : arena_format(arena, "\"jwk\":%s", key->jwk);
    const char *header = arena_format(arena, "{\"alg\":\"ES256\",%s,\"nonce\":\"%s\",\"url\":\"%s\"}", who, nonce, url);
    const char *protected = base64url_encode(arena, bytes_of_text(header));
    const char *content = base64url_encode(arena, bytes_of_text(payload));
    const char *message = arena_format(arena, "%s.%s", protected, content);
    const char *signature = sign(arena, key->key, bytes_of_text(message));

    return bytes_of_text(arena_format(arena, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}", protected, content, signature));
}
