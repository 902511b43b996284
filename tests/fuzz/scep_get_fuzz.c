/* The message in the query of a GET PKIOperation. */
#include <stdlib.h>

#include "scep.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes message;
    struct request rq;

    request_begin(&rq, "fuzz", "", NULL);
    if (get_message_decode(&rq, bytes_text(rq.arena, BYTES(data, size)), &message) == OK && (message.len == 0 || message.len > size))
        abort();
    request_drop(&rq);
    return 0;
}
