/* Certificates on anything. Where OpenSSL reads one too, both read the same. */
#include <stdlib.h>
#include <string.h>

#include <openssl/x509.h>

#include "pki/certificate.h"
#include "pki/name.h"
#include "pki/oid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
compare_with_openssl(const struct certificate *certificate)
{
    const unsigned char *at = certificate->der.at;
    X509 *judged = d2i_X509(NULL, &at, (long)certificate->der.len);

    if (judged == NULL)
        return;
    const ASN1_INTEGER *serial = X509_get0_serialNumber(judged);
    must(ASN1_STRING_type(serial) == V_ASN1_INTEGER);
    must(bytes_equal(certificate->serial, BYTES(ASN1_STRING_get0_data(serial), (size_t)ASN1_STRING_length(serial))));
    must((size_t)(X509_get_ext_count(judged) < 0 ? 0 : X509_get_ext_count(judged)) == certificate->extension_count);
    must(ASN1_TIME_cmp_time_t(X509_get0_notBefore(judged), (time_t)certificate->not_before_s) == 0);
    must(ASN1_TIME_cmp_time_t(X509_get0_notAfter(judged), (time_t)certificate->not_after_s) == 0);
    X509_free(judged);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct certificate certificate;
    struct identifier *names;
    size_t count;
    int path_length;

    enum error error = certificate_parse(rq, BYTES(data, size), &certificate);
    must(!error || error == ERR_BAD_REQUEST);
    if (error)
        return 0;
    must(name_format(rq->arena, certificate.subject) != NULL && name_format(rq->arena, certificate.issuer) != NULL);
    must(!certificate_is_ca(&certificate, &path_length) || path_length >= -1);
    error = certificate_names(rq, &certificate, &names, &count);
    must(!error || error == ERR_BAD_NAME);
    certificate_is_issued_by(&certificate, &certificate);
    compare_with_openssl(&certificate);
    return 0;
}
