/*
 * The ACME gateway (RFC 8555): its context, its nouns, and who defines what. Handlers are in routes.c's table; all SQL is in store.c.
 *
 * A handler of a POST begins with signed_request_check and is then as any other: check, do, record, answer. Everything a handler makes lives in the
 * request's arena. Refusals are made with `refuse`, which adds the word of RFC 8555 §6.7 to the kind of error; problem.c writes them out.
 */
#ifndef SIGNET_ACME_GW_ACME_H
#define SIGNET_ACME_GW_ACME_H

#include <jansson.h>
#include <stdatomic.h>

#include "base/text.h"
#include "link/commit_queue.h"
#include "link/configuration.h"
#include "link/db.h"
#include "link/http_server.h"
#include "link/lease.h"
#include "link/message.h"
#include "link/rpc.h"
#include "link/workers.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/identifier.h"
#include "pki/public_key.h"
#include "eab.h"
#include "limit.h"
#include "policy.h"
#include "star.h"
#include "signet/v1/acme_gw.pb-c.h"
#include "signet/v1/ra.pb-c.h"
#include "signet/v1/validator.pb-c.h"

#define ACME_BODY_MAX (64 * 1024)
/* Longer than the work that they cover, short enough for a client to wait when their holder has died. */
#define VALIDATION_LEASE_S 30
#define FINALIZATION_LEASE_S 20
#define ORDER_LIFETIME_S (7 * 24 * 3600)
/* A validation takes milliseconds when the client has done its part. */
#define VALIDATION_RETRY_AFTER_S 1
#define CONTACTS_MAX 10
#define CONTACT_MAX 320
#define ACME_ID_LEN 22 /* 16 random octets, base64url */
#define THUMBPRINT_LEN 32

struct acme_config {
    const char *listen;
    const char *url;
    const char *tls_cert_file;
    const char *tls_key_file;
    const char *nonce_key_file;
    const char *secret_key_file;
    int requests_per_minute;
    int requests_burst;
    const char *unlimited_networks;
    int keep_days;
    const char *template_name;
    const char *issuer;
    int validity_days;
    const char *terms_url;
    const char *website;
    const char *caa_identities;
    const char *profiles;
    const char *challenges;
    const char *perspectives;
    int dns_persist_draft;
    int loops;
    int workers;
    int validations;
    int finalizations;
};

struct acme {
    struct acme_config config;
    const char *base_url; /* "https://host:port", without final slash */
    const char *terms_url;
    struct secret_box *secrets;
    struct request_limiter *requests;
    struct snapshot_slot *policies;
    struct service_loop *policy_loop;
    struct db *db;
    struct bus *bus;
    struct outbox *outbox;
    struct nonces *nonces;
    struct commit_queue *new_orders, *moves;
    struct account_cache *accounts;
    struct certificate_cache *certificates;
    struct authorization_cache *authorizations;
    atomic_int looks;               /* challenges that are looked at before anything is written down */
    const struct profile *profiles; /* of the setting */
    size_t profile_count;
    struct workers *validators; /* for validations that begin here; the lease has its own threads */
    struct workers *onlookers;  /* for the perspectives of one validation beside the first */
    struct lease *validations;
    struct lease *finalizations;
    struct lease *stars;
};

/* ---- nouns ---- */

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

enum account_status { ACCOUNT_VALID = 1, ACCOUNT_DEACTIVATED, ACCOUNT_REVOKED };

struct account {
    const char *id;
    enum account_status status;
    const char *const *contacts; /* NULL-terminated */
    size_t contact_count;
    bool terms_agreed;
    int64_t created_at_s;
    const char *client_address;
    const char *policy; /* that it is bound to */
    const char *owner;  /* the rest is what its external account binding says; "", none */
    const char *principal;
    const char *const *allowed_names;
    size_t allowed_name_count;
    const char *const *allowed_templates;
    size_t allowed_template_count;
    struct jwk jwk;
};

enum order_status { ORDER_PENDING = 1, ORDER_READY, ORDER_PROCESSING, ORDER_VALID, ORDER_INVALID, ORDER_CANCELED };

