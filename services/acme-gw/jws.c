/*
 * The signature around every POST (RFC 8555 §6.2, RFC 7515): flattened JSON, one signature, everything that matters in the protected header.
 * Our own two hundred lines on OpenSSL: an allow-list of algorithms, exact lengths, strict base64url, no duplicate members, nothing taken from
 * the header but what is named here.
 */
#include "acme.h"

#include <assert.h>
#include <openssl/err.h>
#include <openssl/rsa.h>
#include <string.h>

#include "base/base64.h"

#define KID_MAX 512
#define URL_MAX 2048

static const struct algorithm {
    const char *name;
    enum key_type key;
    bool pss;
    const EVP_MD *(*digest)(void);
    size_t signature_len; /* 0: as long as the modulus */
    bool is_new;          /* older OpenSSLs have not got it; its key is of this name, too */
} algorithms[] = {
    [JWS_RS256] = {"RS256", KEY_RSA, false, EVP_sha256, 0},
    [JWS_RS384] = {"RS384", KEY_RSA, false, EVP_sha384, 0},
    [JWS_RS512] = {"RS512", KEY_RSA, false, EVP_sha512, 0},
    [JWS_PS256] = {"PS256", KEY_RSA, true, EVP_sha256, 0},
    [JWS_PS384] = {"PS384", KEY_RSA, true, EVP_sha384, 0},
    [JWS_PS512] = {"PS512", KEY_RSA, true, EVP_sha512, 0},
    [JWS_ES256] = {"ES256", KEY_P256, false, EVP_sha256, 64},
    [JWS_ES384] = {"ES384", KEY_P384, false, EVP_sha384, 96},
    [JWS_ES512] = {"ES512", KEY_P521, false, EVP_sha512, 132},
    [JWS_EDDSA] = {"EdDSA", KEY_ED25519, false, NULL, 64},
    /* RFC 9964; FIPS 204, table 2 */
    [JWS_ML_DSA_44] = {"ML-DSA-44", KEY_UNKNOWN, false, NULL, 2420, true},
    [JWS_ML_DSA_65] = {"ML-DSA-65", KEY_UNKNOWN, false, NULL, 3309, true},
    [JWS_ML_DSA_87] = {"ML-DSA-87", KEY_UNKNOWN, false, NULL, 4627, true},
};
#define ALGORITHM_COUNT (sizeof algorithms / sizeof algorithms[0])

/* Asked of the library that runs, not of the one that was built with. */
static bool
is_there(const struct algorithm *algorithm)
{
    if (!algorithm->is_new)
        return true;
    (void)ERR_set_mark();
    EVP_SIGNATURE *found = EVP_SIGNATURE_fetch(NULL, algorithm->name, NULL);
    (void)ERR_pop_to_mark();
    EVP_SIGNATURE_free(found);
    return found != NULL;
}

enum jws_algorithm
jws_algorithm_find(const char *name)
{
    for (size_t i = JWS_RS256; i < ALGORITHM_COUNT; i++)
        if (text_equal(name, algorithms[i].name))
            return is_there(&algorithms[i]) ? (enum jws_algorithm)i : 0;
    return 0;
}

const char *
jws_algorithm_name(enum jws_algorithm algorithm)
{
    return algorithms[algorithm].name;
}

json_t *
jws_algorithms_json(void)
{
    json_t *list = json_array();

    for (size_t i = JWS_RS256; i < ALGORITHM_COUNT; i++)
        if (is_there(&algorithms[i]))
            (void)json_array_append_new(list, json_string(algorithms[i].name));
    return list;
}

static enum error
malformed(struct request *rq, const char *why)
{
    return refuse(rq, ERR_BAD_REQUEST, "malformed", "the request is not a proper JWS: %s", why);
}

static enum error
take_text(struct request *rq, const json_t *object, const char *member, struct bytes *ret_text)
{
    const json_t *value = json_object_get(object, member);

    if (!json_is_string(value))
        return malformed(rq, arena_format(rq->arena, "the member \"%s\" must be a string", member));
    *ret_text = BYTES(json_string_value(value), json_string_length(value));
    return OK;
}

