/*
 * The certificate that a stranger's TLS server shows for tls-alpn-01 (RFC 8737 §3): self-signed, one name and no other, and the digest of the key
 * authorization in a critical extension. A pure function on its octets; that no extension comes twice is checked by certificate_parse.
 */
#include "validator.h"

#include <string.h>

#include "pki/certificate.h"
#include "pki/oid.h"

#define NAME_DNS DER_CONTEXT(2)
#define NAME_IP DER_CONTEXT(7)

/* id-pe-acmeIdentifier, 1.3.6.1.5.5.7.1.31 */
static const uint8_t acme_identifier[] = {0x2b, 0x06, 0x01, 0x05, 0x05, 0x07, 0x01, 0x1f};

static struct bytes
octets_of(struct arena *arena, const struct identifier *name)
{
    struct address address;

    if (name->type != IDENTIFIER_IP || !address_parse(name->value, &address))
        return bytes_of_text(name->value);
    bool v4 = address_is_v4(&address);
    return bytes_copy(arena, BYTES(address.octets + (v4 ? ADDRESS_V4_AT : 0), v4 ? 4 : 16));
}

/* Octet for octet, in its own kind of GeneralName. */
static bool
is_only_name(struct request *rq, struct bytes general_names, const struct identifier *name)
{
    struct der outside = der_of(general_names), inside;
    struct bytes value;

    return der_enter(&outside, DER_SEQUENCE, &inside) && der_at_end(&outside) &&
           der_take(&inside, name->type == IDENTIFIER_IP ? NAME_IP : NAME_DNS, &value) && der_at_end(&inside) &&
           bytes_equal(value, octets_of(rq->arena, name));
}

static bool
is_digest(struct bytes extension, const uint8_t digest[32])
{
    struct der outside = der_of(extension);
    struct bytes value;

    return der_take(&outside, DER_OCTET_STRING, &value) && der_at_end(&outside) && bytes_equal(value, BYTES(digest, 32));
}

enum error
tls_alpn_01_certificate_check(struct request *rq, struct bytes der, const struct proof *proof)
{
    struct certificate certificate;

    if (certificate_parse(rq, der, &certificate) != OK) {
        const char *why = arena_text(rq->arena, rq->failure.message);
        failure_clear(rq);
        return found(rq, "incorrectResponse", "the certificate cannot be read: %s", why);
    }
    if (!certificate_is_issued_by(&certificate, &certificate))
        return found(rq, "incorrectResponse", "the certificate is not self-signed");
    const struct extension *names = certificate_extension(&certificate, OID_SUBJECT_ALT_NAME);
    if (names == NULL || !is_only_name(rq, names->value, &proof->name))
        return found(rq, "incorrectResponse", "the certificate's subjectAltName is not %s alone", proof->name.value);
    const struct extension *digest = certificate_extension(&certificate, BYTES(acme_identifier, sizeof acme_identifier));
    if (digest == NULL)
        return found(rq, "incorrectResponse", "the certificate has no extension id-pe-acmeIdentifier");
    if (!digest->critical)
        return found(rq, "incorrectResponse", "the certificate's id-pe-acmeIdentifier is not critical");
    if (!is_digest(digest->value, proof->digest))
        return found(rq, "incorrectResponse", "the certificate's id-pe-acmeIdentifier is not the SHA-256 of \"%s\"", proof->key_authorization);
    return OK;
}
