/* External account bindings: what has a shape has all its parts; what has none says why. */
#include <stdlib.h>
#include <string.h>

#include "acme.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    const json_t *json = json_parse_object(rq->arena, BYTES(data, size));
    struct eab_jws jws = {0};

    enum error error = eab_parse(rq, json, &jws);
    if (error ? rq->failure.message[0] == '\0' || jws.key_id != NULL : jws.key_id[0] == '\0' || jws.url == NULL || jws.bits == 0)
        abort();
    if (error == OK && (strlen(jws.key_id) > 100 || memchr(jws.signing_input.at, '.', jws.signing_input.len) == NULL))
        abort();
    return 0;
}
