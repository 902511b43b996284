/* PEM on any text. What was read is written, and read again the same. */
#include <stdlib.h>

#include "pki/pem.h"

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
    struct bytes *ders, *again;
    size_t count, again_count;

    if (pem_all(rq, bytes_text(rq->arena, BYTES(data, size)), "CERTIFICATE REQUEST", 10, &ders, &count))
        return 0;
    struct buffer out = buffer_in(rq->arena);
    for (size_t i = 0; i < count; i++)
        pem_append(&out, "CERTIFICATE REQUEST", ders[i]);
    must(pem_all(rq, buffer_text(&out), "CERTIFICATE REQUEST", 10, &again, &again_count) == OK && again_count == count);
    for (size_t i = 0; i < count; i++)
        must(bytes_equal(ders[i], again[i]));
    return 0;
}
