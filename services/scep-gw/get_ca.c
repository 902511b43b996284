/* GetCACaps, GetCACert and GetNextCACert (RFC 8894 §3.5.2, §4.2, §4.7): what a device asks before it asks for anything. */
#include "base/clock.h"
#include "base/text.h"
#include "scep.h"

/* GetCACaps must be answered, whatever is away. */
#define SUCCESSOR_WAIT_MS 2000

/*
 * The words and their order are tuned by evidence: strongSwan 5.9.8 believes AES and SHA-256 only where SHA-384 stands; Apple looks for SHA-1,
 * SHA-256, SHA-512 and one of AES and DES3, and renews only where Renewal stands. Single DES and MD5 are never said.
 */
#define CAPABILITIES "AES\n%sSHA-256\nSHA-384\nSHA-512\n%sPOSTPKIOperation\nSCEPStandard\n%s%s"

/* §4.7: GetNextCACert is said only while there is a next CA. */
static bool
has_successor(struct scep *scep, struct request *rq, const struct profile *profile)
{
    int64_t deadline_ms = rq->deadline_ms, soon_ms = clock_monotonic_ms() + SUCCESSOR_WAIT_MS;
    struct ra_certificates ras;

    if (deadline_ms == 0 || soon_ms < deadline_ms)
        rq->deadline_ms = soon_ms;
    enum error error = ra_certificates_load(scep, rq, profile, &ras);
    rq->deadline_ms = deadline_ms;
    failure_clear(rq);
    return error == OK && !text_is_empty(ras.successor);
}

enum error
get_ca_caps(struct scep *scep, struct http_exchange *x, const struct profile *profile)
{
    const char *text = arena_format(x->rq.arena, CAPABILITIES, profile->about->legacy ? "DES3\n" : "", profile->about->legacy ? "SHA-1\n" : "",
                                    profile->about->renewal ? "Renewal\n" : "", has_successor(scep, &x->rq, profile) ? "GetNextCACert\n" : "");

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
    return http_answer(x, 200, "application/x-x509-ca-ra-cert", cms_certs_only(x->rq.arena, certificates, count, BYTES_NONE));
}

enum error
get_next_ca_cert(struct scep *scep, struct http_exchange *x, const struct profile *profile)
{
    struct bytes message;

    enum error error = next_ca_load(scep, &x->rq, profile, &message);
    return error == OK ? http_answer(x, 200, "application/x-x509-next-ca-cert", message) : error;
}
