/*
 * The publisher of CRLs and CA certificates: context and the prototypes of its files.
 *
 * One direction: the signer's list of CAs → crl.authority (authorities.c); what wants a CRL → crl.schedule (schedule.c) → a new CRL, checked
 * (renew.c) → crl.published; the database → the shelf in memory of each replica (shelf.c) → HTTP (answer.c).
 */
#ifndef SIGNET_CRL_PUBLISHER_H
#define SIGNET_CRL_PUBLISHER_H

#include <pthread.h>
#include <stdatomic.h>

#include "link/bus.h"
#include "link/db.h"
#include "link/events.h"
#include "link/http_server.h"
#include "link/lease.h"
#include "link/message.h"
#include "link/metrics.h"
#include "link/service.h"
#include "pki/crl.h"
#include "signet/v1/crl_publisher.pb-c.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/signer.pb-c.h"

struct publisher_config {
    const char *listen;
    int loops;
    int workers;
    int validity_s;
    int interval_s;
    int max_age_s;
    int delay_ms;
};

struct publisher {
    struct publisher_config config;
    struct bus *bus;
    struct db *db;
    struct shelf *shelf;
    pthread_mutex_t listing;
    uint8_t kept_list[32]; /* SHA-256 of the signer's list that is in the database already; guarded by `listing` */
    /* Set once, just after their own threads may have begun. */
    struct lease *_Atomic lease;
    struct service_loop *_Atomic alarm;
    atomic_bool alarm_set;
};

/* routes.c */
extern const struct http_route publisher_routes[];
extern const size_t publisher_route_count;
void render_failure(void *context, struct http_exchange *x);

/* handlers.c */
ProtobufCService *publisher_handlers(void);

/* answer.c: the three documents of a CA, from memory */
http_handler give_crl;       /* /crl/<ca>.crl */
http_handler give_authority; /* /ca/<ca>.crt, /ca/<ca>.pem */

/* conditional.c: preconditions of a request (RFC 9110 §13). Pure functions on strangers' texts. */
bool etag_list_has(const char *if_none_match, const char *etag);
/* All three forms of RFC 9110 §5.6.7; false when it is none. */
bool http_date_parse(const char *text, int64_t *ret_unix_s);

/* publish_crl.c */
enum error publish_crl(struct publisher *publisher, struct request *rq, const Pb__PublishCrlRequest *request, Pb__PublishCrlReply *ret_reply)
    MUST_CHECK;

/* on_*.c */
events_handler on_certificate_revoked;
events_handler on_ca_created;

/* authorities.c: the CAs, as the signer lists them */
/* Takes the signer's list into the database; a CA that is new or changed is due for a CRL at once. */
enum error authorities_refresh(struct publisher *publisher, struct request *rq) MUST_CHECK;

/* renew.c: one new CRL, and what it must be to replace the last */
#define CRL_NUMBER_LEN 20
struct crl_number {
    uint8_t octets[CRL_NUMBER_LEN]; /* big-endian; zero: none yet */
};
/* False when it is longer than RFC 5280 §5.2.3 allows. */
bool crl_number_of(struct bytes magnitude, struct crl_number *ret_number);
int crl_number_compare(const struct crl_number *a, const struct crl_number *b);
/* Parses, and verifies name, signature and number. ERR_BAD_REQUEST. The certificate is the CA's. */
enum error crl_check(struct request *rq, struct bytes der, const struct certificate *issuer, struct crl *ret_crl, struct crl_number *ret_number)
    MUST_CHECK;
struct last_crl {
    struct crl_number number;
    int64_t this_update_s; /* 0: there is none */
    int64_t took_s;        /* from thisUpdate to its publication */
};
struct new_crl {
    struct crl crl;
    struct crl_number number;
};
/* Asks the signer. What comes back is a CRL that may replace the last; everything else is an error. */
enum error renew_crl(struct publisher *publisher, struct request *rq, const char *issuer, struct bytes certificate, const struct last_crl *last,
                     struct new_crl *ret_new) MUST_CHECK;

/* schedule.c: who makes a CRL, and when */
void schedule_open(struct publisher *publisher, struct service *service, struct request *rq);
/* Soon, together with what else is revoked within the delay. CAs that are not known are left out: their first CRL is due anyway. */
enum error schedule_soon(struct publisher *publisher, struct request *rq, const char *const *issuers, size_t count) MUST_CHECK;
void schedule_work(void *publisher, struct request *rq, const struct db_rows *rows, size_t row);

