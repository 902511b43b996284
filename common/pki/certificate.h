/*
 * Certificates (RFC 5280): read by our own walk where it is hot, encoded field by field where we issue.
 * Everything parsed borrows from the DER text or lives in rq's arena.
 */
#ifndef SIGNET_PKI_CERTIFICATE_H
#define SIGNET_PKI_CERTIFICATE_H

#include "pki/identifier.h"
#include "pki/public_key.h"

#define CERTIFICATE_MAX (64 * 1024)
#define CERTIFICATE_EXTENSIONS_MAX 64

struct extension {
    struct bytes oid;
    bool critical;
    struct bytes value; /* content of the OCTET STRING */
};

struct certificate {
    struct bytes der;
    struct bytes tbs;
    struct bytes serial; /* magnitude without sign octet */
    struct bytes issuer; /* DER Name */
    struct bytes subject;
    int64_t not_before_s, not_after_s; /* inclusive (RFC 5280 §4.1.2.5) */
    struct public_key key;
    struct extension extensions[CERTIFICATE_EXTENSIONS_MAX];
    size_t extension_count;
    enum signature_algorithm algorithm;
    struct bytes signature;
};

/* SEQUENCE OF Extension, at most `most`; false when malformed or when one comes twice. */
bool extensions_take(struct der *in, struct extension *room, size_t most, size_t *ret_count);
const struct extension *extension_find(const struct extension *extensions, size_t count, struct bytes oid); /* NULL when absent */
/* Values of extensions; false when malformed. Path length -1: none. Bit n of the bits is KeyUsage bit n. */
bool basic_constraints_decode(struct bytes value, bool *ret_is_ca, int *ret_path_length);
bool key_usage_decode(struct bytes value, unsigned *ret_bits);

/* ERR_BAD_REQUEST. Version 3 only; duplicate extensions refused. */
enum error certificate_parse(struct request *rq, struct bytes der, struct certificate *ret_certificate) MUST_CHECK;

const struct extension *certificate_extension(const struct certificate *certificate, struct bytes oid); /* NULL when absent */
enum error certificate_names(struct request *rq, const struct certificate *certificate, struct identifier **ret_names, size_t *ret_count) MUST_CHECK;
/* cA and pathLenConstraint (-1: none). */
bool certificate_is_ca(const struct certificate *certificate, int *ret_path_length);
/* Signed by the key of `issuer`, and names chain. */
bool certificate_is_issued_by(const struct certificate *certificate, const struct certificate *issuer);
void certificate_sha256(struct bytes der, uint8_t ret_sha256[32]);

/* What a to-be-signed certificate is made of. Extensions are encoded in the order of their OIDs' appearance here; absent parts are left out. */
struct certificate_plan {
    struct bytes serial; /* magnitude */
    enum signature_algorithm algorithm;
    struct bytes issuer;  /* DER Name */
    struct bytes subject; /* DER Name */
    int64_t not_before_s, not_after_s;
    struct bytes spki;
    struct bytes authority_key_id; /* keyIdentifier octets; none for self-signed roots */
    struct bytes subject_key_id;
    bool is_ca;
    int path_length;                        /* -1: none */
    bool with_basic_constraints;            /* encode it even when is_ca is false */
    unsigned key_usage;                     /* bit n = KeyUsage bit n; 0: leave out */
    const struct bytes *extended_key_usage; /* OIDs */
    size_t extended_key_usage_count;
    const struct identifier *names;
    size_t name_count;
    const char *ocsp_url; /* NULL: leave out */
    const char *ca_issuers_url;
    const char *crl_url;
    bool ocsp_nocheck;
};

struct bytes certificate_encode_tbs(struct arena *arena, const struct certificate_plan *plan);
/* Its SEQUENCE OF Extension alone, for the request of a CA whose certificate others sign (csr_encode_info). None when the plan has no extension. */
struct bytes certificate_encode_extensions(struct arena *arena, const struct certificate_plan *plan);
/* SEQUENCE { tbs, algorithm, signature }: certificates, CRLs and CSRs have the same outer form. */
struct bytes signed_join(struct arena *arena, struct bytes tbs, enum signature_algorithm algorithm, struct bytes signature);

/* KeyUsage names of RFC 5280 ("digitalSignature") → bit; -1 when unknown. */
int key_usage_bit(const char *name);

#endif