struct order {
    const char *id;
    const char *account_id;
    enum order_status status;
    const struct identifier *names; /* sorted */
    size_t name_count;
    const char *const *ancestors; /* of a new order: at which domain each name shall be proven (RFC 9444), or NULL */
    const char *const *authorization_ids;
    size_t authorization_count;
    const char *policy;
    const char *owner, *principal;  /* as the account's */
    const char *const *preapproved; /* those of the names that needed no challenge, as columns write them */
    size_t preapproved_count;
    int64_t expires_at_s;
    int64_t finalized_at_s;
    const char *client_address;
    const char *problem;               /* JSON, or NULL */
    int64_t not_before_s, not_after_s; /* 0: not asked for */
    const char *profile;               /* NULL: none named */
    const char *replaces;              /* the identifier of a certificate (RFC 9773 §4.1), or NULL */
    const struct star *star;           /* NULL: it is not renewed automatically */
    int64_t renewal;                   /* which of its certificates is being made, from 0 */
    struct bytes csr;
    int attempts;
};

/* One line of the list of an account's orders. */
struct order_place {
    const char *id;
    enum order_status status;
    int64_t created_at_us;
};

enum challenge_status { CHALLENGE_PENDING = 1, CHALLENGE_PROCESSING, CHALLENGE_VALID, CHALLENGE_INVALID };

struct challenge {
    const char *id;
    const char *authorization_id;
    const char *account_id;
    const char *type; /* the one that this is about; for a new one, and where it says so, all that are offered, with blanks between */
    const char *token;
    struct identifier name; /* that is to be proven */
    bool subdomains;        /* with all names below */
    enum challenge_status status;
    int64_t validated_at_s; /* 0: not yet */
    const char *problem;    /* JSON, or NULL */
};

enum authorization_status { AUTHORIZATION_PENDING = 1, AUTHORIZATION_VALID, AUTHORIZATION_INVALID, AUTHORIZATION_DEACTIVATED, AUTHORIZATION_REVOKED };

struct authorization {
    const char *id;
    struct identifier name;
    bool subdomains; /* it holds for all names below, too (RFC 9444) */
    enum authorization_status status;
    int64_t expires_at_s;
    const struct challenge *challenges;
    size_t challenge_count;
};

/* One validation, as the lease hands it out, or as the POST begins it that holds the lease already. */
struct validation {
    const char *challenge_id;
    const char *account_id;
    const char *type;
    const char *token;
    struct identifier name;
    bool subdomains;
    struct bytes thumbprint; /* of the account's key as it is now (RFC 8555 §8.1) */
    int attempts;
    const char *policy;
    struct bytes response; /* device-attest-01: the attestation object */
};

/* A certificate by its ARI identifier, whoever asked for it and however. */
struct known_certificate {
    struct bytes der;
    struct certificate certificate;
    const char *issuer;
    bool is_revoked;
    const char *account_id; /* NULL: it was not ordered here */
    int64_t issued_at_s;    /* 0: the same */
};

struct renewal_window {
    int64_t starts_s, ends_s;
    const char *explanation; /* URL, or "" */
};

/* A choice that the operator offers (draft-ietf-acme-profiles). */
struct profile {
    const char *name;
    const char *template_name;
    int validity_days; /* 0: as the template says */
};

/* What ra issued, as the order remembers it. */
struct issued {
    struct bytes serial;
    int expiry_month;
    struct bytes *chain_sha256; /* the usual chain first, then the alternates */
    const char **chain_pem;
    size_t chain_count;
    const struct spending *spendings; /* what it counts for */
    size_t spending_count;
};

/* ---- routes.c ---- */

extern const struct http_route acme_routes[];
extern const size_t acme_route_count;
/* Base URL, terms, and what CAA records call this CA: from the settings. */
void acme_name_urls(struct acme *acme, struct arena *arena);
char *acme_url(struct acme *acme, struct arena *arena, const char *kind, const char *id); /* "<base>/acme/order/<id>" */
/* Fresh Replay-Nonce, Link rel="index" and Cache-Control on every answer. */
void acme_decorate(void *context, struct http_exchange *x);
enum error acme_answer_json(struct http_exchange *x, int status, const json_t *json) MUST_CHECK;

