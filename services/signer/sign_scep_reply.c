/*
 * rpc SignScepReply: a CertRep of RFC 8894 §3.3.2. The signed attributes are made here, field by field; of the caller's own octets only the envelope
 * and the nonce go in, in their places. The signatureAlgorithm is rsaEncryption, because old clients know no other.
 */
#include "signer.h"

#include <assert.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define TRANSACTION_ID_MAX 256
#define NONCE_MAX 64
#define NONCE_LEN 16
#define CONTENT_MAX (512 * 1024)
#define FAIL_INFO_MAX 4
#define ATTRIBUTES_MAX 10
#define CERT_REP "3"

struct digest {
    const struct bytes *oid;
    const EVP_MD *(*md)(void);
    enum signature_algorithm algorithm; /* SIG_UNKNOWN: SHA-1 */
};

static const struct digest digests[] = {
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA256] = {&OID_SHA256, EVP_sha256, SIG_RSA_SHA256},
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA384] = {&OID_SHA384, EVP_sha384, SIG_RSA_SHA384},
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA512] = {&OID_SHA512, EVP_sha512, SIG_RSA_SHA512},
    [PB__SCEP_DIGEST__SCEP_DIGEST_SHA1] = {&OID_SHA1, EVP_sha1, SIG_UNKNOWN},
};

static enum error
check_request(struct request *rq, const Pb__SignScepReplyRequest *request)
{
    struct bytes transaction_id = bytes_of_text(request->transaction_id);
    bool is_success = request->status == PB__SCEP_STATUS__SCEP_STATUS_SUCCESS;

    if (!is_success && request->status != PB__SCEP_STATUS__SCEP_STATUS_FAILURE && request->status != PB__SCEP_STATUS__SCEP_STATUS_PENDING)
        return fail(rq, ERR_BAD_REQUEST, "the status is not known");
    if (transaction_id.len == 0 || transaction_id.len > TRANSACTION_ID_MAX || !text_is_printable_ascii(transaction_id))
        return fail(rq, ERR_BAD_REQUEST, "a transaction id has 1 to %d printable characters", TRANSACTION_ID_MAX);
    if (request->fail_info > FAIL_INFO_MAX || request->recipient_nonce.len > NONCE_MAX || request->content.len > CONTENT_MAX)
        return fail(rq, ERR_BAD_REQUEST, "failInfo, nonce or content are out of their bounds");
    if (is_success != (request->content.len > 0) || (is_success && !der_is_one_value(message_bytes(request->content))))
        return fail(rq, ERR_BAD_REQUEST, "exactly a success has a content, and it is DER");
    if (request->digest <= PB__SCEP_DIGEST__SCEP_DIGEST_UNSPECIFIED || request->digest > PB__SCEP_DIGEST__SCEP_DIGEST_SHA1)
        return fail(rq, ERR_BAD_REQUEST, "the digest is not known");
    return OK;
}

/* ---- attributes ---- */

struct attributes {
    struct arena *arena;
    struct bytes at[ATTRIBUTES_MAX];
    size_t count;
};

/* SEQUENCE { type, SET { value } } */
static void
add_whole(struct attributes *to, struct bytes type, struct bytes value)
{
    assert(to->count < ATTRIBUTES_MAX);
    struct buffer out = buffer_in(to->arena);
    size_t attribute = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, type);
    der_put(&out, DER_SET, value);
    der_close(&out, attribute);
    to->at[to->count++] = buffer_bytes(&out);
}

static void
add(struct attributes *to, struct bytes type, unsigned tag, struct bytes content)
{
    struct buffer out = buffer_in(to->arena);

    der_put(&out, tag, content);
    add_whole(to, type, buffer_bytes(&out));
}

static int
compare_octets(const void *one, const void *other)
{
    const struct bytes *a = one, *b = other;
    int order = memcmp(a->at, b->at, a->len < b->len ? a->len : b->len);

    return order != 0 ? order : (a->len > b->len) - (a->len < b->len);
}

/* The elements of the SET OF in DER's order (X.690 §11.6); the caller puts the tag before them. */
static struct bytes
sorted(struct attributes *attributes)
{
    struct buffer out = buffer_in(attributes->arena);

    qsort(attributes->at, attributes->count, sizeof attributes->at[0], compare_octets);
    for (size_t i = 0; i < attributes->count; i++)
        der_put_whole(&out, attributes->at[i]);
    return buffer_bytes(&out);
}

static struct bytes
status_text(struct arena *arena, Pb__ScepStatus status)
{
    return bytes_of_text(arena_format(arena, "%d", (int)status - 1));
}

