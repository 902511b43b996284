/* OCSP messages (RFC 6960, RFC 9919 profile, RFC 9654 nonce): requests are read, responses encoded. */
#ifndef SIGNET_PKI_OCSP_H
#define SIGNET_PKI_OCSP_H

#include "pki/certificate.h"

#define OCSP_REQUEST_MAX 4096
#define OCSP_SINGLES_MAX 16
#define OCSP_NONCE_MAX 128

struct ocsp_cert_id {
    struct bytes der; /* the whole CertID, to be echoed */
    bool sha256;      /* else SHA-1 */
    struct bytes issuer_name_hash;
    struct bytes issuer_key_hash;
    struct bytes serial; /* magnitude */
};

struct ocsp_request {
    struct ocsp_cert_id ids[OCSP_SINGLES_MAX];
    size_t id_count;
    struct bytes nonce; /* content octets, or none */
};

/* ERR_BAD_REQUEST: malformedRequest. ERR_DENIED never. Unknown hash algorithms are kept with empty hashes, which are no issuer's. */
enum error ocsp_request_parse(struct request *rq, struct bytes der, struct ocsp_request *ret_request) MUST_CHECK;

/* One CertID alone, as it travels from the responder to the signer. ERR_BAD_REQUEST. */
enum error ocsp_cert_id_parse(struct request *rq, struct bytes der, struct ocsp_cert_id *ret_id) MUST_CHECK;

/* SHA-1 and SHA-256 of an issuer's Name and of its key's bit string: what CertIDs are matched against. */
struct ocsp_issuer_hashes {
    uint8_t name_sha1[20], key_sha1[20], name_sha256[32], key_sha256[32];
};
void ocsp_issuer_hashes(const struct certificate *issuer, struct ocsp_issuer_hashes *ret_hashes);
bool ocsp_cert_id_matches(const struct ocsp_cert_id *id, const struct ocsp_issuer_hashes *issuer);

enum ocsp_status { OCSP_GOOD = 1, OCSP_REVOKED = 2, OCSP_UNKNOWN = 3 }; /* the numbers of CertStatus */

struct ocsp_single {
    struct bytes cert_id; /* whole CertID */
    enum ocsp_status status;
    int64_t revoked_at_s;
    int reason; /* CRLReason; 0: left out */
};

struct ocsp_plan {
    struct bytes responder_key_id; /* SHA-1 of the responder's key: byKey */
    int64_t produced_at_s, this_update_s, next_update_s;
    const struct ocsp_single *singles;
    size_t single_count;
    struct bytes nonce;
};
/* ResponseData, to be signed; and the whole OCSPResponse with the responder's certificate in it. */
struct bytes ocsp_encode_response_data(struct arena *arena, const struct ocsp_plan *plan);
struct bytes ocsp_join(struct arena *arena, struct bytes response_data, enum signature_algorithm algorithm, struct bytes signature,
                       struct bytes responder_certificate);

/* An OCSPResponse without a body: malformedRequest(1), internalError(2), tryLater(3), unauthorized(6). Static. */
struct bytes ocsp_error_response(int status);

#endif
