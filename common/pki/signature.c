/* Signature algorithms: their AlgorithmIdentifiers, what fits which key, and verifying with OpenSSL. */
#include "pki/public_key.h"

#include <openssl/err.h>

#include "pki/oid.h"

#define SHA_RSA(last) "\x30\x0d\x06\x09\x2a\x86\x48\x86\xf7\x0d\x01\x01" last "\x05\x00"
#define SHA_ECDSA(last) "\x30\x0a\x06\x08\x2a\x86\x48\xce\x3d\x04\x03" last
#define TEXT_BYTES(text)                          \
    {                                             \
        (const uint8_t *)(text), sizeof(text) - 1 \
    }

/* RSA has NULL parameters (RFC 4055 §5), ECDSA and Ed25519 have none (RFC 5758 §3.2, RFC 8410 §3). */
static const struct bytes identifiers[] = {
    [SIG_UNKNOWN] = {NULL, 0},
    [SIG_RSA_SHA256] = TEXT_BYTES(SHA_RSA("\x0b")),
    [SIG_RSA_SHA384] = TEXT_BYTES(SHA_RSA("\x0c")),
    [SIG_RSA_SHA512] = TEXT_BYTES(SHA_RSA("\x0d")),
    [SIG_ECDSA_SHA256] = TEXT_BYTES(SHA_ECDSA("\x02")),
    [SIG_ECDSA_SHA384] = TEXT_BYTES(SHA_ECDSA("\x03")),
    [SIG_ECDSA_SHA512] = TEXT_BYTES(SHA_ECDSA("\x04")),
    [SIG_ED25519] = TEXT_BYTES("\x30\x05\x06\x03\x2b\x65\x70"),
};

enum signature_algorithm
signature_algorithm_parse(struct bytes algorithm_identifier_der)
{
    static const struct {
        const struct bytes *oid;
        enum signature_algorithm algorithm;
    } without_parameters[] = {{&OID_SHA256_WITH_RSA, SIG_RSA_SHA256}, {&OID_SHA384_WITH_RSA, SIG_RSA_SHA384}, {&OID_SHA512_WITH_RSA, SIG_RSA_SHA512}};
    struct der in = der_of(algorithm_identifier_der), inside;
    struct bytes oid;

    for (enum signature_algorithm i = SIG_RSA_SHA256; i <= SIG_ED25519; i++)
        if (bytes_equal(algorithm_identifier_der, identifiers[i]))
            return i;
    /* RFC 4055 §5: RSA identifiers without parameters are accepted too. */
    if (!der_enter(&in, DER_SEQUENCE, &inside) || !der_at_end(&in) || !der_take_oid(&inside, &oid) || !der_at_end(&inside))
        return SIG_UNKNOWN;
    for (size_t i = 0; i < sizeof without_parameters / sizeof without_parameters[0]; i++)
        if (oid_is(oid, *without_parameters[i].oid))
            return without_parameters[i].algorithm;
    return SIG_UNKNOWN;
}

struct bytes
signature_algorithm_der(enum signature_algorithm algorithm)
{
    return identifiers[algorithm];
}

const EVP_MD *
signature_algorithm_digest(enum signature_algorithm algorithm)
{
    switch (algorithm) {
    case SIG_RSA_SHA256:
    case SIG_ECDSA_SHA256:
        return EVP_sha256();
    case SIG_RSA_SHA384:
    case SIG_ECDSA_SHA384:
        return EVP_sha384();
    case SIG_RSA_SHA512:
    case SIG_ECDSA_SHA512:
        return EVP_sha512();
    case SIG_UNKNOWN:
    case SIG_ED25519:
        break;
    }
    return NULL;
}

enum signature_algorithm
signature_algorithm_for(enum key_type type)
{
    switch (type) {
    case KEY_UNKNOWN:
        break;
    case KEY_RSA:
        return SIG_RSA_SHA256;
    case KEY_P256:
        return SIG_ECDSA_SHA256;
    case KEY_P384:
        return SIG_ECDSA_SHA384;
    case KEY_P521:
        return SIG_ECDSA_SHA512;
    case KEY_ED25519:
        return SIG_ED25519;
    }
    return SIG_UNKNOWN;
}

bool
signature_algorithm_fits(enum signature_algorithm algorithm, enum key_type type)
{
    switch (algorithm) {
    case SIG_UNKNOWN:
        break;
    case SIG_RSA_SHA256:
    case SIG_RSA_SHA384:
    case SIG_RSA_SHA512:
        return type == KEY_RSA;
    case SIG_ECDSA_SHA256:
    case SIG_ECDSA_SHA384:
    case SIG_ECDSA_SHA512:
        return type == KEY_P256 || type == KEY_P384 || type == KEY_P521;
    case SIG_ED25519:
        return type == KEY_ED25519;
    }
    return false;
}

static enum key_type
type_of(const EVP_PKEY *key)
{
    switch (EVP_PKEY_get_base_id(key)) {
    case EVP_PKEY_RSA:
        return KEY_RSA;
    case EVP_PKEY_EC:
        return KEY_P256; /* any curve: the algorithms fit them all */
    case EVP_PKEY_ED25519:
        return KEY_ED25519;
    default:
        return KEY_UNKNOWN;
    }
}

bool
signature_verify_with(EVP_PKEY *key, enum signature_algorithm algorithm, struct bytes message, struct bytes signature)
{
    if (!signature_algorithm_fits(algorithm, type_of(key)))
        return false;
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestVerifyInit(context, NULL, signature_algorithm_digest(algorithm), NULL, key) == 1 &&
                EVP_DigestVerify(context, signature.at, signature.len, message.at, message.len) == 1;

    EVP_MD_CTX_free(context);
    /* As in public_key_try_import: a stranger's bad signature must not look like an error of somebody's TLS connection. */
    if (!good)
        ERR_clear_error();
    return good;
}

bool
signature_verify(const struct public_key *key, enum signature_algorithm algorithm, struct bytes message, struct bytes signature)
{
    AUTO(EVP_PKEY, imported) = public_key_try_import(key);

    return imported != NULL && signature_verify_with(imported, algorithm, message, signature);
}
