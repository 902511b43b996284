/* Signature algorithms by their COSE numbers (RFC 8152, RFC 8230, WebAuthn §5.8.5), as attestations name them. */
#include "attestation.h"

#include <openssl/err.h>
#include <openssl/rsa.h>

#define RS1 (-65535)

DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);

static const struct cose_algorithm algorithms[] = {
    {-7, SIG_ECDSA_SHA256, .is_pss = false}, {-35, SIG_ECDSA_SHA384, .is_pss = false}, {-36, SIG_ECDSA_SHA512, .is_pss = false},
    {-8, SIG_ED25519, .is_pss = false},      {-257, SIG_RSA_SHA256, .is_pss = false},  {-258, SIG_RSA_SHA384, .is_pss = false},
    {-259, SIG_RSA_SHA512, .is_pss = false}, {-37, SIG_RSA_SHA256, .is_pss = true},    {-38, SIG_RSA_SHA384, .is_pss = true},
    {-39, SIG_RSA_SHA512, .is_pss = true},
};

const char *
cose_algorithm_find(int64_t number, enum key_type type, struct cose_algorithm *ret_algorithm)
{
    if (number == RS1)
        return "is RS1 (-65535): signatures over SHA-1 prove nothing any more; have the key sign with RS256 or PS256";
    for (size_t i = 0; i < sizeof algorithms / sizeof algorithms[0]; i++) {
        if (algorithms[i].number != number)
            continue;
        if (!signature_algorithm_fits(algorithms[i].algorithm, type))
            return "does not fit the key that has signed";
        *ret_algorithm = algorithms[i];
        return NULL;
    }
    return "is none of ES256, ES384, ES512, RS256, RS384, RS512, PS256, PS384, PS512 and EdDSA";
}

/* RFC 8017 §8.1.2, MGF1 with the same digest; TPMs have longer salts than COSE says, too. */
static bool
verify_pss(const struct public_key *key, const EVP_MD *digest, struct bytes message, struct bytes signature)
{
    AUTO(EVP_PKEY, imported) = public_key_try_import(key);
    AUTO(EVP_MD_CTX, context) = EVP_MD_CTX_new();
    EVP_PKEY_CTX *padding = NULL;

    bool good = imported != NULL && context != NULL && EVP_DigestVerifyInit(context, &padding, digest, NULL, imported) == 1 &&
                EVP_PKEY_CTX_set_rsa_padding(padding, RSA_PKCS1_PSS_PADDING) == 1 &&
                EVP_PKEY_CTX_set_rsa_pss_saltlen(padding, RSA_PSS_SALTLEN_AUTO) == 1 &&
                EVP_DigestVerify(context, signature.at, signature.len, message.at, message.len) == 1;
    if (!good)
        ERR_clear_error();
    return good;
}

bool
cose_verify(const struct public_key *key, const struct cose_algorithm *algorithm, struct bytes message, struct bytes signature)
{
    if (algorithm->is_pss)
        return verify_pss(key, signature_algorithm_digest(algorithm->algorithm), message, signature);
    return signature_verify(key, algorithm->algorithm, message, signature);
}
