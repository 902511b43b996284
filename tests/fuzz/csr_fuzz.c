/* Certification requests on anything. What is accepted has canonical names, and its signature is verified without a crash. */
#include <stdlib.h>

#include "pki/csr.h"
#include "pki/name.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier *names, again;
    struct csr csr, strict;
    size_t count;

    /* What is strict is accepted by the other, too, and differs in nothing but SHA-1. */
    enum error error = csr_parse_legacy(rq, BYTES(data, size), &csr);
    must(!error || error == ERR_BAD_CSR || error == ERR_BAD_NAME);
    failure_clear(rq);
    must((csr_parse(rq, BYTES(data, size), &strict) == OK) == (!error && !csr.is_sha1_signed));
    must(error || csr.is_sha1_signed == csr_is_sha1_signed(BYTES(data, size)));
    failure_clear(rq);
    if (error)
        return 0;
    must(size <= CSR_MAX && csr.name_count <= IDENTIFIERS_MAX && csr.key.type != KEY_UNKNOWN);
    must(name_find_fault(rq->arena, csr.subject) == NULL && name_format(rq->arena, csr.subject) != NULL);
    must(public_key_name(rq->arena, &csr.key) != NULL);
    if (csr_all_names(rq, &csr, &names, &count))
        return 0;
    for (size_t i = 0; i < count; i++)
        must(identifier_read(rq->arena, names[i].type, names[i].value, &again) == NULL && identifier_equal(&names[i], &again));
    error = csr_verify(rq, &csr);
    must(!error || error == ERR_BAD_CSR);
    return 0;
}
