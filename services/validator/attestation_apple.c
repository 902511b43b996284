/*
 * The format "apple" (Managed Device Attestation): Apple's server has certified the key for this device and this challenge. The certificate is all
 * there is: the token's digest, the serial number and the UDID stand in extensions of Apple's, as bare octets.
 */
#include "attestation.h"

#include <openssl/sha.h>
#include <string.h>

/* 1.2.840.113635.100.8.11.1, .9.1, .9.2 */
static const uint8_t freshness_code[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x08, 0x0b, 0x01};
static const uint8_t serial_number[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x08, 0x09, 0x01};
static const uint8_t unique_device_id[] = {0x2a, 0x86, 0x48, 0x86, 0xf7, 0x63, 0x64, 0x08, 0x09, 0x02};

static void
add(struct request *rq, struct attested *attested, const struct certificate *leaf, struct bytes oid)
{
    const struct extension *extension = certificate_extension(leaf, oid);

    if (extension != NULL)
        attested_add_text(rq->arena, attested, extension->value);
}

enum error
attestation_apple(struct request *rq, const struct statement *statement, const struct certificate *leaf, const struct proof *proof,
                  struct attested *attested)
{
    const struct extension *code = certificate_extension(leaf, BYTES(freshness_code, sizeof freshness_code));
    uint8_t digest[SHA256_DIGEST_LENGTH];

    /* The draft's §5: Apple certifies before the account's key is known, so that the token alone makes it fresh. */
    (void)SHA256((const uint8_t *)proof->token, strlen(proof->token), digest);
    if (code == NULL || !bytes_equal(code->value, BYTES(digest, sizeof digest)))
        return found(rq, "badAttestationStatement",
                     "the attestation's certificate does not have the digest of this challenge's token as its freshness code");
    attested->spki = leaf->key.spki;
    add(rq, attested, leaf, BYTES(serial_number, sizeof serial_number));
    add(rq, attested, leaf, BYTES(unique_device_id, sizeof unique_device_id));
    return OK;
}
