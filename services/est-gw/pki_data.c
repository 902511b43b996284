/* PKIData of CMC (RFC 5272 §3.2.1), as far as a simple request needs it: one PKCS#10 request, and nothing else that would have to be understood. */
#include "est.h"

enum error
pki_data_read(struct request *rq, struct bytes pki_data, struct bytes *ret_csr)
{
    struct der outer = der_of(pki_data), parts, controls, requests, contents, others, tagged;
    int64_t body_part;
    struct bytes csr;

    if (!der_enter(&outer, DER_SEQUENCE, &parts) || !der_at_end(&outer) || !der_enter(&parts, DER_SEQUENCE, &controls) ||
        !der_enter(&parts, DER_SEQUENCE, &requests) || !der_enter(&parts, DER_SEQUENCE, &contents) || !der_enter(&parts, DER_SEQUENCE, &others) ||
        !der_at_end(&parts))
        return refuse(rq, ERR_BAD_REQUEST, "full CMC", "the content of the message is not PKIData (RFC 5272)");
    /* A control that is passed over could be the one that matters. */
    if (!der_at_end(&controls) || !der_at_end(&contents) || !der_at_end(&others))
        return refuse(rq, ERR_BAD_REQUEST, "full CMC", "controls and nested messages are not served here: send one certification request alone");
    if (!der_enter(&requests, DER_CONTEXT_CONSTRUCTED(0), &tagged) || !der_at_end(&requests) || !der_take_int(&tagged, &body_part) ||
        !der_take_whole(&tagged, NULL, &csr) || !der_at_end(&tagged))
        return refuse(rq, ERR_BAD_REQUEST, "full CMC", "the message does not hold exactly one PKCS#10 request");
    *ret_csr = csr;
    return OK;
}
