/*
 * Public keys in JSON (RFC 7517, RFC 7518 §6, RFC 8037, RFC 9964): account keys, and certificate keys that sign their own revocation.
 * The numbers must be canonical base64url, so that a key has exactly one thumbprint (RFC 7638).
 */
#include "acme.h"

#include <openssl/core_names.h>
#include <openssl/sha.h>
#include <string.h>

#include "base/base64.h"

#define NUMBER_TEXT_MAX 1400 /* 8192 bits */
#define RSA_EXPONENT_MAX 32
#define RSA_QUICK_BITS 4096
#define RSA_QUICK_EXPONENT 4
#define ED25519_KEY_LEN 32
#define ML_DSA_TEXT_MAX 3456 /* 2592 octets of ML-DSA-87 */
#define UNCOMPRESSED_POINT 0x04

static const struct curve {
    const char *name;
    enum key_type type;
    int bits;
    size_t octets;
} curves[] = {
    {"P-256", KEY_P256, 256, 32},
    {"P-384", KEY_P384, 384, 48},
    {"P-521", KEY_P521, 521, 66},
};

DEFINE_AUTO(EVP_PKEY_CTX, EVP_PKEY_CTX_free);

static enum error
bad_key(struct request *rq, const char *why)
{
    return refuse(rq, ERR_BAD_REQUEST, "badPublicKey", "the JSON web key cannot be used: %s", why);
}

static bool
take_number(struct request *rq, const json_t *json, const char *member, struct bytes *ret_number)
{
    const char *text = json_text(json, member);

    return text != NULL && strlen(text) <= NUMBER_TEXT_MAX && base64url_decode(rq->arena, bytes_of_text(text), ret_number) && ret_number->len > 0;
}

static int
bits_of(struct bytes magnitude)
{
    int bits = (int)magnitude.len * 8;

    for (uint8_t top = magnitude.at[0]; (top & 0x80) == 0; top = (uint8_t)(top << 1))
        bits--;
    return bits;
}

static enum error
parse_rsa(struct request *rq, const json_t *json, struct jwk *jwk)
{
    struct bytes modulus, exponent;

    if (!take_number(rq, json, "n", &modulus) || !take_number(rq, json, "e", &exponent))
        return bad_key(rq, "n and e must be base64url numbers");
    /* RFC 7518 §2: Base64urlUInt has the minimum number of octets. */
    if (modulus.at[0] == 0 || exponent.at[0] == 0)
        return bad_key(rq, "n and e must not begin with a zero octet");
    if (exponent.len > RSA_EXPONENT_MAX)
        return bad_key(rq, "e is too large");
    jwk->key = (struct public_key){.type = KEY_RSA, .bits = bits_of(modulus), .modulus = modulus, .exponent = exponent};
    if (jwk->key.bits < KEY_RSA_BITS_MIN || jwk->key.bits > KEY_RSA_BITS_MAX)
        return refuse(rq, ERR_BAD_REQUEST, "badPublicKey", "the RSA key has %d bits; from %d to %d can be used", jwk->key.bits, KEY_RSA_BITS_MIN,
                      KEY_RSA_BITS_MAX);
    jwk->canonical = arena_format(rq->arena, "{\"e\":\"%s\",\"kty\":\"RSA\",\"n\":\"%s\"}", json_text(json, "e"), json_text(json, "n"));
    return OK;
}

static const struct curve *
find_curve(const char *name)
{
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
        if (text_equal(curves[i].name, name))
            return &curves[i];
    return NULL;
}

static enum error
parse_ec(struct request *rq, const json_t *json, struct jwk *jwk)
{
    const struct curve *curve = find_curve(json_text(json, "crv"));
    struct bytes x, y;

    if (curve == NULL)
        return bad_key(rq, "crv must be P-256, P-384 or P-521");
    /* RFC 7518 §6.2.1.2: exactly as many octets as the field has. */
    if (!take_number(rq, json, "x", &x) || !take_number(rq, json, "y", &y) || x.len != curve->octets || y.len != curve->octets)
        return bad_key(rq, "x and y must be base64url numbers of the curve's length");
    uint8_t *point = arena_alloc(rq->arena, 1 + 2 * curve->octets);
    point[0] = UNCOMPRESSED_POINT;
    memcpy(point + 1, x.at, x.len);
    memcpy(point + 1 + x.len, y.at, y.len);
    jwk->key = (struct public_key){.type = curve->type, .bits = curve->bits, .point = BYTES(point, 1 + 2 * curve->octets)};
    jwk->canonical =
        arena_format(rq->arena, "{\"crv\":\"%s\",\"kty\":\"EC\",\"x\":\"%s\",\"y\":\"%s\"}", curve->name, json_text(json, "x"), json_text(json, "y"));
    return OK;
}

static enum error
parse_okp(struct request *rq, const json_t *json, struct jwk *jwk)
{
    struct bytes x;

    if (!text_equal(json_text(json, "crv"), "Ed25519"))
        return bad_key(rq, "crv must be Ed25519");
    if (!take_number(rq, json, "x", &x) || x.len != ED25519_KEY_LEN)
        return bad_key(rq, "x must be 32 octets in base64url");
    jwk->key = (struct public_key){.type = KEY_ED25519, .bits = 256, .point = x};
    jwk->canonical = arena_format(rq->arena, "{\"crv\":\"Ed25519\",\"kty\":\"OKP\",\"x\":\"%s\"}", json_text(json, "x"));
    return OK;
}

