/* OCSP responses (RFC 6960 §4.2): the signer encodes ResponseData from a plan, signs it, and joins the two with the responder's certificate. */
#include "pki/ocsp.h"

#include <assert.h>

#include <openssl/sha.h>

#include "pki/oid.h"

#define NULL_GOOD DER_CONTEXT(0)
#define REVOKED_INFO DER_CONTEXT_CONSTRUCTED(1)
#define NULL_UNKNOWN DER_CONTEXT(2)

void
ocsp_issuer_hashes(const struct certificate *issuer, struct ocsp_issuer_hashes *ret_hashes)
{
    struct bytes key = public_key_bits(&issuer->key);

    SHA1(issuer->subject.at, issuer->subject.len, ret_hashes->name_sha1);
    SHA256(issuer->subject.at, issuer->subject.len, ret_hashes->name_sha256);
    SHA1(key.at, key.len, ret_hashes->key_sha1);
    SHA256(key.at, key.len, ret_hashes->key_sha256);
}

bool
ocsp_cert_id_matches(const struct ocsp_cert_id *id, const struct ocsp_issuer_hashes *issuer)
{
    if (id->sha256)
        return bytes_equal(id->issuer_name_hash, BYTES(issuer->name_sha256, sizeof issuer->name_sha256)) &&
               bytes_equal(id->issuer_key_hash, BYTES(issuer->key_sha256, sizeof issuer->key_sha256));
    return bytes_equal(id->issuer_name_hash, BYTES(issuer->name_sha1, sizeof issuer->name_sha1)) &&
           bytes_equal(id->issuer_key_hash, BYTES(issuer->key_sha1, sizeof issuer->key_sha1));
}

static void
put_enumerated(struct buffer *out, int value)
{
    uint8_t octet = (uint8_t)value;

    assert(value >= 0 && value <= 0x7f);
    der_put(out, DER_ENUMERATED, BYTES(&octet, 1));
}

static void
put_revoked(struct buffer *out, const struct ocsp_single *single)
{
    size_t info = der_open(out, REVOKED_INFO);

    der_put_generalized_time(out, single->revoked_at_s);
    if (single->reason != 0) {
        size_t reason = der_open(out, DER_CONTEXT_CONSTRUCTED(0));
        put_enumerated(out, single->reason);
        der_close(out, reason);
    }
    der_close(out, info);
}

static void
put_single(struct buffer *out, const struct ocsp_plan *plan, const struct ocsp_single *single)
{
    size_t response = der_open(out, DER_SEQUENCE);

    der_put_whole(out, single->cert_id);
    switch (single->status) {
    case OCSP_GOOD:
        der_put(out, NULL_GOOD, BYTES_NONE);
        break;
    case OCSP_REVOKED:
        put_revoked(out, single);
        break;
    case OCSP_UNKNOWN:
        der_put(out, NULL_UNKNOWN, BYTES_NONE);
        break;
    }
    der_put_generalized_time(out, plan->this_update_s);
    if (plan->next_update_s != 0) {
        size_t next = der_open(out, DER_CONTEXT_CONSTRUCTED(0));
        der_put_generalized_time(out, plan->next_update_s);
        der_close(out, next);
    }
    der_close(out, response);
}

static void
put_nonce(struct buffer *out, struct bytes nonce)
{
    if (nonce.len == 0)
        return;
    size_t explicit = der_open(out, DER_CONTEXT_CONSTRUCTED(1)), list = der_open(out, DER_SEQUENCE), extension = der_open(out, DER_SEQUENCE);
    der_put_oid(out, OID_OCSP_NONCE);
    size_t value = der_open(out, DER_OCTET_STRING);
    der_put(out, DER_OCTET_STRING, nonce);
    der_close(out, value);
    der_close(out, extension);
    der_close(out, list);
    der_close(out, explicit);
}

struct bytes
ocsp_encode_response_data(struct arena *arena, const struct ocsp_plan *plan)
{
    struct buffer out = buffer_in(arena);
    size_t data = der_open(&out, DER_SEQUENCE);

    size_t by_key = der_open(&out, DER_CONTEXT_CONSTRUCTED(2));
    der_put(&out, DER_OCTET_STRING, plan->responder_key_id);
    der_close(&out, by_key);
    der_put_generalized_time(&out, plan->produced_at_s);
    size_t responses = der_open(&out, DER_SEQUENCE);
    for (size_t i = 0; i < plan->single_count; i++)
        put_single(&out, plan, &plan->singles[i]);
    der_close(&out, responses);
    put_nonce(&out, plan->nonce);
    der_close(&out, data);
    return buffer_bytes(&out);
}

struct bytes
ocsp_join(struct arena *arena, struct bytes response_data, enum signature_algorithm algorithm, struct bytes signature,
          struct bytes responder_certificate)
{
    struct buffer out = buffer_in(arena);
    size_t response = der_open(&out, DER_SEQUENCE);

    put_enumerated(&out, 0); /* successful */
    size_t explicit = der_open(&out, DER_CONTEXT_CONSTRUCTED(0)), bytes = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_OCSP_BASIC);
    size_t octets = der_open(&out, DER_OCTET_STRING), basic = der_open(&out, DER_SEQUENCE);
    der_put_whole(&out, response_data);
    der_put_whole(&out, signature_algorithm_der(algorithm));
    der_put_bits(&out, signature);
    if (responder_certificate.len > 0) {
        size_t certificates = der_open(&out, DER_CONTEXT_CONSTRUCTED(0)), list = der_open(&out, DER_SEQUENCE);
        der_put_whole(&out, responder_certificate);
        der_close(&out, list);
        der_close(&out, certificates);
    }
    der_close(&out, basic);
    der_close(&out, octets);
    der_close(&out, bytes);
    der_close(&out, explicit);
    der_close(&out, response);
    return buffer_bytes(&out);
}

struct bytes
ocsp_error_response(int status)
{
    static const uint8_t responses[][5] = {
        [1] = {DER_SEQUENCE, 3, DER_ENUMERATED, 1, 1}, [2] = {DER_SEQUENCE, 3, DER_ENUMERATED, 1, 2}, [3] = {DER_SEQUENCE, 3, DER_ENUMERATED, 1, 3},
        [5] = {DER_SEQUENCE, 3, DER_ENUMERATED, 1, 5}, [6] = {DER_SEQUENCE, 3, DER_ENUMERATED, 1, 6},
    };

    assert(status >= 1 && status <= 6 && status != 4);
    return BYTES(responses[status], sizeof responses[status]);
}
