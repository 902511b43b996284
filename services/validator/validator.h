/*
 * The validator: goes where strangers point it, and tells what it found. Its context, its nouns, and who defines what.
 *
 * A fact that speaks against the client ("no such host", "another text was found") travels inside as a failure whose reason is the problem type of
 * RFC 8555 §6.7, made by `found`; validate_challenge.c turns it into the answer. Any other failure is trouble of ours and goes back as such.
 */
#ifndef SIGNET_VALIDATOR_VALIDATOR_H
#define SIGNET_VALIDATOR_VALIDATOR_H

#include "base/text.h"
#include "link/rpc.h"
#include "pki/identifier.h"
#include "signet/v1/validator.pb-c.h"

struct validator_config {
    const char *dns_address;
    int http01_port;
    const char *allow_networks;
    const char *deny_networks;
    const char *deny_addresses;
    const char *perspective;
    int workers;
};

/* ---- address_rules.c ---- */

/* IPv6, or IPv4 in its mapped form ::ffff:a.b.c.d: one kind of address, so that no rule can be passed by the other spelling. */
struct address {
    uint8_t octets[16];
};

#define ADDRESS_TEXT_MAX 46
#define NETWORKS_MAX 256

struct network {
    struct address address;
    int bits;
};

struct networks {
    const struct network *at;
    size_t count;
};

struct endpoint {
    struct address address;
    int port;
};

struct address_rules {
    struct networks allowed; /* lifts the refusal of loopback and the like */
    struct networks denied;
    const struct endpoint *denied_endpoints;
    size_t denied_endpoint_count;
    int http01_port;
    /* Of one request: */
    struct networks only; /* none: anywhere */
    struct networks not_to;
};

bool address_parse(const char *text, struct address *ret_address);
bool address_is_v4(const struct address *address);
void address_format(const struct address *address, char ret_text[ADDRESS_TEXT_MAX]);
/* "10.0.0.0/8", "fd00::/8", or one address. */
bool network_parse(const char *text, struct network *ret_network);
/* Comma-separated; ERR_BAD_REQUEST names the part that is no network, or no "address:port". Live as long as the arena of rq. */
enum error networks_parse(struct request *rq, const char *text, struct networks *ret_networks) MUST_CHECK;
enum error endpoints_parse(struct request *rq, const char *text, const struct endpoint **ret_endpoints, size_t *ret_count) MUST_CHECK;
/* NULL when this address and port may be asked, else the rule that forbids it. */
const char *address_refusal(const struct address_rules *rules, const struct address *address, int port);
bool port_is_allowed(const struct address_rules *rules, int port);

/* ---- resolve.c ---- */

#define RESOLVED_MAX 16

struct addresses {
    struct address at[RESOLVED_MAX];
    size_t count;
};

struct resolver;
/* `dns_address` "host:port" of a resolver, "" for the system's. */
enum error resolver_open(struct request *rq, const char *dns_address, struct resolver **ret_resolver) MUST_CHECK;
void resolver_close(struct resolver *resolver);
DEFINE_AUTO_STRUCT(resolver, resolver_close);
/* IPv6 first. "dns" when there are none. Nothing is remembered between two questions. */
enum error resolve(struct resolver *resolver, struct request *rq, const char *host, struct addresses *ret_addresses) MUST_CHECK;

/* ---- http_01.c ---- */

struct proof {
    struct identifier name;
    const char *token;
    const char *key_authorization;
    struct address_rules rules;
    const char **tried; /* addresses, in order; room for TRIED_MAX */
    size_t tried_count;
};

#define REDIRECTS_MAX 10
#define TRIED_MAX (2 * (REDIRECTS_MAX + 1))

/* RFC 8555 §8.3 */
enum error http_01(struct resolver *resolver, struct request *rq, struct proof *proof) MUST_CHECK;

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

enum error validate_challenge(struct validator *validator, struct request *rq, const Pb__ValidateChallengeRequest *input,
                              Pb__ValidateChallengeReply *ret_reply) MUST_CHECK;

#endif