/* ---- problem.c ---- */

/* fail(), with the type of RFC 8555 §6.7 ("badNonce") that the client shall see. */
enum error refuse(struct request *rq, enum error kind, const char *type, const char *format, ...) __attribute__((format(printf, 4, 5)));
void problem_render(void *context, struct http_exchange *x);
/* The failure recorded in rq as the JSON of a problem document, to be stored with an order. */
const char *problem_of_failure(struct request *rq);
/* A problem that was not found by us: the validator's. */
const char *problem_format(struct arena *arena, const char *type, const char *detail);
/* The media type application/problem+json. */
extern const char problem_media_type[];
/* The note of a refused request whose value becomes the answer's Location. */
extern const char problem_location[];

/* ---- json.c: jansson objects that live as long as an arena ---- */

DEFINE_AUTO(json_t, json_decref);
/* An object without duplicate members; NULL when the text is not one. */
const json_t *json_parse_object(struct arena *arena, struct bytes text);
/* Compact, in the arena. */
char *json_format(struct arena *arena, const json_t *json);
/* The text of a member; NULL when it is absent or no string. */
const char *json_text(const json_t *object, const char *member);

/* ---- jwk.c ---- */

/* Shape and import; the key is freed with the arena. Private members, foreign curves, non-canonical numbers: badPublicKey. */
enum error jwk_parse(struct request *rq, const json_t *json, struct jwk *ret_jwk) MUST_CHECK;
/* Strength, for keys that come to stay: badPublicKey. */
enum error jwk_check(struct request *rq, const struct jwk *jwk) MUST_CHECK;
bool jwk_is_key(const struct jwk *jwk, const struct public_key *key);

/* ---- jws.c ---- */

/* Shape and protected header: malformed, badSignatureAlgorithm. */
enum error jws_parse(struct request *rq, struct bytes body, struct jws *ret_jws) MUST_CHECK;
/* Algorithm fits the key, exact length, signature: malformed. */
enum error jws_verify(struct request *rq, const struct jws *jws, const struct jwk *jwk) MUST_CHECK;
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

/* ---- account_cache.c: verified keys, remembered for a few seconds ---- */

struct account_cache *account_cache_new(void);
void account_cache_free(struct account_cache *cache);
DEFINE_AUTO_STRUCT(account_cache, account_cache_free);
/* Held until rq ends. ERR_NOT_FOUND when there is no such account. */
enum error account_cache_load(struct acme *acme, struct request *rq, const char *id, const struct account **ret_account) MUST_CHECK;
void account_cache_forget(struct account_cache *cache, const char *id);
/* Forgets those whose status changes, wherever that happens. */
enum error accounts_follow(struct acme *acme, struct request *rq) MUST_CHECK;

/* ---- certificate_cache.c: what was issued here a moment ago, for the client that comes for it ---- */

struct certificate_cache *certificate_cache_new(void);
void certificate_cache_free(struct certificate_cache *cache);
DEFINE_AUTO_STRUCT(certificate_cache, certificate_cache_free);
void certificate_cache_put(struct certificate_cache *cache, const struct order *order, const char *pem);
/* A copy in the arena, or NULL. */
const char *certificate_cache_find(struct certificate_cache *cache, struct arena *arena, const char *order_id, const char *account_id);

/* ---- authorization_cache.c: what was made or proven here a moment ago, for the client that looks at it next ---- */

struct authorization_cache *authorization_cache_new(void);
void authorization_cache_free(struct authorization_cache *cache);
DEFINE_AUTO_STRUCT(authorization_cache, authorization_cache_free);
/* A copy. Its challenges have no problems, and its own id. */
void authorization_cache_put(struct authorization_cache *cache, const char *account_id, const struct authorization *authorization);
/* Once for each that was put. A copy in the arena. */
bool authorization_cache_tell(struct authorization_cache *cache, struct arena *arena, const char *account_id, const char *id,
                              struct authorization *ret_authorization);
