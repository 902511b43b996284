/* Distinguished names on anything. What is accepted can be shown and respelled, and OpenSSL reads it too. */
#include <stdlib.h>

#include <openssl/x509.h>

#include "base/text.h"
#include "pki/name.h"
#include "pki/oid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
openssl_reads_it(struct bytes der)
{
    const unsigned char *at = der.at;
    X509_NAME *name = d2i_X509_NAME(NULL, &at, (long)der.len);

    must(name != NULL && at == der.at + der.len);
    X509_NAME_free(name);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct bytes der = BYTES(data, size);
    size_t count;

    char *shown = name_format(rq->arena, der);
    char **values = name_values(rq->arena, der, OID_COMMON_NAME, &count);
    must(shown != NULL && text_is_utf8(bytes_of_text(shown)));
    for (size_t i = 0; i < count; i++)
        must(text_is_utf8(bytes_of_text(values[i])));
    must((name_common_name(rq->arena, der) == NULL) == (count == 0));
    if (name_check(rq, der) != OK)
        return 0;
    struct bytes respelled = name_respell(rq->arena, der);
    must(name_check(rq, respelled) == OK && bytes_equal(name_respell(rq->arena, respelled), respelled));
    openssl_reads_it(der);
    openssl_reads_it(respelled);
    return 0;
}
