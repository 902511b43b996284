/* A CSR with the attributes of EST, plain and inside PKIData: a request that is taken out of a PKIData lies within it, and so do values of
 * attributes. What is answered to a PKIData that fails is DER. */
#include <stdlib.h>

#include "est.h"
#include "pki/name.h"
#include "pki/oid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_inside(struct bytes outer, const uint8_t *at, size_t len)
{
    if (at < outer.at || len > outer.len || at + len > outer.at + outer.len)
        abort();
}

static void
try_csr(struct request *rq, struct bytes der)
{
    const struct bytes oids[] = {OID_EST_IDENTITY_LINKING, OID_DECRYPT_KEY_ID, OID_ASYMM_DECRYPT_KEY_ID, OID_CHALLENGE_PASSWORD};
    struct bytes text;
    struct csr csr;
    bool changed;

    if (csr_parse(rq, der, &csr) != OK)
        return;
    for (size_t i = 0; i < sizeof oids / sizeof oids[0]; i++) {
        struct der values;
        if (!csr_attribute(&csr, oids[i], &values))
            continue;
        check_inside(csr.info, values.at, values.len);
        if (attribute_text(rq, &csr, oids[i], &text) == OK)
            check_inside(csr.info, text.at, text.len);
    }
    failure_clear(rq);
    if (csr_change_names(rq, &csr, &changed) == OK && changed && name_find_fault(rq->arena, csr.subject) != NULL)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes whole = BYTES(data, size), csr = whole;

    if (pki_data_read(rq, whole, &csr) == OK)
        check_inside(whole, csr.at, csr.len);
    (void)fail(rq, ERR_BAD_REQUEST, "refused");
    if (!der_is_one_value(cmc_response_encode(rq->arena, whole, &rq->failure)))
        abort();
    failure_clear(rq);
    try_csr(rq, csr);
    return 0;
}
