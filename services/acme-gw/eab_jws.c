/* The shape of an external account binding (RFC 8555 §7.3.4): octets of strangers, before anything in them is believed. */
#include "acme.h"

#include <string.h>

#include "base/base64.h"

#define KEY_ID_MAX 100
#define URL_MAX 2048

static const struct {
    const char *name;
    int bits;
} macs[] = {{"HS256", 256}, {"HS384", 384}, {"HS512", 512}};
#define MAC_COUNT (sizeof macs / sizeof macs[0])

static enum error
malformed(struct request *rq, const char *why)
{
    return refuse(rq, ERR_BAD_REQUEST, "malformed", "the \"externalAccountBinding\" %s", why);
}

static enum error
take_part(struct request *rq, const json_t *object, const char *member, struct bytes *ret_text, struct bytes *ret_octets)
{
    const json_t *value = json_object_get(object, member);

    if (!json_is_string(value))
        return malformed(rq, "must have the members \"protected\", \"payload\" and \"signature\"");
    struct bytes text = BYTES(json_string_value(value), json_string_length(value));
    if (!base64url_decode(rq->arena, text, ret_octets))
        return malformed(rq, "is not base64url without padding");
    *ret_text = text;
    return OK;
}

static enum error
take_algorithm(struct request *rq, const json_t *header, int *ret_bits)
{
    const char *name = json_text(header, "alg");

    for (size_t i = 0; name != NULL && i < MAC_COUNT; i++) {
        if (!text_equal(name, macs[i].name))
            continue;
        *ret_bits = macs[i].bits;
        return OK;
    }
    rq->failure_members = "{\"algorithms\":[\"HS256\",\"HS384\",\"HS512\"]}";
    return refuse(rq, ERR_BAD_REQUEST, "badSignatureAlgorithm", "an external account is bound with HS256, HS384 or HS512, not with \"%.20s\"",
                  name == NULL ? "" : name);
}

static enum error
take_header(struct request *rq, struct bytes octets, struct eab_jws *jws)
{
    const json_t *header = json_parse_object(rq->arena, octets);

    if (header == NULL)
        return malformed(rq, "has a protected header that is no JSON object");
    enum error error = take_algorithm(rq, header, &jws->bits);
    if (error)
        return error;
    jws->key_id = json_text(header, "kid");
    jws->url = json_text(header, "url");
    if (text_is_empty(jws->key_id) || strlen(jws->key_id) > KEY_ID_MAX)
        return malformed(rq, "names no key as \"kid\"");
    if (jws->url == NULL || strlen(jws->url) > URL_MAX)
        return malformed(rq, "has no proper \"url\"");
    /* RFC 8555 §7.3.4: the "nonce" field MUST NOT be present. */
    if (json_object_get(header, "nonce") != NULL || json_object_get(header, "jwk") != NULL || json_object_get(header, "crit") != NULL)
        return malformed(rq, "has a member in its protected header that does not belong there");
    return OK;
}

enum error
eab_parse(struct request *rq, const json_t *json, struct eab_jws *ret_jws)
{
    struct eab_jws jws = {0};
    struct bytes protected_text = BYTES_NONE, protected_octets = BYTES_NONE, payload_text = BYTES_NONE, signature_text = BYTES_NONE;

    if (!json_is_object(json))
        return malformed(rq, "must be a JWS in flattened form");
    enum error error = take_part(rq, json, "protected", &protected_text, &protected_octets);
    if (!error)
        error = take_part(rq, json, "payload", &payload_text, &jws.payload);
    if (!error)
        error = take_part(rq, json, "signature", &signature_text, &jws.signature);
    if (!error)
        error = take_header(rq, protected_octets, &jws);
    if (error)
        return error;
    struct buffer input = buffer_in(rq->arena);
    buffer_append(&input, protected_text.at, protected_text.len);
    buffer_append(&input, ".", 1);
    buffer_append(&input, payload_text.at, payload_text.len);
    jws.signing_input = buffer_bytes(&input);
    *ret_jws = jws;
    return OK;
}