/* What jws_split does not take, whatever is wrong or unusual about it. */
static enum error
read_texts(struct request *rq, struct bytes body, struct jws_texts *ret_texts)
{
    const json_t *object = json_parse_object(rq->arena, body);

    if (object == NULL)
        return malformed(rq, "the body is not a JSON object, or has a member twice");
    /* RFC 8555 §6.2: no unprotected header, no multiple signatures. */
    if (json_object_get(object, "header") != NULL)
        return malformed(rq, "an unprotected header is not allowed");
    if (json_object_get(object, "signatures") != NULL)
        return malformed(rq, "there must be exactly one signature, in flattened form");
    enum error error = take_text(rq, object, "protected", &ret_texts->header);
    if (!error)
        error = take_text(rq, object, "payload", &ret_texts->payload);
    if (!error)
        error = take_text(rq, object, "signature", &ret_texts->signature);
    return error;
}

static enum error
decode(struct request *rq, const char *member, struct bytes text, struct bytes *ret_octets)
{
    if (base64url_decode(rq->arena, text, ret_octets))
        return OK;
    return malformed(rq, arena_format(rq->arena, "the member \"%s\" must be base64url without padding", member));
}

static struct bytes
join_signing_input(struct arena *arena, struct bytes protected_text, struct bytes payload_text)
{
    struct buffer input = buffer_in(arena);

    buffer_append(&input, protected_text.at, protected_text.len);
    buffer_append(&input, ".", 1);
    buffer_append(&input, payload_text.at, payload_text.len);
    return buffer_bytes(&input);
}

/* What jws_split_header does not take: new accounts' keys, and whatever is unusual. */
static enum error
read_header(struct request *rq, struct bytes octets, struct jws_header *ret_header)
{
    const json_t *header = json_parse_object(rq->arena, octets);

    if (header == NULL)
        return malformed(rq, "the protected header is not a JSON object, or has a member twice");
    if (json_object_get(header, "crit") != NULL || json_object_get(header, "b64") != NULL)
        return malformed(rq, "extensions (\"crit\", \"b64\") are not understood");
    *ret_header = (struct jws_header){.alg = json_text(header, "alg"),
                                      .nonce = json_text(header, "nonce"),
                                      .url = json_text(header, "url"),
                                      .kid = json_text(header, "kid"),
                                      .has_nonce = json_object_get(header, "nonce") != NULL,
                                      .has_kid = json_object_get(header, "kid") != NULL,
                                      .jwk = json_object_get(header, "jwk")};
    return OK;
}

static enum error
take_algorithm(struct request *rq, const char *name, struct jws *jws)
{
    if (name == NULL)
        return malformed(rq, "the protected header has no \"alg\"");
    jws->algorithm = jws_algorithm_find(name);
    if (jws->algorithm != 0)
        return OK;
    return refuse(rq, ERR_BAD_REQUEST, "badSignatureAlgorithm", "the signature algorithm \"%.20s\" cannot be used here", name);
}

/* RFC 8555 §6.2: the protected header has alg, nonce, url, and exactly one of jwk and kid. */
static enum error
take_header(struct request *rq, struct bytes octets, struct jws *jws)
{
    struct jws_header header;

    enum error error = jws_split_header(rq->arena, octets, &header) ? OK : read_header(rq, octets, &header);
    if (!error)
        error = take_algorithm(rq, header.alg, jws);
    if (error)
        return error;
    /* RFC 8555 §6.5.2: what cannot be a nonce is malformed; badNonce, which has clients try again, is for the others and for none at all. */
    jws->nonce = header.nonce;
    if (header.has_nonce && (jws->nonce == NULL || !base64url_decode(rq->arena, bytes_of_text(jws->nonce), &(struct bytes){0})))
        return malformed(rq, "the \"nonce\" is not base64url");
    jws->url = header.url;
    if (jws->url == NULL || strlen(jws->url) > URL_MAX)
        return malformed(rq, "the protected header has no proper \"url\"");
    jws->jwk = header.jwk;
    jws->kid = header.kid;
    if ((jws->jwk != NULL) == header.has_kid)
        return malformed(rq, "the protected header must have either \"jwk\" or \"kid\"");
    if (header.has_kid && (jws->kid == NULL || strlen(jws->kid) > KID_MAX))
        return malformed(rq, "\"kid\" is not an account URL");
    return OK;
}

enum error
jws_parse(struct request *rq, struct bytes body, struct jws *ret_jws)
{
    struct jws jws = {0};
    struct jws_texts texts = {0};
    struct bytes header = BYTES_NONE;

    enum error error = jws_split(body, &texts) ? OK : read_texts(rq, body, &texts);
    if (!error)
        error = decode(rq, "protected", texts.header, &header);
    if (!error)
        error = decode(rq, "payload", texts.payload, &jws.payload);
    if (!error)
        error = decode(rq, "signature", texts.signature, &jws.signature);
    if (!error)
        error = take_header(rq, header, &jws);
    if (error)
        return error;
    jws.signing_input = join_signing_input(rq->arena, texts.header, texts.payload);
    *ret_jws = jws;
    return OK;
}

