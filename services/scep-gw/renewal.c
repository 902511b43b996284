/*
 * A device that shows the certificate that it has: RenewalReq, or PKCSReq as Apple sends it. The certificate must be one of the profile's CA, or of
 * one that this has succeeded where the profile says so, known and not revoked, and the request may name nothing else than the certificate does; the
 * key may be new.
 */
#include "base/clock.h"
#include "base/text.h"
#include "pki/name.h"
#include "pki/oid.h"
#include "scep.h"

#define SECONDS_A_DAY INT64_C(86400)

static enum error
check_issuer(struct conversation *c, const struct profile_ca *issuer)
{
    if (issuer == &c->ras.cas[0] || c->profile->about->renewal_from_predecessors)
        return OK;
    return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal",
                  "the request is signed with a certificate of %s, and this profile renews none of a CA that was succeeded", issuer->name);
}

static enum error
check_time(struct conversation *c, const struct certificate *old)
{
    int64_t now_s = clock_now_s();
    int64_t window_s = c->profile->about->renewal_window_days * SECONDS_A_DAY, grace_s = c->profile->about->renewal_grace_days * SECONDS_A_DAY;

    if (now_s > old->not_after_s + grace_s)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal", "the certificate that the request is signed with has expired");
    if (now_s < old->not_before_s - SECONDS_A_DAY)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal", "the certificate that the request is signed with is not valid yet");
    if (window_s > 0 && now_s < old->not_after_s - window_s)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal", "it is too early: renewal is allowed in the last %u days",
                      c->profile->about->renewal_window_days);
    return OK;
}

/* Equal as they are read: devices write PrintableString where our certificate has UTF8String. A template that takes the common name alone has left
 * out what the device will ask for again, and will leave it out again. */
static bool
same_subject(struct arena *arena, const struct csr *csr, const struct certificate *old)
{
    const char *asked = name_common_name(arena, csr->subject), *had = name_common_name(arena, old->subject);

    if (text_equal(name_format(arena, csr->subject), name_format(arena, old->subject)))
        return true;
    struct name_part alone = {.type = OID_COMMON_NAME, .value = had};
    return had != NULL && asked != NULL && text_equal_nocase(asked, had) && bytes_equal(name_encode(arena, &alone, 1), old->subject);
}

static enum error
check_names(struct conversation *c, const struct csr *csr, const struct certificate *old)
{
    struct identifier *asked, *had;
    size_t asked_count, had_count;

    enum error error = csr_all_names(c->rq, csr, &asked, &asked_count);
    if (error == OK)
        error = certificate_names(c->rq, old, &had, &had_count);
    if (error != OK)
        return error;
    bool same = identifiers_equal(asked, asked_count, had, had_count) || identifiers_equal(csr->names, csr->name_count, had, had_count);
    if (!same || !same_subject(c->rq->arena, csr, old))
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal-names", "a renewal may name nothing else than the certificate that it renews");
    return OK;
}

enum error
renewal_authorize(struct conversation *c, const struct csr *csr, struct transaction *transaction)
{
    const struct profile_ca *issuer = authorities_find_issuer(&c->ras, c->message.signer.der);
    struct enrolled enrolled;
    struct certificate old;

    if (!c->profile->about->renewal)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal", "this profile renews no certificates");
    if (issuer == NULL)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal", "the request is not signed with a certificate of this CA");
    enum error error = check_issuer(c, issuer);
    if (error == OK)
        error = certificate_parse(c->rq, c->message.signer.der, &old);
    if (error == OK)
        error = check_time(c, &old);
    if (error == OK)
        error = store_find_certificate(c->scep, c->rq, c->profile, issuer->name, old.serial, &enrolled);
    if (error != OK)
        return error;
    /* Octet by octet: who has got hold of the key of a CA that was succeeded can sign another with this serial number. */
    if (!enrolled.is_of_profile || !bytes_equal(enrolled.certificate, c->message.signer.der))
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal",
                      "the certificate that the request is signed with was not enrolled by this profile");
    if (enrolled.is_revoked)
        return refuse(c->rq, ERR_DENIED, FAIL_BAD_REQUEST, "renewal", "the certificate that the request is signed with is revoked");
    error = check_names(c, csr, &old);
    if (error != OK)
        return error;
    transaction->principal_kind = "scep-certificate";
    transaction->principal_id = bytes_hex(c->rq->arena, old.serial, 0);
    return OK;
}
