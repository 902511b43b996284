/* X-Forwarded-For as a proxy hands it on: who is found in it is an address in its one spelling. */
#include <stdlib.h>
#include <string.h>

#include "link/client_address.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct proxies proxies;
    struct address address;
    char text[ADDRESS_TEXT_MAX];

    if (proxies_parse(rq, "SETTING", "10.0.0.0/8,fd00::/8", &proxies) != OK)
        abort();
    const char *client = client_address(rq->arena, &proxies, "10.0.0.1", arena_text_n(rq->arena, (const char *)data, size));
    if (!address_parse(client, &address))
        abort();
    address_format(&address, text);
    if (strcmp(client, text) != 0)
        abort();
    return 0;
}
