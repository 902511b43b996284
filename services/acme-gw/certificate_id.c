/*
 * The name that a certificate has in ARI (RFC 9773 §4.1): its authority key identifier and its serial number, each base64url, with a dot between.
 * There is one spelling of each only, so that the text itself may be unique in a table.
 */
#include "acme.h"

#include <string.h>

#include "base/base64.h"
#include "pki/oid.h"
#include "pki/serial.h"

#define CERTIFICATE_ID_MAX 200

struct certificate_id {
    struct bytes key_id;
    struct bytes serial;
    int expiry_month;
};

static enum error
refuse_unknown(struct request *rq, const char *text)
{
    return refuse(rq, ERR_NOT_FOUND, "unknownCertificate", "no certificate of this server has the identifier %s", text);
}

static enum error
parse(struct request *rq, const char *text, struct certificate_id *ret_id)
{
    const char *dot = strchr(text, '.');
    struct certificate_id id = {0};

    if (dot == NULL || strlen(text) > CERTIFICATE_ID_MAX || !base64url_decode(rq->arena, BYTES(text, (size_t)(dot - text)), &id.key_id) ||
        !base64url_decode(rq->arena, bytes_of_text(dot + 1), &id.serial))
        return refuse(rq, ERR_BAD_REQUEST, "malformed", "a certificate identifier is base64url \".\" base64url, without padding (RFC 9773 §4.1)");
    if (id.key_id.len == 0 || !serial_parse(id.serial, &id.expiry_month))
        return refuse_unknown(rq, text);
    *ret_id = id;
    return OK;
}

/* AuthorityKeyIdentifier ::= SEQUENCE { keyIdentifier [0] IMPLICIT OCTET STRING OPTIONAL, … } (RFC 5280 §4.2.1.1) */
static bool
is_issued_under(const struct certificate *certificate, struct bytes key_id)
{
    const struct extension *extension = certificate_extension(certificate, OID_AUTHORITY_KEY_IDENTIFIER);
    struct der inside;
    struct bytes octets;

    if (extension == NULL)
        return false;
    struct der in = der_of(extension->value);
    return der_enter(&in, DER_SEQUENCE, &inside) && der_take(&inside, DER_CONTEXT(0), &octets) && bytes_equal(octets, key_id);
}

enum error
certificate_id_load(struct acme *acme, struct request *rq, const char *text, struct known_certificate *ret_known)
{
    struct certificate_id id = {0};

    enum error error = parse(rq, text, &id);
    if (!error)
        error = store_load_known(acme, rq, id.expiry_month, id.serial, ret_known);
    if (!error)
        error = certificate_parse(rq, ret_known->der, &ret_known->certificate);
    if (error == OK && is_issued_under(&ret_known->certificate, id.key_id))
        return OK;
    if (error != OK && error != ERR_NOT_FOUND)
        return error;
    failure_clear(rq);
    return refuse_unknown(rq, text);
}
