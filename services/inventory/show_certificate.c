/* Called when an operator wants one certificate whole. Reads the catalogue only. */
#include "inventory.h"

enum error
show_certificate(struct inventory *inventory, struct request *rq, const Pb__ShowCertificateRequest *request, Pb__ShowCertificateReply *ret_reply)
{
    struct bytes sha256 = BYTES(request->sha256.data, request->sha256.len);
    struct bytes serial = message_bytes(request->serial);
    struct bytes certificate;
    enum error error;

    if (sha256.len != 0 && sha256.len != 32)
        return fail(rq, ERR_BAD_REQUEST, "a SHA-256 fingerprint has 32 octets, not %zu", sha256.len);
    if (sha256.len == 0 && (serial.len == 0 || serial.len > 20))
        return fail(rq, ERR_BAD_REQUEST, "name the certificate by its serial number (1 to 20 octets) or its SHA-256 fingerprint");

    error = store_load_certificate(inventory, rq, sha256, serial, &ret_reply->entry, &certificate);
    if (error)
        return error;
    ret_reply->certificate.data = (uint8_t *)certificate.at;
    ret_reply->certificate.len = certificate.len;
    return OK;
}
