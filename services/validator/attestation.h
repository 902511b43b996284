/*
 * device-attest-01 (draft-ietf-acme-device-attest): what a device shows instead of a place that we could look at. A WebAuthn attestation object,
 * of strangers' octets from the outside to the inside: CBOR, X.509 and TPM structures, each read by a bounded walk of its own.
 *
 * All that is wrong with an object is a fact against the client, badAttestationStatement; nothing here goes out on the network.
 */
#ifndef SIGNET_VALIDATOR_ATTESTATION_H
#define SIGNET_VALIDATOR_ATTESTATION_H

#include "pki/certificate.h"
#include "validator.h"

#define X5C_MAX 8
#define ATTESTED_NAMES_MAX 16

/* ---- cbor_reader.c: CBOR (RFC 8949) of definite lengths, head by head as libcbor decodes it; nothing is allocated ---- */

#define CBOR_ITEMS_MAX 512
#define CBOR_DEPTH_MAX 6

struct cbor_reader {
    struct bytes left;
    unsigned items_left;
};

enum item_kind { ITEM_REFUSED = 0, ITEM_UNSIGNED, ITEM_NEGATIVE, ITEM_BYTES, ITEM_TEXT, ITEM_ARRAY, ITEM_MAP, ITEM_SIMPLE };

struct item {
    enum item_kind kind;
    uint64_t number;      /* ITEM_UNSIGNED; of ITEM_NEGATIVE -1 - number; of arrays the items, of maps the pairs that follow */
    struct bytes content; /* ITEM_BYTES, ITEM_TEXT */
};

struct cbor_reader cbor_reader_of(struct bytes from);
/* One head, with the content of a string. False at the end, for tags and indefinite lengths, and when there are too many items. */
bool cbor_reader_take(struct cbor_reader *in, struct item *ret_item);
/* One whole value, whatever is inside. */
bool cbor_reader_skip(struct cbor_reader *in);
bool cbor_reader_at_end(const struct cbor_reader *in);

/* ---- attestation_object.c ---- */

struct statement {
    struct bytes format;
    struct bytes certificates[X5C_MAX]; /* x5c: the leaf first; at least one */
    size_t certificate_count;
    struct bytes version, signature, certified, public_area; /* "ver", "sig", "certInfo", "pubArea"; none when absent */
    int64_t algorithm;                                       /* COSE; 0: absent */
};

enum error statement_decode(struct request *rq, struct bytes object, struct statement *ret_statement) MUST_CHECK;

/* ---- cose_algorithm.c ---- */

struct cose_algorithm {
    int64_t number;
    enum signature_algorithm algorithm; /* with RSA: the digest */
    bool is_pss;
};

/* NULL, or why it is not taken for such a key. */
const char *cose_algorithm_find(int64_t number, enum key_type type, struct cose_algorithm *ret_algorithm);
bool cose_verify(const struct public_key *key, const struct cose_algorithm *algorithm, struct bytes message, struct bytes signature);

/* ---- attestation_chain.c ---- */

/* The leaf of the statement, which leads to one of these roots (PEM), is valid now and is on none of the CRLs beside them; `ret_root` is the subject
 * of that root. */
enum error attestation_chain_check(struct request *rq, const struct statement *statement, const char *roots_pem, struct certificate *ret_leaf,
                                   const char **ret_root) MUST_CHECK;

/* ---- attestation_revocation.c ---- */

/* From the leaf to the root, by the CRLs among the roots. */
enum error attestation_revocation_check(struct request *rq, const char *roots_pem, const struct certificate *chain, size_t count) MUST_CHECK;

/* ---- what a statement proves ---- */

struct attested {
    struct bytes spki; /* the key that the certificate will have */
    struct identifier names[ATTESTED_NAMES_MAX];
    size_t name_count;
};

void attested_add(struct attested *attested, enum identifier_type type, const char *value);
/* Texts of extensions and the like: nothing happens when it is none that a name could have. */
void attested_add_text(struct arena *arena, struct attested *attested, struct bytes text);
/* The devices in subjectAltName. */
void attested_add_names_of(struct arena *arena, struct attested *attested, const struct certificate *certificate);

typedef enum error verify_statement(struct request *rq, const struct statement *statement, const struct certificate *leaf, const struct proof *proof,
                                    struct attested *attested);

verify_statement attestation_apple; /* Apple's Managed Device Attestation */
verify_statement attestation_step;  /* smallstep's, for YubiKeys and the like */
verify_statement attestation_tpm;   /* WebAuthn §8.3 */

/* ---- tpm.c: structures of TPM 2.0, Part 2 ---- */

struct tpm_certified { /* TPMS_ATTEST of TPM2_Certify */
    struct bytes extra_data;
    struct bytes name;
};

struct tpm_public { /* TPMT_PUBLIC */
    uint16_t name_algorithm;
    uint32_t attributes;
    struct bytes spki;
};

#define TPM_FIXED_TPM (1u << 1)
#define TPM_SENSITIVE_DATA_ORIGIN (1u << 5)

/* NULL, or what is wrong. */
const char *tpm_certified_decode(struct bytes from, struct tpm_certified *ret_certified);
const char *tpm_public_decode(struct arena *arena, struct bytes from, struct tpm_public *ret_public);
/* TPMT_SIGNATURE → the signature as X.509 has it, made with `algorithm`. */
const char *tpm_signature_decode(struct arena *arena, struct bytes from, const struct cose_algorithm *algorithm, struct bytes *ret_signature);
/* Is this the name (Part 1 §16) of that public area? */
bool tpm_name_is(struct bytes name, const struct tpm_public *key, struct bytes public_area);

#endif
