/*
 * ACME policies: what is offered under one directory. Rows of acme.policy, kept in memory by every replica.
 *
 * `default` is what / and /acme/directory offer; any other one is at /acme/<name>/directory, with newAccount and newOrder of its own. An account is
 * bound to the policy that it was made under. A request holds the version of all policies that it first asked for.
 */
#ifndef SIGNET_ACME_GW_POLICY_H
#define SIGNET_ACME_GW_POLICY_H

#include "base/network.h"
#include "link/http_server.h"
#include "pki/identifier.h"
#include "signet/v1/acme_gw.pb-c.h"

#define POLICY_NAME_MAX 40
#define POLICY_LIST_MAX 64
#define POLICY_TEXT_MAX 200
#define ATTESTATION_FORMATS 3

struct acme;
struct account;
struct profile;

/* ---- policy.c ---- */

enum eab_rule { EAB_NONE = 1, EAB_OPTIONAL, EAB_REQUIRED };

struct policy {
    const char *name;
    const char *description;
    bool disabled;
    const char *template_name; /* settings are filled in */
    const char *issuer;
    int validity_days; /* 0: as the template says */
    const char *const *preapproved_names;
    size_t preapproved_count;
    const char *challenge_types; /* comma-separated; "": all that the gateway serves */
    const struct network *clients;
    size_t client_network_count;
    const char *const *allowed_networks; /* for the validator */
    size_t allowed_network_count;
    const char *const *denied_networks;
    size_t denied_network_count;
    enum eab_rule eab;
    bool caa;
    bool subdomain_auth;
    int star_max_duration_s; /* 0: no automatic renewal */
    int star_min_lifetime_s;
    bool star_certificate_get;
    int orders_per_account, certificates_per_account; /* 0: any number */
    size_t identifiers_max;
    const struct profile *profiles;
    size_t profile_count;
    const struct limits *limits;
    unsigned identifier_types; /* bit n: enum identifier_type n */
    struct attestation_roots {
        const char *format; /* "apple", "step", "tpm" */
        const char *pem;
    } attestation_roots[ATTESTATION_FORMATS];
    size_t attestation_root_count; /* 0: no device can attest itself */
    struct bytes directory;        /* JSON */
};

struct policies {
    const struct policy *at;
    size_t count;
};

#define DEFAULT_POLICY "default"

/* Reads them all; nothing changes when that fails. */
enum error policies_reload(struct acme *acme, struct request *rq) MUST_CHECK;
/* Keeps them fresh: by NOTIFY, and by a slow timer. */
struct service;
enum error policies_follow(struct acme *acme, struct service *service, struct request *rq) MUST_CHECK;
/* False until they were read once. */
bool policies_are_known(struct acme *acme, struct request *rq);
/* Whatever its state. ERR_NOT_FOUND when there is none of this name. */
enum error policy_load(struct acme *acme, struct request *rq, const char *name, const struct policy **ret_policy) MUST_CHECK;
/* Is it for this client? Not when it is disabled or for other networks: unauthorized. */
enum error policy_check_client(struct http_exchange *x, const struct policy *policy) MUST_CHECK;
/* The policy of the path, /acme/{policy}/…, for its clients. */
enum error policy_of_path(struct acme *acme, struct http_exchange *x, const struct policy **ret_policy) MUST_CHECK;
/* The same for a request of an account: unauthorized under another policy than its own. */
enum error policy_of_account(struct acme *acme, struct http_exchange *x, const struct account *account, const struct policy **ret_policy) MUST_CHECK;
/* Is the name valid without a challenge? */
bool policy_preapproves(const struct policy *policy, const struct identifier *name);
/* What an order has of that counts as long as the policy says so, for nobody has ever proven it: unauthorized. */
struct order;
enum error policy_check_preapproved(struct request *rq, const struct policy *policy, const struct order *order) MUST_CHECK;
/* unsupportedIdentifier where the policy has no such names. */
enum error policy_has_type(struct request *rq, const struct policy *policy, enum identifier_type type) MUST_CHECK;
/* ra's channel: "acme", "acme/<name>". */
const char *policy_channel(struct arena *arena, const char *name);
const char *eab_rule_name(enum eab_rule rule);
bool eab_rule_find(const char *name, enum eab_rule *ret_rule);

/* ---- store_policy.c ---- */

enum error store_load_policies(struct acme *acme, struct request *rq, struct policies *ret_policies) MUST_CHECK;
enum policy_write { POLICY_CREATE = 1, POLICY_CHANGE, POLICY_WRITE };
/* ERR_CONFLICT: POLICY_CREATE, and it exists. ERR_NOT_FOUND: POLICY_CHANGE, and it does not. */
enum error store_write_policy(struct acme *acme, struct request *rq, const Pb__AcmePolicy *policy, enum policy_write how, bool *ret_created)
    MUST_CHECK;
enum error store_delete_policy(struct acme *acme, struct request *rq, const char *name) MUST_CHECK;
enum error store_list_policies(struct acme *acme, struct request *rq, const char *name, Pb__AcmePolicy ***ret_policies, size_t *ret_count) MUST_CHECK;

/* A label as paths and rows have it. ERR_BAD_REQUEST. */
enum error policy_name_check(struct request *rq, const char *name) MUST_CHECK;

/* ---- directory.c ---- */

/* The directory of a policy as JSON (RFC 8555 §7.1.1). */
struct bytes directory_of_policy(struct acme *acme, struct arena *arena, const struct policy *policy);
/* "<base>/acme/new-order", or "<base>/acme/<name>/new-order" */
char *policy_url(struct acme *acme, struct arena *arena, const char *policy_name, const char *path);

/* ---- the administrative rpcs, one file each ---- */

enum error list_acme_policies(struct acme *acme, struct request *rq, const Pb__ListAcmePoliciesRequest *input, Pb__ListAcmePoliciesReply *ret_reply)
    MUST_CHECK;
enum error put_acme_policy(struct acme *acme, struct request *rq, const Pb__PutAcmePolicyRequest *input, Pb__PutAcmePolicyReply *ret_reply)
    MUST_CHECK;
enum error delete_acme_policy(struct acme *acme, struct request *rq, const Pb__DeleteAcmePolicyRequest *input, Pb__DeleteAcmePolicyReply *ret_reply)
    MUST_CHECK;

/* admin.c: the table of AcmeAdmin */
ProtobufCService *acme_admin_handlers(void);

#endif
