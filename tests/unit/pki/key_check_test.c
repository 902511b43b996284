/* Weak keys of the field, and that good keys pass. Moduli are made here for the weakness that each test is about. */
#include "unit/kit.h"

#include <string.h>

#include <openssl/bn.h>

#include "kit/pki_kit.h"
#include "pki/oid.h"
#include "pki/public_key.h"

DEFINE_AUTO(BIGNUM, BN_free);
DEFINE_AUTO(BN_CTX, BN_CTX_free);

static struct bytes
spki_of(struct arena *arena, const BIGNUM *modulus, struct bytes exponent)
{
    struct buffer numbers = buffer_in(arena), out = buffer_in(arena);
    uint8_t *octets = arena_alloc(arena, (size_t)BN_num_bytes(modulus));

    BN_bn2bin(modulus, octets);
    size_t key = der_open(&numbers, DER_SEQUENCE);
    der_put_unsigned(&numbers, BYTES(octets, (size_t)BN_num_bytes(modulus)));
    der_put_unsigned(&numbers, exponent);
    der_close(&numbers, key);
    size_t info = der_open(&out, DER_SEQUENCE), algorithm = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_RSA_ENCRYPTION);
    der_put(&out, DER_NULL, BYTES_NONE);
    der_close(&out, algorithm);
    der_put_bits(&out, buffer_bytes(&numbers));
    der_close(&out, info);
    return buffer_bytes(&out);
}

#define F4 BYTES("\x01\x00\x01", 3)

static void
is_weak(struct bytes spki, const char *why)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct public_key key;

    assert_int_equal(public_key_parse(rq, spki, &key), OK);
    assert_int_equal(public_key_check(rq, &key), ERR_BAD_CSR);
    if (strstr(rq->failure.message, why) == NULL)
        fail_msg("%s instead of %s", rq->failure.message, why);
}

static void
good_keys_pass(void **state)
{
    static const char *const kinds[] = {"rsa-2048", "rsa-2048", "rsa-3072", "p256", "p384", "p521", "ed25519"};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO_STRUCT(request, rq) = request_new();
        AUTO(EVP_PKEY, made) = kit_key(kinds[i]);
        AUTO(EVP_PKEY, imported) = NULL;
        struct public_key key;
        assert_int_equal(public_key_parse(rq, kit_spki(rq->arena, made), &key), OK);
        assert_int_equal(public_key_check(rq, &key), OK);
        assert_int_equal(public_key_check_import(rq, &key, &imported), OK);
        assert_int_equal(EVP_PKEY_eq(made, imported), 1);
    }
}

static BIGNUM *
random_odd(int bits)
{
    BIGNUM *number = BN_new();

    assert_int_equal(BN_rand(number, bits, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD), 1);
    return number;
}

/* An odd number without factors below 1000: nothing but its size is wrong. */
static BIGNUM *
random_rough(int bits)
{
    for (;;) {
        BIGNUM *number = random_odd(bits);
        unsigned divisor = 3;
        while (divisor < 1000 && BN_mod_word(number, divisor) != 0)
            divisor += 2;
        if (divisor >= 1000)
            return number;
        BN_free(number);
    }
}

static void
rsa_keys_of_the_wrong_size_are_refused(void **state)
{
    static const struct {
        int bits;
        const char *why;
    } cases[] = {{1024, "has 1024 bits, at least 2048"}, {2047, "has 2047 bits, at least 2048"}, {512, "has 512 bits"}};

    for (size_t i = 0; i < COUNT_OF(cases); i++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        AUTO(BIGNUM, modulus) = random_rough(cases[i].bits);
        is_weak(spki_of(arena, modulus, F4), cases[i].why);
    }
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(BIGNUM, huge) = random_odd(8200);
    struct public_key key;
    assert_int_equal(public_key_parse(rq, spki_of(rq->arena, huge, F4), &key), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, "8192"));
}

