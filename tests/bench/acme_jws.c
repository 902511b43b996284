/*
 * Accounts' keys and what they sign (RFC 7515, RFC 7518 §3.4): ES256 only. Most of a signature depends on neither key nor message, and is made before
 * the clock starts: clients have processors of their own, and here they would take what they compute from the server that is measured.
 */
#include "acme.h"

#include <openssl/core_names.h>
#include <openssl/ec.h>
#include <openssl/obj_mac.h>
#include <openssl/sha.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"

#define HALF 32 /* octets of a coordinate, and of r and s */

DEFINE_AUTO(BIGNUM, BN_clear_free);
DEFINE_AUTO(BN_CTX, BN_CTX_free);
DEFINE_AUTO(EC_POINT, EC_POINT_free);

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
    AUTO(EVP_PKEY, pair) = EVP_EC_gen("P-256");
    struct account_key key = {.numbers = BN_CTX_new()};
    uint8_t digest[SHA256_DIGEST_LENGTH];

    if (pair == NULL || key.numbers == NULL || EVP_PKEY_get_bn_param(pair, OSSL_PKEY_PARAM_PRIV_KEY, &key.secret) != 1)
        abort();
    const char *x = coordinate(arena, pair, OSSL_PKEY_PARAM_EC_PUB_X);
    const char *y = coordinate(arena, pair, OSSL_PKEY_PARAM_EC_PUB_Y);
    /* In the order of RFC 7638 §3.2, so that it is what the thumbprint covers. */
    key.jwk = arena_format(arena, "{\"crv\":\"P-256\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", x, y);
    struct bytes text = bytes_of_text(key.jwk);
    (void)SHA256(text.at, text.len, digest);
    key.thumbprint = base64url_encode(arena, BYTES(digest, sizeof digest));
    return key;
}

void
account_key_free(struct account_key *key)
{
    BN_clear_free(key->secret);
    BN_CTX_free(key->numbers);
}

/* ---- signatures begun beforehand --------------------------------------------------------------------------------------------------------- */

struct begun {
    uint8_t r[HALF], inverse[HALF]; /* of k: the point's abscissa, and 1 / k */
};

struct signer {
    EC_GROUP *group;
    const BIGNUM *order;
    struct begun *begun;
    size_t count;
    atomic_size_t next;
};

/* FIPS 186-5 §6.4.1, all that comes before the message. */
static struct begun
begin_signature(const struct signer *signer, BN_CTX *numbers)
{
    AUTO(BIGNUM, k) = BN_new();
    AUTO(BIGNUM, r) = BN_new();
    AUTO(EC_POINT, point) = EC_POINT_new(signer->group);
    struct begun begun;

    if (k == NULL || r == NULL || point == NULL)
        abort();
    do {
        if (BN_priv_rand_range(k, signer->order) != 1 || BN_is_zero(k) || EC_POINT_mul(signer->group, point, k, NULL, NULL, numbers) != 1 ||
            EC_POINT_get_affine_coordinates(signer->group, point, r, NULL, numbers) != 1 || BN_nnmod(r, r, signer->order, numbers) != 1)
            abort();
    } while (BN_is_zero(r));
    if (BN_mod_inverse(k, k, signer->order, numbers) == NULL || BN_bn2binpad(r, begun.r, HALF) != HALF ||
        BN_bn2binpad(k, begun.inverse, HALF) != HALF)
        abort();
    return begun;
}

struct signer *
signer_new(struct arena *arena, size_t signatures)
{
    struct signer *signer = arena_alloc(arena, sizeof *signer);
    AUTO(BN_CTX, numbers) = BN_CTX_new();

    *signer = (struct signer){.group = EC_GROUP_new_by_curve_name(NID_X9_62_prime256v1), .count = signatures};
    if (signer->group == NULL || numbers == NULL)
        abort();
    signer->order = EC_GROUP_get0_order(signer->group);
    signer->begun = arena_array(arena, signatures, sizeof *signer->begun);
    for (size_t i = 0; i < signatures; i++)
        signer->begun[i] = begin_signature(signer, numbers);
    return signer;
}

void
signer_free(struct signer *signer)
{
    EC_GROUP_free(signer->group);
}

/* None is taken twice; whoever comes when all are taken begins one. */
static struct begun
take_begun(struct signer *signer, BN_CTX *numbers)
{
    size_t number = atomic_fetch_add(&signer->next, 1);

    return number < signer->count ? signer->begun[number] : begin_signature(signer, numbers);
}

/* s = (digest + r × d) / k */
static const char *
sign(struct arena *arena, struct signer *signer, const struct account_key *key, struct bytes message)
{
    uint8_t digest[SHA256_DIGEST_LENGTH], octets[2 * HALF];
    struct begun begun = take_begun(signer, key->numbers);

    (void)SHA256(message.at, message.len, digest);
    BN_CTX_start(key->numbers);
    BIGNUM *s = BN_CTX_get(key->numbers), *other = BN_CTX_get(key->numbers);
    if (other == NULL || BN_bin2bn(begun.r, HALF, s) == NULL || BN_mod_mul(s, s, key->secret, signer->order, key->numbers) != 1 ||
        BN_bin2bn(digest, sizeof digest, other) == NULL || BN_mod_add(s, s, other, signer->order, key->numbers) != 1 ||
        BN_bin2bn(begun.inverse, HALF, other) == NULL || BN_mod_mul(s, s, other, signer->order, key->numbers) != 1 ||
        BN_bn2binpad(s, octets + HALF, HALF) != HALF)
        abort();
    BN_CTX_end(key->numbers);
    memcpy(octets, begun.r, HALF);
    return base64url_encode(arena, BYTES(octets, sizeof octets));
}

struct bytes
jws_format(struct arena *arena, struct signer *signer, const struct account_key *key, const char *kid, const char *nonce, const char *url,
           const char *payload)
{
    const char *who = kid != NULL ? arena_format(arena, "\"kid\":\"%s\"", kid) : arena_format(arena, "\"jwk\":%s", key->jwk);
    const char *header = arena_format(arena, "{\"alg\":\"ES256\",%s,\"nonce\":\"%s\",\"url\":\"%s\"}", who, nonce, url);
    const char *protected = base64url_encode(arena, bytes_of_text(header));
    const char *content = base64url_encode(arena, bytes_of_text(payload));
    const char *message = arena_format(arena, "%s.%s", protected, content);
    const char *signature = sign(arena, signer, key, bytes_of_text(message));

    return bytes_of_text(arena_format(arena, "{\"protected\":\"%s\",\"payload\":\"%s\",\"signature\":\"%s\"}", protected, content, signature));
}
