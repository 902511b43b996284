/*
 * What fullcmc says of a request that failed: a Full PKI Response (RFC 7030 §4.3.2, RFC 5272 §4.2) with one status, beside the HTTP status that every
 * operation has. RFC 5272 wants it signed. Whose key it is: the one that makes this server known to the device already, its HTTPS key. The CA's is
 * the signer's, who signs nothing that a gateway has put together; and EST's trust in an RA is in its HTTPS certificate (RFC 7030 §3.6).
 */
#include "est.h"

#include <stdlib.h>

#include "pki/oid.h"

#define FAILED 2 /* CMCStatus */
#define WHOLE_MESSAGE 0

DEFINE_AUTO(CMS_ContentInfo, CMS_ContentInfo_free);

/* RFC 5272 §6.1.4. */
enum cmc_fail_info { BAD_MESSAGE_CHECK = 1, BAD_REQUEST = 2, POP_FAILED = 9, INTERNAL_CA_ERROR = 11, TRY_LATER = 12 };

static enum cmc_fail_info
fail_info_of(const struct failure *failure)
{
    if (text_equal(failure->reason, "badMessageCheck"))
        return BAD_MESSAGE_CHECK;
    if (text_equal(failure->reason, "popFailed"))
        return POP_FAILED;
    if (problem_status(failure) == 500)
        return INTERNAL_CA_ERROR;
    return error_is_retriable(failure->kind) ? TRY_LATER : BAD_REQUEST;
}

/* The first two of PKIData; empty where they cannot be read. */
static void
read_pki_data(struct bytes pki_data, struct der *ret_controls, struct der *ret_requests)
{
    struct der outer = der_of(pki_data), parts;

    *ret_controls = *ret_requests = der_of(BYTES_NONE);
    if (der_enter(&outer, DER_SEQUENCE, &parts) && der_enter(&parts, DER_SEQUENCE, ret_controls))
        (void)der_enter(&parts, DER_SEQUENCE, ret_requests);
}

static int64_t
request_id(struct der requests)
{
    struct der tagged;
    int64_t id;

    return der_enter(&requests, DER_CONTEXT_CONSTRUCTED(0), &tagged) && der_take_int(&tagged, &id) ? id : WHOLE_MESSAGE;
}

/* What a response carries back: §6.4, §6.6. None: nothing. */
static struct bytes
echo_of(struct bytes type)
{
    if (bytes_equal(type, OID_CMC_SENDER_NONCE))
        return OID_CMC_RECIPIENT_NONCE;
    return bytes_equal(type, OID_CMC_TRANSACTION_ID) || bytes_equal(type, OID_CMC_DATA_RETURN) ? type : BYTES_NONE;
}

static void
put_echoes(struct buffer *out, struct der controls, int64_t next_id)
{
    struct der control;
    struct bytes type, values;

    while (der_enter(&controls, DER_SEQUENCE, &control)) {
        if (!der_skip(&control) || !der_take_oid(&control, &type) || !der_take_whole(&control, NULL, &values) || echo_of(type).len == 0)
            continue;
        size_t tagged = der_open(out, DER_SEQUENCE);
        der_put_int(out, next_id++);
        der_put_oid(out, echo_of(type));
        der_put_whole(out, values);
        der_close(out, tagged);
    }
}

/* CMCStatusInfoV2, §6.1.1. */
static void
put_status(struct arena *arena, struct buffer *out, int64_t about, const struct failure *failure)
{
    size_t info = der_open(out, DER_SEQUENCE);

    der_put_int(out, FAILED);
    size_t body_list = der_open(out, DER_SEQUENCE);
    der_put_int(out, about);
    der_close(out, body_list);
    der_put(out, DER_UTF8_STRING, bytes_of_text(problem_text(arena, failure)));
    der_put_int(out, fail_info_of(failure));
    der_close(out, info);
}

struct bytes
cmc_response_encode(struct arena *arena, struct bytes pki_data, const struct failure *failure)
{
    struct buffer out = buffer_in(arena);
    struct der asked_controls, requests;

    read_pki_data(pki_data, &asked_controls, &requests);
    size_t response = der_open(&out, DER_SEQUENCE), controls = der_open(&out, DER_SEQUENCE), tagged = der_open(&out, DER_SEQUENCE);
    der_put_int(&out, 1);
    der_put_oid(&out, OID_CMC_STATUS_INFO_V2);
    size_t values = der_open(&out, DER_SET);
    put_status(arena, &out, request_id(requests), failure);
    der_close(&out, values);
    der_close(&out, tagged);
    put_echoes(&out, asked_controls, 2);
    der_close(&out, controls);
    der_put(&out, DER_SEQUENCE, BYTES_NONE); /* cmsSequence */
    der_put(&out, DER_SEQUENCE, BYTES_NONE); /* otherMsgSequence */
    der_close(&out, response);
    return BYTES(out.at, out.len);
}

static enum error
sign_response(struct est *est, struct request *rq, struct bytes response, struct bytes *ret_der)
{
    AUTO(CMS_ContentInfo, cms) = NULL;
    unsigned char *der = NULL;

    enum error error = server_sign(est, rq, OID_CMC_PKI_RESPONSE, response, &cms);
    if (error)
        return error;
    int len = i2d_CMS_ContentInfo(cms, &der);
    if (len <= 0)
        abort();
    *ret_der = bytes_copy(rq->arena, BYTES(der, len));
    OPENSSL_free(der);
    return OK;
}

void
cmc_response_keep(struct est *est, struct http_exchange *x, struct bytes pki_data)
{
    struct request *rq = &x->rq;
    struct failure why = rq->failure;
    struct bytes *signed_response = arena_alloc(rq->arena, sizeof *signed_response);

    failure_clear(rq);
    if (sign_response(est, rq, cmc_response_encode(rq->arena, pki_data, &why), signed_response) == OK)
        x->kept = signed_response;
    else
        request_note(rq, "cmc_response", "not signed: %s", rq->failure.detail);
    rq->failure = why;
}
