/*
 * External account binding (RFC 8555 §7.3.4): a credential that an operator hands out once lets its holder make accounts under one policy. What it
 * says (owner, principal, names, templates) is copied into the account, which lives on without it.
 */
#ifndef SIGNET_ACME_GW_EAB_H
#define SIGNET_ACME_GW_EAB_H

#include <jansson.h>

#include "link/http_server.h"
#include "signet/v1/acme_gw.pb-c.h"

#define EAB_KEY_LEN 64 /* as long as the longest of the hashes (RFC 7518 §3.2) */
#define EAB_NAME_MAX 100

struct acme;
struct account;
struct policy;
struct jwk;

/* ---- secret_box.c ---- */

/* AES-256-GCM under a key that is derived from SIGNET_ACME_SECRET_KEY_FILE: nonce | ciphertext | tag. `bound_to` must be the same to open it. */
struct secret_box;
struct secret_box *secret_box_new(struct bytes key);
void secret_box_free(struct secret_box *box);
struct bytes secret_box_seal(const struct secret_box *box, struct arena *arena, struct bytes secret, const char *bound_to);
/* NULL when it was made under another key, for something else, or was changed. */
struct secret *secret_box_open(const struct secret_box *box, struct bytes sealed, const char *bound_to);

/* ---- eab_jws.c ---- */

struct eab_jws {
    int bits; /* of the hash: 256, 384, 512 */
    const char *key_id;
    const char *url;
    struct bytes signing_input;
    struct bytes payload;
    struct bytes signature;
};

/* The member "externalAccountBinding": its shape. malformed, badSignatureAlgorithm. */
enum error eab_parse(struct request *rq, const json_t *json, struct eab_jws *ret_jws) MUST_CHECK;
/* ---- eab.c ---- */

/* The key id of the credential that this newAccount is bound by, verified; NULL when the policy asks for none. externalAccountRequired, malformed,
 * unauthorized. */
enum error eab_check(struct acme *acme, struct http_exchange *x, const struct policy *policy, const json_t *payload, const struct jwk *jwk,
                     const char **ret_key_id) MUST_CHECK;

/* ---- new_order.c ---- */

/* What the account's binding says of names: rejectedIdentifier. */
struct identifier;
enum error account_allows_name(struct request *rq, const struct account *account, const struct identifier *name) MUST_CHECK;

/* ---- store_eab.c ---- */

/* The sealed key of a credential of this policy that can be used. ERR_NOT_FOUND otherwise. */
enum error store_load_eab_secret(struct acme *acme, struct request *rq, const char *key_id, const char *policy, struct bytes *ret_sealed) MUST_CHECK;
/* Uses the credential up by one and makes the account, or neither. */
enum error store_insert_bound_account(struct acme *acme, struct request *rq, const struct account *wanted, const char *key_id) MUST_CHECK;
enum error store_insert_eab(struct acme *acme, struct request *rq, const Pb__EabCredential *credential, const char *key_id, struct bytes sealed)
    MUST_CHECK;
enum error store_list_eabs(struct acme *acme, struct request *rq, const char *name, Pb__EabCredential ***ret_credentials, size_t *ret_count)
    MUST_CHECK;
enum error store_delete_eab(struct acme *acme, struct request *rq, const char *name) MUST_CHECK;
/* By its name or its key id; false in ret_found: it is there no more. */
enum error store_revoke_eab(struct acme *acme, struct request *rq, const char *name, bool *ret_found) MUST_CHECK;

/* ---- the administrative rpcs, one file each ---- */

enum error create_eab(struct acme *acme, struct request *rq, const Pb__CreateEabRequest *input, Pb__CreateEabReply *ret_reply) MUST_CHECK;
enum error list_eabs(struct acme *acme, struct request *rq, const Pb__ListEabsRequest *input, Pb__ListEabsReply *ret_reply) MUST_CHECK;
enum error delete_eab(struct acme *acme, struct request *rq, const Pb__DeleteEabRequest *input, Pb__DeleteEabReply *ret_reply) MUST_CHECK;
enum error revoke_eab(struct acme *acme, struct request *rq, const Pb__RevokeEabRequest *input, Pb__RevokeEabReply *ret_reply) MUST_CHECK;

#endif