/* Whoever changes it takes it out. */
bool authorization_cache_take(struct authorization_cache *cache, struct arena *arena, const char *account_id, const char *id,
                              struct authorization *ret_authorization);

/* ---- one file per resource ---- */

http_handler directory;
http_handler directory_by_post;
http_handler terms;
http_handler new_nonce;
http_handler new_nonce_by_post;
http_handler new_account;
http_handler account;
http_handler account_orders;
http_handler key_change;
enum error account_answer(struct acme *acme, struct http_exchange *x, int status, const struct account *account) MUST_CHECK;
/* The "contact" member: unsupportedContact, invalidContact. */
enum error contacts_check(struct request *rq, const json_t *payload, const char *const **ret_contacts, size_t *ret_count) MUST_CHECK;
http_handler new_order;
http_handler order;
/* With Location, and Retry-After while it is processing. */
enum error order_answer(struct acme *acme, struct http_exchange *x, int status, const struct order *order) MUST_CHECK;
/* The challenges of a name, with all below it if so, under a policy, for an authorisation that is to be. `type` is "" when there are none. */
struct challenge new_challenge(struct acme *acme, struct arena *arena, const struct policy *policy, const struct identifier *name, bool subdomains,
                               const char *authorization_id);
http_handler authorization;
enum error authorization_answer(struct acme *acme, struct http_exchange *x, int status, const struct authorization *authorization) MUST_CHECK;
http_handler challenge;
json_t *challenge_json(struct acme *acme, struct arena *arena, const struct challenge *challenge);

/* ---- challenge_types.c ---- */

/* Whether or not this server offers it. */
bool challenge_type_is_known(const char *type);

/* Those types that can prove this name and are in `allowed` (comma-separated; NULL or empty: any), as `struct challenge` has them; "" when none. */
const char *challenge_types_offer(struct acme *acme, struct arena *arena, const struct identifier *name, const char *allowed);
/* The settings about them: types that are known, and names of this CA as they must be written. */
enum error challenge_types_check(struct request *rq, const struct acme_config *config) MUST_CHECK;
/* What a challenge object of this type has beside the usual members. */
void challenge_types_show(struct acme *acme, struct arena *arena, const struct challenge *challenge, json_t *json);
/* The members of a directory's meta that are for challenges. */
void challenge_types_add_meta(struct acme *acme, struct arena *arena, json_t *meta);
/* What CAA and dns-persist-01 records call this CA; none: no CAA record can allow it anything. */
char **issuer_names(struct acme *acme, struct arena *arena, size_t *ret_count);
/* Prefix of the hashed account URIs of dns-persist-01; "" by draft -01, which has none. */
const char *account_hash_prefix(struct acme *acme, struct arena *arena);

/* ---- subdomain.c: authorisations that hold for all names below (RFC 9444) ---- */

/* The "ancestorDomain" of an identifier in an order; NULL when it has none. malformed. */
enum error subdomain_take_ancestor(struct request *rq, const json_t *json, const struct identifier *name, const char **ret_ancestor) MUST_CHECK;
/* Whether an authorisation of this identifier shall have "subdomainAuthAllowed", and may. malformed. */
enum error subdomain_take_wish(struct acme *acme, struct request *rq, const struct policy *policy, const json_t *json, const struct identifier *name,
                               bool *ret_wanted) MUST_CHECK;
/* Those that were asked with the names, in the order that these have now. */
const char **subdomain_sort_ancestors(struct arena *arena, const struct order *order, const struct identifier *asked, const char *const *ancestors,
                                      size_t count);
/* The domain whose proof shall do for this name of a new order; false when it is to be proven by itself. */
bool subdomain_find_ancestor(struct acme *acme, struct arena *arena, const struct policy *policy, const struct order *order, size_t i,
                             struct identifier *ret_ancestor);
/* For each name which authorisations could hold for it, as columns write them, with blanks between: its own; and those above it, if they count. */
const char **subdomain_covers(struct arena *arena, const struct identifier *names, size_t count, bool above_counts);