/*
 * shelf.c: what is served, in memory. A document is shared: shelf_find lends it, shelf_release gives it back. Threads: any.
 */
enum shelf_part { SHELF_CRL, SHELF_CERTIFICATE, SHELF_CHAIN, SHELF_PARTS };
struct document {
    struct bytes body;
    const char *etag, *last_modified, *expires; /* `expires` is NULL where the document has no end of its own */
    int64_t modified_s;
    int64_t next_update_s; /* 0: has none */
};
struct shelf *shelf_new(void);
/* When nobody asks any more; what is lent stays with its holders. */
void shelf_free(struct shelf *shelf);
/* ERR_UNAVAILABLE before anything was loaded and for a CRL that is not there yet; ERR_NOT_FOUND for a CA that does not exist. */
enum error shelf_find(struct shelf *shelf, struct request *rq, const char *issuer, enum shelf_part part, const struct document **ret_document)
    MUST_CHECK;
void shelf_release(void *document);
/* Takes from the database what is newer there. A CRL that does not pass crl_check is left there, and a new one is asked for. */
enum error shelf_refresh(struct publisher *publisher, struct request *rq) MUST_CHECK;
/* The number of the CRL in memory; zero when there is none. */
struct crl_number shelf_number(struct shelf *shelf, const char *issuer);
void shelf_measure(struct shelf *shelf);
/* Readiness: a CRL that is missing or near its end is a reason. */
enum error shelf_check(void *publisher, struct request *rq) MUST_CHECK;

/* store.c */
struct authority_row {
    const char *issuer;
    struct bytes certificate;
    const char *chain_pem;
    struct bytes sha256;
    int64_t not_after_s;
};
enum error store_keep_authorities(struct publisher *publisher, struct request *rq, const struct authority_row *rows, size_t count) MUST_CHECK;

extern const struct db_statement store_take_due, store_renew_due; /* for lease.h */
struct due_crl {
    const char *issuer, *holder;
    int64_t wanted;
    int attempts;
    struct bytes certificate;
    struct last_crl last;
};
struct due_crl store_due_of_row(const struct db_rows *rows, size_t row);

enum error store_want_soon(struct publisher *publisher, struct request *rq, const char *const *issuers, size_t count) MUST_CHECK;
struct demand {
    const char *issuer;
    int64_t wanted;
};
/* One CA, or all when `issuer` is empty; those whose certificate has expired are left out. */
enum error store_want_now(struct publisher *publisher, struct request *rq, const char *issuer, struct demand **ret_demands, size_t *ret_count)
    MUST_CHECK;
struct outcome {
    size_t met, failed;
    const char *failed_issuer, *failure; /* of the first that failed */
};
enum error store_find_outcome(struct publisher *publisher, struct request *rq, const struct demand *demands, size_t count,
                              struct outcome *ret_outcome) MUST_CHECK;
/* Compare-and-swap, the end of the lease and the word to all replicas in one statement. ERR_CONFLICT when a newer CRL is there already. */
enum error store_replace(struct publisher *publisher, struct request *rq, const struct due_crl *due, const struct new_crl *crl, bool *ret_again)
    MUST_CHECK;
enum error store_postpone(struct publisher *publisher, struct request *rq, const struct due_crl *due, int by_ms, const char *failure) MUST_CHECK;

/* What the signer has signed, by its digest. ERR_CONFLICT: a newer one has taken its place. */
enum error store_load_signed(struct publisher *publisher, struct request *rq, const char *issuer, struct bytes sha256, struct bytes *ret_der)
    MUST_CHECK;

#define STORE_CHANNEL "crl"
/* Columns: issuer, sha256 of the authority, sha256 of its CRL or NULL. */
enum error store_list_heads(struct publisher *publisher, struct request *rq, struct db_rows **ret_rows) MUST_CHECK;
struct published_row {
    struct authority_row authority;
    int64_t changed_at_s;
    struct bytes crl, crl_sha256; /* none: not yet */
};
enum error store_load_published(struct publisher *publisher, struct request *rq, const char *issuer, struct published_row *ret_row) MUST_CHECK;

#endif