/* RFC 9964 §4: the key names its one algorithm. What is no key of it, OpenSSL refuses on import. */
static enum error
parse_akp(struct request *rq, const json_t *json, struct jwk *jwk)
{
    const char *name = json_text(json, "alg"), *text = json_text(json, "pub");
    struct bytes octets;

    jwk->algorithm = jws_algorithm_find(name);
    if (jwk->algorithm < JWS_ML_DSA_44)
        return bad_key(rq, "alg must be an ML-DSA that this server has");
    if (text == NULL || strlen(text) > ML_DSA_TEXT_MAX || !base64url_decode(rq->arena, bytes_of_text(text), &octets))
        return bad_key(rq, "pub must be base64url");
    jwk->key = (struct public_key){.type = KEY_UNKNOWN, .point = octets};
    jwk->canonical = arena_format(rq->arena, "{\"alg\":\"%s\",\"kty\":\"AKP\",\"pub\":\"%s\"}", name, text);
    return OK;
}

static enum error
import_akp(struct request *rq, const struct jwk *jwk, EVP_PKEY **ret_key)
{
    OSSL_PARAM params[] = {OSSL_PARAM_construct_octet_string(OSSL_PKEY_PARAM_PUB_KEY, (void *)jwk->key.point.at, jwk->key.point.len),
                           OSSL_PARAM_construct_end()};
    AUTO(EVP_PKEY_CTX, context) = EVP_PKEY_CTX_new_from_name(NULL, jws_algorithm_name(jwk->algorithm), NULL);
    EVP_PKEY *key = NULL;

    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 || EVP_PKEY_fromdata(context, &key, EVP_PKEY_PUBLIC_KEY, params) != 1)
        return bad_key(rq, "pub is no key of this algorithm");
    *ret_key = key;
    return OK;
}

static enum error
parse_shape(struct request *rq, const json_t *json, struct jwk *jwk)
{
    static const char *const private_members[] = {"d", "p", "q", "dp", "dq", "qi", "k", "priv"};
    const char *kty = json_text(json, "kty");

    for (size_t i = 0; i < sizeof private_members / sizeof private_members[0]; i++)
        if (json_object_get(json, private_members[i]) != NULL)
            return bad_key(rq, "it has private members; keep them to yourself, and do not use this key any more");
    if (text_equal(kty, "RSA"))
        return parse_rsa(rq, json, jwk);
    if (text_equal(kty, "EC"))
        return parse_ec(rq, json, jwk);
    if (text_equal(kty, "OKP"))
        return parse_okp(rq, json, jwk);
    if (text_equal(kty, "AKP"))
        return parse_akp(rq, json, jwk);
    return bad_key(rq, "kty must be RSA, EC, OKP or AKP");
}

/* The PKI layer speaks of CSRs; to an ACME client its refusal of a key is badPublicKey. */
static enum error
as_bad_key(struct request *rq, enum error error)
{
    if (error != ERR_BAD_CSR)
        return error;
    const char *why = arena_text(rq->arena, rq->failure.message);
    failure_clear(rq);
    return bad_key(rq, why);
}

static void
release_key(void *key)
{
    EVP_PKEY_free(key);
}

enum error
jwk_parse(struct request *rq, const json_t *json, struct jwk *ret_jwk)
{
    struct jwk jwk = {.canonical = ""};

    if (!json_is_object(json))
        return bad_key(rq, "it is not a JSON object");
    enum error error = parse_shape(rq, json, &jwk);
    if (error)
        return error;
    error = jwk.algorithm != 0 ? import_akp(rq, &jwk, &jwk.evp) : as_bad_key(rq, public_key_import(rq, &jwk.key, &jwk.evp));
    if (error)
        return error;
    arena_defer(rq->arena, release_key, jwk.evp);
    (void)SHA256((const uint8_t *)jwk.canonical, strlen(jwk.canonical), jwk.thumbprint);
    *ret_jwk = jwk;
    return OK;
}

enum error
jwk_check(struct request *rq, const struct jwk *jwk)
{
    return jwk->algorithm != 0 ? OK : as_bad_key(rq, public_key_check(rq, &jwk->key));
}

bool
jwk_is_key(const struct jwk *jwk, const struct public_key *key)
{
    return jwk->key.type == key->type && bytes_equal(jwk->key.point, key->point) && bytes_equal(jwk->key.modulus, key->modulus) &&
           bytes_equal(jwk->key.exponent, key->exponent);
}

/* OpenSSL checks 15,000 signatures of P-256 or RSA-4096 a second, and 2,000 of P-384 and P-521. */
bool
jwk_is_slow(const struct jwk *jwk)
{
    switch (jwk->key.type) {
    case KEY_P384:
    case KEY_P521:
        return true;
    case KEY_RSA:
        return jwk->key.bits > RSA_QUICK_BITS || jwk->key.exponent.len > RSA_QUICK_EXPONENT;
    case KEY_P256:
    case KEY_ED25519:
    case KEY_UNKNOWN:
        break;
    }
    return false;
}
