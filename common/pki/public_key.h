/*
 * Public keys as they come in CSRs, JWKs and certificates: read from SubjectPublicKeyInfo by our own walk, imported by EVP_PKEY_fromdata
 * (never d2i: OpenSSL 3.0 decodes keys slowly and under global locks), checked by the rules of the field.
 */
#ifndef SIGNET_PKI_PUBLIC_KEY_H
#define SIGNET_PKI_PUBLIC_KEY_H

#include <openssl/evp.h>

#include "base/request.h"
#include "pki/der.h"

enum key_type { KEY_UNKNOWN = 0, KEY_RSA, KEY_P256, KEY_P384, KEY_P521, KEY_ED25519 };

#define KEY_RSA_BITS_MIN 2048
#define KEY_RSA_BITS_MAX 8192

struct public_key {
    enum key_type type;
    int bits;
    struct bytes spki;    /* the whole SubjectPublicKeyInfo, borrowed from what was parsed */
    struct bytes point;   /* EC point or Ed25519 key; RSA: none */
    struct bytes modulus; /* RSA magnitude */
    struct bytes exponent;
};

/* Reads one SubjectPublicKeyInfo; named curves and uncompressed points only. ERR_BAD_CSR. */
enum error public_key_parse(struct request *rq, struct bytes spki, struct public_key *ret_key) MUST_CHECK;

/* The same for keys that are only shown or chained: never fails, other keys and malformed ones stay KEY_UNKNOWN with their spki. */
void public_key_parse_any(struct bytes spki, struct public_key *ret_key);

/* Strength: RSA ≥ 2048 bits, odd modulus without small factors, exponent odd and ≥ 65537 (≤ 2^256), no ROCA fingerprint, no close primes (Fermat, 100
 * rounds); EC point on its curve (EVP_PKEY_fromdata checks). ERR_BAD_CSR with what is wrong. */
enum error public_key_check(struct request *rq, const struct public_key *key) MUST_CHECK;

/* The caller frees with EVP_PKEY_free. */
DEFINE_AUTO(EVP_PKEY, EVP_PKEY_free);
enum error public_key_import(struct request *rq, const struct public_key *key, EVP_PKEY **ret_key) MUST_CHECK;
/* Without words: NULL when the key cannot be used. */
EVP_PKEY *public_key_try_import(const struct public_key *key);
/* Check and import at the price of one. */
enum error public_key_check_import(struct request *rq, const struct public_key *key, EVP_PKEY **ret_key) MUST_CHECK;

/* The content of the key's bit string: what key identifiers and OCSP's issuerKeyHash are computed over. */
struct bytes public_key_bits(const struct public_key *key);
/* SHA-1 of the key's bit string (RFC 5280 §4.2.1.2 method 1), 20 octets; SHA-256 of the SPKI, 32 octets. */
void public_key_identifier(const struct public_key *key, uint8_t ret_sha1[20]);
void public_key_sha256(const struct public_key *key, uint8_t ret_sha256[32]);

/* "rsa-2048", "p256", …, in the arena. */
char *public_key_name(struct arena *arena, const struct public_key *key);

/* Signature algorithms in AlgorithmIdentifier form, for verifying and for encoding. */
enum signature_algorithm {
    SIG_UNKNOWN = 0,
    SIG_RSA_SHA256,
    SIG_RSA_SHA384,
    SIG_RSA_SHA512,
    SIG_ECDSA_SHA256,
    SIG_ECDSA_SHA384,
    SIG_ECDSA_SHA512,
    SIG_ED25519
};

enum signature_algorithm signature_algorithm_parse(struct bytes algorithm_identifier_der);
/* The whole AlgorithmIdentifier, static. */
struct bytes signature_algorithm_der(enum signature_algorithm algorithm);
/* NULL for Ed25519. */
const EVP_MD *signature_algorithm_digest(enum signature_algorithm algorithm);
/* The usual one for a key: RSA with SHA-256, P-256 SHA-256, P-384 SHA-384, P-521 SHA-512. */
enum signature_algorithm signature_algorithm_for(enum key_type type);
bool signature_algorithm_fits(enum signature_algorithm algorithm, enum key_type type);

/* Verifies with OpenSSL; no failure text (callers know what was signed). */
bool signature_verify(const struct public_key *key, enum signature_algorithm algorithm, struct bytes message, struct bytes signature);
/* The same with a key that was imported before. */
bool signature_verify_with(EVP_PKEY *key, enum signature_algorithm algorithm, struct bytes message, struct bytes signature);

#endif
