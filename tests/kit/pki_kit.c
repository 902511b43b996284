/* OpenSSL's plain API, slow and thorough: the other opinion that our own DER is held against. */
#include "pki_kit.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include <openssl/bn.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>

#define DAYS_90_S (90 * 86400)

static void
must(bool done, const char *what)
{
    if (done)
        return;
    fprintf(stderr, "pki_kit: %s\n", what);
    abort();
}

static EVP_PKEY *
rsa_key(unsigned bits, unsigned long exponent)
{
    EVP_PKEY_CTX *context = EVP_PKEY_CTX_new_from_name(NULL, "RSA", NULL);
    BIGNUM *e = BN_new();
    EVP_PKEY *key = NULL;

    must(BN_set_word(e, exponent) == 1, "exponent");
    must(EVP_PKEY_keygen_init(context) == 1 && EVP_PKEY_CTX_set_rsa_keygen_bits(context, (int)bits) == 1 &&
             EVP_PKEY_CTX_set1_rsa_keygen_pubexp(context, e) == 1 && EVP_PKEY_generate(context, &key) == 1,
         "RSA key");
    BN_free(e);
    EVP_PKEY_CTX_free(context);
    return key;
}

EVP_PKEY *
kit_key(const char *kind)
{
    static const struct {
        const char *kind, *group;
    } curves[] = {{"p256", "P-256"}, {"p384", "P-384"}, {"p521", "P-521"}, {"secp256k1", "secp256k1"}};
    EVP_PKEY *key = NULL;

    if (strcmp(kind, "rsa-2048-e3") == 0)
        return rsa_key(2048, 3);
    if (strncmp(kind, "rsa-", 4) == 0)
        return rsa_key((unsigned)strtoul(kind + 4, NULL, 10), 65537);
    for (size_t i = 0; i < sizeof curves / sizeof curves[0]; i++)
        if (strcmp(kind, curves[i].kind) == 0)
            key = EVP_EC_gen(curves[i].group);
    if (strcmp(kind, "ed25519") == 0)
        key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    must(key != NULL, "unknown kind of key");
    return key;
}

/* Takes memory that OpenSSL allocated into the arena. */
static struct bytes
keep(struct arena *arena, unsigned char *der, int len, const char *what)
{
    must(len > 0, what);
    struct bytes copy = bytes_copy(arena, BYTES(der, (size_t)len));
    OPENSSL_free(der);
    return copy;
}

struct bytes
kit_spki(struct arena *arena, EVP_PKEY *key)
{
    unsigned char *der = NULL;
    int len = i2d_PUBKEY(key, &der);

    return keep(arena, der, len, "SubjectPublicKeyInfo");
}

static char *
keep_text(struct arena *arena, BIO *bio)
{
    char *text;
    long len = BIO_get_mem_data(bio, &text);
    char *copy = arena_text_n(arena, text, (size_t)len);

    BIO_free(bio);
    return copy;
}

char *
kit_private_pem(struct arena *arena, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    must(PEM_write_bio_PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) == 1, "private PEM");
    return keep_text(arena, bio);
}

char *
kit_public_pem(struct arena *arena, EVP_PKEY *key)
{
    BIO *bio = BIO_new(BIO_s_mem());

    must(PEM_write_bio_PUBKEY(bio, key) == 1, "public PEM");
    return keep_text(arena, bio);
}

static void
fill_name(struct arena *arena, X509_NAME *name, const char *subject)
{
    char *copy = arena_text(arena, subject == NULL ? "" : subject), *rest = NULL;

    for (char *part = strtok_r(copy, "/", &rest); part != NULL; part = strtok_r(NULL, "/", &rest)) {
        char *value = strchr(part, '=');
        must(value != NULL, "subject");
        *value++ = '\0';
        must(X509_NAME_add_entry_by_txt(name, part, MBSTRING_UTF8, (const unsigned char *)value, -1, -1, 0) == 1, "subject");
    }
}

struct bytes
kit_name(struct arena *arena, const char *subject)
{
    X509_NAME *name = X509_NAME_new();
    unsigned char *der = NULL;

    fill_name(arena, name, subject);
    int len = i2d_X509_NAME(name, &der);
    X509_NAME_free(name);
    return keep(arena, der, len, "name");
}

static const EVP_MD *
usual_digest(EVP_PKEY *key, const EVP_MD *asked)
{
    if (EVP_PKEY_is_a(key, "ED25519"))
        return NULL;
    if (asked != NULL)
        return asked;
    return EVP_PKEY_is_a(key, "EC") && EVP_PKEY_get_bits(key) == 384 ? EVP_sha384() : EVP_PKEY_get_bits(key) == 521 ? EVP_sha512() : EVP_sha256();
}

struct bytes
kit_sign(struct arena *arena, EVP_PKEY *key, const EVP_MD *digest, struct bytes message)
{
    EVP_MD_CTX *context = EVP_MD_CTX_new();
    size_t len = 0;

    must(EVP_DigestSignInit(context, NULL, usual_digest(key, digest), NULL, key) == 1, "signing");
    must(EVP_DigestSign(context, NULL, &len, message.at, message.len) == 1, "signing");
    uint8_t *signature = arena_alloc(arena, len);
    must(EVP_DigestSign(context, signature, &len, message.at, message.len) == 1, "signing");
    EVP_MD_CTX_free(context);
    return BYTES(signature, len);
}

