/* CRLs (RFC 5280 §5): read and checked before they are published, encoded by the signer. */
#ifndef SIGNET_PKI_CRL_H
#define SIGNET_PKI_CRL_H

#include "pki/certificate.h"

struct crl {
    struct bytes der;
    struct bytes tbs;
    struct bytes issuer;
    int64_t this_update_s, next_update_s;
    struct bytes number; /* cRLNumber magnitude; none when absent */
    struct bytes authority_key_id;
    struct bytes entries; /* content of revokedCertificates */
    size_t entry_count;
    enum signature_algorithm algorithm;
    struct bytes signature;
};

/* Walks every entry. ERR_BAD_REQUEST. */
enum error crl_parse(struct request *rq, struct bytes der, struct crl *ret_crl) MUST_CHECK;
bool crl_is_signed_by(const struct crl *crl, const struct certificate *issuer);

struct crl_entry {
    struct bytes serial;
    int64_t revoked_at_s;
    int reason;           /* CRLReason; 0 is left out (RFC 5280 §5.3.1) */
    int64_t invalidity_s; /* 0: none */
};
/* The next one of der_of(crl->entries). */
bool crl_take_entry(struct der *entries, struct crl_entry *ret_entry);
bool crl_find(const struct crl *crl, struct bytes serial, struct crl_entry *ret_entry);

struct crl_plan {
    enum signature_algorithm algorithm;
    struct bytes issuer;
    int64_t this_update_s, next_update_s;
    struct bytes number;
    struct bytes authority_key_id;
    const struct crl_entry *entries;
    size_t entry_count;
};
struct bytes crl_encode_tbs(struct arena *arena, const struct crl_plan *plan);

/* The same with entries that come one after the other, however many: begin, add each, end. The plan's own are not looked at. */
struct crl_writer {
    struct buffer out;
    size_t tbs, entries; /* marks */
    size_t entry_count;
};
struct crl_writer crl_begin(struct arena *arena, const struct crl_plan *plan);
void crl_add(struct crl_writer *writer, const struct crl_entry *entry);
struct bytes crl_end(struct crl_writer *writer, const struct crl_plan *plan);

#endif
