/*
 * The format "tpm" (WebAuthn §8.3): an attestation key (AK), whose certificate comes from a CA that knows the TPM, has certified with TPM2_Certify
 * that another key is in the same TPM. The certificate names the device; the other key is the one that will be certified here.
 */
#include "attestation.h"

#include <openssl/evp.h>
#include <string.h>

#include "pki/name.h"
#include "pki/oid.h"

#define DIRECTORY_NAME DER_CONTEXT_CONSTRUCTED(4)

/* 2.23.133.2.1 to 3: tpmManufacturer, tpmModel, tpmVersion (TCG EK Credential Profile §3.2.9) */
static const uint8_t tpm_attributes[][5] = {{0x67, 0x81, 0x05, 0x02, 0x01}, {0x67, 0x81, 0x05, 0x02, 0x02}, {0x67, 0x81, 0x05, 0x02, 0x03}};
#define ALL_ATTRIBUTES 7u

static enum error
bad(struct request *rq, const char *what, const char *why)
{
    return found(rq, "badAttestationStatement", "the attestation's %s %s", what, why);
}

/* ---- the certificate of the AK (WebAuthn §8.3.1) ---- */

static bool
is_for_attestation(const struct certificate *certificate)
{
    const struct extension *usage = certificate_extension(certificate, OID_EXTENDED_KEY_USAGE);
    struct der outer, purposes;
    struct bytes oid;

    if (usage == NULL)
        return false;
    outer = der_of(usage->value);
    if (!der_enter(&outer, DER_SEQUENCE, &purposes) || !der_at_end(&outer))
        return false;
    while (der_take_oid(&purposes, &oid))
        if (oid_is(oid, OID_TCG_AK_CERTIFICATE))
            return true;
    return false;
}

/* One RelativeDistinguishedName; which of the three attributes it has. */
static unsigned
attributes_of(struct der *set)
{
    unsigned seen = 0;
    struct der attribute;
    struct bytes type;

    while (der_enter(set, DER_SEQUENCE, &attribute) && der_take_oid(&attribute, &type))
        for (size_t i = 0; i < sizeof tpm_attributes / sizeof tpm_attributes[0]; i++)
            if (bytes_equal(type, BYTES(tpm_attributes[i], sizeof tpm_attributes[i])))
                seen |= 1u << i;
    return seen;
}

static unsigned
attributes_of_name(struct bytes directory_name)
{
    struct der outer = der_of(directory_name), sets, set;
    unsigned seen = 0;

    if (!der_enter(&outer, DER_SEQUENCE, &sets))
        return 0;
    while (der_enter(&sets, DER_SET, &set))
        seen |= attributes_of(&set);
    return seen;
}

static bool
says_which_tpm(const struct certificate *certificate)
{
    const struct extension *extension = certificate_extension(certificate, OID_SUBJECT_ALT_NAME);
    struct der outer, names;
    struct bytes content;
    unsigned seen = 0;

    if (extension == NULL)
        return false;
    outer = der_of(extension->value);
    if (!der_enter(&outer, DER_SEQUENCE, &names))
        return false;
    while (!der_at_end(&names)) {
        unsigned tag = der_peek(&names);
        if (!der_take(&names, tag, &content))
            return false;
        if (tag == DIRECTORY_NAME)
            seen |= attributes_of_name(content);
    }
    return seen == ALL_ATTRIBUTES;
}

static enum error
check_certificate(struct request *rq, const struct certificate *leaf)
{
    if (!name_is_empty(leaf->subject))
        return bad(rq, "certificate", "has a subject; that of an attestation key has none (WebAuthn §8.3.1)");
    if (!is_for_attestation(leaf))
        return bad(rq, "certificate", "is not for attestation keys (extKeyUsage 2.23.133.8.3)");
    if (certificate_is_ca(leaf, NULL))
        return bad(rq, "certificate", "is that of a CA");
    if (!says_which_tpm(leaf))
        return bad(rq, "certificate", "does not say manufacturer, model and version of the TPM in subjectAltName");
    return OK;
}

/* ---- what the AK has signed ---- */

/* The draft's §5 in place of WebAuthn's attToBeSigned: the digest of the key authorization, by the digest that `alg` names. */
static bool
is_about(const struct tpm_certified *certified, const struct proof *proof, enum signature_algorithm algorithm)
{
    uint8_t digest[EVP_MAX_MD_SIZE];
    unsigned len;

    return EVP_Digest(proof->key_authorization, strlen(proof->key_authorization), digest, &len, signature_algorithm_digest(algorithm), NULL) == 1 &&
           bytes_equal(certified->extra_data, BYTES(digest, len));
}

static enum error
check_signature(struct request *rq, const struct statement *statement, const struct certificate *leaf, struct cose_algorithm *algorithm)
{
    struct bytes signature;

    const char *wrong = cose_algorithm_find(statement->algorithm, leaf->key.type, algorithm);
    if (wrong == NULL && algorithm->algorithm == SIG_ED25519)
        wrong = "is EdDSA, which no TPM has";
    if (wrong != NULL)
        return bad(rq, "\"alg\"", wrong);
    wrong = tpm_signature_decode(rq->arena, statement->signature, algorithm, &signature);
    if (wrong != NULL)
        return bad(rq, "\"sig\"", wrong);
    if (!cose_verify(&leaf->key, algorithm, statement->certified, signature))
        return bad(rq, "\"sig\"", "is not the signature of the attestation key over \"certInfo\"");
    return OK;
}

static enum error
check_key(struct request *rq, const struct statement *statement, const struct tpm_certified *certified, struct tpm_public *key)
{
    const char *wrong = tpm_public_decode(rq->arena, statement->public_area, key);

    if (wrong != NULL)
        return bad(rq, "\"pubArea\"", wrong);
    if (!tpm_name_is(certified->name, key, statement->public_area))
        return bad(rq, "\"pubArea\"", "is another key than the one that \"certInfo\" certifies");
    if ((key->attributes & TPM_FIXED_TPM) == 0 || (key->attributes & TPM_SENSITIVE_DATA_ORIGIN) == 0)
        return bad(rq, "\"pubArea\"", "is a key that was not made in its TPM, or may leave it (fixedTPM, sensitiveDataOrigin)");
    return OK;
}

enum error
attestation_tpm(struct request *rq, const struct statement *statement, const struct certificate *leaf, const struct proof *proof,
                struct attested *attested)
{
    struct cose_algorithm algorithm;
    struct tpm_certified certified;
    struct tpm_public key;

    if (!bytes_equal(statement->version, bytes_of_text("2.0")))
        return bad(rq, "\"ver\"", "is not \"2.0\"");
    enum error error = check_certificate(rq, leaf);
    if (!error)
        error = check_signature(rq, statement, leaf, &algorithm);
    if (error)
        return error;
    const char *wrong = tpm_certified_decode(statement->certified, &certified);
    if (wrong != NULL)
        return bad(rq, "\"certInfo\"", wrong);
    if (!is_about(&certified, proof, algorithm.algorithm))
        return bad(rq, "\"certInfo\"", "does not have the digest of this challenge's key authorization as its extraData");
    error = check_key(rq, statement, &certified, &key);
    if (error)
        return error;
    attested->spki = key.spki;
    attested_add_names_of(rq->arena, attested, leaf);
    return OK;
}
