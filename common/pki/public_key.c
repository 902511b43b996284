/*
 * SubjectPublicKeyInfo in, EVP_PKEY out. Every key of a stranger comes through here: csr.c and certificate.c read keys with it, and
 * key_check.c decides whether they are strong enough.
 */
#include "pki/public_key.h"

#include <pthread.h>
#include <stdlib.h>

#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/params.h>
#include <openssl/sha.h>

#include "pki/oid.h"

#define UNCOMPRESSED 0x04
#define ED25519_LEN 32
#define LONGEST_COMPONENT (KEY_RSA_BITS_MAX / 8)

static const struct curve {
    enum key_type type;
    const struct bytes *oid;
    int bits;
    size_t field_len;
    const char *group;
} curves[] = {
    {KEY_P256, &OID_P256, 256, 32, "prime256v1"},
    {KEY_P384, &OID_P384, 384, 48, "secp384r1"},
    {KEY_P521, &OID_P521, 521, 66, "secp521r1"},
};
#define CURVE_COUNT (sizeof curves / sizeof curves[0])

static const struct curve *
curve_of(enum key_type type)
{
    for (size_t i = 0; i < CURVE_COUNT; i++)
        if (curves[i].type == type)
            return &curves[i];
    return NULL;
}

static int
bits_of(struct bytes magnitude)
{
    if (magnitude.at[0] == 0)
        return 0;
    return (int)(8 * magnitude.len) - (__builtin_clz(magnitude.at[0]) - 24);
}

/* The readers say what is wrong, or NULL. */
static const char *
read_rsa(struct der *parameters, struct bytes key_bits, struct public_key *key)
{
    struct bytes null;
    struct der outer = der_of(key_bits), numbers;

    /* RFC 3279 §2.3.1: the parameters are NULL. */
    if (!der_take(parameters, DER_NULL, &null) || null.len != 0 || !der_at_end(parameters))
        return "the parameters of the RSA key are not NULL";
    if (!der_enter(&outer, DER_SEQUENCE, &numbers) || !der_at_end(&outer) || !der_take_unsigned(&numbers, &key->modulus) ||
        !der_take_unsigned(&numbers, &key->exponent) || !der_at_end(&numbers))
        return "the RSA key is malformed";
    if (key->modulus.len > LONGEST_COMPONENT || key->exponent.len > LONGEST_COMPONENT)
        return "the RSA key has more than 8192 bits";
    key->type = KEY_RSA;
    key->bits = bits_of(key->modulus);
    return NULL;
}

static const char *
read_ec(struct der *parameters, struct bytes key_bits, struct public_key *key)
{
    struct bytes oid;

    /* RFC 5480 §2.1.1: implicit and specified curves are not used. */
    if (!der_take_oid(parameters, &oid) || !der_at_end(parameters))
        return "the curve of the EC key is not named";
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        if (!oid_is(oid, *curves[i].oid))
            continue;
        if (key_bits.len > 0 && key_bits.at[0] != UNCOMPRESSED)
            return "the point of the EC key is not in uncompressed form";
        if (key_bits.len != 1 + 2 * curves[i].field_len)
            return "the point of the EC key has the wrong length";
        key->type = curves[i].type;
        key->bits = curves[i].bits;
        key->point = key_bits;
        return NULL;
    }
    return "the curve of the EC key is none of P-256, P-384 and P-521";
}

static const char *
read_ed25519(struct der *parameters, struct bytes key_bits, struct public_key *key)
{
    /* RFC 8410 §3: the parameters are absent. */
    if (!der_at_end(parameters) || key_bits.len != ED25519_LEN)
        return "the Ed25519 key is malformed";
    key->type = KEY_ED25519;
    key->bits = 256;
    key->point = key_bits;
    return NULL;
}

static const char *
read_spki(struct bytes spki, struct public_key *key)
{
    struct der outer = der_of(spki), info, algorithm;
    struct bytes oid, key_bits;

    if (!der_enter(&outer, DER_SEQUENCE, &info) || !der_at_end(&outer) || !der_enter(&info, DER_SEQUENCE, &algorithm) ||
        !der_take_oid(&algorithm, &oid) || !der_take_bits(&info, &key_bits) || !der_at_end(&info))
        return "the public key is malformed";
    if (oid_is(oid, OID_RSA_ENCRYPTION))
        return read_rsa(&algorithm, key_bits, key);
    if (oid_is(oid, OID_EC_PUBLIC_KEY))
        return read_ec(&algorithm, key_bits, key);
    if (oid_is(oid, OID_ED25519))
        return read_ed25519(&algorithm, key_bits, key);
    return "the public key is none of RSA, EC and Ed25519";
}

enum error
public_key_parse(struct request *rq, struct bytes spki, struct public_key *ret_key)
{
    struct public_key key = {.spki = spki};
    const char *wrong = read_spki(spki, &key);

    if (wrong != NULL)
        return fail(rq, ERR_BAD_CSR, "%s", wrong);
    *ret_key = key;
    return OK;
}

void
public_key_parse_any(struct bytes spki, struct public_key *ret_key)
{
    struct public_key key = {.spki = spki};

    if (read_spki(spki, &key) != NULL)
        key = (struct public_key){.spki = spki};
    *ret_key = key;
}

