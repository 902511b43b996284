/*
 * Proof of possession, linked with the connection (RFC 7030 §3.5): the CSR holds the channel binding of this very TLS connection, so that nobody can
 * bring another's CSR. RFC 7894 has an attribute of its own for it; before, and where a client knows no other, it is the challengePassword.
 */
#include "est.h"

#include "base/base64.h"
#include "pki/oid.h"

/* RFC 5929 for TLS 1.2; tls-unique is not defined for TLS 1.3, and RFC 9266 takes its place there. */
static struct bytes
binding_of(const struct http_exchange *x)
{
    struct bytes unique = http_tls_unique(x);
    return unique.len > 0 ? unique : http_tls_exporter(x);
}

enum error
proof_check(const struct http_exchange *x, struct request *rq, const struct profile *profile, const struct csr *csr)
{
    struct bytes linking, value;
    enum error error = attribute_text(rq, csr, OID_EST_IDENTITY_LINKING, &linking);

    if (error)
        return error;
    if (linking.len == 0)
        linking = csr->challenge_password;
    if (linking.len == 0 && profile->settings->proof_required)
        return refuse(rq, ERR_BAD_CSR, "proof of possession",
                      "the certification request must hold the channel binding of this connection in base64, as estIdentityLinking or "
                      "challengePassword: tls-unique with TLS 1.2, tls-exporter (RFC 9266) with TLS 1.3");
    if (linking.len == 0)
        return OK;
    /* RFC 7030 §3.5: what is there is checked, required or not. */
    struct bytes binding = binding_of(x);
    if (binding.len == 0 || !base64_decode(rq->arena, linking, &value) || !bytes_equal_secret(value, binding))
        return refuse(rq, ERR_BAD_CSR, "proof of possession",
                      "the certification request holds a challengePassword or estIdentityLinking that is not the channel binding of this connection");
    return OK;
}
