/* Certificates for tls-alpn-01, right and wrong in each single way. */
#ifndef SIGNET_TESTS_VALIDATOR_ALPN_FIXTURE_H
#define SIGNET_TESTS_VALIDATOR_ALPN_FIXTURE_H

#include "unit/kit.h"

#include <openssl/sha.h>
#include <openssl/x509v3.h>
#include <string.h>

#include "kit/pki_kit.h"
#include "validator.h"

#define TOKEN "token-token-token-token-token"
#define KEY_AUTHORIZATION TOKEN ".nP1qzpXGymHBrUEepNY9HCsQk7K8KhOypzEt62jcerQ"

struct shown {
    const char *names; /* NULL: no subjectAltName */
    bool without_digest, not_critical, twice, two_names_extensions, of_another_issuer, with_octet_behind, signed_by_another_key;
    const char *of; /* what the digest is of; NULL: the key authorization */
    bool short_digest;
};

static inline void
add_text_extension(X509 *certificate, int nid, const char *value)
{
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    assert_non_null(extension);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
}

static inline void
add_digest(X509 *certificate, const struct shown *shown)
{
    const char *of = shown->of == NULL ? KEY_AUTHORIZATION : shown->of;
    uint8_t octets[2 + SHA256_DIGEST_LENGTH + 1] = {0x04, SHA256_DIGEST_LENGTH};
    ASN1_OBJECT *oid = OBJ_txt2obj("1.3.6.1.5.5.7.1.31", 1);
    ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();

    SHA256((const uint8_t *)of, strlen(of), octets + 2);
    if (shown->short_digest)
        octets[1]--;
    ASN1_OCTET_STRING_set(value, octets, 2 + octets[1] + (shown->with_octet_behind ? 1 : 0));
    X509_EXTENSION *extension = X509_EXTENSION_create_by_OBJ(NULL, oid, !shown->not_critical, value);
    assert_int_equal(X509_add_ext(certificate, extension, -1), 1);
    X509_EXTENSION_free(extension);
    ASN1_OCTET_STRING_free(value);
    ASN1_OBJECT_free(oid);
}

static inline void
name_it(X509_NAME *name, const char *text)
{
    X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_UTF8, (const uint8_t *)text, -1, -1, 0);
}

static inline X509 *
make_certificate(const struct shown *shown, EVP_PKEY *key)
{
    X509 *certificate = X509_new();
    EVP_PKEY *other = kit_key("p256");

    X509_set_version(certificate, 2);
    ASN1_INTEGER_set(X509_get_serialNumber(certificate), 1);
    X509_gmtime_adj(X509_getm_notBefore(certificate), 0);
    X509_gmtime_adj(X509_getm_notAfter(certificate), 3600);
    name_it(X509_get_subject_name(certificate), "ACME challenge");
    name_it(X509_get_issuer_name(certificate), shown->of_another_issuer ? "Somebody" : "ACME challenge");
    X509_set_pubkey(certificate, key);
    if (shown->names != NULL)
        add_text_extension(certificate, NID_subject_alt_name, shown->names);
    if (shown->two_names_extensions)
        add_text_extension(certificate, NID_subject_alt_name, shown->names);
    if (!shown->without_digest)
        add_digest(certificate, shown);
    if (shown->twice)
        add_digest(certificate, shown);
    assert_true(X509_sign(certificate, shown->signed_by_another_key ? other : key, EVP_sha256()) > 0);
    EVP_PKEY_free(other);
    return certificate;
}

static inline struct proof
alpn_proof(const char *host, bool is_ip)
{
    struct proof proof = {
        .name = {.type = is_ip ? IDENTIFIER_IP : IDENTIFIER_DNS, .value = host}, .token = TOKEN, .key_authorization = KEY_AUTHORIZATION};

    SHA256((const uint8_t *)KEY_AUTHORIZATION, strlen(KEY_AUTHORIZATION), proof.digest);
    return proof;
}

#endif
