/* Makers of devices with CAs and CRLs of their own, and profiles that trust them. */
#ifndef SIGNET_TESTS_UNIT_CLIENT_CRL_FIXTURE_H
#define SIGNET_TESTS_UNIT_CLIENT_CRL_FIXTURE_H

#include "est_fixture.h"

#include <openssl/x509v3.h>

#include "base/clock.h"
#include "kit/pki_kit.h"
#include "pki/pem.h"

#define HOUR_S 3600

struct maker {
    EVP_PKEY *key;
    const char *name;
    struct bytes certificate;
};

struct wish {
    const struct maker *maker;
    int64_t number; /* 0: none */
    int64_t age_s, life_s;
    const uint8_t *revoked; /* serial numbers of one octet, up to 0 */
    const EVP_MD *digest;   /* NULL: the usual one */
    const char *critical;   /* NULL, or OpenSSL's words for a critical issuingDistributionPoint */
};

static inline struct maker
new_maker(struct arena *arena, const char *name, const char *key_usage)
{
    struct maker maker = {.key = kit_key("p256"), .name = name};

    maker.certificate = kit_certificate(arena, &(struct kit_certificate){.key = maker.key, .subject = name, .is_ca = true, .key_usage = key_usage});
    return maker;
}

static inline void
add_revoked(X509_CRL *crl, uint8_t number)
{
    X509_REVOKED *revoked = X509_REVOKED_new();
    ASN1_INTEGER *serial = ASN1_INTEGER_new();
    ASN1_TIME *now = ASN1_TIME_set(NULL, time(NULL));

    assert_true(ASN1_INTEGER_set(serial, number) && X509_REVOKED_set_serialNumber(revoked, serial) && X509_REVOKED_set_revocationDate(revoked, now) &&
                X509_CRL_add0_revoked(crl, revoked));
    ASN1_INTEGER_free(serial);
    ASN1_TIME_free(now);
}

static inline void
set_times(X509_CRL *crl, int64_t this_update_s, int64_t next_update_s)
{
    ASN1_TIME *time = ASN1_TIME_set(NULL, (time_t)this_update_s);

    assert_true(X509_CRL_set1_lastUpdate(crl, time));
    assert_true(ASN1_TIME_set(time, (time_t)next_update_s) && X509_CRL_set1_nextUpdate(crl, time));
    ASN1_TIME_free(time);
}

static inline struct bytes
new_crl(struct arena *arena, const struct wish *wish)
{
    X509_CRL *crl = X509_CRL_new();
    struct bytes name = kit_name(arena, wish->maker->name), made;
    const unsigned char *at = name.at;
    X509_NAME *issuer = d2i_X509_NAME(NULL, &at, (long)name.len);
    int64_t this_update_s = clock_now_s() - wish->age_s;
    uint8_t *der = NULL;

    assert_true(X509_CRL_set_version(crl, X509_CRL_VERSION_2) && X509_CRL_set_issuer_name(crl, issuer));
    set_times(crl, this_update_s, this_update_s + (wish->life_s == 0 ? 24 * HOUR_S : wish->life_s));
    for (size_t i = 0; wish->revoked != NULL && wish->revoked[i] != 0; i++)
        add_revoked(crl, wish->revoked[i]);
    if (wish->number > 0) {
        ASN1_INTEGER *number = ASN1_INTEGER_new();
        assert_true(ASN1_INTEGER_set_int64(number, wish->number) && X509_CRL_add1_ext_i2d(crl, NID_crl_number, number, 0, 0));
        ASN1_INTEGER_free(number);
    }
    if (wish->critical != NULL) {
        X509_EXTENSION *extension = X509V3_EXT_conf_nid(NULL, NULL, NID_issuing_distribution_point, wish->critical);
        assert_true(extension != NULL && X509_CRL_add_ext(crl, extension, -1));
        X509_EXTENSION_free(extension);
    }
    assert_true(X509_CRL_sign(crl, wish->maker->key, wish->digest == NULL ? EVP_sha256() : wish->digest) > 0);
    int len = i2d_X509_CRL(crl, &der);
    made = bytes_copy(arena, BYTES(der, (size_t)len));
    OPENSSL_free(der);
    X509_NAME_free(issuer);
    X509_CRL_free(crl);
    return made;
}

static inline Pb__EstProfile *
profile_trusting(struct arena *arena, const char *name, const struct maker *makers, size_t count)
{
    Pb__EstProfile *profile = good_profile(arena, name);
    struct buffer *pem = arena_alloc(arena, sizeof *pem);

    *pem = buffer_in(arena);
    for (size_t i = 0; i < count; i++)
        pem_append(pem, "CERTIFICATE", makers[i].certificate);
    profile->anchors = buffer_text(pem);
    return profile;
}

static inline enum error
store_crl(struct fixture *fixture, const char *profile, struct bytes der, Pb__StoreEstCrlReply *ret_reply)
{
    Pb__StoreEstCrlRequest request = PB__STORE_EST_CRL_REQUEST__INIT;

    pb__store_est_crl_reply__init(ret_reply);
    request.profile = profile;
    request.crl = message_data(der);
    request.operator_ = "olga";
    return store_est_crl(&fixture->est, fixture->rq, &request, ret_reply);
}

#endif
