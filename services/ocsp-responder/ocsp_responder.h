/* The OCSP responder: context and the prototypes of its files. */
#ifndef SIGNET_OCSP_RESPONDER_H
#define SIGNET_OCSP_RESPONDER_H

#include <stdatomic.h>

#include "base/rate_limiter.h"
#include "link/bus.h"
#include "link/db.h"
#include "link/events.h"
#include "link/http_server.h"
#include "link/message.h"
#include "link/metrics.h"
#include "pki/ocsp.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/signer.pb-c.h"

struct responder_config {
    const char *listen;
    int loops;
    int workers;
    int validity_s;
    int max_age_s;
    int cache_entries;
    int unshared_per_minute, unshared_burst;
};

struct responder {
    struct responder_config config;
    struct bus *bus;
    struct db *db;
    struct issuers *issuers;
    struct cache *cache;
    struct recent **recents;       /* one for each loop */
    atomic_bool live;              /* the bus is there: what was revoked has been heard of */
    struct rate_limiter *unshared; /* signatures that one client alone has use for */
    struct metric *hits, *misses, *rechecks, *refusals;
};

/* routes.c */
extern const struct http_route responder_routes[];
extern const size_t responder_route_count;
void render_failure(void *context, struct http_exchange *x);

/* answer.c: the way of one request */
http_handler answer_get;
http_handler answer_post;

/* issuers.c: the CAs whose certificates we answer for, as the signer lists them */
struct sub_ca {
    struct bytes serial;
    int64_t revoked_at_s; /* 0: not */
    int reason;
};
struct issuer {
    const char *name;
    struct ocsp_issuer_hashes hashes;
    size_t sub_ca_count;
    const struct sub_ca *sub_cas; /* CA certificates that this CA issued */
};
struct issuers *issuers_new(void);
void issuers_free(struct issuers *issuers);
/* Takes the signer's list as it is now; keeps the last one when the signer is away. */
enum error issuers_refresh(struct responder *responder, struct request *rq) MUST_CHECK;
enum error issuers_check(void *responder, struct request *rq) MUST_CHECK;
/* NULL when no CA of ours is meant. The issuer lives in rq's arena. */
const struct issuer *issuers_match(struct issuers *issuers, struct request *rq, const struct ocsp_cert_id *id);

/* status.c: what the database says of one serial number now */
struct status {
    enum ocsp_status status;
    int64_t revoked_at_s;
    int reason;
};
/*
 * Of each CertID, in the order of the request; room for OCSP_SINGLES_MAX, or for one where the request has one. One responder certificate signs one
 * response (RFC 6960 §2.2), so all must be of one CA of ours: else ERR_NOT_FOUND.
 */
enum error status_load_all(struct responder *responder, struct request *rq, const struct ocsp_request *request, const struct issuer **ret_issuer,
                           struct status *ret_statuses) MUST_CHECK;

/* sign.c: one response from the signer */
struct signed_response {
    struct bytes der;
    int64_t this_update_s, next_update_s;
};
enum error sign_response(struct responder *responder, struct request *rq, const struct issuer *issuer, const struct ocsp_request *request,
                         const struct status *statuses, struct signed_response *ret_response) MUST_CHECK;

/*
 * cache.c: responses by the CertID that was asked. An entry is shared: cache_find lends it, cache_lend once more, cache_release gives it back.
 * cache_ticket is taken before the database is read; cache_put drops what an event has overtaken since. Threads: any.
 */
struct cached {
    struct bytes cert_id;
    struct bytes serial;
    struct bytes response;
    bool revoked;
    int64_t refresh_at_s; /* from then on a new one is made… */
    int64_t last_given_s; /* …and until then this one is given when none can be made */
    const char *etag, *last_modified, *expires, *cache_control;
};
struct cache *cache_new(int entries);
/* When nobody asks any more; what is lent stays with its holders. */
void cache_free(struct cache *cache);
const struct cached *cache_find(struct cache *cache, struct bytes serial, struct bytes cert_id);
const struct cached *cache_lend(const struct cached *cached);
void cache_release(void *cached);
/* False as soon as an event, a newer answer or want of room has taken a lent entry out of the cache. */
bool cache_still_has(const struct cached *cached);
/* True for one of those who ask, when the database was not asked about this entry since then. */
bool cache_take_check(const struct cached *cached, int64_t since_s);
uint64_t cache_ticket(struct cache *cache, struct bytes serial);
/* A copy of everything that `entry` points at. Lends it like cache_find. */
const struct cached *cache_put(struct cache *cache, uint64_t ticket, const struct cached *entry);
void cache_drop(struct cache *cache, struct bytes serial);
void cache_clear(struct cache *cache);

/* recent.c: the cache's answers to the very octets that one loop was asked lately. Threads: the loop's alone. */
struct recent *recent_new(void);
void recent_free(struct recent *recent); /* when the loop has ended */
/* NULL when these octets were not asked of this route lately, or the cache has no longer what they were answered with; else recent_release it. */
struct recent_answer *recent_find(struct recent *recent, const struct http_route *route, struct bytes octets, const struct cached **ret_cached);
void recent_release(void *answer);
void recent_keep(struct recent *recent, const struct http_route *route, struct bytes octets, const struct cached *cached);

/* on_*.c */
events_handler on_certificate_revoked;
events_handler on_ca_created;

#endif
