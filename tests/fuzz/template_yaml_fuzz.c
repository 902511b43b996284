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
    Pb__Template *template = NULL, *again = NULL;

    if (template_from_yaml(rq, BYTES(data, size), &template) != OK) {
        must(rq->failure.message[0] != '\0' && template == NULL);
        return 0;
    }
    template_to_yaml(rq->arena, template, &first);
    must(template_from_yaml(rq, buffer_bytes(&first), &again) == OK);
    template_to_yaml(rq->arena, again, &second);
    must(bytes_equal(buffer_bytes(&first), buffer_bytes(&second)));
    return 0;
}
