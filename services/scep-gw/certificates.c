/* GetCert and GetCRL (RFC 8894 §3.3.4, §3.3.5): what was issued before, for devices that have no other way to it. */
#include <assert.h>

#include "scep.h"

#define CRL_MAX (400 * 1024) /* in its envelope it goes through two messages of the bus */

struct wanted {
    struct bytes issuer, serial;
};

/* IssuerAndSerialNumber; the issuer must be ours. One word for all else: see envelope.c. */
static enum error
read_issuer_and_serial(struct conversation *c, struct wanted *ret_wanted)
{
    struct der in = der_of(c->content), inside;
    struct wanted wanted = {0};

    if (!der_enter(&in, DER_SEQUENCE, &inside) || !der_at_end(&in) || !der_take_whole(&inside, NULL, &wanted.issuer) ||
        !der_take_unsigned(&inside, &wanted.serial) || !der_at_end(&inside))
        return refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_CERT_ID, "content", "the content is no IssuerAndSerialNumber");
    if (!authorities_have_subject(&c->ras, wanted.issuer))
        return refuse(c->rq, ERR_NOT_FOUND, FAIL_BAD_CERT_ID, "issuer", "the CA of this profile is another one");
    *ret_wanted = wanted;
    return OK;
}

/* After a rollover several CAs may have one name: who has issued it tells which of them is meant; the one in force when none has. */
static enum error
find_wanted(struct conversation *c, const struct wanted *wanted, const struct profile_ca **ret_ca, struct enrolled *ret_enrolled)
{
    const struct profile_ca *first = NULL;
    struct enrolled enrolled = {0};

    for (size_t i = 0; i < c->ras.ca_count; i++) {
        const struct profile_ca *ca = &c->ras.cas[i];
        if (!bytes_equal(wanted->issuer, ca->certificate.subject))
            continue;
        enum error error = store_find_certificate(c->scep, c->rq, c->profile, ca->name, wanted->serial, &enrolled);
        if (error != OK)
            return error;
        if (first == NULL || enrolled.certificate.len > 0)
            first = ca;
        if (enrolled.certificate.len > 0)
            break;
    }
    assert(first != NULL); /* read_issuer_and_serial has seen one of that name */
    *ret_ca = first;
    *ret_enrolled = enrolled;
    return OK;
}

/* A device of this CA may ask for any; another one for that of its own key. */
static bool
may_have(const struct conversation *c, const struct peer *certificate)
{
    return bytes_equal(certificate->key.spki, c->message.signer.key.spki) || authorities_find_issuer(&c->ras, c->message.signer.der) != NULL;
}

enum error
give_certificate(struct conversation *c)
{
    const struct profile_ca *ca = NULL;
    struct enrolled enrolled;
    struct peer certificate;
    struct wanted wanted = {0};

    enum error error = read_issuer_and_serial(c, &wanted);
    if (error == OK)
        error = find_wanted(c, &wanted, &ca, &enrolled);
    if (error != OK)
        return error;
    if (enrolled.certificate.len == 0 || !peer_read(enrolled.certificate, &certificate) || !may_have(c, &certificate))
        return refuse(c->rq, ERR_NOT_FOUND, FAIL_BAD_CERT_ID, "serial", "there is no such certificate for this device");
    return reply_certificates(c, &enrolled.certificate, 1, BYTES_NONE);
}

enum error
give_crl(struct conversation *c)
{
    const struct profile_ca *ca = NULL;
    struct enrolled enrolled;
    struct bytes crl = BYTES_NONE;
    struct wanted wanted = {0};
    int64_t len = 0;

    enum error error = read_issuer_and_serial(c, &wanted);
    if (error == OK)
        error = find_wanted(c, &wanted, &ca, &enrolled);
    if (error == OK)
        error = store_find_crl(c->scep, c->rq, ca->name, CRL_MAX, &len, &crl);
    if (error != OK)
        return error;
    if (len == 0)
        return refuse(c->rq, ERR_NOT_FOUND, FAIL_BAD_CERT_ID, "crl", "there is no CRL of this CA yet");
    /* RFC 8894 §2.7: the distribution points are for these. */
    if (len > CRL_MAX)
        return refuse(c->rq, ERR_TOO_LARGE, FAIL_BAD_REQUEST, "crl", "the CRL has %lld octets: it is to be fetched from its distribution point",
                      (long long)len);
    return reply_certificates(c, NULL, 0, crl);
}
