/*
 * The format "step" (smallstep): a maker's certificate for a key inside of his hardware, for YubiKeys that of PIV attestation; the key itself has
 * signed the key authorization. The signature is CBOR inside of CBOR, as the client does it.
 */
#include "attestation.h"

/* 1.3.6.1.4.1.41482.3.7: the serial number of a YubiKey, INTEGER; 1.3.6.1.4.1.37476.9000.64.4: smallstep's own, SEQUENCE { UTF8String } */
static const uint8_t yubikey_serial[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xc4, 0x0a, 0x03, 0x07};
static const uint8_t managed_device[] = {0x2b, 0x06, 0x01, 0x04, 0x01, 0x82, 0xa4, 0x64, 0xc6, 0x28, 0x40, 0x04};

static void
add_yubikey(struct request *rq, struct attested *attested, struct bytes value)
{
    struct der in = der_of(value);
    int64_t serial;

    if (der_take_int(&in, &serial) && der_at_end(&in) && serial >= 0)
        attested_add(attested, IDENTIFIER_PERMANENT, arena_format(rq->arena, "%lld", (long long)serial));
}

static void
add_managed(struct request *rq, struct attested *attested, struct bytes value)
{
    struct der outer = der_of(value), in;
    struct bytes id;

    if (der_enter(&outer, DER_SEQUENCE, &in) && der_at_end(&outer) && der_take(&in, DER_UTF8_STRING, &id))
        attested_add_text(rq->arena, attested, id);
}

static bool
take_signature(const struct statement *statement, struct bytes *ret_signature)
{
    struct cbor_reader in = cbor_reader_of(statement->signature);
    struct item item;

    if (!cbor_reader_take(&in, &item) || item.kind != ITEM_BYTES || !cbor_reader_at_end(&in))
        return false;
    *ret_signature = item.content;
    return true;
}

enum error
attestation_step(struct request *rq, const struct statement *statement, const struct certificate *leaf, const struct proof *proof,
                 struct attested *attested)
{
    const struct extension *yubikey = certificate_extension(leaf, BYTES(yubikey_serial, sizeof yubikey_serial));
    const struct extension *managed = certificate_extension(leaf, BYTES(managed_device, sizeof managed_device));
    struct cose_algorithm algorithm;
    struct bytes signature;

    const char *wrong = cose_algorithm_find(statement->algorithm, leaf->key.type, &algorithm);
    if (wrong != NULL)
        return found(rq, "badAttestationStatement", "the attestation's \"alg\" %s", wrong);
    if (!take_signature(statement, &signature))
        return found(rq, "badAttestationStatement", "the attestation's \"sig\" is not a CBOR byte string in a byte string");
    if (!cose_verify(&leaf->key, &algorithm, bytes_of_text(proof->key_authorization), signature))
        return found(rq, "badAttestationStatement",
                     "the attestation's \"sig\" is not the attested key's signature over this challenge's key authorization");
    attested->spki = leaf->key.spki;
    if (yubikey != NULL)
        add_yubikey(rq, attested, yubikey->value);
    if (managed != NULL)
        add_managed(rq, attested, managed->value);
    attested_add_names_of(rq->arena, attested, leaf);
    return OK;
}
