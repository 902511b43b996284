/* Basic credentials in a header: whatever is read lies within the header's octets, and the user has no colon. */
#include <stdlib.h>
#include <string.h>

#include "link/http_basic.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes user, password;

    if (!http_basic_read(arena, bytes_text(arena, BYTES(data, size)), &user, &password))
        return 0;
    if (memchr(user.at, ':', user.len) != NULL || user.len + 1 + password.len > size || password.at != user.at + user.len + 1)
        abort();
    wipe((void *)password.at, password.len);
    return 0;
}