/* ---- attestation.c: device-attest-01 (draft-ietf-acme-device-attest) ---- */

#define DEVICE_ATTEST_01 "device-attest-01"
/* The object that the client has sent, undecoded: malformed. */
enum error attestation_take(struct request *rq, const json_t *payload, struct bytes *ret_object) MUST_CHECK;
/* Identifier types and roots of a policy: ERR_BAD_REQUEST, ERR_TOO_LARGE. */
enum error attestation_check_policy(struct request *rq, const Pb__AcmePolicy *policy) MUST_CHECK;
void attestation_of_policy(const Pb__AcmePolicy *row, struct policy *policy);
/* What the validator must know of the policy and the client. */
void attestation_fill_in(struct arena *arena, const struct policy *policy, const struct validation *validation, Pb__ValidateChallengeRequest *input);

http_handler finalize;
/* A turn at a `processing` order that its finalize did not finish. */
void finalize_work(void *context, struct request *rq, const struct db_rows *rows, size_t row);
/* Asks for the certificate of an order, or for its next one (order->renewal). */
enum error enroll_order(struct acme *acme, struct request *rq, const struct order *order, int most_ms, const Pb__EnrollReply **ret_reply) MUST_CHECK;
struct issued issued_of_reply(struct arena *arena, const Pb__EnrollReply *reply);
/* What an operator is told about the failure just recorded. */
const char *trouble_of_failure(struct request *rq);

/* ---- profile.c ---- */

/* "classic=Web Server:90"; as many as texts. `what` they are, for the refusal. */
enum error profiles_parse(struct request *rq, const char *what, char *const *texts, size_t count, struct profile **ret_profiles) MUST_CHECK;
const struct profile *profile_find(const struct policy *policy, const char *name); /* NULL when there is none */

/* ---- order_wishes.c ---- */

/* Dates, profile and `replaces` of a new order, into it. */
enum error order_wishes_take(struct acme *acme, struct request *rq, const struct policy *policy, const json_t *payload, struct order *order)
    MUST_CHECK;
http_handler new_authz;
enum error deactivate_authorization(struct acme *acme, struct http_exchange *x, const struct signed_request *signed_) MUST_CHECK;
http_handler renewal_info;
/* RFC 9773 §4.1: unknownCertificate, malformed. */
enum error certificate_id_load(struct acme *acme, struct request *rq, const char *text, struct known_certificate *ret_known) MUST_CHECK;
http_handler certificate;
extern const char certificate_media_type[];
/* The leaf first, then the PEM of its issuers. */
const char *certificate_pem(struct arena *arena, struct bytes leaf, const char *chain_pem);
http_handler revoke_cert;

/* ---- validation.c ---- */

struct finding;
/* One look, no longer than so many milliseconds; nothing is written down. That it was not proven in so short a time means nothing. */
bool validation_look(struct acme *acme, struct request *rq, const struct validation *validation, int most_ms, struct finding *ret_finding);

/* Has the validation worked on by a thread of ours, at once; by the lease loop when they are all busy. */
void validation_begin(struct acme *acme, struct request *rq, const struct validation *validation);
/* Seconds before the next turn at something whose turn has failed so often: 1, 2, 4, … 30. */
int pause_after(int attempts);
/* A turn at a `processing` challenge that the lease loop has taken. */
void validation_work(void *context, struct request *rq, const struct db_rows *rows, size_t row);

/* ---- perspectives.c ---- */

#define PERSPECTIVES_MAX 32

/* What was seen, from one place or from all that have to agree. */
struct finding {
    bool holds;
    const char *problem, *detail; /* when it does not */
    int64_t valid_until_s;        /* 0: no end */
    struct bytes attested_key;    /* SHA-256 of the only key that may be certified; none: any */
    const char *attestation;      /* in words */
};

/* One call to the validators with this suffix. */
typedef enum error look_from(struct acme *acme, struct request *rq, const char *suffix, const void *input, struct finding *ret_finding);

