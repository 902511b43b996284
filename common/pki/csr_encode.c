/* Certification requests that we make ourselves: for CAs whose certificate somebody else signs. */
#include "pki/csr.h"

#include "pki/certificate.h"
#include "pki/oid.h"

struct bytes
csr_encode_info(struct arena *arena, struct bytes subject, struct bytes spki, struct bytes extensions)
{
    struct buffer out = buffer_in(arena);
    size_t info = der_open(&out, DER_SEQUENCE);

    der_put_int(&out, 0);
    der_put_whole(&out, subject);
    der_put_whole(&out, spki);
    size_t attributes = der_open(&out, DER_CONTEXT_CONSTRUCTED(0));
    if (extensions.len > 0) {
        size_t attribute = der_open(&out, DER_SEQUENCE);
        der_put_oid(&out, OID_EXTENSION_REQUEST);
        der_put(&out, DER_SET, extensions);
        der_close(&out, attribute);
    }
    der_close(&out, attributes);
    der_close(&out, info);
    return buffer_bytes(&out);
}

struct bytes
csr_join(struct arena *arena, struct bytes info, enum signature_algorithm algorithm, struct bytes signature)
{
    return signed_join(arena, info, algorithm, signature);
}
