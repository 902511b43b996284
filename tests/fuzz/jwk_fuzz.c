/* Keys in JSON: what is accepted reads back from its canonical form as the same key with the same thumbprint. */
#include <stdlib.h>
#include <string.h>

#include "acme.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct jwk first, second;

    if (size > ACME_BODY_MAX || jwk_parse(rq, json_parse_object(rq->arena, BYTES(data, size)), &first) != OK)
        return 0;
    if (jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(first.canonical)), &second) != OK)
        abort();
    if (memcmp(first.thumbprint, second.thumbprint, THUMBPRINT_LEN) != 0 || !jwk_is_key(&first, &second.key))
        abort();
    return 0;
}