static void
exponents_are_odd_and_neither_small_nor_huge(void **state)
{
    static const uint8_t of_256_bits[32] = {0x80, [31] = 1}, of_257_bits[33] = {1, [32] = 1};
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(BIGNUM, modulus) = random_rough(2048);

    is_weak(spki_of(arena, modulus, BYTES("\x03", 1)), "smaller than 65537");
    is_weak(spki_of(arena, modulus, BYTES("\x01", 1)), "smaller than 65537");
    is_weak(spki_of(arena, modulus, BYTES("\xff\xff", 2)), "smaller than 65537");
    is_weak(spki_of(arena, modulus, BYTES("\x01\x00\x02", 3)), "even");
    is_weak(spki_of(arena, modulus, BYTES("\x00", 1)), "even");
    is_weak(spki_of(arena, modulus, BYTES(of_257_bits, sizeof of_257_bits)), "more than 256 bits");

    AUTO_STRUCT(request, rq) = request_new();
    struct public_key key;
    assert_int_equal(public_key_parse(rq, spki_of(arena, modulus, BYTES(of_256_bits, sizeof of_256_bits)), &key), OK);
    assert_int_equal(public_key_check(rq, &key), OK);
}

static void
a_real_key_with_exponent_3_is_refused(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(EVP_PKEY, key) = kit_key("rsa-2048-e3");

    is_weak(kit_spki(arena, key), "smaller than 65537");
}

static bool
is_prime(unsigned number)
{
    for (unsigned divisor = 2; divisor * divisor <= number; divisor++)
        if (number % divisor == 0)
            return false;
    return true;
}

static void
every_small_factor_is_found(void **state)
{
    for (unsigned factor = 2; factor < 752; factor++) {
        AUTO_STRUCT(arena, arena) = arena_new();
        if (!is_prime(factor))
            continue;
        AUTO(BIGNUM, modulus) = random_rough(2048);
        BN_mul_word(modulus, factor);
        is_weak(spki_of(arena, modulus, F4), "small factor");
    }
}

/* A modulus of the weak generator's form: 65537^a modulo the product of the small primes. */
static BIGNUM *
roca_modulus(BN_CTX *context)
{
    BIGNUM *primorial = BN_new(), *base = BN_new(), *exponent = BN_new(), *residue = BN_new(), *modulus = BN_new();

    BN_set_word(primorial, 2);
    for (unsigned prime = 3; prime < 752; prime += 2)
        if (is_prime(prime))
            BN_mul_word(primorial, prime);
    BN_set_word(base, 65537);
    BN_rand(exponent, 200, 0, 0);
    BN_mod_exp(residue, base, exponent, primorial, context);
    BN_set_bit(modulus, 2047);
    BN_div(modulus, NULL, modulus, primorial, context);
    BN_add_word(modulus, 3);
    BN_mul(modulus, modulus, primorial, context);
    BN_add(modulus, modulus, residue);
    BN_free(primorial);
    BN_free(base);
    BN_free(exponent);
    BN_free(residue);
    return modulus;
}

static void
moduli_of_the_roca_generator_are_found(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(BN_CTX, context) = BN_CTX_new();

    for (int i = 0; i < 5; i++) {
        AUTO(BIGNUM, modulus) = roca_modulus(context);
        is_weak(spki_of(arena, modulus, F4), "ROCA");
    }
}

/* The primes lie `distance` and a little apart. */
static void
primes_apart_by(int distance_bit, bool is_found)
{
    AUTO_STRUCT(request, rq) = request_new();
    AUTO(BN_CTX, context) = BN_CTX_new();
    AUTO(BIGNUM, p) = BN_new();
    AUTO(BIGNUM, q) = BN_new();
    AUTO(BIGNUM, modulus) = BN_new();
    struct public_key key;

    BN_generate_prime_ex(p, 1024, 0, NULL, NULL, NULL);
    BN_copy(q, p);
    BIGNUM *distance = BN_new();
    BN_set_bit(distance, distance_bit);
    BN_add(q, q, distance);
    BN_free(distance);
    BN_set_bit(q, 0);
    do
        BN_add_word(q, 2);
    while (BN_check_prime(q, context, NULL) != 1);
    BN_mul(modulus, p, q, context);
    struct bytes spki = spki_of(rq->arena, modulus, F4);
    if (is_found) {
        is_weak(spki, "too close");
        return;
    }
    assert_int_equal(public_key_parse(rq, spki, &key), OK);
    assert_int_equal(public_key_check(rq, &key), OK);
}

