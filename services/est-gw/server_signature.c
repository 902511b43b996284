/* What this server signs for devices: keys that it has made, and what it says of failed requests. It is known to them by its HTTPS certificate. */
#include "est.h"

#include <openssl/pem.h>

#include "pki/der.h"

DEFINE_AUTO(ASN1_OBJECT, ASN1_OBJECT_free);
DEFINE_AUTO(BIO, BIO_free_all);
DEFINE_AUTO(CMS_ContentInfo, CMS_ContentInfo_free);
DEFINE_AUTO(X509, X509_free);

static int
no_password(char *buffer, int size, int writing, void *context)
{
    return 0;
}

static enum error
load_signer(struct est *est, struct request *rq, X509 **ret_certificate, EVP_PKEY **ret_key)
{
    AUTO(BIO, certificate_file) = BIO_new_file(est->config.tls_cert_file, "r");
    AUTO(BIO, key_file) = BIO_new_file(est->config.tls_key_file, "r");
    AUTO(X509, certificate) = certificate_file == NULL ? NULL : PEM_read_bio_X509(certificate_file, NULL, no_password, NULL);
    AUTO(EVP_PKEY, key) = key_file == NULL ? NULL : PEM_read_bio_PrivateKey(key_file, NULL, no_password, NULL);

    if (certificate == NULL || key == NULL)
        return fail_privately(rq, ERR_UNAVAILABLE, "nothing can be signed now", "the certificate or key file of HTTPS cannot be read");
    *ret_certificate = TAKE(certificate);
    *ret_key = TAKE(key);
    return OK;
}

static ASN1_OBJECT *
object_of(struct arena *arena, struct bytes oid)
{
    struct buffer der = buffer_in(arena);

    der_put_oid(&der, oid);
    const unsigned char *at = der.at;
    return d2i_ASN1_OBJECT(NULL, &at, (long)der.len);
}

enum error
server_sign(struct est *est, struct request *rq, struct bytes type, struct bytes content, CMS_ContentInfo **ret_signed)
{
    AUTO(X509, certificate) = NULL;
    AUTO(EVP_PKEY, key) = NULL;

    enum error error = load_signer(est, rq, &certificate, &key);
    if (error)
        return error;
    AUTO(BIO, in) = BIO_new_mem_buf(content.at, (int)content.len);
    AUTO(ASN1_OBJECT, oid) = object_of(rq->arena, type);
    AUTO(CMS_ContentInfo, cms) = CMS_sign(NULL, NULL, NULL, NULL, CMS_BINARY | CMS_PARTIAL);
    if (in == NULL || oid == NULL || cms == NULL || CMS_set1_eContentType(cms, oid) != 1 ||
        CMS_add1_signer(cms, certificate, key, NULL, CMS_BINARY | CMS_NOSMIMECAP | CMS_PARTIAL) == NULL || CMS_final(cms, in, NULL, CMS_BINARY) != 1)
        return fail_privately(rq, ERR_UNAVAILABLE, "nothing can be signed now", "OpenSSL cannot sign with the key of HTTPS");
    *ret_signed = TAKE(cms);
    return OK;
}
