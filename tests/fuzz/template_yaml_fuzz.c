/* Templates as operators write them. What is read must be written and read again the same. */
#include <stdlib.h>

#include "signetctl.h"

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
    struct buffer first = buffer_in(rq->arena), second = buffer_in(rq->arena);
    Pb__Template template = PB__TEMPLATE__INIT, again = PB__TEMPLATE__INIT;

    if (message_from_yaml(rq, BYTES(data, size), "a template", &template.base) != OK) {
        must(rq->failure.message[0] != '\0');
        return 0;
    }
    message_to_yaml(rq->arena, &template.base, &first);
    must(message_from_yaml(rq, buffer_bytes(&first), "a template", &again.base) == OK);
    message_to_yaml(rq->arena, &again.base, &second);
    must(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    return 0;
}
