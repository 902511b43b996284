/* The body of an EST POST as anybody may send it: what is accepted is one DER SEQUENCE, and reads back the same from our own layouts. */
#include <stdlib.h>

#include "est.h"
#include "pki/oid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der, again, text;
    struct csr csr;

    if (size > EST_BODY_MAX || body_decode(rq, BYTES(data, size), &der) != OK)
        return 0;
    if (der.at[0] != DER_SEQUENCE || !der_is_one_value(der))
        abort();
    if (body_decode(rq, bytes_of_text(body_encode(rq->arena, der)), &again) != OK || !bytes_equal(der, again))
        abort();
    if (csr_parse(rq, der, &csr) == OK && attribute_text(rq, &csr, OID_EST_IDENTITY_LINKING, &text) != OK && rq->failure.kind == OK)
        abort();
    return 0;
}
