/*
 * rpc SignScepNextCa: the answer to GetNextCACert (RFC 8894 §4.7.1). The key of the CA in force signs what its clients trust next; what that is
 * follows from the successor that an operator has named here, not from what the gateway says.
 */
#include "signer.h"

#include "base/text.h"
#include "pki/cms.h"

/* RA, CA, and what stands above it: what GetCACert answers once the profile's issuer is `next`. */
static struct bytes
next_certificates(struct request *rq, const Pb__SignScepNextCaRequest *request, const struct delegate *ra, const struct authority *next)
{
    struct bytes certificates[CHAIN_MAX + 2] = {ra->certificate.der};
    size_t count = 1;

    if (!request->only_ra)
        certificates[count++] = next->certificate.der;
    for (size_t i = 0; i < next->row.chain_count && !request->only_ra; i++)
        if (!request->strip_root || i + 1 < next->row.chain_count)
            certificates[count++] = next->row.chain[i];
    return cms_certs_only(rq->arena, certificates, count, BYTES_NONE);
}

static struct bytes
digest_oid(enum signature_algorithm algorithm)
{
    switch (algorithm) {
    case SIG_RSA_SHA384:
    case SIG_ECDSA_SHA384:
        return OID_SHA384;
    case SIG_RSA_SHA512:
    case SIG_ECDSA_SHA512:
        return OID_SHA512;
    case SIG_RSA_SHA256:
    case SIG_ECDSA_SHA256:
    case SIG_ED25519: /* no CA has it */
    case SIG_UNKNOWN:
        break;
    }
    return OID_SHA256;
}

enum error
sign_scep_next_ca(struct signer *signer, struct request *rq, const Pb__SignScepNextCaRequest *request, Pb__SignScepNextCaReply *ret_reply)
{
    const struct authority *authority, *next;
    const struct delegate *ra;
    struct bytes signature;

    request_note(rq, "issuer", "%s", request->issuer);
    enum error error = authority_load(signer, rq, request->issuer, &authority);
    if (error != OK)
        return error;
    if (text_is_empty(authority->row.successor))
        return fail(rq, ERR_NOT_FOUND, "the CA %s has no successor", request->issuer);
    request_note(rq, "successor", "%s", authority->row.successor);
    error = scep_ra_of(signer, rq, request->profile, authority->row.successor, &ra);
    if (error == OK)
        error = authority_load(signer, rq, authority->row.successor, &next);
    if (error != OK)
        return error;
    struct bytes content = next_certificates(rq, request, ra, next);
    struct cms_attributes attributes = cms_attributes_of(rq->arena, content, signature_algorithm_digest(authority->key.algorithm));
    error = hsm_key_sign(signer, rq, &authority->key, cms_to_sign(&attributes), &signature);
    if (error != OK)
        return error;
    struct cms_plan plan = {
        .content = content,
        .certificate = &authority->certificate,
        .digest = digest_oid(authority->key.algorithm),
        .algorithm = authority->key.algorithm,
        .attributes = &attributes,
    };
    ret_reply->message = message_data(cms_join(rq->arena, &plan, signature));
    metric_add(signer->scep_replies, 1);
    return OK;
}
