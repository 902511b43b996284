/* CRLs on anything. Every entry that was counted can be found. */
#include <stdlib.h>

#include "pki/crl.h"

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
    struct crl crl;
    struct crl_entry entry;

    if (crl_parse(rq, BYTES(data, size), &crl))
        return 0;
    struct der entries = der_of(crl.entries), inside;
    struct bytes serial;
    for (size_t i = 0; i < crl.entry_count && i < 100; i++) {
        must(der_enter(&entries, DER_SEQUENCE, &inside) && der_take_unsigned(&inside, &serial));
        must(crl_find(&crl, serial, &entry) && bytes_equal(entry.serial, serial));
    }
    must(!crl_find(&crl, BYTES_NONE, &entry));
    return 0;
}
