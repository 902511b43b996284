/*
 * Certification requests (PKCS#10, RFC 2986), parsed by our own bounded DER walk.
 *
 *     struct csr csr;
 *     error = csr_parse(rq, der, &csr);          // shape, version, subject, key, extensions
 *     if (!error) error = csr_verify(rq, &csr);  // proof of possession and key strength
 *
 * Everything in `struct csr` borrows from the DER text or lives in rq's arena. Errors: ERR_BAD_CSR, ERR_BAD_NAME.
 */
#ifndef SIGNET_PKI_CSR_H
#define SIGNET_PKI_CSR_H

#include "pki/identifier.h"
#include "pki/public_key.h"

#define CSR_MAX (32 * 1024)
#define CSR_EXTENSIONS_MAX 32

struct csr {
    struct bytes der;
    struct bytes info;    /* CertificationRequestInfo: what is signed */
    struct bytes subject; /* DER Name */
    struct public_key key;
    struct identifier *names; /* subjectAltName, canonical */
    size_t name_count;
    bool asks_ca;                    /* basicConstraints with cA TRUE */
    unsigned key_usage;              /* bits of the asked keyUsage: bit 0 = digitalSignature …; 0: none asked */
    struct bytes extended_key_usage; /* content of the asked EKU SEQUENCE, or none */
    struct bytes extensions;         /* everything that was asked: SEQUENCE OF Extension, well-formed, or none */
    struct bytes challenge_password; /* attribute's text octets, or none */
    bool must_staple;                /* TLS feature 5 or 17 asked */
    enum signature_algorithm algorithm;
    bool is_sha1_signed; /* with RSA; then the algorithm is SIG_UNKNOWN. Never after csr_parse */
    struct bytes signature;
};

enum error csr_parse(struct request *rq, struct bytes der, struct csr *ret_csr) MUST_CHECK;
/* The same for devices that know no other digest than SHA-1: what signs a request proves that its key is there, and serves for nothing else. */
enum error csr_parse_legacy(struct request *rq, struct bytes der, struct csr *ret_csr) MUST_CHECK;
/* Whether these octets are such a request. */
bool csr_is_sha1_signed(struct bytes der);
/* Whether they begin with a request, signed by the key that it names; of SHA-1, too. Nothing else of it is looked at, nor is what follows it. */
bool csr_is_proven(struct bytes der);
enum error csr_verify(struct request *rq, const struct csr *csr) MUST_CHECK;

/*
 * What nobody gets, and what a client would rely on blindly if it were left out as other extensions are that the template does not have: a CA's
 * certificate, and OCSP must-staple (RFC 7633). ERR_BAD_CSR.
 */
enum error csr_check_wishes(struct request *rq, const struct csr *csr) MUST_CHECK;

/* The names of SAN plus, when it looks like a host name or address and is not among them, the common name. */
enum error csr_all_names(struct request *rq, const struct csr *csr, struct identifier **ret_names, size_t *ret_count) MUST_CHECK;

/* The value set of an attribute of a request that csr_parse has accepted; false when it is absent. */
bool csr_attribute(const struct csr *csr, struct bytes type, struct der *ret_values);
/* For requests that renew: the names that changeSubjectName (RFC 6402 §2.8) asks for take the place of those that the request repeats. */
enum error csr_change_names(struct request *rq, struct csr *csr, bool *ret_changed) MUST_CHECK;

/* Encodes the part to sign, and joins it with its signature: for "CSR only" CAs. `extensions` is SEQUENCE OF Extension, or none. */
struct bytes csr_encode_info(struct arena *arena, struct bytes subject, struct bytes spki, struct bytes extensions);
struct bytes csr_join(struct arena *arena, struct bytes info, enum signature_algorithm algorithm, struct bytes signature);

#endif