static struct bytes
without_leading_zeros(struct bytes number)
{
    while (number.len > 1 && number.at[0] == 0) {
        number.at++;
        number.len--;
    }
    return number;
}

/* RFC 7518 §3.4: r and s side by side; OpenSSL wants them in a SEQUENCE. */
static struct bytes
ecdsa_to_der(struct arena *arena, struct bytes signature)
{
    struct buffer out = buffer_in(arena);
    size_t half = signature.len / 2;

    size_t mark = der_open(&out, DER_SEQUENCE);
    der_put_unsigned(&out, without_leading_zeros(BYTES(signature.at, half)));
    der_put_unsigned(&out, without_leading_zeros(BYTES(signature.at + half, half)));
    der_close(&out, mark);
    return buffer_bytes(&out);
}

DEFINE_AUTO(EVP_MD_CTX, EVP_MD_CTX_free);

static bool
begin(const struct algorithm *algorithm, EVP_PKEY *key, EVP_MD_CTX *md)
{
    EVP_PKEY_CTX *pkey = NULL; /* md's */
    const EVP_MD *digest = algorithm->digest == NULL ? NULL : algorithm->digest();

    if (md == NULL || EVP_DigestVerifyInit(md, &pkey, digest, NULL, key) != 1)
        return false;
    return !algorithm->pss ||
           (EVP_PKEY_CTX_set_rsa_padding(pkey, RSA_PKCS1_PSS_PADDING) == 1 && EVP_PKEY_CTX_set_rsa_pss_saltlen(pkey, RSA_PSS_SALTLEN_DIGEST) == 1);
}

static void
release_begun(void *begun)
{
    EVP_MD_CTX_free(begun);
}

/* The first of the table that fits: keys of other types than RSA have but one. */
void
jws_prepare(struct arena *arena, struct jwk *jwk)
{
    enum jws_algorithm algorithm = jwk->algorithm != 0 ? jwk->algorithm : JWS_RS256;
    EVP_MD_CTX *md = EVP_MD_CTX_new();

    for (; algorithms[algorithm].key != jwk->key.type; algorithm++)
        assert(algorithm + 1 < ALGORITHM_COUNT); /* jwk_parse takes no other keys */
    arena_defer(arena, release_begun, md);
    if (!begin(&algorithms[algorithm], jwk->evp, md))
        return;
    jwk->begun = md;
    jwk->begun_algorithm = algorithm;
}

static bool
is_signed(enum jws_algorithm algorithm, const struct jwk *jwk, struct bytes message, struct bytes signature)
{
    AUTO(EVP_MD_CTX, md) = EVP_MD_CTX_new();
    bool has_begun = jwk->begun != NULL && jwk->begun_algorithm == algorithm && md != NULL && EVP_MD_CTX_copy_ex(md, jwk->begun) == 1;

    bool good =
        (has_begun || begin(&algorithms[algorithm], jwk->evp, md)) && EVP_DigestVerify(md, signature.at, signature.len, message.at, message.len) == 1;
    /* On the loop, what OpenSSL has against a stranger's signature would look like an error of somebody's TLS connection. */
    ERR_clear_error();
    return good;
}

enum error
jws_verify(struct request *rq, const struct jws *jws, const struct jwk *jwk)
{
    const struct algorithm *algorithm = &algorithms[jws->algorithm];
    const char *name = algorithm->name;

    if (algorithm->key != jwk->key.type || (jwk->algorithm != 0 && jwk->algorithm != jws->algorithm))
        return malformed(rq, arena_format(rq->arena, "the algorithm %s does not fit the type of the key", name));
    size_t len = algorithm->signature_len != 0 ? algorithm->signature_len : jwk->key.modulus.len;
    if (jws->signature.len != len)
        return malformed(rq, arena_format(rq->arena, "a signature by %s with this key has %zu octets, not %zu", name, len, jws->signature.len));
    bool is_ecdsa = algorithm->key == KEY_P256 || algorithm->key == KEY_P384 || algorithm->key == KEY_P521;
    struct bytes signature = is_ecdsa ? ecdsa_to_der(rq->arena, jws->signature) : jws->signature;
    if (!is_signed(jws->algorithm, jwk, jws->signing_input, signature))
        return refuse(rq, ERR_UNAUTHENTICATED, "malformed", "the signature of the JWS does not verify");
    return OK;
}
