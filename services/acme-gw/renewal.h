/*
 * Certificates that were issued: handing them out, revoking them (RFC 8555 §7.4.2, §7.6), and when they should be renewed (RFC 9773).
 */
#ifndef SIGNET_ACME_GW_RENEWAL_H
#define SIGNET_ACME_GW_RENEWAL_H

#include "link/http_server.h"
#include "pki/certificate.h"
#include "signet/v1/acme_gw.pb-c.h"

struct acme;
struct order;
struct certificate_cache;

/* A certificate by its ARI identifier, whoever asked for it and however. */
struct known_certificate {
    struct bytes der;
    struct certificate certificate;
    const char *issuer;
    bool is_revoked;
    const char *account_id; /* NULL: it was not ordered here */
    int64_t issued_at_s;
};

struct renewal_window {
    int64_t starts_s, ends_s;
    const char *explanation; /* URL, or "" */
};

/* ---- one file per resource ---- */

http_handler certificate;
extern const char certificate_media_type[];
/* The leaf first, then the PEM of its issuers. */
const char *certificate_pem(struct arena *arena, struct bytes leaf, const char *chain_pem);
http_handler revoke_cert;
http_handler renewal_info;
/* RFC 9773 §4.1: unknownCertificate, malformed. */
enum error certificate_id_load(struct acme *acme, struct request *rq, const char *text, struct known_certificate *ret_known) MUST_CHECK;

/* ---- certificate_cache.c: what was issued here a moment ago, for the client that comes for it ---- */

struct certificate_cache *certificate_cache_new(void);
void certificate_cache_free(struct certificate_cache *cache);
DEFINE_AUTO_STRUCT(certificate_cache, certificate_cache_free);
void certificate_cache_put(struct certificate_cache *cache, const struct order *order, const char *pem);
/* A copy in the arena, or NULL. */
const char *certificate_cache_find(struct certificate_cache *cache, struct arena *arena, const char *order_id, const char *account_id);

/* ---- store_certificate.c ---- */

/* All but the parsed certificate. ERR_NOT_FOUND. */
enum error store_load_known(struct acme *acme, struct request *rq, int expiry_month, struct bytes serial, struct known_certificate *ret_known)
    MUST_CHECK;
/* Untouched when no operator has moved it. */
enum error store_find_renewal_window(struct acme *acme, struct request *rq, const struct known_certificate *known, struct renewal_window *window)
    MUST_CHECK;
/* DER of the leaf and PEM of its issuers. ERR_NOT_FOUND: no such order of this account, or no certificate yet. */
enum error store_load_certificate(struct acme *acme, struct request *rq, const char *account_id, const char *order_id, struct bytes *ret_leaf,
                                  const char *const **ret_chain_pem, size_t *ret_chain_count) MUST_CHECK;

#endif
