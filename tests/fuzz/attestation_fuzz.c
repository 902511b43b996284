/* Attestation objects of strangers: whatever is read out of one lies inside of it, and what is read twice reads the same. */
#include <stdlib.h>

#include "attestation.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* validate_challenge.c is not linked here. */
enum error
found(struct request *rq, const char *problem, const char *format, ...)
{
    (void)fail(rq, ERR_CONFLICT, "%s", format);
    return fail_reason(rq, problem);
}

static void
must_lie_inside(const uint8_t *data, size_t size, struct bytes part)
{
    if (part.len > 0 && (part.at < data || part.at + part.len > data + size))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct cbor_reader in;
    struct statement statement;

    if (size > 32 * 1024 || statement_decode(rq, BYTES(data, size), &statement) != OK)
        return 0;
    if (statement.certificate_count == 0 || statement.certificate_count > X5C_MAX)
        abort();
    const struct bytes parts[] = {statement.format, statement.version, statement.signature, statement.certified, statement.public_area};
    for (size_t i = 0; i < sizeof parts / sizeof parts[0]; i++)
        must_lie_inside(data, size, parts[i]);
    for (size_t i = 0; i < statement.certificate_count; i++)
        must_lie_inside(data, size, statement.certificates[i]);
    /* An object that was read is one value and nothing else. */
    in = cbor_reader_of(BYTES(data, size));
    if (!cbor_reader_skip(&in) || !cbor_reader_at_end(&in))
        abort();
    return 0;
}
