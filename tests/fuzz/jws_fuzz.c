/* The body of a POST as anybody may send it: whatever is accepted has one key reference, an allowed algorithm and a signing input that is its own
 * text. */
#include <stdlib.h>
#include <string.h>

#include "acme.h"

/* What is taken apart in place is what jansson would have found. */
static void
compare_with_jansson(struct request *rq, struct bytes body)
{
    struct jws_texts texts;

    if (!jws_split(body, &texts))
        return;
    const json_t *object = json_parse_object(rq->arena, body);
    if (object == NULL || json_object_size(object) != 3 || !bytes_equal(texts.header, bytes_of_text(json_text(object, "protected"))) ||
        !bytes_equal(texts.payload, bytes_of_text(json_text(object, "payload"))) ||
        !bytes_equal(texts.signature, bytes_of_text(json_text(object, "signature"))))
        abort();
}

static void
compare_header_with_jansson(struct request *rq, struct bytes octets)
{
    struct jws_header header;

    if (!jws_split_header(rq->arena, octets, &header))
        return;
    const json_t *object = json_parse_object(rq->arena, octets);
    if (object == NULL || json_object_size(object) != 4 || strcmp(header.alg, json_text(object, "alg")) != 0 ||
        strcmp(header.nonce, json_text(object, "nonce")) != 0 || strcmp(header.url, json_text(object, "url")) != 0 ||
        strcmp(header.kid, json_text(object, "kid")) != 0)
        abort();
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct jws jws;
    struct jwk jwk;

    if (size > ACME_BODY_MAX)
        return 0;
    compare_with_jansson(rq, BYTES(data, size));
    compare_header_with_jansson(rq, BYTES(data, size));
    if (jws_parse(rq, BYTES(data, size), &jws) != OK)
        return 0;
    if ((jws.kid == NULL) == (jws.jwk == NULL) || jws.url == NULL || jws.algorithm < JWS_RS256 || jws.algorithm > JWS_ML_DSA_87)
        abort();
    if (memchr(jws.signing_input.at, '.', jws.signing_input.len) == NULL)
        abort();
    if (jws.jwk == NULL || jwk_parse(rq, jws.jwk, &jwk) != OK)
        return 0;
    if (jws_verify(rq, &jws, &jwk) != OK && rq->failure.kind == OK)
        abort();
    return 0;
}
