/*
 * A SCEP request as it comes: SignedData around EnvelopedData, signed with a certificate that the device made itself or got from us. Called by
 * pki_operation.c. What has a transaction and a signer gets an answer in SCEP, if only that its signature does not verify; the rest an HTTP status.
 */
#include "scep.h"

#include <openssl/evp.h>
#include <string.h>

#include "base/text.h"
#include "pki/oid.h"

#define PEER_CERTIFICATES_MAX 16

bool
peer_read(struct bytes der, struct peer *ret_peer)
{
    struct der in = der_of(der), certificate, tbs, validity;
    struct peer peer = {.der = der};
    struct bytes spki;

    if (!der_enter(&in, DER_SEQUENCE, &certificate) || !der_at_end(&in) || !der_enter(&certificate, DER_SEQUENCE, &tbs))
        return false;
    if (der_peek(&tbs) == DER_CONTEXT_CONSTRUCTED(0) && !der_skip(&tbs))
        return false;
    if (!der_take(&tbs, DER_INTEGER, &peer.serial) || !der_skip(&tbs) || !der_take_whole(&tbs, NULL, &peer.issuer) ||
        !der_enter(&tbs, DER_SEQUENCE, &validity) || !der_take_time(&validity, &peer.not_before_s) || !der_take_time(&validity, &peer.not_after_s) ||
        !der_take_whole(&tbs, NULL, &peer.subject) || !der_take_whole(&tbs, NULL, &spki))
        return false;
    public_key_parse_any(spki, &peer.key);
    *ret_peer = peer;
    return true;
}

static void
free_key(void *key)
{
    EVP_PKEY_free(key);
}

EVP_PKEY *
peer_import(struct arena *arena, struct peer *peer)
{
    if (peer->imported == NULL) {
        peer->imported = public_key_try_import(&peer->key);
        arena_defer(arena, free_key, peer->imported);
    }
    return peer->imported;
}

static bool
is_signer(const struct cms_signed *message, const struct peer *peer)
{
    uint8_t key_id[20];

    if (message->signer_key_id.len == 0)
        return bytes_equal(message->signer_serial, peer->serial) && bytes_equal(message->signer_issuer, peer->issuer);
    if (peer->key.type == KEY_UNKNOWN)
        return false;
    public_key_identifier(&peer->key, key_id);
    return bytes_equal(message->signer_key_id, BYTES(key_id, sizeof key_id));
}

/* The one that the SignerInfo names. Where a device has written the issuer otherwise than in its certificate, the only certificate there is. */
static bool
find_signer(const struct cms_signed *message, struct peer *ret_signer)
{
    struct der in = der_of(message->certificates);
    struct bytes der;
    size_t count = 0;

    for (; !der_at_end(&in) && count < PEER_CERTIFICATES_MAX; count++) {
        struct peer peer;
        if (!der_take_whole(&in, NULL, &der) || !peer_read(der, &peer))
            return false;
        if (count == 0 || is_signer(message, &peer))
            *ret_signer = peer;
        if (is_signer(message, &peer))
            return true;
    }
    return count == 1;
}

/* ---- signature ---- */

static const struct digest {
    const struct bytes *oid, *with_rsa, *with_ecdsa;
    const EVP_MD *(*md)(void);
    Pb__ScepDigest digest;
} digests[] = {
    {&OID_SHA256, &OID_SHA256_WITH_RSA, &OID_ECDSA_WITH_SHA256, EVP_sha256, PB__SCEP_DIGEST__SCEP_DIGEST_SHA256},
    {&OID_SHA384, &OID_SHA384_WITH_RSA, &OID_ECDSA_WITH_SHA384, EVP_sha384, PB__SCEP_DIGEST__SCEP_DIGEST_SHA384},
    {&OID_SHA512, &OID_SHA512_WITH_RSA, &OID_ECDSA_WITH_SHA512, EVP_sha512, PB__SCEP_DIGEST__SCEP_DIGEST_SHA512},
    {&OID_SHA1, &OID_SHA1, &OID_SHA1, EVP_sha1, PB__SCEP_DIGEST__SCEP_DIGEST_SHA1},
};

/* NULL: not known here. */
static const struct digest *
find_digest(struct bytes oid)
{
    for (size_t i = 0; i < sizeof digests / sizeof digests[0]; i++)
        if (oid_is(oid, *digests[i].oid))
            return &digests[i];
    return NULL;
}

/* Curves, too. RFC 8419 §3.1: Ed25519 with SHA-512 for the content, because there are signed attributes. */
static bool
signature_fits(struct bytes oid, const struct digest *digest, enum key_type key)
{
    bool is_sha1 = digest->digest == PB__SCEP_DIGEST__SCEP_DIGEST_SHA1;

    if (key == KEY_ED25519)
        return oid_is(oid, OID_ED25519) && digest->digest == PB__SCEP_DIGEST__SCEP_DIGEST_SHA512;
    if (key != KEY_RSA)
        return (key == KEY_P256 || key == KEY_P384 || key == KEY_P521) && oid_is(oid, *digest->with_ecdsa);
    return oid_is(oid, OID_RSA_ENCRYPTION) || oid_is(oid, *digest->with_rsa) || (is_sha1 && oid_is(oid, OID_SHA1_WITH_RSA));
}

