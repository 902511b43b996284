/*
 * A key that is made here for a device that cannot make one: generated, put into a CSR, packed for the device, and gone. What holds it in the clear
 * is wiped; nothing of it is stored or logged.
 */
#include "est.h"

#include <assert.h>
#include <string.h>

#include <openssl/pem.h>

#include "pki/oid.h"

#define SIGNATURE_MAX 1024
#define KEY_DER_MAX 16384 /* an RSA key of 4096 bits has 2400 octets */

DEFINE_AUTO(BIO, BIO_free_all);
DEFINE_AUTO(CMS_ContentInfo, CMS_ContentInfo_free);
DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);
DEFINE_AUTO(PKCS8_PRIV_KEY_INFO, PKCS8_PRIV_KEY_INFO_free);
DEFINE_AUTO(X509, X509_free);

static enum error
not_made(struct request *rq)
{
    return fail_privately(rq, ERR_INTERNAL, "the key could not be made", "OpenSSL: key generation or packing failed");
}

enum error
server_key_new(struct request *rq, const char *type, EVP_PKEY **ret_key)
{
    static const struct {
        const char *type, *group;
        size_t bits;
    } types[] = {{"rsa-2048", NULL, 2048}, {"rsa-3072", NULL, 3072}, {"rsa-4096", NULL, 4096},
                 {"p256", "P-256", 0},     {"p384", "P-384", 0},     {"p521", "P-521", 0}};
    EVP_PKEY *key = NULL;

    for (size_t i = 0; i < sizeof types / sizeof types[0]; i++) {
        if (!text_equal(types[i].type, type))
            continue;
        key = types[i].group != NULL ? EVP_PKEY_Q_keygen(NULL, NULL, "EC", types[i].group) : EVP_PKEY_Q_keygen(NULL, NULL, "RSA", types[i].bits);
    }
    if (text_equal(type, "ed25519"))
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    if (key == NULL)
        return not_made(rq);
    *ret_key = key;
    return OK;
}

/* ---- its CSR: subject and extensions as the device asked, the rest is ours ---- */

static struct bytes
spki_of(struct arena *arena, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);
    struct bytes spki = len > 0 ? bytes_copy(arena, BYTES(der, len)) : BYTES_NONE;

    OPENSSL_free(der);
    return spki;
}

enum error
server_key_csr(struct request *rq, EVP_PKEY *key, const struct csr *asked, struct bytes *ret_csr)
{
    AUTO(EVP_MD_CTX, signing) = EVP_MD_CTX_new();
    struct bytes spki = spki_of(rq->arena, key);
    struct public_key public_key;
    uint8_t signature[SIGNATURE_MAX];
    size_t len = sizeof signature;

    enum error error = public_key_parse(rq, spki, &public_key);
    if (error)
        return error;
    enum signature_algorithm algorithm = signature_algorithm_for(public_key.type);
    struct bytes info = csr_encode_info(rq->arena, asked->subject, spki, asked->extensions);
    if (signing == NULL || EVP_DigestSignInit(signing, NULL, signature_algorithm_digest(algorithm), NULL, key) != 1 ||
        EVP_DigestSign(signing, signature, &len, info.at, info.len) != 1)
        return not_made(rq);
    *ret_csr = csr_join(rq->arena, info, algorithm, BYTES(signature, len));
    return OK;
}

/* ---- in the clear, within TLS ---- */

/* RFC 5958: PrivateKeyInfo. */
enum error
server_key_pkcs8(struct request *rq, EVP_PKEY *key, struct secret **ret_der)
{
    AUTO(PKCS8_PRIV_KEY_INFO, info) = EVP_PKEY2PKCS8(key);
    unsigned char *der = NULL;
    int len = info == NULL ? 0 : i2d_PKCS8_PRIV_KEY_INFO(info, &der);

    if (len <= 0)
        return not_made(rq);
    *ret_der = secret_copy(BYTES(der, len));
    OPENSSL_clear_free(der, (size_t)len);
    return OK;
}

/* ---- encrypted to the device (RFC 7030 §4.4.1.2, §4.4.2) ---- */

/* AsymmetricKeyPackage: a SEQUENCE of one OneAsymmetricKey, which a PrivateKeyInfo is. */
static struct secret *
package_of(const struct secret *pkcs8)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct buffer head = buffer_in(arena);
    static const uint8_t nothing[KEY_DER_MAX];

    /* Only the length matters for the head: the key itself must not come into an arena. */
    size_t mark = der_open(&head, DER_SEQUENCE);
    assert(pkcs8->len <= sizeof nothing);
    buffer_append(&head, nothing, pkcs8->len);
    der_close(&head, mark);
    struct secret *package = secret_new(head.len);
    memcpy(package->at, head.at, head.len - pkcs8->len);
    memcpy(package->at + head.len - pkcs8->len, pkcs8->at, pkcs8->len);
    return package;
}

static struct secret *
encode_cms(CMS_ContentInfo *cms)
{
    unsigned char *der = NULL;
    int len = i2d_CMS_ContentInfo(cms, &der);
    struct secret *copy = len > 0 ? secret_copy(BYTES(der, len)) : NULL;

    if (len > 0)
        OPENSSL_clear_free(der, (size_t)len);
    return copy;
}

/* RFC 5652 §6: what is enveloped is the SignedData itself, not the ContentInfo around it. */
static struct secret *
envelop(X509 *recipient, const struct secret *signed_package)
{
    AUTO(CMS_ContentInfo, cms) = CMS_encrypt(NULL, NULL, EVP_aes_256_cbc(), CMS_BINARY | CMS_PARTIAL);
    struct der outer = der_of(BYTES(signed_package->at, signed_package->len)), info, explicit_;
    struct bytes signed_data;

    if (!der_enter(&outer, DER_SEQUENCE, &info) || !der_skip(&info) || !der_enter(&info, DER_CONTEXT_CONSTRUCTED(0), &explicit_) ||
        !der_take_whole(&explicit_, NULL, &signed_data))
        return NULL;
    AUTO(BIO, content) = BIO_new_mem_buf(signed_data.at, (int)signed_data.len);
    if (cms == NULL || content == NULL || CMS_set1_eContentType(cms, OBJ_nid2obj(NID_pkcs7_signed)) != 1 ||
        CMS_add1_recipient_cert(cms, recipient, 0) == NULL || CMS_final(cms, content, NULL, CMS_BINARY) != 1)
        return NULL;
    return encode_cms(cms);
}

enum error
server_key_envelope(struct est *est, struct request *rq, struct bytes recipient_der, const struct secret *pkcs8, struct secret **ret_der)
{
    AUTO(X509, recipient) = x509_read(recipient_der);
    AUTO(CMS_ContentInfo, cms) = NULL;
    AUTO_STRUCT(secret, package) = package_of(pkcs8);

    /* Who signs is who made the key. */
    enum error error = server_sign(est, rq, OID_KEY_PACKAGE, BYTES(package->at, package->len), &cms);
    if (error)
        return error;
    AUTO_STRUCT(secret, signed_package) = encode_cms(cms);
    struct secret *envelope = recipient == NULL || signed_package == NULL ? NULL : envelop(recipient, signed_package);
    if (envelope == NULL)
        return refuse(rq, ERR_BAD_CSR, "key encryption", "the key cannot be encrypted to the client certificate");
    *ret_der = envelope;
    return OK;
}
