/* OCSP requests on anything. What is accepted is answered with what was echoed from it. */
#include <stdlib.h>

#include <openssl/ocsp.h>

#include "pki/ocsp.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
must(bool holds)
{
    if (!holds)
        abort();
}

static void
answer(struct arena *arena, const struct ocsp_request *request)
{
    struct ocsp_single singles[OCSP_SINGLES_MAX];

    for (size_t i = 0; i < request->id_count; i++)
        singles[i] = (struct ocsp_single){.cert_id = request->ids[i].der, .status = OCSP_UNKNOWN};
    struct ocsp_plan plan = {
        .responder_key_id = BYTES("kkkkkkkkkkkkkkkkkkkk", 20), .singles = singles, .single_count = request->id_count, .nonce = request->nonce};
    struct bytes der = ocsp_join(arena, ocsp_encode_response_data(arena, &plan), SIG_ED25519, BYTES("s", 1), BYTES_NONE);
    const unsigned char *at = der.at;
    OCSP_RESPONSE *response = d2i_OCSP_RESPONSE(NULL, &at, (long)der.len);
    must(response != NULL && at == der.at + der.len);
    OCSP_RESPONSE_free(response);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct ocsp_request request;
    struct ocsp_issuer_hashes nobody = {0};

    enum error error = ocsp_request_parse(rq, BYTES(data, size), &request);
    must(!error || error == ERR_BAD_REQUEST);
    if (error)
        return 0;
    must(request.id_count >= 1 && request.id_count <= OCSP_SINGLES_MAX && request.nonce.len <= OCSP_NONCE_MAX);
    for (size_t i = 0; i < request.id_count; i++) {
        must(der_is_one_value(request.ids[i].der));
        ocsp_cert_id_matches(&request.ids[i], &nobody);
    }
    answer(rq->arena, &request);
    return 0;
}
