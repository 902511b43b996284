/*
 * STAR (RFC 8739): orders whose certificates live shortly and are renewed without their clients, until an end that the order names or its client
 * sets.
 *
 * star.c says what may be asked and when which certificate is due; renew_star.c makes them; star_certificate.c hands out the present one, and
 * cancel_order.c ends it. An order's first certificate comes by finalize.c, as any other's.
 */
#ifndef SIGNET_ACME_GW_STAR_H
#define SIGNET_ACME_GW_STAR_H

#include <jansson.h>

#include "link/db.h"
#include "link/http_server.h"

struct acme;
struct policy;
struct order;
struct issued;
struct signed_request;

/* Longer than a look at CAA and the call to ra. */
#define STAR_WORK_S 20
/* At least, where the policy does not say it. */
#define STAR_LIFETIME_S 86400

/* ---- star.c ---- */

/* The "auto-renewal" of an order. */
struct star {
    int64_t start_s; /* 0: as soon as it is ready */
    int64_t end_s;
    int64_t lifetime_s; /* nominal */
    int64_t adjust_s;   /* how much earlier than nominally each is valid, and made */
    bool certificate_get;
};

/* Certificate number n of an order, from 0. */
struct star_period {
    int64_t not_before_s; /* and when it is due */
    int64_t not_after_s;
};

/* Of a new order, into it; nothing when it is an order as any other. malformed. */
enum error star_take(struct request *rq, const struct policy *policy, const json_t *payload, struct order *order) MUST_CHECK;
json_t *star_json(struct arena *arena, const struct star *star);
const char *star_text(struct arena *arena, const struct star *star);    /* NULL of NULL */
const struct star *star_of_text(struct arena *arena, const char *text); /* NULL of NULL */
/* For a directory's meta. */
json_t *star_meta(const struct policy *policy);

/* `base_s` is when the first one was asked for, or begins. */
struct star_period star_period(const struct star *star, int64_t base_s, int64_t n);
int64_t star_base_s(const struct order *order);
/* The one to make next after `last`; those whose time has passed are left out. -1: there is none. */
int64_t star_next(const struct order *order, int64_t last, int64_t now_s);
/* What ra is asked for certificate order->renewal: dates, and the idempotency key, which is the same however often and by whomever it is asked. */
const char *star_request(struct arena *arena, const struct order *order, int64_t now_s, struct star_period *ret_period);

/* ---- renew_star.c ---- */

/* A turn at an order whose next certificate may be due. */
void renew_star_work(void *context, struct request *rq, const struct db_rows *rows, size_t row);

/* ---- star_certificate.c ---- */

http_handler star_certificate;
http_handler star_certificate_by_get;

/* ---- cancel_order.c ---- */

enum error cancel_order(struct acme *acme, struct http_exchange *x, const struct signed_request *signed_) MUST_CHECK;

/* ---- store_star.c ---- */

extern const struct db_statement store_take_stars, store_renew_stars, store_leave_stars;

struct star_turn {
    int attempts;
    int64_t renewal;      /* the number of the certificate that the order has */
    const char *obstacle; /* why there must be no other; NULL: none */
};
/* Behind the columns of the order. */
struct star_turn store_star_turn_of_row(const struct db_rows *rows, size_t row);
/* All of these end the turn; ERR_BUSY: the lease has run out, or the order was canceled meanwhile. `due_s` 0: never. */
enum error store_end_renewal(struct acme *acme, struct request *rq, const struct order *order, const struct issued *issued, int64_t due_s) MUST_CHECK;
enum error store_plan_renewal(struct acme *acme, struct request *rq, const struct order *order, int64_t due_s) MUST_CHECK;
enum error store_postpone_renewal(struct acme *acme, struct request *rq, const struct order *order, int64_t seconds, const char *trouble) MUST_CHECK;
enum error store_stop_renewals(struct acme *acme, struct request *rq, const struct order *order, const char *problem) MUST_CHECK;
/* By its client. False: it was not `valid`. */
enum error store_cancel_order(struct acme *acme, struct request *rq, const char *account_id, const char *id, bool *ret_canceled) MUST_CHECK;

struct held_certificate {
    const struct star *star;
    const char *policy;
    const char *obstacle; /* why it is renewed no more; NULL: it is */
    struct bytes leaf;
    const char *chain_pem;
    int64_t next_s; /* when the next one is due; 0: never */
};
/* Of any account when that is NULL. ERR_NOT_FOUND: no such order, or nothing yet. */
enum error store_load_star_certificate(struct acme *acme, struct request *rq, const char *account_id, const char *order_id,
                                       struct held_certificate *ret_held) MUST_CHECK;
enum error store_is_star_certificate(struct acme *acme, struct request *rq, struct bytes serial, bool *ret_is) MUST_CHECK;

#endif