static void
add_extension(STACK_OF(X509_EXTENSION) * list, int nid, const char *value)
{
    if (value == NULL)
        return;
    X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
    must(extension != NULL, value);
    sk_X509_EXTENSION_push(list, extension);
}

static void
add_more(STACK_OF(X509_EXTENSION) * list, const struct kit_extension *more, size_t count)
{
    for (size_t i = 0; i < count; i++) {
        ASN1_OBJECT *oid = OBJ_txt2obj(more[i].oid, 1);
        ASN1_OCTET_STRING *value = ASN1_OCTET_STRING_new();
        must(oid != NULL && ASN1_OCTET_STRING_set(value, more[i].value.at, (int)more[i].value.len) == 1, more[i].oid);
        sk_X509_EXTENSION_push(list, X509_EXTENSION_create_by_OBJ(NULL, oid, more[i].critical, value));
        ASN1_OCTET_STRING_free(value);
        ASN1_OBJECT_free(oid);
    }
}

struct bytes
kit_csr(struct arena *arena, const struct kit_csr *wish)
{
    X509_REQ *request = X509_REQ_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    unsigned char *der = NULL;

    must(X509_REQ_set_version(request, 0) == 1 && X509_REQ_set_pubkey(request, wish->key) == 1, "request");
    fill_name(arena, X509_REQ_get_subject_name(request), wish->subject);
    add_extension(extensions, NID_subject_alt_name, wish->names);
    add_extension(extensions, NID_key_usage, wish->key_usage);
    add_extension(extensions, NID_ext_key_usage, wish->extended_key_usage);
    add_extension(extensions, NID_basic_constraints, wish->asks_ca ? "critical,CA:TRUE" : NULL);
    add_extension(extensions, NID_tlsfeature, wish->must_staple ? "status_request" : NULL);
    add_more(extensions, wish->more, wish->more_count);
    if (sk_X509_EXTENSION_num(extensions) > 0)
        must(X509_REQ_add_extensions(request, extensions) == 1, "extensions");
    if (wish->challenge_password != NULL)
        must(X509_REQ_add1_attr_by_NID(request, NID_pkcs9_challengePassword, MBSTRING_UTF8, (const unsigned char *)wish->challenge_password, -1) == 1,
             "challengePassword");
    must(X509_REQ_sign(request, wish->key, usual_digest(wish->key, wish->digest)) > 0, "signing the request");
    int len = i2d_X509_REQ(request, &der);
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
    X509_REQ_free(request);
    return keep(arena, der, len, "request");
}

static void
set_issuer(X509 *certificate, struct bytes issuer_der)
{
    const unsigned char *at = issuer_der.at;

    if (issuer_der.len == 0) {
        must(X509_set_issuer_name(certificate, X509_get_subject_name(certificate)) == 1, "issuer");
        return;
    }
    X509 *issuer = d2i_X509(NULL, &at, (long)issuer_der.len);
    must(issuer != NULL && X509_set_issuer_name(certificate, X509_get_subject_name(issuer)) == 1, "issuer");
    X509_free(issuer);
}

static void
add_extensions_to(X509 *certificate, STACK_OF(X509_EXTENSION) * extensions)
{
    for (int i = 0; i < sk_X509_EXTENSION_num(extensions); i++)
        must(X509_add_ext(certificate, sk_X509_EXTENSION_value(extensions, i), -1) == 1, "extension");
    sk_X509_EXTENSION_pop_free(extensions, X509_EXTENSION_free);
}

struct bytes
kit_certificate(struct arena *arena, const struct kit_certificate *wish)
{
    X509 *certificate = X509_new();
    STACK_OF(X509_EXTENSION) *extensions = sk_X509_EXTENSION_new_null();
    BIGNUM *serial = BN_new();
    unsigned char *der = NULL;
    int64_t now_s = time(NULL);
    EVP_PKEY *signer = wish->issuer_key == NULL ? wish->key : wish->issuer_key;

    must(X509_set_version(certificate, X509_VERSION_3) == 1 && X509_set_pubkey(certificate, wish->key) == 1, "certificate");
    must(BN_rand(serial, 120, 0, 0) == 1 && BN_to_ASN1_INTEGER(serial, X509_get_serialNumber(certificate)) != NULL, "serial");
    BN_free(serial);
    fill_name(arena, X509_get_subject_name(certificate), wish->subject);
    set_issuer(certificate, wish->issuer_der);
    ASN1_TIME_set(X509_getm_notBefore(certificate), wish->not_before_s == 0 ? now_s : wish->not_before_s);
    ASN1_TIME_set(X509_getm_notAfter(certificate), wish->not_after_s == 0 ? now_s + DAYS_90_S : wish->not_after_s);
    add_extension(extensions, NID_basic_constraints, wish->is_ca ? "critical,CA:TRUE" : "critical,CA:FALSE");
    add_extension(extensions, NID_name_constraints, wish->name_constraints);
    add_extension(extensions, NID_subject_alt_name, wish->names);
    add_extension(extensions, NID_key_usage, wish->key_usage);
    add_extension(extensions, NID_ext_key_usage, wish->extended_key_usage);
    add_more(extensions, wish->more, wish->more_count);
    add_extensions_to(certificate, extensions);
    must(X509_sign(certificate, signer, usual_digest(signer, NULL)) > 0, "signing the certificate");
    int len = i2d_X509(certificate, &der);
    X509_free(certificate);
    return keep(arena, der, len, "certificate");
}