enum verdict { VERDICT_NONE = 1, VERDICT_FOR, VERDICT_AGAINST };
enum quorum { QUORUM_UNKNOWN = 1, QUORUM_FOR, QUORUM_AGAINST };
/* The first verdict is the primary one; at least one. */
enum quorum quorum_of(const enum verdict *verdicts, size_t count);
enum error perspectives_check(struct request *rq, const char *list) MUST_CHECK;
/* An error when too few answered. */
enum error perspectives_ask(struct acme *acme, struct request *rq, look_from *look, const void *input, struct finding *ret_finding) MUST_CHECK;

/* ---- caa_recheck.c ---- */

/* OK for an order whose names were proven lately. "caa", "dns"; or the validator's trouble. */
enum error caa_recheck(struct acme *acme, struct request *rq, const struct order *order) MUST_CHECK;

/* ---- names.c: identifiers as clients, contracts and columns write them ---- */

/* {"type": "dns", "value": "…"}: unsupportedIdentifier, rejectedIdentifier, malformed. */
enum error name_from_json(struct request *rq, const json_t *json, struct identifier *ret_name) MUST_CHECK;
json_t *name_to_json(const struct identifier *name);
/* "dns:host.example"; bare_name drops "*." (RFC 8555 §7.1.3: an authorisation names the domain). */
const char *name_to_column(struct arena *arena, const struct identifier *name);
struct identifier name_from_column(struct arena *arena, const char *column);
/* "*.host.example" of "host.example" */
struct identifier name_all_below(struct arena *arena, const struct identifier *name);
/* Sorted, without duplicates. */
void names_sort(struct identifier *names, size_t *count);
const char **names_to_columns(struct arena *arena, const struct identifier *names, size_t count);
/* Patterns of policies and credentials: "host.example", "*.example" (all names below), "10.1.0.0/16". */
bool name_matches(const char *const *patterns, size_t count, const struct identifier *name);
/* "permanent-identifier:C02XYZ", "permanent-identifier:C02*", "hardware-module:…" */
bool name_pattern_is_device(const char *pattern);
/* A CSR may leave out all devices of its order (draft-ietf-acme-device-attest §3.2, §4.2). Both are sorted. */
bool names_equal_but_devices(const struct order *order, const struct identifier *asked, size_t count);
/* Brings them to the form that identifiers have: "*.Intra.Example." would never match anything. ERR_BAD_REQUEST, ERR_TOO_LARGE. */
enum error name_patterns_check(struct request *rq, const char *what, const char **patterns, size_t count) MUST_CHECK;

/* ---- store_new_order.c ---- */

/* An order on its way into the database, with a challenge for each of its names. */
struct new_order {
    struct order *order; /* status, authorization_ids and expires_at_s are as they came out: what was proven lately takes the place of new ones */
    const struct challenge *challenges; /* of each name; the same where one proof is for several */
    bool subdomains_count;              /* proofs that hold for all names below */
    const struct spending *spendings;
    size_t spending_count;
    struct limit failures;
    const struct policy *quotas_of; /* NULL: no quota is asked */
    struct obstacle obstacle;       /* why it was not recorded; `rule` NULL: it was */
    struct request *rq;             /* the store's */
};
/* In one round trip with others that come at the same time. ERR_CONFLICT: another order replaces the same certificate. */
enum error store_insert_order(struct acme *acme, struct request *rq, struct new_order *new_order) MUST_CHECK;
commit_batch store_insert_orders; /* items are struct new_order, context is struct acme */

/* ---- prune.c ---- */

/* Of a background loop. */
void prune_turn(void *context, struct request *rq);

/* ---- store_move.c ---- */

struct claim {
    const char *const *names;
    size_t name_count;
    struct bytes csr;
    struct bytes key_sha256;
};
/* Exactly one caller gets ret_claimed for an order that was `ready`, has these names, and attests no other key; all get the order as it is now. */
enum error store_claim_order(struct acme *acme, struct request *rq, const char *account_id, const char *id, const struct claim *claim,
                             struct order *ret_order, bool *ret_claimed) MUST_CHECK;
