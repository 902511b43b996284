/* GetCACaps and GetCACert (RFC 8894 §3.5.2, §4.2): what a device asks before it asks for anything. */
#include "scep.h"

/*
 * The words and their order are tuned by evidence: strongSwan 5.9.8 believes AES and SHA-256 only where SHA-384 stands; Apple looks for SHA-1,
 * SHA-256, SHA-512 and one of AES and DES3, and renews only where Renewal stands. Single DES and MD5 are never said.
 */
#define CAPABILITIES "AES\n%sSHA-256\nSHA-384\nSHA-512\n%sPOSTPKIOperation\nSCEPStandard\n%s"

enum error
get_ca_caps(struct scep *scep, struct http_exchange *x, const struct profile *profile)
{
    const char *text = arena_format(x->rq.arena, CAPABILITIES, profile->about->legacy ? "DES3\n" : "", profile->about->legacy ? "SHA-1\n" : "",
                                    profile->about->renewal ? "Renewal\n" : "");

    return http_answer_text(x, 200, "text/plain", text);
}

static bool
is_self_issued(struct bytes der)
{
    struct peer peer;

    return peer_read(der, &peer) && bytes_equal(peer.issuer, peer.subject);
}

enum error
get_ca_cert(struct scep *scep, struct http_exchange *x, const struct profile *profile)
{
    struct bytes certificates[CA_CHAIN_MAX + 1];
    struct ra_certificates ras;
    size_t count = 0;

    enum error error = ra_certificates_load(scep, &x->rq, profile, &ras);
    if (error != OK)
        return error;
    /* §4.2.1.1: one certificate stands alone. It is the RA's, because nothing else can be encrypted for. */
    if (profile->ca_only_ra)
        return http_answer(x, 200, "application/x-x509-ca-cert", ras.ra.der);
    /* jscep and others take the first for the RA's and the second for the CA's. */
    certificates[count++] = ras.ra.der;
    for (size_t i = 0; i < ras.chain_count; i++)
        if (i == 0 || !profile->about->strip_root || !is_self_issued(ras.chain[i]))
            certificates[count++] = ras.chain[i];
    return http_answer(x, 200, "application/x-x509-ca-ra-cert", cms_degenerate(x->rq.arena, certificates, count, BYTES_NONE));
}
