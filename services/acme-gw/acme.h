/*
 * The ACME gateway (RFC 8555): its context, and what all its files need. The nouns have headers of their own, which this one includes: account.h,
 * authorization.h, order.h, renewal.h, signed_request.h. Handlers are in routes.c's table; all SQL is in store_*.c.
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
#include "link/rpc_gather.h"
#include "link/workers.h"
#include "pki/certificate.h"
#include "pki/csr.h"
#include "pki/identifier.h"
#include "pki/public_key.h"
#include "account.h"
#include "authorization.h"
#include "eab.h"
#include "limit.h"
#include "order.h"
#include "policy.h"
#include "renewal.h"
#include "signed_request.h"
#include "star.h"
#include "signet/v1/acme_gw.pb-c.h"
#include "signet/v1/ra.pb-c.h"
#include "signet/v1/validator.pb-c.h"

#define ACME_BODY_MAX (64 * 1024)
/* What a process had in hand that died is gone on with so much later. Of work that takes longer the lease is renewed. */
#define LEASE_S 5
#define ACME_ID_LEN 22 /* 16 octets, base64url */

struct acme_config {
    const char *listen;
    const char *url;
    const char *tls_cert_file;
    const char *tls_key_file;
    const char *nonce_key_file;
    const char *secret_key_file;
    struct request_limit_config limit;
    const char *proxy_networks;
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
    struct request_limit *limit;
    struct proxies proxies;
    struct snapshot_slot *policies;
    struct service_loop *policy_loop;
    struct db *db;
    struct bus *bus;
    struct outbox *outbox;
    struct nonces *nonces;
    struct commit_queue *new_orders, *finalizing, *moves;
    struct workers *leaders; /* of the first two */
    struct account_cache *accounts;
    struct certificate_cache *certificates;
    struct stored_chains *stored_chains;
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

/* ---- directory.c ---- */

http_handler directory;
http_handler directory_by_post;
http_handler terms;
/* "https://host…", "http://host…" */
bool is_web_address(const char *text);
/* The settings that are URLs: a directory of others helps no client. */
enum error acme_check_urls(struct request *rq, const struct acme_config *config) MUST_CHECK;

/* ---- public_suffix.c ---- */

/* The name that somebody had to register (publicsuffix.org); what is no DNS name, and a public suffix itself, stands for itself. */
const char *registered_domain(const struct identifier *name);
/* A registry's, "co.uk". */
bool is_public_suffix(const char *domain);
/* rejectedIdentifier: all below a public suffix would be proven, for a wildcard or because of the ancestor (or NULL), and no policy says beforehand
 * that these names are private. */
enum error public_suffix_check(struct request *rq, const struct policy *policy, const struct identifier *name, const char *ancestor) MUST_CHECK;

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

/* ---- prune.c ---- */

/* Of a background loop. */
void prune_turn(void *context, struct request *rq);
/* The next `pages` of what expired so long ago; 0 and 0 as well when another replica is at it. */
enum error store_prune(struct acme *acme, struct request *rq, int keep_days, int pages, int64_t *ret_orders, int64_t *ret_authorizations) MUST_CHECK;
/* Renewal windows of certificates that expired so long ago, at most so many. */
enum error store_prune_windows(struct acme *acme, struct request *rq, int keep_days, int most, int64_t *ret_windows) MUST_CHECK;

/* ---- store.c ---- */

/* ACME_ID_LEN characters; of orders and authorizations, which are many, by random_bytes_by_time. */
char *new_id(struct arena *arena);
char *new_id_by_time(struct arena *arena);

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
/* Instead of what was said of the same selection before. */
enum error store_write_renewal_window(struct acme *acme, struct request *rq, const Pb__MoveRenewalWindowRequest *input, int64_t starts_s,
                                      int64_t ends_s) MUST_CHECK;

#endif