enum error store_end_order(struct acme *acme, struct request *rq, const char *id, const struct issued *issued) MUST_CHECK;
/* Challenge, authorisation and order; nothing when the lease has passed to somebody else. */
enum error store_end_validation(struct acme *acme, struct request *rq, const char *challenge_id, const struct finding *finding, const char *problem)
    MUST_CHECK;

/* A proof of a challenge that is still `pending`; false in ret_done when it is not, or when its authorisation has expired or is decided. */
enum error store_prove_challenge(struct acme *acme, struct request *rq, const char *challenge_id, const char *type, const struct finding *finding,
                                 bool *ret_done) MUST_CHECK;

enum move_kind { MOVE_CLAIM = 1, MOVE_END, MOVE_VERDICT };
/* One of them on its way into a batch. */
struct order_move {
    enum move_kind kind;
    struct request *rq;
    const char *id; /* of the order; of a verdict's challenge */
    const char *account_id;
    const struct claim *claim;
    const struct issued *issued;
    const struct finding *finding;
    const char *problem; /* of a finding that does not hold */
    const char *type;    /* of a challenge that nobody has begun; NULL: its lease is ours */
    struct order order;  /* of a claim */
    bool done;
};
commit_batch store_move_batch; /* items are struct order_move, context is struct acme */

/* ---- store.c ---- */

extern const struct db_statement store_take_validations;
extern const struct db_statement store_take_finalizations;

char *new_id(struct arena *arena);
/* The next `pages` of what expired so long ago; 0 and 0 as well when another replica is at it. */
enum error store_prune(struct acme *acme, struct request *rq, int keep_days, int pages, int64_t *ret_orders, int64_t *ret_authorizations) MUST_CHECK;

enum error store_load_account(struct acme *acme, struct request *rq, const char *id, struct account *ret_account) MUST_CHECK;
enum error store_find_account_by_key(struct acme *acme, struct request *rq, const struct jwk *jwk, struct account *ret_account) MUST_CHECK;
/* The account that this key has afterwards, old or new. */
enum error store_insert_account(struct acme *acme, struct request *rq, const struct account *wanted, struct account *ret_account, bool *ret_created)
    MUST_CHECK;
enum error store_update_contacts(struct acme *acme, struct request *rq, const char *id, const char *const *contacts, size_t count) MUST_CHECK;
enum error store_deactivate_account(struct acme *acme, struct request *rq, const char *id) MUST_CHECK;
/* From the key that `account` has here to another one; ret_in_use: another account has that. */
enum error store_change_key(struct acme *acme, struct request *rq, const struct account *account, const struct jwk *key, bool *ret_in_use) MUST_CHECK;

enum order_status store_order_status(const char *name);
enum error store_load_order(struct acme *acme, struct request *rq, const char *account_id, const char *id, struct order *ret_order) MUST_CHECK;
/* The next `most` of an account after that place, newest first, whatever their status; expired ones are ORDER_INVALID. */
enum error store_list_orders(struct acme *acme, struct request *rq, const char *account_id, const struct order_place *after, int most,
                             struct order_place **ret_places, size_t *ret_count) MUST_CHECK;
enum error store_load_authorization(struct acme *acme, struct request *rq, const char *account_id, const char *id,
                                    struct authorization *ret_authorization) MUST_CHECK;

/* A challenge as it is now; ret_begun when it was `pending` until now, and is `processing` in our hands. */
enum error store_begin_challenge(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *type,
                                 struct bytes response, struct challenge *ret_challenge, bool *ret_begun) MUST_CHECK;
/* A validation that was put off is due now. */
enum error store_hasten_validation(struct acme *acme, struct request *rq, const char *challenge_id) MUST_CHECK;
enum error store_load_challenge(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *type,
                                struct challenge *ret_challenge) MUST_CHECK;
struct validation store_validation_of_row(struct arena *arena, const struct db_rows *rows, size_t row);
/* Of all keys that the account has had, the present one first, base64url. ERR_DENIED: the account is not valid any more. */
enum error store_load_thumbprints(struct acme *acme, struct request *rq, const char *account_id, const char ***ret_thumbprints, size_t *ret_count)
    MUST_CHECK;
