/* Requests of SCEP and EST devices with RSA-2048 keys, made by OpenSSL. Called by device.c before the clock starts. */
#include "device.h"

#include <openssl/cms.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "kit/pki_kit.h"

#define KEYS 8 /* a key takes long to make, and a server does the same for each */
#define NONCE_LEN 16

DEFINE_AUTO(BIO, BIO_free_all);
DEFINE_AUTO(CMS_ContentInfo, CMS_ContentInfo_free);

struct device {
    EVP_PKEY *key;
    X509 *certificate; /* self-signed */
};

static X509 *
self_signed(struct arena *arena, EVP_PKEY *key)
{
    struct bytes der = kit_certificate(arena, &(struct kit_certificate){.key = key, .subject = "/CN=device.bench.example"});
    const uint8_t *at = der.at;
    X509 *certificate = d2i_X509(NULL, &at, (long)der.len);

    if (certificate == NULL)
        abort();
    return certificate;
}

static void
make_devices(struct arena *arena, struct device devices[KEYS])
{
    for (size_t i = 0; i < KEYS; i++) {
        devices[i].key = kit_key("rsa-2048");
        devices[i].certificate = self_signed(arena, devices[i].key);
    }
}

static void
free_devices(struct device devices[KEYS])
{
    for (size_t i = 0; i < KEYS; i++) {
        X509_free(devices[i].certificate);
        EVP_PKEY_free(devices[i].key);
    }
}

/* No run asks for a name that an earlier one had. */
static struct bytes
make_csr(struct arena *arena, EVP_PKEY *key, const char *challenge, int64_t run, size_t number)
{
    const char *subject = arena_format(arena, "/CN=d%zu-%llx.bench.example", number, (unsigned long long)run);

    return kit_csr(arena, &(struct kit_csr){.key = key, .subject = subject, .challenge_password = challenge});
}

static struct bytes
der_of(struct arena *arena, CMS_ContentInfo *cms)
{
    uint8_t *der = NULL;
    int len = i2d_CMS_ContentInfo(cms, &der);

    if (len <= 0)
        abort();
    struct bytes copy = bytes_copy(arena, BYTES(der, len));
    OPENSSL_free(der);
    return copy;
}

static struct bytes
encrypt(struct arena *arena, STACK_OF(X509) * recipients, struct bytes csr)
{
    AUTO(BIO, in) = BIO_new_mem_buf(csr.at, (int)csr.len);
    AUTO(CMS_ContentInfo, cms) = CMS_encrypt(recipients, in, EVP_aes_128_cbc(), CMS_BINARY);

    if (cms == NULL)
        abort();
    return der_of(arena, cms);
}

static void
add(CMS_SignerInfo *signer, const char *oid, int type, const void *value, size_t len)
{
    if (CMS_signed_add1_attr_by_txt(signer, oid, type, value, (int)len) != 1)
        abort();
}

static struct bytes
sign(struct arena *arena, const struct device *device, struct bytes envelope, const char *transaction)
{
    const int flags = CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL;
    AUTO(BIO, in) = BIO_new_mem_buf(envelope.at, (int)envelope.len);
    AUTO(CMS_ContentInfo, cms) = CMS_sign(NULL, NULL, NULL, in, CMS_BINARY | CMS_PARTIAL);
    CMS_SignerInfo *signer = cms == NULL ? NULL : CMS_add1_signer(cms, device->certificate, device->key, EVP_sha256(), flags);
    uint8_t nonce[NONCE_LEN];

    if (signer == NULL || RAND_bytes(nonce, sizeof nonce) != 1)
        abort();
    add(signer, "2.16.840.1.113733.1.9.2", V_ASN1_PRINTABLESTRING, "19", 2); /* messageType: PKCSReq */
    add(signer, "2.16.840.1.113733.1.9.7", V_ASN1_PRINTABLESTRING, transaction, strlen(transaction));
    add(signer, "2.16.840.1.113733.1.9.5", V_ASN1_OCTET_STRING, nonce, sizeof nonce);
    if (CMS_final(cms, in, NULL, CMS_BINARY) != 1)
        abort();
    return der_of(arena, cms);
}

static STACK_OF(X509) * read_recipients(const char *file)
{
    AUTO(BIO, in) = BIO_new_file(file, "r");
    X509 *certificate = in == NULL ? NULL : PEM_read_bio_X509(in, NULL, NULL, NULL);
    STACK_OF(X509) *recipients = sk_X509_new_null();

    if (certificate == NULL || recipients == NULL || sk_X509_push(recipients, certificate) != 1) {
        fprintf(stderr, "device: %s has no certificate\n", file);
        exit(1);
    }
    return recipients;
}

struct bytes *
device_scep_messages(struct arena *arena, const char *recipient_file, const char *challenge, size_t count)
{
    struct bytes *messages = arena_array(arena, count, sizeof *messages);
    STACK_OF(X509) *recipients = read_recipients(recipient_file);
    struct device devices[KEYS];
    int64_t run = clock_now_us();

    make_devices(arena, devices);
    for (size_t i = 0; i < count; i++) {
        AUTO_STRUCT(arena, own) = arena_new();
        const struct device *device = &devices[i % KEYS];
        struct bytes envelope = encrypt(own, recipients, make_csr(own, device->key, challenge, run, i));
        messages[i] = sign(arena, device, envelope, arena_format(own, "%llX-%zu", (unsigned long long)run, i));
    }
    free_devices(devices);
    sk_X509_pop_free(recipients, X509_free);
    return messages;
}

struct bytes *
device_est_bodies(struct arena *arena, size_t count)
{
    struct bytes *bodies = arena_array(arena, count, sizeof *bodies);
    struct device devices[KEYS];
    int64_t run = clock_now_us();

    make_devices(arena, devices);
    for (size_t i = 0; i < count; i++) {
        AUTO_STRUCT(arena, own) = arena_new();
        bodies[i] = bytes_of_text(base64_encode(arena, make_csr(own, devices[i % KEYS].key, NULL, run, i)));
    }
    free_devices(devices);
    return bodies;
}

bool
device_is_success(struct bytes message)
{
    /* pkiStatus with its set of one PrintableString "0" (RFC 8894 §3.2.1.3) */
    static const uint8_t success[] = {0x06, 0x0a, 0x60, 0x86, 0x48, 0x01, 0x86, 0xf8, 0x45, 0x01, 0x09, 0x03, 0x31, 0x03, 0x13, 0x01, '0'};

    return message.len > 0 && memmem(message.at, message.len, success, sizeof success) != NULL;
}
