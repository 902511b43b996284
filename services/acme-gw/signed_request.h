/*
 * What every POST must be (RFC 8555 §6): JWS, key, nonce, url and account; signed_request_check says all of it at once.
 */
#ifndef SIGNET_ACME_GW_SIGNED_REQUEST_H
#define SIGNET_ACME_GW_SIGNED_REQUEST_H

#include <jansson.h>

#include "base/text.h"
#include "link/http_server.h"
#include "pki/public_key.h"
#include "signet/v1/acme_gw.pb-c.h"

struct acme;
struct account;

#define THUMBPRINT_LEN 32
#define THUMBPRINT_TEXT_LEN 43 /* base64url */

enum jws_algorithm {
    JWS_RS256 = 1,
    JWS_RS384,
    JWS_RS512,
    JWS_PS256,
    JWS_PS384,
    JWS_PS512,
    JWS_ES256,
    JWS_ES384,
    JWS_ES512,
    JWS_EDDSA,
    JWS_ML_DSA_44,
    JWS_ML_DSA_65,
    JWS_ML_DSA_87
};

/* A public key as a client sent it (RFC 7517), imported. */
struct jwk {
    struct public_key key;        /* without SPKI; KEY_UNKNOWN with a point: ML-DSA */
    enum jws_algorithm algorithm; /* the only one that the key is for (ML-DSA); 0: as its type says */
    EVP_PKEY *evp;
    EVP_MD_CTX *begun; /* of a key that stays: a check by begun_algorithm that has only to be copied; NULL: none */
    enum jws_algorithm begun_algorithm;
    const char *canonical; /* the members that the thumbprint covers, in its order (RFC 7638) */
    uint8_t thumbprint[THUMBPRINT_LEN];
};

struct jws {
    enum jws_algorithm algorithm;
    const char *nonce; /* NULL when absent */
    const char *url;
    const char *kid;   /* NULL: jwk is given */
    const json_t *jwk; /* NULL: kid is given */
    struct bytes signing_input;
    struct bytes payload;
    struct bytes signature;
};

/* ---- jwk.c ---- */

/* Shape and import; the key is freed with the arena. Private members, foreign curves, non-canonical numbers: badPublicKey. */
enum error jwk_parse(struct request *rq, const json_t *json, struct jwk *ret_jwk) MUST_CHECK;
/* Strength, for keys that come to stay: badPublicKey. */
enum error jwk_check(struct request *rq, const struct jwk *jwk) MUST_CHECK;
bool jwk_is_key(const struct jwk *jwk, const struct public_key *key);
/* A check of its signatures takes as long as a few of the others together. */
bool jwk_is_slow(const struct jwk *jwk);

/* ---- jws_split.c ---- */

struct jws_texts {
    struct bytes header, payload, signature; /* in base64url, not looked at yet */
};
/* A body that is nothing but these three, as nearly all are; false for every other. They are parts of the body. */
bool jws_split(struct bytes body, struct jws_texts *ret_texts);
/* As the client has written it; NULL: it is not there, or no text. */
struct jws_header {
    const char *alg, *nonce, *url, *kid;
    bool has_nonce, has_kid;
    const json_t *jwk;
};
/* The same of a protected header of alg, nonce, url and kid. */
bool jws_split_header(struct arena *arena, struct bytes header, struct jws_header *ret_header);

/* ---- jws.c ---- */

/* Shape and protected header: malformed, badSignatureAlgorithm. */
enum error jws_parse(struct request *rq, struct bytes body, struct jws *ret_jws) MUST_CHECK;
/* Algorithm fits the key, exact length, signature: malformed. */
enum error jws_verify(struct request *rq, const struct jws *jws, const struct jwk *jwk) MUST_CHECK;
/* For a key that will check many signatures: to look its algorithm up in OpenSSL costs a tenth of a check. Freed with the arena. */
void jws_prepare(struct arena *arena, struct jwk *jwk);
/* By its name; 0 when it is not allowed, or when this OpenSSL has not got it. */
enum jws_algorithm jws_algorithm_find(const char *name);
const char *jws_algorithm_name(enum jws_algorithm algorithm);
/* For the badSignatureAlgorithm problem: those that there are. */
json_t *jws_algorithms_json(void);

/* ---- nonce.c ---- */

#define NONCE_LEN 40
#define NONCE_PREFIX_LEN 8

struct nonces;
/* `key` is the secret that all replicas share; the prefix is drawn, a new one for each start. */
struct nonces *nonces_new(struct bytes key);
void nonces_free(struct nonces *nonces);
DEFINE_AUTO_STRUCT(nonces, nonces_free);
const char *nonces_prefix(const struct nonces *nonces);
char *nonce_mint(struct nonces *nonces, struct arena *arena);
enum nonce_fate { NONCE_FRESH = 1, NONCE_STALE, NONCE_OF_ANOTHER_REPLICA };
/* NONCE_FRESH once for each nonce that was minted here and not too many nonces ago; what the suite did not mint is NONCE_STALE. */
enum nonce_fate nonce_use(struct nonces *nonces, struct arena *arena, const char *nonce);

/* ---- redeem_nonce.c ---- */

/* Wherever it was minted: badNonce. */
enum error nonce_redeem(struct acme *acme, struct request *rq, const char *nonce) MUST_CHECK;
/* Served for the other replicas. */
enum error redeem_nonce(struct acme *acme, struct request *rq, const Pb__RedeemNonceRequest *input, Pb__RedeemNonceReply *ret_reply) MUST_CHECK;

/* ---- signed_request.c ---- */

enum signed_by { BY_ACCOUNT, BY_NEW_KEY, BY_ACCOUNT_OR_KEY };

struct signed_request {
    const struct account *account; /* NULL when signed by a key of its own */
    const struct jwk *jwk;         /* the key that signed */
    const json_t *payload;         /* NULL for POST-as-GET */
    const char *url;               /* as it was signed: the URL of the request */
};

/* Everything that RFC 8555 §6 demands of a POST: media type, JWS, url, key, signature, nonce, state of the account. */
enum error signed_request_check(struct acme *acme, struct http_exchange *x, enum signed_by by, struct signed_request *ret_signed) MUST_CHECK;
/* The same for resources that are only read (RFC 8555 §6.3). */
enum error post_as_get_check(struct acme *acme, struct http_exchange *x, struct signed_request *ret_signed) MUST_CHECK;

/* ---- new_nonce.c ---- */

http_handler new_nonce;
http_handler new_nonce_by_post;

#endif
