/*
 * Identifiers as text and as GeneralNames. The first octet says which type the text is of. A canonical text is a fixed point, and survives the
 * way through DER.
 */
#include <stdlib.h>

#include "pki/identifier.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
round_trip(struct request *rq, const struct identifier *identifiers, size_t count)
{
    struct identifier *again;
    size_t again_count;

    must(identifiers_decode(rq, identifiers_encode(rq->arena, identifiers, count), &again, &again_count) == OK);
    must(again_count == count);
    for (size_t i = 0; i < count; i++)
        must(identifier_equal(&identifiers[i], &again[i]));
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier one, *many;
    size_t count;

    if (size == 0)
        return 0;
    const char *text = bytes_text(rq->arena, BYTES(data + 1, size - 1));
    if (identifier_parse(rq, (enum identifier_type)(data[0] & 7), text, &one) == OK)
        round_trip(rq, &one, 1);
    failure_clear(rq);
    if (identifiers_decode(rq, BYTES(data, size), &many, &count) == OK)
        round_trip(rq, many, count);
    return 0;
}