static struct bytes
encode_attributes(struct request *rq, const Pb__SignScepReplyRequest *request, const struct digest *digest)
{
    struct attributes all = {.arena = rq->arena};
    struct buffer oid = buffer_in(rq->arena), now = buffer_in(rq->arena);
    uint8_t *nonce = arena_alloc(rq->arena, NONCE_LEN), hash[EVP_MAX_MD_SIZE];
    unsigned int hash_len = 0;

    random_bytes(nonce, NONCE_LEN);
    if (EVP_Digest(request->content.data, request->content.len, hash, &hash_len, digest->md(), NULL) != 1)
        abort();
    der_put_oid(&oid, OID_CMS_DATA);
    der_put_time(&now, clock_now_s());
    add_whole(&all, OID_CMS_CONTENT_TYPE, buffer_bytes(&oid));
    add_whole(&all, OID_CMS_SIGNING_TIME, buffer_bytes(&now));
    add(&all, OID_CMS_MESSAGE_DIGEST, DER_OCTET_STRING, BYTES(hash, hash_len));
    add(&all, OID_SCEP_TRANSACTION_ID, DER_PRINTABLE_STRING, bytes_of_text(request->transaction_id));
    add(&all, OID_SCEP_MESSAGE_TYPE, DER_PRINTABLE_STRING, bytes_of_text(CERT_REP));
    add(&all, OID_SCEP_PKI_STATUS, DER_PRINTABLE_STRING, status_text(rq->arena, request->status));
    add(&all, OID_SCEP_SENDER_NONCE, DER_OCTET_STRING, BYTES(nonce, NONCE_LEN));
    if (request->recipient_nonce.len > 0)
        add(&all, OID_SCEP_RECIPIENT_NONCE, DER_OCTET_STRING, message_bytes(request->recipient_nonce));
    if (request->status == PB__SCEP_STATUS__SCEP_STATUS_FAILURE)
        add(&all, OID_SCEP_FAIL_INFO, DER_PRINTABLE_STRING, bytes_of_text(arena_format(rq->arena, "%u", request->fail_info)));
    return sorted(&all);
}

/* ---- SignedData (RFC 5652 §5.1) ---- */

static void
put_algorithm(struct buffer *out, struct bytes oid)
{
    size_t algorithm = der_open(out, DER_SEQUENCE);

    der_put_oid(out, oid);
    der_put(out, DER_NULL, BYTES_NONE);
    der_close(out, algorithm);
}

static void
put_content(struct buffer *out, const Pb__SignScepReplyRequest *request)
{
    size_t info = der_open(out, DER_SEQUENCE);

    der_put_oid(out, OID_CMS_DATA);
    if (request->content.len > 0) {
        size_t content = der_open(out, DER_CONTEXT_CONSTRUCTED(0));
        der_put(out, DER_OCTET_STRING, message_bytes(request->content));
        der_close(out, content);
    }
    der_close(out, info);
}

static void
put_signer(struct buffer *out, const struct delegate *ra, const struct digest *digest, struct bytes attributes, struct bytes signature)
{
    size_t info = der_open(out, DER_SEQUENCE);

    der_put_int(out, 1);
    size_t issuer_and_serial = der_open(out, DER_SEQUENCE);
    der_put_whole(out, ra->certificate.issuer);
    der_put_unsigned(out, ra->certificate.serial);
    der_close(out, issuer_and_serial);
    put_algorithm(out, *digest->oid);
    der_put(out, DER_CONTEXT_CONSTRUCTED(0), attributes);
    put_algorithm(out, OID_RSA_ENCRYPTION);
    der_put(out, DER_OCTET_STRING, signature);
    der_close(out, info);
}

static struct bytes
encode_message(struct request *rq, const Pb__SignScepReplyRequest *request, const struct delegate *ra, struct bytes attributes,
               struct bytes signature)
{
    const struct digest *digest = &digests[request->digest];
    struct buffer out = buffer_in(rq->arena);
    size_t content_info = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, OID_CMS_SIGNED_DATA);
    size_t explicit = der_open(&out, DER_CONTEXT_CONSTRUCTED(0)), signed_data = der_open(&out, DER_SEQUENCE);
    der_put_int(&out, 1);
    size_t algorithms = der_open(&out, DER_SET);
    put_algorithm(&out, *digest->oid);
    der_close(&out, algorithms);
    put_content(&out, request);
    der_put(&out, DER_CONTEXT_CONSTRUCTED(0), ra->certificate.der);
    size_t signers = der_open(&out, DER_SET);
    put_signer(&out, ra, digest, attributes, signature);
    der_close(&out, signers);
    der_close(&out, signed_data);
    der_close(&out, explicit);
    der_close(&out, content_info);
    return buffer_bytes(&out);
}

static enum error
sign(struct signer *signer, struct request *rq, const struct delegate *ra, const struct digest *digest, struct bytes attributes,
     struct bytes *ret_signature)
{
    struct buffer set = buffer_in(rq->arena);
    struct token_key key = ra->key;

    /* RFC 5652 §5.4: what is signed has the tag SET OF, not the [0] that stands in the message. */
    der_put(&set, DER_SET, attributes);
    if (digest->algorithm == SIG_UNKNOWN)
        return hsm_key_sign_sha1(signer, rq, &key, buffer_bytes(&set), ret_signature);
    key.algorithm = digest->algorithm;
    return hsm_key_sign(signer, rq, &key, buffer_bytes(&set), ret_signature);
}

enum error
sign_scep_reply(struct signer *signer, struct request *rq, const Pb__SignScepReplyRequest *request, Pb__SignScepReplyReply *ret_reply)
{
    const struct delegate *ra;
    struct bytes signature;

    enum error error = check_request(rq, request);
    if (error == OK)
        error = scep_ra_of(signer, rq, request->profile, request->issuer, &ra);
    if (error != OK)
        return error;
    request_note(rq, "transaction", "%s", request->transaction_id);
    struct bytes attributes = encode_attributes(rq, request, &digests[request->digest]);
    error = sign(signer, rq, ra, &digests[request->digest], attributes, &signature);
    if (error != OK)
        return error;
    ret_reply->message = message_data(encode_message(rq, request, ra, attributes, signature));
    metric_add(signer->scep_replies, 1);
    return OK;
}