static bool
verifies(struct arena *arena, const struct cms_signed *message, struct peer *signer, const EVP_MD *md)
{
    struct buffer set = buffer_in(arena);
    EVP_PKEY *key = peer_import(arena, signer);

    if (key == NULL)
        return false;
    der_put(&set, DER_SET, message->attributes); /* RFC 5652 §5.4 */
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    bool good = context != NULL && EVP_DigestVerifyInit(context, NULL, signer->key.type == KEY_ED25519 ? NULL : md, NULL, key) == 1 &&
                EVP_DigestVerify(context, message->signature.at, message->signature.len, set.at, set.len) == 1;
    EVP_MD_CTX_free(context);
    return good;
}

/* ---- attributes ---- */

/* The only value of the attribute with this type. */
static bool
find_attribute(struct bytes attributes, struct bytes type, unsigned *ret_tag, struct bytes *ret_content)
{
    struct der in = der_of(attributes), attribute, values;
    struct bytes oid;

    while (!der_at_end(&in)) {
        if (!der_enter(&in, DER_SEQUENCE, &attribute) || !der_take_oid(&attribute, &oid))
            return false;
        if (!oid_is(oid, type))
            continue;
        if (!der_enter(&attribute, DER_SET, &values))
            return false;
        *ret_tag = der_peek(&values);
        return *ret_tag != 0 && der_take(&values, *ret_tag, ret_content) && der_at_end(&values);
    }
    return false;
}

/* PrintableString in the RFC; UTF8String and IA5String have been seen. */
static const char *
find_text(struct arena *arena, struct bytes attributes, struct bytes type, size_t most)
{
    struct bytes content;
    unsigned tag = 0;

    if (!find_attribute(attributes, type, &tag, &content))
        return NULL;
    if (tag != DER_PRINTABLE_STRING && tag != DER_UTF8_STRING && tag != DER_IA5_STRING)
        return NULL;
    if (content.len == 0 || content.len > most || !text_is_printable_ascii(content))
        return NULL;
    return bytes_text(arena, content);
}

static bool
digest_matches(const struct cms_signed *message, const EVP_MD *md)
{
    uint8_t hash[EVP_MAX_MD_SIZE];
    unsigned int len = 0;
    struct bytes stated;
    unsigned tag;

    return find_attribute(message->attributes, OID_CMS_MESSAGE_DIGEST, &tag, &stated) && tag == DER_OCTET_STRING &&
           EVP_Digest(message->content.at, message->content.len, hash, &len, md, NULL) == 1 && bytes_equal(stated, BYTES(hash, len));
}

static enum error
read_attributes(struct request *rq, struct pki_message *message)
{
    struct bytes attributes = message->signed_data.attributes;
    const char *type = find_text(rq->arena, attributes, OID_SCEP_MESSAGE_TYPE, 4);
    int64_t number = 0;
    unsigned tag = 0;

    message->transaction_id = find_text(rq->arena, attributes, OID_SCEP_TRANSACTION_ID, TRANSACTION_ID_MAX);
    if (message->transaction_id == NULL)
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "message", "the message has no transactionID of at most %d printable characters",
                      TRANSACTION_ID_MAX);
    request_note(rq, "transaction", "%s", message->transaction_id);
    if (type == NULL || !text_parse_number(type, 0, 99, &number))
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "message", "the message has no messageType");
    message->type = (enum message_type)number;
    request_note(rq, "message", "%d", (int)number);
    /* Devices from before the RFC send none, or a short one. */
    if (find_attribute(attributes, OID_SCEP_SENDER_NONCE, &tag, &message->sender_nonce) &&
        (tag != DER_OCTET_STRING || message->sender_nonce.len > NONCE_MAX))
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "message", "the senderNonce is no octet string of at most %d octets", NONCE_MAX);
    return OK;
}

enum error
pki_message_read(struct request *rq, struct bytes ber, struct pki_message *ret_message)
{
    struct pki_message message = {.digest = PB__SCEP_DIGEST__SCEP_DIGEST_SHA256};
    struct bytes der;

    if (!ber_to_der(rq->arena, ber, &der))
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "message", "the message is not BER");
    const char *fault = cms_read_signed(der, &message.signed_data);
    if (fault != NULL)
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "message", "the message cannot be read: %s", fault);
    enum error error = read_attributes(rq, &message);
    if (error != OK)
        return error;
    if (!find_signer(&message.signed_data, &message.signer))
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "message", "the certificate that the message is signed with does not come with it");
    const struct digest *digest = find_digest(message.signed_data.digest_oid);
    if (digest != NULL)
        message.digest = digest->digest;
    *ret_message = message;
    return OK;
}

enum error
pki_message_verify(struct request *rq, struct pki_message *message)
{
    const struct cms_signed *signed_data = &message->signed_data;
    const struct digest *digest = find_digest(signed_data->digest_oid);

    if (digest == NULL || !signature_fits(signed_data->signature_oid, digest, message->signer.key.type))
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_ALG, "digest", "the message is signed with an algorithm that is not known here");
    if (!digest_matches(signed_data, digest->md()) || !verifies(rq->arena, signed_data, &message->signer, digest->md()))
        return refuse(rq, ERR_BAD_REQUEST, FAIL_BAD_MESSAGE_CHECK, "signature", "the signature of the message does not verify");
    return OK;
}
