/*
 * Is a stranger's key strong enough to be certified? Called by csr.c for every request, before its signature is verified. RSA keys are
 * examined for the weaknesses that are found in the field; for EC keys the import proves that the point is on its curve.
 */
#include "pki/public_key.h"

#include <stdlib.h>
#include <string.h>

#include <openssl/bn.h>

#define EXPONENT_MIN 65537
#define EXPONENT_BITS_MAX 256
#define FERMAT_ROUNDS 100
#define ED25519_LEN 32

DEFINE_AUTO(BN_CTX, BN_CTX_free);
DEFINE_AUTO(BIGNUM, BN_free);

/*
 * ROCA (CVE-2017-15361; Nemec et al., "The Return of Coppersmith's Attack", CCS 2017): primes of the weak generator are powers of 65537
 * modulo each small prime, so is their product. The published fingerprint lists for each prime the residues that are such powers; they are the
 * roots of x^order = 1, where `order` is that of 65537. Primes of which 65537 is a primitive root say nothing and are left out. A good
 * key passes all 17 with a probability below 2^-27.
 */
static const struct {
    unsigned prime, order;
} roca_prints[] = {{11, 2},  {13, 6}, {17, 8},   {19, 9},   {37, 3},   {53, 26},  {61, 20},  {71, 35}, {73, 24},
                   {79, 13}, {97, 6}, {103, 51}, {107, 53}, {109, 54}, {127, 42}, {151, 50}, {157, 78}};

/* OpenSSL's big numbers fail only for want of memory. */
static void
must(int done)
{
    if (!done)
        abort();
}

static unsigned
power_mod(unsigned base, unsigned exponent, unsigned modulus)
{
    unsigned result = 1;

    for (; exponent > 0; exponent >>= 1) {
        if (exponent & 1)
            result = result * base % modulus;
        base = base * base % modulus;
    }
    return result;
}

/* Eight octets at a time, where BN_mod_word takes four: this is what most of the time here is spent on. */
static uint64_t
residue_of(struct bytes magnitude, uint64_t divisor)
{
    unsigned __int128 residue = 0;

    for (size_t i = 0; i < magnitude.len;) {
        uint64_t word = 0;
        unsigned octets = (magnitude.len - i) % 8 == 0 ? 8 : (unsigned)((magnitude.len - i) % 8);
        for (unsigned k = 0; k < octets; k++)
            word = word << 8 | magnitude.at[i++];
        residue = (residue << 64 | word) % divisor;
    }
    return (uint64_t)residue;
}

static bool
has_roca_print(struct bytes modulus)
{
    for (size_t i = 0; i < sizeof roca_prints / sizeof roca_prints[0]; i++) {
        unsigned residue = (unsigned)residue_of(modulus, roca_prints[i].prime);
        if (power_mod(residue, roca_prints[i].order, roca_prints[i].prime) != 1)
            return false;
    }
    return true;
}

/* The odd primes below 752, as the WebPKI's CAs test (CA/Browser Forum BR §6.1.6). */
static const uint16_t small_primes[] = {
    3,   5,   7,   11,  13,  17,  19,  23,  29,  31,  37,  41,  43,  47,  53,  59,  61,  67,  71,  73,  79,  83,  89,  97,  101, 103, 107,
    109, 113, 127, 131, 137, 139, 149, 151, 157, 163, 167, 173, 179, 181, 191, 193, 197, 199, 211, 223, 227, 229, 233, 239, 241, 251, 257,
    263, 269, 271, 277, 281, 283, 293, 307, 311, 313, 317, 331, 337, 347, 349, 353, 359, 367, 373, 379, 383, 389, 397, 401, 409, 419, 421,
    431, 433, 439, 443, 449, 457, 461, 463, 467, 479, 487, 491, 499, 503, 509, 521, 523, 541, 547, 557, 563, 569, 571, 577, 587, 593, 599,
    601, 607, 613, 617, 619, 631, 641, 643, 647, 653, 659, 661, 673, 677, 683, 691, 701, 709, 719, 727, 733, 739, 743, 751,
};

/* Divides by as many primes at once as fit into a word. */
static bool
has_small_factor(struct bytes modulus)
{
    const size_t count = sizeof small_primes / sizeof small_primes[0];

    for (size_t first = 0, end; first < count; first = end) {
        uint64_t product = 1;
        for (end = first; end < count && product <= UINT64_MAX / small_primes[end]; end++)
            product *= small_primes[end];
        uint64_t residue = residue_of(modulus, product);
        for (size_t i = first; i < end; i++)
            if (residue % small_primes[i] == 0)
                return true;
    }
    return false;
}

#define FIRST_BITS 60