/* OpenSSL takes numbers in the order of the machine's octets. */
static OSSL_PARAM
number_param(const char *name, struct bytes magnitude, uint8_t room[LONGEST_COMPONENT])
{
    for (size_t i = 0; i < magnitude.len; i++)
        room[__BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__ ? magnitude.len - 1 - i : i] = magnitude.at[i];
    return OSSL_PARAM_construct_BN(name, room, magnitude.len);
}

static EVP_PKEY *
from_params(const char *algorithm, OSSL_PARAM *params, int selection)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, algorithm, NULL);
    EVP_PKEY *key = NULL;

    if (context == NULL || EVP_PKEY_fromdata_init(context) != 1 || EVP_PKEY_fromdata(context, &key, selection, params) != 1)
        key = NULL;
    EVP_PKEY_CTX_free(context);
    return key;
}

static EVP_PKEY *
import_rsa(const struct public_key *key)
{
    uint8_t modulus[LONGEST_COMPONENT], exponent[LONGEST_COMPONENT];

    /* Keys come from JWKs too, whose reader is not here. */
    if (key->modulus.len > LONGEST_COMPONENT || key->exponent.len > LONGEST_COMPONENT)
        return NULL;
    OSSL_PARAM params[] = {number_param(OSSL_PKEY_PARAM_RSA_N, key->modulus, modulus), number_param(OSSL_PKEY_PARAM_RSA_E, key->exponent, exponent),
                           OSSL_PARAM_construct_end()};

    return from_params("RSA", params, EVP_PKEY_PUBLIC_KEY);
}

/*
 * For each curve a key whose copies get the points of strangers. EVP_PKEY_fromdata computes the curve's constants anew for every key: 16 us, where
 * a copy and its new point take 4. Made once, never changed, so all threads may copy them.
 */
static EVP_PKEY *samples[CURVE_COUNT];

static void
make_samples(void)
{
    for (size_t i = 0; i < CURVE_COUNT; i++) {
        OSSL_PARAM params[] = {OSSL_PARAM_construct_utf8_string(OSSL_PKEY_PARAM_GROUP_NAME, (char *)curves[i].group, 0), OSSL_PARAM_construct_end()};
        samples[i] = from_params("EC", params, EVP_PKEY_KEY_PARAMETERS);
        if (samples[i] == NULL)
            abort();
    }
}

/* Refuses a point that is not on the curve. */
static EVP_PKEY *
import_ec(const struct public_key *key)
{
    static pthread_once_t once = PTHREAD_ONCE_INIT;

    pthread_once(&once, make_samples);
    EVP_PKEY *copy = EVP_PKEY_dup(samples[curve_of(key->type) - curves]);
    if (copy != NULL && EVP_PKEY_set1_encoded_public_key(copy, key->point.at, key->point.len) == 1)
        return copy;
    EVP_PKEY_free(copy);
    return NULL;
}

EVP_PKEY *
public_key_try_import(const struct public_key *key)
{
    EVP_PKEY *imported = NULL;

    switch (key->type) {
    case KEY_UNKNOWN:
        break;
    case KEY_RSA:
        imported = import_rsa(key);
        break;
    case KEY_P256:
    case KEY_P384:
    case KEY_P521:
        imported = import_ec(key);
        break;
    case KEY_ED25519:
        imported = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, key->point.at, key->point.len);
        break;
    }
    /* What OpenSSL leaves in this thread's queue would be taken for an error of the next TLS connection (SSL_get_error(3)). */
    if (imported == NULL)
        ERR_clear_error();
    return imported;
}

enum error
public_key_import(struct request *rq, const struct public_key *key, EVP_PKEY **ret_key)
{
    EVP_PKEY *imported = public_key_try_import(key);

    if (imported == NULL && curve_of(key->type) != NULL)
        return fail(rq, ERR_BAD_CSR, "the point of the EC key is not on its curve");
    if (imported == NULL)
        return fail(rq, ERR_BAD_CSR, "the public key cannot be used");
    *ret_key = imported;
    return OK;
}

struct bytes
public_key_bits(const struct public_key *key)
{
    struct der outer = der_of(key->spki), info;
    struct bytes bits;

    if (!der_enter(&outer, DER_SEQUENCE, &info) || !der_skip(&info) || !der_take_bits(&info, &bits))
        return BYTES_NONE;
    return bits;
}

void
public_key_identifier(const struct public_key *key, uint8_t ret_sha1[20])
{
    struct bytes bits = public_key_bits(key);

    SHA1(bits.at, bits.len, ret_sha1);
}

void
public_key_sha256(const struct public_key *key, uint8_t ret_sha256[32])
{
    SHA256(key->spki.at, key->spki.len, ret_sha256);
}

char *
public_key_name(struct arena *arena, const struct public_key *key)
{
    switch (key->type) {
    case KEY_UNKNOWN:
        break;
    case KEY_RSA:
        return arena_format(arena, "rsa-%d", key->bits);
    case KEY_P256:
    case KEY_P384:
    case KEY_P521:
        return arena_format(arena, "p%d", key->bits);
    case KEY_ED25519:
        return arena_text(arena, "ed25519");
    }
    return arena_text(arena, "unknown");
}
