/*
 * The validator: goes where strangers point it, and tells what it found. Its context, its nouns, and who defines what.
 *
 * A fact that speaks against the client ("no such host", "another text was found") travels inside as a failure whose reason is the problem type of
 * RFC 8555 §6.7, made by `found`; validate_challenge.c turns it into the answer. Any other failure is trouble of ours and goes back as such.
 */
#ifndef SIGNET_VALIDATOR_VALIDATOR_H
#define SIGNET_VALIDATOR_VALIDATOR_H

#include "base/network.h"
#include "base/text.h"
#include "link/rpc.h"
#include "pki/identifier.h"
#include "signet/v1/validator.pb-c.h"

struct validator_config {
    const char *dns_address;
    const char *trust_anchor_file;
    const char *insecure_domains;
    int http01_port;
    int tls_alpn01_port;
    const char *allow_networks;
    const char *deny_networks;
    const char *deny_addresses;
    const char *perspective;
    int workers;
};

/* ---- address_rules.c ---- */

#define NETWORKS_MAX 256

struct networks {
    const struct network *at;
    size_t count;
};

struct endpoint {
    bool anywhere; /* this port of every address */
    struct address address;
    int port;
};

#define ENDPOINTS_MAX 64

struct endpoints {
    struct endpoint at[ENDPOINTS_MAX];
    size_t count;
};

struct address_rules {
    struct networks allowed; /* lifts the refusal of loopback and the like */
    struct networks denied;
    struct endpoints own; /* where this suite itself listens */
    int http01_port;
    int tls_alpn01_port;
    /* Of one request: */
    struct networks only; /* none: anywhere */
    struct networks not_to;
};

/* Comma-separated; ERR_BAD_REQUEST names the part that is no network. Live as long as the arena of rq. */
enum error networks_parse(struct request *rq, const char *text, struct networks *ret_networks) MUST_CHECK;
/* NULL when this address and port may be asked, else the rule that forbids it. */
const char *address_refusal(const struct address_rules *rules, const struct address *address, int port);
bool port_is_allowed(const struct address_rules *rules, int port);

/* ---- own_endpoints.c ---- */

/* Adds "host:port,…", or URLs of the bus. ERR_BAD_REQUEST names the part that is neither, ERR_TOO_LARGE. */
enum error endpoints_add(struct request *rq, const char *text, struct endpoints *endpoints) MUST_CHECK;
enum error endpoints_add_bus(struct request *rq, const char *urls, struct endpoints *endpoints) MUST_CHECK;
bool endpoints_have(const struct endpoints *endpoints, const struct address *address, int port);
/* ERR_BAD_REQUEST when everything that a setting has us dial is refused: such a validator would find nothing anywhere. */
enum error endpoints_check(struct request *rq, const struct endpoints *endpoints, const char *setting, int port) MUST_CHECK;

/* ---- dns_answer.c ---- */

#define RRTYPE_A 1
#define RRTYPE_TXT 16
#define RRTYPE_AAAA 28
#define RRTYPE_CAA 257
#define RECORDS_MAX 100

struct dns_answer {
    int rcode;
    bool aliased;          /* the records are those of another name */
    struct bytes *records; /* in the arena; no more than RECORDS_MAX */
    size_t count;          /* may be more */
};

bool dns_answer_read(struct arena *arena, struct bytes packet, int type, struct dns_answer *ret_answer);

/* ---- resolver.c ---- */

struct resolver;

/* Whose texts outlive the resolver. */
struct resolver_options {
    const char *dns_address;       /* "host:port", "" for the system's */
    const char *trust_anchor_file; /* "": no DNSSEC validation */
    const char *insecure_domains;  /* zones below the trust anchor that are not signed, comma-separated */
};

enum error resolver_open(struct request *rq, const struct resolver_options *options, struct resolver **ret_resolver) MUST_CHECK;
void resolver_close(struct resolver *resolver);
DEFINE_AUTO_STRUCT(resolver, resolver_close);

