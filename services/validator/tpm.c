/*
 * The structures of a TPM (TPM 2.0 Library, Part 2) that an attestation has: TPMS_ATTEST, TPMT_PUBLIC, TPMT_SIGNATURE. Big-endian, without tags: what
 * follows is known from what came before, so that each must be read to its last octet. Pure functions on their octets.
 */
#include "attestation.h"

#include <openssl/evp.h>

#include "pki/oid.h"

#define GENERATED_VALUE 0xff544347u /* Part 2 §6.2 */
#define ST_ATTEST_CERTIFY 0x8017
#define CLOCK_INFO_LEN 17 /* clock, resetCount, restartCount, safe */
#define FIRMWARE_VERSION_LEN 8
#define SIZED_MAX 1024 /* TPM2B: 8192 bits and more */
#define USUAL_EXPONENT 65537

/* Part 2 §6.3 */
enum algorithm {
    ALG_RSA = 0x0001,
    ALG_SHA256 = 0x000b,
    ALG_SHA384 = 0x000c,
    ALG_SHA512 = 0x000d,
    ALG_NULL = 0x0010,
    ALG_RSASSA = 0x0014,
    ALG_RSAES = 0x0015,
    ALG_RSAPSS = 0x0016,
    ALG_ECDSA = 0x0018,
    ALG_ECDAA = 0x001a,
    ALG_ECC = 0x0023
};

/* ---- what a structure is made of ---- */

static bool
take(struct bytes *in, size_t len, struct bytes *ret_octets)
{
    if (in->len < len)
        return false;
    *ret_octets = BYTES(in->at, len);
    *in = BYTES(in->at + len, in->len - len);
    return true;
}

static bool
take_number(struct bytes *in, size_t len, uint32_t *ret_number)
{
    struct bytes octets;
    uint32_t number = 0;

    if (!take(in, len, &octets))
        return false;
    for (size_t i = 0; i < len; i++)
        number = number << 8 | octets.at[i];
    *ret_number = number;
    return true;
}

/* TPM2B_…: its size in two octets. */
static bool
take_sized(struct bytes *in, struct bytes *ret_octets)
{
    uint32_t size;

    return take_number(in, 2, &size) && size <= SIZED_MAX && take(in, size, ret_octets);
}

/* ---- TPMS_ATTEST ---- */

const char *
tpm_certified_decode(struct bytes from, struct tpm_certified *ret_certified)
{
    struct tpm_certified certified;
    struct bytes in = from, passed;
    uint32_t magic, type;

    if (!take_number(&in, 4, &magic) || !take_number(&in, 2, &type))
        return "is cut off";
    if (magic != GENERATED_VALUE)
        return "was not made by a TPM (its magic number is another one)";
    if (type != ST_ATTEST_CERTIFY)
        return "is not of TPM2_Certify";
    if (!take_sized(&in, &passed) || !take_sized(&in, &certified.extra_data) || !take(&in, CLOCK_INFO_LEN + FIRMWARE_VERSION_LEN, &passed) ||
        !take_sized(&in, &certified.name) || !take_sized(&in, &passed))
        return "is cut off";
    if (in.len > 0)
        return "is followed by something else";
    *ret_certified = certified;
    return NULL;
}

/* ---- TPMT_PUBLIC ---- */

/* TPMT_SYM_DEF_OBJECT: storage keys alone have one. */
static bool
take_no_symmetric(struct bytes *in)
{
    uint32_t algorithm;

    return take_number(in, 2, &algorithm) && algorithm == ALG_NULL;
}

/* TPMT_RSA_SCHEME, TPMT_ECC_SCHEME, TPMT_KDF_SCHEME: an algorithm, and for most a digest. */
static bool
take_scheme(struct bytes *in)
{
    uint32_t scheme, digest, count;

    if (!take_number(in, 2, &scheme))
        return false;
    if (scheme == ALG_NULL || scheme == ALG_RSAES)
        return true;
    return take_number(in, 2, &digest) && (scheme != ALG_ECDAA || take_number(in, 2, &count));
}

static struct bytes
encode_rsa(struct arena *arena, struct bytes modulus, uint32_t exponent)
{
    struct buffer out = buffer_in(arena), numbers = buffer_in(arena);
    size_t inside = der_open(&numbers, DER_SEQUENCE);

    der_put_unsigned(&numbers, modulus);
    der_put_int(&numbers, exponent == 0 ? USUAL_EXPONENT : exponent); /* Part 2 §12.2.3.5: zero is the usual one */
    der_close(&numbers, inside);
    size_t spki = der_open(&out, DER_SEQUENCE), algorithm = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_RSA_ENCRYPTION);
    der_put(&out, DER_NULL, BYTES_NONE);
    der_close(&out, algorithm);
    der_put_bits(&out, buffer_bytes(&numbers));
    der_close(&out, spki);
    return buffer_bytes(&out);
}

static void
put_padded(struct buffer *out, struct bytes number, size_t len)
{
    static const uint8_t zero = 0;

    for (size_t i = number.len; i < len; i++)
        buffer_append(out, &zero, 1);
    buffer_append(out, number.at, number.len);
}

