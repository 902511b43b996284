/*
 * Whether a maker has taken back the word behind an attestation: by the CRLs that stand beside the roots, in the same PEM. They are the operator's to
 * renew; nothing is fetched. What a list says holds also when it is older than it should be, and an issuer without a list has revoked nothing.
 */
#include "attestation.h"

#include "pki/crl.h"
#include "pki/pem.h"

#define CRLS_MAX 64
#define REASON_REMOVE_FROM_CRL 8

static bool
is_revoked(const struct crl *crl, const struct certificate *certificate, const struct certificate *issuer)
{
    struct crl_entry entry;

    return bytes_equal(crl->issuer, certificate->issuer) && crl_find(crl, certificate->serial, &entry) && entry.reason != REASON_REMOVE_FROM_CRL &&
           crl_is_signed_by(crl, issuer);
}

/* Lists that cannot be read are our trouble, as roots are. */
enum error
attestation_revocation_check(struct request *rq, const char *roots_pem, const struct certificate *chain, size_t count)
{
    struct bytes *lists;
    size_t list_count = 0;

    enum error error = pem_all(rq, roots_pem, "X509 CRL", CRLS_MAX, &lists, &list_count);
    for (size_t i = 0; error == OK && i < list_count; i++) {
        struct crl crl;
        error = crl_parse(rq, lists[i], &crl);
        for (size_t k = 0; error == OK && k + 1 < count; k++)
            if (is_revoked(&crl, &chain[k], &chain[k + 1]))
                return found(rq, "badAttestationStatement", "certificate %zu of the attestation's chain was revoked by its issuer", k + 1);
    }
    return error;
}