struct lookup {
    const char *name;
    int type;
    /* Results, in rq's arena. */
    bool failed;     /* nothing is known: no answer, SERVFAIL, bogus; `why` says which */
    const char *why; /* also of a name that does not exist; else NULL */
    bool aliased;    /* the records are those of another name */
    const struct bytes *records;
    size_t count;
};

/* All at once, aliases followed. Nothing is remembered between two questions, but for five seconds that there was no proper answer. */
void look_up(struct resolver *resolver, struct request *rq, struct lookup *lookups, size_t count);

/* ---- resolve.c ---- */

#define RESOLVED_MAX 16

struct addresses {
    struct address at[RESOLVED_MAX];
    size_t count;
};

/* IPv6 first. "dns" when there are none. */
enum error resolve(struct resolver *resolver, struct request *rq, const char *host, struct addresses *ret_addresses) MUST_CHECK;
/* Of a name or an address those that may be asked: at most one of each family, IPv6 first. "dns", "connection". */
enum error choose_addresses(struct resolver *resolver, struct request *rq, const struct address_rules *rules, const char *host, int port,
                            struct addresses *ret_chosen) MUST_CHECK;

/* ---- dns_records.c: what is inside a record's data ---- */

#define TXT_MAX 4096

struct caa {
    uint8_t flags;
    struct bytes tag, value;
};

/* The character strings of a TXT record, joined; false when they do not fill it exactly or are longer than TXT_MAX. */
bool txt_decode(struct arena *arena, struct bytes data, struct bytes *ret_text);
bool caa_decode(struct bytes data, struct caa *ret_caa);
/* For messages: at most 100 characters, what is not printable as '?'. */
const char *harmless(struct arena *arena, struct bytes from);
/* A text that was looked up, quoted: only where nobody could have let the question lead into a zone that is closed to him. */
const char *shown_text(struct arena *arena, const struct lookup *lookup, struct bytes text);

/* ---- issue_value.c: "ca.example; accounturi=https://…" (RFC 8659 §4.2), in CAA and in dns-persist-01 ---- */

#define ISSUE_PARAMETERS_MAX 16

struct issue_value {
    struct bytes issuer; /* may be empty */
    struct issue_parameter {
        struct bytes tag, value;
    } parameters[ISSUE_PARAMETERS_MAX];
    size_t parameter_count;
};

bool issue_value_parse(struct bytes text, struct issue_value *ret_value);
/* How often a parameter is there; the first one's value. */
size_t issue_value_find(const struct issue_value *value, const char *tag, struct bytes *ret_value);

/* ---- a challenge to be tried ---- */

struct proof {
    struct identifier name; /* without "*." */
    bool wildcard;
    const char *token;
    const char *key_authorization;
    uint8_t digest[32]; /* SHA-256 of the key authorization */
    const char *account_uri;
    const char *const *issuer_names;
    size_t issuer_name_count;
    const char *account_hash_prefix; /* "": dns-persist-01 by draft -01 */
    const char *const *thumbprints;
    size_t thumbprint_count;
    const char *top_domain; /* of those above the name whose dns-persist-01 records count; "": none */
    struct address_rules rules;
    const char **tried; /* addresses, in order; room for TRIED_MAX */
    size_t tried_count;
    int64_t valid_until_s; /* found by dns-persist-01; 0: no end */
    struct bytes attestation;
    Pb__AttestationRoots *const *attestation_roots;
    size_t attestation_root_count;
    uint8_t attested_key[32];     /* found by device-attest-01: SHA-256 of the SubjectPublicKeyInfo */
    const char *attestation_text; /* NULL: none */
};

/* Each is one type of challenge. */
typedef enum error prove(struct resolver *resolver, struct request *rq, struct proof *proof);

/* ---- http_01.c: RFC 8555 §8.3 ---- */

#define REDIRECTS_MAX 10
#define TRIED_MAX (2 * (REDIRECTS_MAX + 1))

prove http_01;

/* ---- dns_01.c: RFC 8555 §8.4, and the same with a label for each account (draft-ietf-acme-dns-account-label) ---- */