struct proven_name {
    struct identifier name;
    const char *method;
};
/* What was proven for this order longer ago than that, or by a proof for all names below a domain. */
enum error store_load_old_proofs(struct acme *acme, struct request *rq, const struct order *order, int age_s, struct proven_name **ret_names,
                                 size_t *ret_count) MUST_CHECK;
enum error store_postpone_validation(struct acme *acme, struct request *rq, const char *challenge_id, int seconds) MUST_CHECK;

/* What was attested of the devices of an order, in words; "" when it has none. */
enum error store_load_attestations(struct acme *acme, struct request *rq, const struct order *order, const char **ret_attested) MUST_CHECK;
/* Is there a device of this order that has attested another key? */
enum error store_other_key_is_attested(struct acme *acme, struct request *rq, const struct order *order, struct bytes key_sha256, bool *ret_attested)
    MUST_CHECK;
struct order store_order_of_row(struct arena *arena, const struct db_rows *rows, size_t row);
enum error store_refuse_order(struct acme *acme, struct request *rq, const char *id, const char *problem) MUST_CHECK;
/* `trouble` is for the operator who asks what the order waits for. */
enum error store_postpone_order(struct acme *acme, struct request *rq, const char *id, int seconds, const char *trouble) MUST_CHECK;
/* The same without a failure to count. */
enum error store_await_approval(struct acme *acme, struct request *rq, const char *id, int seconds) MUST_CHECK;

/* Makes it with its one challenge, unless the account has proven the name lately; the id of the one that there is. */
enum error store_insert_authorization(struct acme *acme, struct request *rq, const char *account_id, const struct authorization *authorization,
                                      const char **ret_id) MUST_CHECK;
enum error store_deactivate_authorization(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *problem)
    MUST_CHECK;
/* Each of the names by a challenge, lately. */
enum error store_names_are_proven(struct acme *acme, struct request *rq, const char *account_id, const struct identifier *names, size_t count,
                                  bool *ret_proven) MUST_CHECK;
/* All but the parsed certificate. ERR_NOT_FOUND. */
enum error store_load_known(struct acme *acme, struct request *rq, int expiry_month, struct bytes serial, struct known_certificate *ret_known)
    MUST_CHECK;
/* Untouched when no operator has moved it. */
enum error store_find_renewal_window(struct acme *acme, struct request *rq, const struct known_certificate *known, struct renewal_window *window)
    MUST_CHECK;
/* DER of the leaf and PEM of its issuers. ERR_NOT_FOUND: no such order of this account, or no certificate yet. */
enum error store_load_certificate(struct acme *acme, struct request *rq, const char *account_id, const char *order_id, struct bytes *ret_leaf,
                                  const char *const **ret_chain_pem, size_t *ret_chain_count) MUST_CHECK;

/* ---- for operators: one file per rpc of AcmeAdmin, beside those of policies ---- */

/* The gateway with the database of a transaction, for a configuration_writer. */
static inline struct acme
acme_within(const struct acme *acme, struct db *db)
{
    struct acme within = *acme;
    within.db = db;
    return within;
}

enum error explain_order(struct acme *acme, struct request *rq, const Pb__ExplainOrderRequest *input, Pb__ExplainOrderReply *ret_reply) MUST_CHECK;
enum error move_renewal_window(struct acme *acme, struct request *rq, const Pb__MoveRenewalWindowRequest *input,
                               Pb__MoveRenewalWindowReply *ret_reply) MUST_CHECK;
/* All but `why` and `next`. ERR_NOT_FOUND. */
enum error store_describe_order(struct acme *acme, struct request *rq, const char *id, Pb__ExplainOrderReply *ret_reply) MUST_CHECK;
enum error store_insert_renewal_window(struct acme *acme, struct request *rq, const Pb__MoveRenewalWindowRequest *input, int64_t starts_s,
                                       int64_t ends_s) MUST_CHECK;

#endif