static void
close_primes_are_found(void **state)
{
    primes_apart_by(1, true);
    primes_apart_by(300, true);
    primes_apart_by(512, true); /* found after some rounds */
}

static void
primes_that_are_apart_pass(void **state)
{
    primes_apart_by(700, false);
}

static void
the_square_of_a_prime_is_found(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    AUTO(BN_CTX, context) = BN_CTX_new();
    AUTO(BIGNUM, p) = BN_new();
    AUTO(BIGNUM, modulus) = BN_new();

    /* Two bits set in front, so that the square has 2048 bits. */
    do {
        BN_rand(p, 1024, BN_RAND_TOP_TWO, BN_RAND_BOTTOM_ODD);
    } while (BN_check_prime(p, context, NULL) != 1);
    BN_sqr(modulus, p, context);
    is_weak(spki_of(arena, modulus, F4), "too close");
}

static void
a_point_off_its_curve_is_refused(void **state)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    static const char *const kinds[] = {"p256", "p384", "p521"};

    for (size_t i = 0; i < COUNT_OF(kinds); i++) {
        AUTO(EVP_PKEY, key) = kit_key(kinds[i]);
        struct bytes spki = bytes_copy(arena, kit_spki(arena, key));
        ((uint8_t *)spki.at)[spki.len - 1] ^= 1;
        is_weak(spki, "not on its curve");
    }
}

static void
is_small_order(const char *hex)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct public_key key = {.type = KEY_ED25519, .bits = 256};

    assert_true(bytes_from_hex(rq->arena, hex, &key.point));
    assert_int_equal(public_key_check(rq, &key), ERR_BAD_CSR);
    assert_non_null(strstr(rq->failure.message, "small order"));
}

static void
ed25519_points_of_small_order_are_found(void **state)
{
    is_small_order("0000000000000000000000000000000000000000000000000000000000000000");
    is_small_order("0000000000000000000000000000000000000000000000000000000000000080");
    is_small_order("0100000000000000000000000000000000000000000000000000000000000000");
    is_small_order("ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    is_small_order("edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f");
    is_small_order("eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff");
    is_small_order("26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05");
    is_small_order("c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa");
}

/* With A of order 1, S = 0 and R = A any message verifies: that is what the check is for. */
static void
under_a_key_of_small_order_anybody_can_sign(void **state)
{
    static const uint8_t point[32] = {1}, signature[64] = {1};
    struct public_key key = {.type = KEY_ED25519, .bits = 256, .point = BYTES(point, 32)};

    assert_true(signature_verify(&key, SIG_ED25519, bytes_of_text("anything"), BYTES(signature, 64)));
}

int
main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(good_keys_pass),
        cmocka_unit_test(rsa_keys_of_the_wrong_size_are_refused),
        cmocka_unit_test(exponents_are_odd_and_neither_small_nor_huge),
        cmocka_unit_test(a_real_key_with_exponent_3_is_refused),
        cmocka_unit_test(every_small_factor_is_found),
        cmocka_unit_test(moduli_of_the_roca_generator_are_found),
        cmocka_unit_test(close_primes_are_found),
        cmocka_unit_test(primes_that_are_apart_pass),
        cmocka_unit_test(the_square_of_a_prime_is_found),
        cmocka_unit_test(a_point_off_its_curve_is_refused),
        cmocka_unit_test(ed25519_points_of_small_order_are_found),
        cmocka_unit_test(under_a_key_of_small_order_anybody_can_sign),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