/* At most 2^30. */
static uint64_t
root_of_first_bits(uint64_t number)
{
    uint64_t root = 0;

    for (uint64_t bit = UINT64_C(1) << FIRST_BITS / 2; bit > 0; bit >>= 1)
        if ((root + bit) * (root + bit) <= number)
            root += bit;
    return root;
}

/* The largest root with root² ≤ number, by Newton's method from above. Its first bits are found beforehand: each turn doubles them. */
static void
square_root(BIGNUM *root, const BIGNUM *number, BN_CTX *context)
{
    int bits = BN_num_bits(number), shift = bits > FIRST_BITS ? (bits - FIRST_BITS + 1) / 2 : 0;

    BN_CTX_start(context);
    BIGNUM *next = BN_CTX_get(context);
    must(next != NULL);
    must(BN_rshift(next, number, 2 * shift));
    must(BN_set_word(root, root_of_first_bits(BN_get_word(next)) + 1));
    must(BN_lshift(root, root, shift));
    for (;;) {
        must(BN_div(next, NULL, number, root, context));
        must(BN_add(next, next, root));
        must(BN_rshift1(next, next));
        if (BN_cmp(next, root) >= 0)
            break;
        must(BN_copy(root, next) != NULL);
    }
    BN_CTX_end(context);
}

static const unsigned square_primes[] = {3, 5, 7, 11, 13, 17, 19, 23};
#define SQUARE_PRODUCT (3u * 5 * 7 * 11 * 13 * 17 * 19 * 23)

/* What is no square modulo 64 or modulo one of a few odd primes (Euler's criterion) is no square: that spares nearly all roots. */
static bool
may_be_square(unsigned modulo_64, uint64_t modulo_product)
{
    const uint64_t squares_modulo_64 = UINT64_C(0x0202021202030213); /* bit i: i is one */

    if ((squares_modulo_64 >> (modulo_64 % 64) & 1) == 0)
        return false;
    for (size_t i = 0; i < sizeof square_primes / sizeof square_primes[0]; i++) {
        unsigned prime = square_primes[i];
        if (power_mod((unsigned)(modulo_product % prime), (prime - 1) / 2, prime) == prime - 1)
            return false;
    }
    return true;
}

/* Whether a² - n is a square. */
static bool
is_square_above(const BIGNUM *a, const BIGNUM *modulus, BN_CTX *context)
{
    BN_CTX_start(context);
    BIGNUM *difference = BN_CTX_get(context), *root = BN_CTX_get(context), *square = BN_CTX_get(context);
    must(square != NULL);

    must(BN_sqr(difference, a, context));
    must(BN_sub(difference, difference, modulus));
    bool is_square = BN_is_zero(difference); /* then the modulus is one; Newton's method would divide by zero */
    if (!is_square && !BN_is_negative(difference)) {
        square_root(root, difference, context);
        must(BN_sqr(square, root, context));
        is_square = BN_cmp(square, difference) == 0;
    }
    BN_CTX_end(context);
    return is_square;
}

/* Fermat's factorisation: finds p and q with n = a² - b² = (a - b)(a + b) when they are close (CVE-2022-26320). Nearly all a are found to be none by
 * their residues alone. */
static bool
has_close_primes(const BIGNUM *modulus, struct bytes magnitude, BN_CTX *context)
{
    BN_CTX_start(context);
    BIGNUM *a = BN_CTX_get(context);
    bool found = false;
    must(a != NULL);

    square_root(a, modulus, context);
    uint64_t product = SQUARE_PRODUCT, n_modulo = residue_of(magnitude, product), a_modulo = BN_mod_word(a, product);
    unsigned n_low = magnitude.at[magnitude.len - 1], a_low = (unsigned)BN_mod_word(a, 64);
    for (unsigned round = 0; !found && round <= FERMAT_ROUNDS; round++) {
        unsigned low = (a_low + round) * (a_low + round) - n_low;
        uint64_t modulo = (a_modulo + round) * (a_modulo + round) % product + product - n_modulo;
        found = may_be_square(low, modulo) && is_square_above(a, modulus, context);
        must(BN_add_word(a, 1));
    }
    BN_CTX_end(context);
    return found;
}

static enum error
check_exponent(struct request *rq, struct bytes magnitude)
{
    AUTO(BIGNUM, exponent) = BN_bin2bn(magnitude.at, (int)magnitude.len, NULL);
    must(exponent != NULL);

    if (!BN_is_odd(exponent) || BN_num_bits(exponent) > EXPONENT_BITS_MAX)
        return fail(rq, ERR_BAD_CSR, "the exponent of the RSA key is even or has more than %d bits", EXPONENT_BITS_MAX);
    if (BN_num_bits(exponent) < 32 && BN_get_word(exponent) < EXPONENT_MIN)
        return fail(rq, ERR_BAD_CSR, "the exponent of the RSA key is smaller than %d", EXPONENT_MIN);
    return OK;
}

