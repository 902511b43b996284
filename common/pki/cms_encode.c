/* The form in which EST (RFC 7030 §4.1.3) and SCEP (RFC 8894 §3.4) hand out certificates. */
#include "pki/cms.h"

#include "pki/oid.h"

struct bytes
cms_certs_only(struct arena *arena, const struct bytes *certificates, size_t count, struct bytes crl)
{
    struct buffer out = buffer_in(arena);
    size_t info = der_open(&out, DER_SEQUENCE);

    der_put_oid(&out, OID_CMS_SIGNED_DATA);
    size_t explicit = der_open(&out, DER_CONTEXT_CONSTRUCTED(0)), data = der_open(&out, DER_SEQUENCE);
    der_put_int(&out, 1);
    der_put(&out, DER_SET, BYTES_NONE);
    size_t content = der_open(&out, DER_SEQUENCE);
    der_put_oid(&out, OID_CMS_DATA);
    der_close(&out, content);
    if (count > 0) {
        size_t set = der_open(&out, DER_CONTEXT_CONSTRUCTED(0));
        for (size_t i = 0; i < count; i++)
            der_put_whole(&out, certificates[i]);
        der_close(&out, set);
    }
    if (crl.len > 0)
        der_put(&out, DER_CONTEXT_CONSTRUCTED(1), crl);
    der_put(&out, DER_SET, BYTES_NONE);
    der_close(&out, data);
    der_close(&out, explicit);
    der_close(&out, info);
    return buffer_bytes(&out);
}