static struct bytes
encode_ecc(struct arena *arena, struct bytes curve, size_t field_len, struct bytes x, struct bytes y)
{
    struct buffer out = buffer_in(arena), point = buffer_in(arena);

    buffer_append(&point, "\x04", 1);
    put_padded(&point, x, field_len);
    put_padded(&point, y, field_len);
    size_t spki = der_open(&out, DER_SEQUENCE), algorithm = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_EC_PUBLIC_KEY);
    der_put_oid(&out, curve);
    der_close(&out, algorithm);
    der_put_bits(&out, buffer_bytes(&point));
    der_close(&out, spki);
    return buffer_bytes(&out);
}

static const char *
take_rsa(struct arena *arena, struct bytes *in, struct tpm_public *key)
{
    struct bytes modulus;
    uint32_t bits, exponent;

    if (!take_no_symmetric(in) || !take_scheme(in) || !take_number(in, 2, &bits) || !take_number(in, 4, &exponent) || !take_sized(in, &modulus))
        return "is not that of a signing key, or is cut off";
    key->spki = encode_rsa(arena, modulus, exponent);
    return NULL;
}

static const char *
take_ecc(struct arena *arena, struct bytes *in, struct tpm_public *key)
{
    /* TPM_ECC_NIST_P256 and its next ones (Part 2 §6.4) */
    static const struct {
        uint32_t id;
        const struct bytes *oid;
        size_t field_len;
    } curves[] = {{3, &OID_P256, 32}, {4, &OID_P384, 48}, {5, &OID_P521, 66}};
    struct bytes x, y;
    uint32_t curve;

    if (!take_no_symmetric(in) || !take_scheme(in) || !take_number(in, 2, &curve) || !take_scheme(in) || !take_sized(in, &x) || !take_sized(in, &y))
        return "is not that of a signing key, or is cut off";
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++) {
        if (curves[i].id != curve)
            continue;
        if (x.len > curves[i].field_len || y.len > curves[i].field_len)
            return "has a point that is too long for its curve";
        key->spki = encode_ecc(arena, *curves[i].oid, curves[i].field_len, x, y);
        return NULL;
    }
    return "is of a curve that is none of P-256, P-384 and P-521";
}

const char *
tpm_public_decode(struct arena *arena, struct bytes from, struct tpm_public *ret_public)
{
    struct tpm_public key = {.name_algorithm = 0};
    struct bytes in = from, policy;
    uint32_t type, name_algorithm;

    if (!take_number(&in, 2, &type) || !take_number(&in, 2, &name_algorithm) || !take_number(&in, 4, &key.attributes) || !take_sized(&in, &policy))
        return "is cut off";
    if (type != ALG_RSA && type != ALG_ECC)
        return "is of a key that is neither RSA nor EC";
    const char *wrong = type == ALG_RSA ? take_rsa(arena, &in, &key) : take_ecc(arena, &in, &key);
    if (wrong == NULL && in.len > 0)
        wrong = "is followed by something else";
    if (wrong != NULL)
        return wrong;
    key.name_algorithm = (uint16_t)name_algorithm;
    *ret_public = key;
    return NULL;
}

static const EVP_MD *
digest_of(uint32_t algorithm)
{
    return algorithm == ALG_SHA256 ? EVP_sha256() : algorithm == ALG_SHA384 ? EVP_sha384() : algorithm == ALG_SHA512 ? EVP_sha512() : NULL;
}

bool
tpm_name_is(struct bytes name, const struct tpm_public *key, struct bytes public_area)
{
    const EVP_MD *digest = digest_of(key->name_algorithm);
    uint8_t octets[2 + EVP_MAX_MD_SIZE] = {(uint8_t)(key->name_algorithm >> 8), (uint8_t)key->name_algorithm};
    unsigned len;

    if (digest == NULL || EVP_Digest(public_area.at, public_area.len, octets + 2, &len, digest, NULL) != 1)
        return false;
    return bytes_equal(name, BYTES(octets, 2 + len));
}

/* ---- TPMT_SIGNATURE ---- */

const char *
tpm_signature_decode(struct arena *arena, struct bytes from, const struct cose_algorithm *algorithm, struct bytes *ret_signature)
{
    struct buffer out = buffer_in(arena);
    struct bytes in = from, r, s;
    uint32_t scheme, digest;

    if (!take_number(&in, 2, &scheme) || !take_number(&in, 2, &digest) || !take_sized(&in, &r))
        return "is cut off";
    if (digest_of(digest) == NULL || digest_of(digest) != signature_algorithm_digest(algorithm->algorithm))
        return "was made with another digest than \"alg\" says";
    if (scheme == ALG_RSASSA || scheme == ALG_RSAPSS) {
        if ((scheme == ALG_RSAPSS) != algorithm->is_pss)
            return "is of another RSA scheme than \"alg\" says";
        *ret_signature = r;
        return in.len == 0 ? NULL : "is followed by something else";
    }
    if (scheme != ALG_ECDSA)
        return "is of a scheme that is none of RSASSA, RSAPSS and ECDSA";
    if (!take_sized(&in, &s) || in.len > 0)
        return "is cut off, or followed by something else";
    size_t both = der_open(&out, DER_SEQUENCE);
    der_put_unsigned(&out, r);
    der_put_unsigned(&out, s);
    der_close(&out, both);
    *ret_signature = buffer_bytes(&out);
    return NULL;
}
