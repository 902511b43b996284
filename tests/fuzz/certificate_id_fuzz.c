/* The identifier of a certificate in ARI, and the certificate that is found for it: what is accepted has one spelling only. Input: text NUL DER. */
#include <stdlib.h>
#include <string.h>

#include "acme.h"
#include "base/base64.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct bytes found_der, asked_serial;

enum error
store_load_known(struct acme *acme, struct request *rq, int expiry_month, struct bytes serial, struct known_certificate *ret_known)
{
    if (found_der.len == 0)
        return fail(rq, ERR_NOT_FOUND, "there is none");
    asked_serial = serial;
    *ret_known = (struct known_certificate){.der = found_der};
    return OK;
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    const uint8_t *end = memchr(data, 0, size);
    size_t text_len = end == NULL ? size : (size_t)(end - data);
    const char *text = arena_text_n(rq->arena, (const char *)data, text_len);
    struct known_certificate *known = arena_alloc(rq->arena, sizeof *known);

    found_der = end == NULL || size - text_len - 1 > CERTIFICATE_MAX ? BYTES_NONE : BYTES(end + 1, size - text_len - 1);
    if (certificate_id_load(NULL, rq, text, known) != OK)
        return 0;
    const char *dot = strchr(text, '.');
    if (dot == NULL || strcmp(dot + 1, base64url_encode(rq->arena, asked_serial)) != 0)
        abort();
    return 0;
}
