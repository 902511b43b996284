/* cacerts (RFC 7030 §4.1): the issuing CA of the profile, what is above it, and the root. Everybody may have them. */
#include "est.h"

enum error
ca_certs(void *context, struct http_exchange *x)
{
    struct est *est = context;
    struct request *rq = &x->rq;
    const struct profile *profile;
    const Pb__Ca *ca;

    enum error error = profile_find(est, x, &profile);
    if (!error)
        error = authorities_issuer(est, rq, profile, &ca);
    if (error)
        return error;
    struct bytes *certificates = arena_array(rq->arena, ca->n_chain + 1, sizeof *certificates);
    certificates[0] = message_bytes(ca->certificate);
    for (size_t i = 0; i < ca->n_chain; i++)
        certificates[i + 1] = message_bytes(ca->chain[i]);
    return body_answer(x, 200, "application/pkcs7-mime", cms_certs_only(rq->arena, certificates, ca->n_chain + 1, BYTES_NONE));
}
