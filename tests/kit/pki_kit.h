/*
 * Keys, certification requests and certificates made with OpenSSL, for tests: what a stranger would send, right or wrong.
 *
 *     AUTO(EVP_PKEY, key) = kit_key("p256");
 *     struct bytes csr = kit_csr(arena, &(struct kit_csr){.key = key, .subject = "/CN=a.example", .names = "DNS:a.example,IP:192.0.2.1"});
 *
 * Everything but keys lives in the arena. A mistake in a test aborts.
 */
#ifndef SIGNET_TESTS_KIT_PKI_KIT_H
#define SIGNET_TESTS_KIT_PKI_KIT_H

#include <stdbool.h>

#include <openssl/evp.h>

#include "base/bytes.h"

/* "rsa-1024", "rsa-2048", "rsa-3072", "rsa-4096", "rsa-2048-e3", "p256", "p384", "p521", "secp256k1", "ed25519". Freed with EVP_PKEY_free. */
EVP_PKEY *kit_key(const char *kind);
struct bytes kit_spki(struct arena *arena, EVP_PKEY *key);
/* The private key as PKCS#8 PEM; the public one as SPKI PEM. */
char *kit_private_pem(struct arena *arena, EVP_PKEY *key);
char *kit_public_pem(struct arena *arena, EVP_PKEY *key);
/* "/C=DE/O=Example/CN=a.example" → DER Name. */
struct bytes kit_name(struct arena *arena, const char *subject);
/* Signature over `message` with the usual digest of the key, or with `digest`. */
struct bytes kit_sign(struct arena *arena, EVP_PKEY *key, const EVP_MD *digest, struct bytes message);

/* One that OpenSSL's texts cannot say: the octets inside of extnValue. */
struct kit_extension {
    const char *oid;
    bool critical;
    struct bytes value;
};

/* Left out where NULL or false; the texts are those of OpenSSL's configuration ("DNS:a,IP:1.2.3.4,email:x@y,URI:…", "digitalSignature"). */
struct kit_csr {
    EVP_PKEY *key;
    const char *subject;
    const char *names;
    const char *key_usage, *extended_key_usage;
    const char *challenge_password;
    bool asks_ca, must_staple;
    const EVP_MD *digest;
    const struct kit_extension *more;
    size_t more_count;
};
struct bytes kit_csr(struct arena *arena, const struct kit_csr *wish);

struct kit_certificate {
    EVP_PKEY *key;
    const char *subject;
    struct bytes issuer_der; /* none: self-signed */
    EVP_PKEY *issuer_key;
    const char *names;
    const char *key_usage, *extended_key_usage, *name_constraints;
    bool is_ca;
    int64_t not_before_s, not_after_s; /* 0: now, and in 90 days */
    const struct kit_extension *more;
    size_t more_count;
};
struct bytes kit_certificate(struct arena *arena, const struct kit_certificate *wish);

#endif