static enum error
check_rsa(struct request *rq, const struct public_key *key)
{
    if (key->bits < KEY_RSA_BITS_MIN)
        return fail(rq, ERR_BAD_CSR, "the RSA key has %d bits, at least %d are needed", key->bits, KEY_RSA_BITS_MIN);
    if (key->bits > KEY_RSA_BITS_MAX)
        return fail(rq, ERR_BAD_CSR, "the RSA key has %d bits, at most %d are allowed", key->bits, KEY_RSA_BITS_MAX);
    enum error error = check_exponent(rq, key->exponent);
    if (error)
        return error;

    AUTO(BN_CTX, context) = BN_CTX_new();
    AUTO(BIGNUM, modulus) = BN_bin2bn(key->modulus.at, (int)key->modulus.len, NULL);
    must(context != NULL && modulus != NULL);
    if (!BN_is_odd(modulus) || has_small_factor(key->modulus))
        return fail(rq, ERR_BAD_CSR, "the modulus of the RSA key has a small factor");
    if (has_roca_print(key->modulus))
        return fail(rq, ERR_BAD_CSR, "the RSA key was made by a generator with a known weakness (ROCA, CVE-2017-15361)");
    if (has_close_primes(modulus, key->modulus, context))
        return fail(rq, ERR_BAD_CSR, "the primes of the RSA key are too close to each other");
    return OK;
}

/*
 * Points of an order that divides 8, in every encoding, without the sign bit. Under such a key anybody can make signatures (RFC 8032 §8.9;
 * Chalkias et al., "Taming the Many EdDSAs", SSR 2020).
 */
static const uint8_t small_order_points[][ED25519_LEN] = {
    {0},
    {1},
    {0x26, 0xe8, 0x95, 0x8f, 0xc2, 0xb2, 0x27, 0xb0, 0x45, 0xc3, 0xf4, 0x89, 0xf2, 0xef, 0x98, 0xf0,
     0xd5, 0xdf, 0xac, 0x05, 0xd3, 0xc6, 0x33, 0x39, 0xb1, 0x38, 0x02, 0x88, 0x6d, 0x53, 0xfc, 0x05},
    {0xc7, 0x17, 0x6a, 0x70, 0x3d, 0x4d, 0xd8, 0x4f, 0xba, 0x3c, 0x0b, 0x76, 0x0d, 0x10, 0x67, 0x0f,
     0x2a, 0x20, 0x53, 0xfa, 0x2c, 0x39, 0xcc, 0xc6, 0x4e, 0xc7, 0xfd, 0x77, 0x92, 0xac, 0x03, 0x7a},
    {0xec, [1 ... 30] = 0xff, 0x7f},
    {0xed, [1 ... 30] = 0xff, 0x7f},
    {0xee, [1 ... 30] = 0xff, 0x7f},
};

static enum error
check_ed25519(struct request *rq, struct bytes point)
{
    uint8_t without_sign[ED25519_LEN];

    if (point.len != ED25519_LEN)
        return fail(rq, ERR_BAD_CSR, "the Ed25519 key has %zu octets instead of %d", point.len, ED25519_LEN);
    memcpy(without_sign, point.at, ED25519_LEN);
    without_sign[ED25519_LEN - 1] &= 0x7f;
    for (size_t i = 0; i < sizeof small_order_points / ED25519_LEN; i++)
        if (memcmp(without_sign, small_order_points[i], ED25519_LEN) == 0)
            return fail(rq, ERR_BAD_CSR, "the Ed25519 key is a point of small order, under which anybody can sign");
    return OK;
}

static enum error
check_numbers(struct request *rq, const struct public_key *key)
{
    if (key->type == KEY_RSA)
        return check_rsa(rq, key);
    return key->type == KEY_ED25519 ? check_ed25519(rq, key->point) : OK;
}

enum error
public_key_check_import(struct request *rq, const struct public_key *key, EVP_PKEY **ret_key)
{
    enum error error = check_numbers(rq, key);

    return error ? error : public_key_import(rq, key, ret_key);
}

/* Of RSA and Ed25519 keys the import says nothing that their numbers have not said. */
enum error
public_key_check(struct request *rq, const struct public_key *key)
{
    AUTO(EVP_PKEY, imported) = NULL;
    enum error error = check_numbers(rq, key);

    if (error || key->type == KEY_RSA || key->type == KEY_ED25519)
        return error;
    return public_key_import(rq, key, &imported);
}
