/*
 * Authorisations and their challenges (RFC 8555 §7.5, §8): what is offered, how it is validated, who has to agree, what is remembered.
 */
#ifndef SIGNET_ACME_GW_AUTHORIZATION_H
#define SIGNET_ACME_GW_AUTHORIZATION_H

#include "link/db.h"
#include "link/http_server.h"
#include "pki/identifier.h"
#include "signed_request.h"
#include "signet/v1/validator.pb-c.h"

struct acme_config;
struct order;
struct policy;
struct authorization_cache;

/* validator.proto's 20 s, and a third of it for a first question that nobody answers (perspectives.c). */
#define VALIDATION_ASK_MS 27000
#define VALIDATION_WORK_S 30 /* with the time to write down what was found */
/* A validation takes milliseconds when the client has done its part. */
#define VALIDATION_RETRY_AFTER_S 1

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

/* ---- one file per resource ---- */

http_handler new_authz;
http_handler authorization;
enum error authorization_answer(struct acme *acme, struct http_exchange *x, int status, const struct authorization *authorization) MUST_CHECK;
http_handler challenge;
json_t *challenge_json(struct acme *acme, struct arena *arena, const struct challenge *challenge);
/* The challenges of a name, with all below it if so, under a policy, for an authorisation that is to be. `type` is "" when there are none. */
struct challenge new_challenge(struct acme *acme, struct arena *arena, const struct policy *policy, const struct identifier *name, bool subdomains,
                               const char *authorization_id);
enum error deactivate_authorization(struct acme *acme, struct http_exchange *x, const struct signed_request *signed_) MUST_CHECK;

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

/* ---- store_authorization.c, store_challenge.c ---- */

extern const struct db_statement store_take_validations, store_renew_validations, store_leave_validations;
enum error store_load_authorization(struct acme *acme, struct request *rq, const char *account_id, const char *id,
                                    struct authorization *ret_authorization) MUST_CHECK;
/* Makes it with its one challenge, unless the account has proven the name lately; the id of the one that there is. */
enum error store_insert_authorization(struct acme *acme, struct request *rq, const char *account_id, const struct authorization *authorization,
                                      const char **ret_id) MUST_CHECK;
enum error store_deactivate_authorization(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *problem)
    MUST_CHECK;
/* Each of the names by a challenge, lately. */
enum error store_names_are_proven(struct acme *acme, struct request *rq, const char *account_id, const struct identifier *names, size_t count,
                                  bool *ret_proven) MUST_CHECK;

/* A challenge as it is now; ret_begun when it was `pending` until now, and is `processing` in our hands. */
enum error store_begin_challenge(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *type,
                                 struct bytes response, struct challenge *ret_challenge, bool *ret_begun) MUST_CHECK;
/* A validation that was put off is due now. */
enum error store_hasten_validation(struct acme *acme, struct request *rq, const char *challenge_id) MUST_CHECK;
enum error store_load_challenge(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *type,
                                struct challenge *ret_challenge) MUST_CHECK;
struct validation store_validation_of_row(struct arena *arena, const struct db_rows *rows, size_t row);
enum error store_postpone_validation(struct acme *acme, struct request *rq, const char *challenge_id, int seconds) MUST_CHECK;

struct proven_name {
    struct identifier name;
    const char *method;
};
/* What was proven for this order longer ago than that, or by a proof for all names below a domain. */
enum error store_load_old_proofs(struct acme *acme, struct request *rq, const struct order *order, int age_s, struct proven_name **ret_names,
                                 size_t *ret_count) MUST_CHECK;

#endif
