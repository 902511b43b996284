/* GetCert and GetCRL (RFC 8894 §3.3.4, §3.3.5): what was issued before, for devices that have no other way to it. */
#include "scep.h"

/* IssuerAndSerialNumber; the issuer must be ours. */
static enum error
read_issuer_and_serial(struct conversation *c, struct bytes *ret_serial)
{
    struct der in = der_of(c->content), inside;
    struct bytes issuer;

    if (!der_enter(&in, DER_SEQUENCE, &inside) || !der_at_end(&in) || !der_take_whole(&inside, NULL, &issuer) ||
        !der_take_unsigned(&inside, ret_serial) || !der_at_end(&inside))
        return refuse(c->rq, ERR_BAD_REQUEST, FAIL_BAD_REQUEST, "content", "the content is no IssuerAndSerialNumber");
    if (!bytes_equal(issuer, c->ras.issuer.subject))
        return refuse(c->rq, ERR_NOT_FOUND, FAIL_BAD_CERT_ID, "issuer", "the CA of this profile is another one");
    return OK;
}

/* A device of this CA may ask for any; another one for that of its own key. */
static bool
may_have(const struct conversation *c, const struct peer *certificate)
{
    return bytes_equal(certificate->key.spki, c->message.signer.key.spki) || renewal_is_signed_by_ours(c);
}

enum error
give_certificate(struct conversation *c)
{
    struct enrolled enrolled;
    struct peer certificate;
    struct bytes serial = BYTES_NONE;

    enum error error = read_issuer_and_serial(c, &serial);
    if (error == OK)
        error = store_find_certificate(c->scep, c->rq, c->profile, serial, &enrolled);
    if (error != OK)
        return error;
    if (enrolled.certificate.len == 0 || !peer_read(enrolled.certificate, &certificate) || !may_have(c, &certificate))
        return refuse(c->rq, ERR_NOT_FOUND, FAIL_BAD_CERT_ID, "serial", "there is no such certificate for this device");
    return reply_certificates(c, &enrolled.certificate, 1, BYTES_NONE);
}

enum error
give_crl(struct conversation *c)
{
    struct bytes serial = BYTES_NONE, crl = BYTES_NONE;
    bool found = false;

    enum error error = read_issuer_and_serial(c, &serial);
    if (error == OK)
        error = store_find_crl(c->scep, c->rq, c->profile->about->issuer, &found, &crl);
    if (error != OK)
        return error;
    if (!found)
        return refuse(c->rq, ERR_NOT_FOUND, FAIL_BAD_CERT_ID, "crl", "there is no CRL of this CA yet");
    return reply_certificates(c, NULL, 0, crl);
}
