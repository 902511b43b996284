/* The certificate that a stranger's TLS server shows: none passes that does not hold the name and the digest of the key authorization. */
#include <stdlib.h>
#include <string.h>

#include "validator.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* validate_challenge.c is not linked here. */
enum error
found(struct request *rq, const char *problem, const char *format, ...)
{
    (void)fail(rq, ERR_CONFLICT, "%s", format);
    return fail_reason(rq, problem);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct proof proof = {.name = {.type = IDENTIFIER_DNS, .value = "host.example"}, .key_authorization = "token.thumbprint"};

    memset(proof.digest, 'd', sizeof proof.digest);
    if (size > 64 * 1024)
        return 0;
    if (tls_alpn_01_certificate_check(rq, BYTES(data, size), &proof) != OK)
        return 0;
    if (memmem(data, size, "host.example", 12) == NULL || memmem(data, size, proof.digest, sizeof proof.digest) == NULL)
        abort();
    return 0;
}