prove dns_01;
prove dns_account_01;
/* "_ujmmovf2vn55tgye._acme-challenge" */
const char *dns_account_01_label(struct arena *arena, const char *account_uri);

/* ---- dns_persist_01.c: draft-ietf-acme-dns-persist ---- */

prove dns_persist_01;
/* One record against the proof: "malformed", "unauthorized". OK: it authorises, until `ret_until_s` when that is not 0. */
enum error dns_persist_01_check(struct request *rq, struct bytes text, const struct proof *proof, int64_t now_s, int64_t *ret_until_s) MUST_CHECK;

/* ---- device_attest_01.c: draft-ietf-acme-device-attest; the rest of it is in attestation.h ---- */

prove device_attest_01;

/* ---- tls_alpn_01.c: RFC 8737, RFC 8738 ---- */

prove tls_alpn_01;
/* "1.2.0.192.in-addr.arpa" */
const char *tls_alpn_01_server_name(struct arena *arena, const struct identifier *name);

/* ---- tls_alpn_01_certificate.c ---- */

/* "incorrectResponse" says what is not as it must be. */
enum error tls_alpn_01_certificate_check(struct request *rq, struct bytes der, const struct proof *proof) MUST_CHECK;

/* ---- caa.c: RFC 8659, RFC 8657 ---- */

struct caa_subject {
    const char *name; /* without "*." */
    bool wildcard;
    const char *method;
    const char *account_uri;
    const char *const *issuer_names;
    size_t issuer_name_count;
};

/* The records of one name, not none: NULL when they let this CA issue, else why not. */
const char *caa_refusal(struct arena *arena, const struct bytes *records, size_t count, const struct caa_subject *subject);
/* "caa", and "dns" when something could not be known. */
/* Several at once; the one that is not allowed, or that nothing could be learnt about, is in ret_which. */
enum error caa_check(struct resolver *resolver, struct request *rq, const struct caa_subject *subjects, size_t count, size_t *ret_which) MUST_CHECK;

/* ---- redirect.c ---- */

struct hop {
    const char *url;
    const char *host; /* a name, or an address without brackets */
    int port;         /* to dial */
};

/* "connection" when this is not a place to go on to. */
enum error redirect_parse(struct request *rq, const struct address_rules *rules, const char *location, struct hop *ret_hop) MUST_CHECK;

/* ---- http_01_body.c ---- */

#define BODY_MAX 128  /* octets of interest: a key authorization has 87 */
#define BODY_READ 512 /* with the white space behind it */

/* The body of a 200 against what was expected: "incorrectResponse" says what was found. */
enum error http_01_body_check(struct request *rq, const char *where, struct bytes body, bool truncated, const char *key_authorization) MUST_CHECK;

/* ---- validate_challenge.c ---- */

struct validator {
    struct validator_config config;
    struct resolver *resolver;
    struct address_rules rules;
};

/* A fact that speaks against the client, with its problem type. */
enum error found(struct request *rq, const char *problem, const char *format, ...) __attribute__((format(printf, 3, 4)));

/* An address that is about to be dialled, as text. */
const char *proof_note_tried(struct request *rq, struct proof *proof, const struct address *address);
/* A name as the bus brings it; "*." is taken off a wildcard. */
enum error take_name(struct request *rq, const Pb__Name *name, struct identifier *ret_name, bool *ret_wildcard) MUST_CHECK;
/* The names of this CA in CAA and dns-persist-01 records: not too many. */
enum error check_issuer_names(struct request *rq, size_t count) MUST_CHECK;

enum error validate_challenge(struct validator *validator, struct request *rq, const Pb__ValidateChallengeRequest *input,
                              Pb__ValidateChallengeReply *ret_reply) MUST_CHECK;

/* ---- check_caa.c ---- */

enum error check_caa(struct validator *validator, struct request *rq, const Pb__CheckCaaRequest *input, Pb__CheckCaaReply *ret_reply) MUST_CHECK;

#endif
