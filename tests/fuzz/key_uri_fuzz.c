/* Key URIs and OID names on any text: what was read is written, and read again the same. */
#include <stdlib.h>

#include "base/text.h"
#include "pki/key_uri.h"
#include "pki/oid.h"

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
    const char *text = bytes_text(rq->arena, BYTES(data, size));
    struct key_uri uri, again;
    struct bytes oid, oid_again;

    if (key_uri_parse(rq, text, &uri) == OK) {
        must(key_uri_parse(rq, key_uri_format(rq->arena, &uri), &again) == OK);
        must(uri.place == again.place && text_equal(uri.token, again.token) && text_equal(uri.object, again.object) && bytes_equal(uri.id, again.id));
    }
    if (oid_parse(rq->arena, text, &oid))
        must(oid_parse(rq->arena, oid_name(rq->arena, oid), &oid_again) && bytes_equal(oid, oid_again));
    must(oid_name(rq->arena, BYTES(data, size)) != NULL);
    return 0;
}
