/* The outer form that certificates, CRLs and certification requests share (RFC 5280 §4.1.1). */
#include "pki/certificate.h"

struct bytes
signed_join(struct arena *arena, struct bytes tbs, enum signature_algorithm algorithm, struct bytes signature)
{
    struct buffer out = buffer_in(arena);
    size_t outer = der_open(&out, DER_SEQUENCE);

    der_put_whole(&out, tbs);
    der_put_whole(&out, signature_algorithm_der(algorithm));
    der_put_bits(&out, signature);
    der_close(&out, outer);
    return buffer_bytes(&out);
}
