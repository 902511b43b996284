/*
 * Orders (RFC 8555 §7.4): how one is made, claimed by finalize, and ended.
 */
#ifndef SIGNET_ACME_GW_ORDER_H
#define SIGNET_ACME_GW_ORDER_H

#include <jansson.h>

#include "link/commit_queue.h"
#include "link/db.h"
#include "link/http_server.h"
#include "link/lease.h"
#include "pki/identifier.h"
#include "limit.h"
#include "signet/v1/ra.pb-c.h"

struct claim;
struct finding;
struct policy;
struct spending;
struct star;

#define ORDER_LIFETIME_S (7 * 24 * 3600)
/* Longer than a look at CAA and the call to ra. */
#define FINALIZATION_WORK_S 20

enum order_status { ORDER_PENDING = 1, ORDER_READY, ORDER_PROCESSING, ORDER_VALID, ORDER_INVALID, ORDER_CANCELED };

struct order {
    const char *id;
    const char *account_id;
    enum order_status status;
    const struct identifier *names; /* sorted */
    size_t name_count;
    const char *const *ancestors; /* of a new order: at which domain each name shall be proven (RFC 9444), or NULL */
    const char *const *authorization_ids;
    size_t authorization_count;
    const char *policy;
    const char *owner, *principal;  /* as the account's */
    const char *const *preapproved; /* those of the names that needed no challenge, as columns write them */
    size_t preapproved_count;
    int64_t expires_at_s;
    int64_t finalized_at_s;
    const char *client_address;
    const char *problem;               /* JSON, or NULL */
    int64_t not_before_s, not_after_s; /* 0: not asked for */
    const char *profile;               /* NULL: none named */
    const char *replaces;              /* the identifier of a certificate (RFC 9773 §4.1), or NULL */
    const struct star *star;           /* NULL: it is not renewed automatically */
    int64_t renewal;                   /* which of its certificates is being made, from 0 */
    struct bytes csr;
    int attempts; /* of one that is `processing`: 0 while it waits for an approval */
};

/* One line of the list of an account's orders. */
struct order_place {
    const char *id;
    enum order_status status;
    int64_t created_at_us;
};

/* A choice that the operator offers (draft-ietf-acme-profiles). */
struct profile {
    const char *name;
    const char *template_name;
    int validity_days; /* 0: as the template says */
};

/* What ra issued, as the order remembers it. */
struct issued {
    struct bytes serial;
    int expiry_month;
    struct bytes *chain_sha256; /* the usual chain first, then the alternates */
    const char **chain_pem;
    size_t chain_count;
    const struct spending *spendings; /* what it counts for */
    size_t spending_count;
};

/* ---- one file per resource ---- */

http_handler new_order;
http_handler order;
/* With Location, and Retry-After while it is processing. */
enum error order_answer(struct acme *acme, struct http_exchange *x, int status, const struct order *order) MUST_CHECK;
http_handler finalize;

/* ---- finalize_turn.c ---- */

struct finalization;
/* A turn at a `processing` order that its finalize did not finish. */
void finalize_work(void *context, struct request *rq, const struct db_rows *rows, size_t row);
/* From where its batch has left an order that it has claimed. OK: it is valid, or stays `processing`, to be gone on with. */
enum error finalize_go_on(struct acme *acme, struct request *rq, struct finalization *claimed) MUST_CHECK;
/* Returns `error`. Nobody here works on the order any more; after trouble it may be written down or not, and its lease is given up. */
enum error leave_unwritten(struct acme *acme, const char *order_id, enum error error) MUST_CHECK;
/* What an operator is told about the failure just recorded. */
const char *trouble_of_failure(struct request *rq);

/* What ra issued for an order, ready to be written down. */
enum error take_issued(struct acme *acme, struct request *rq, const struct order *order, const Pb__EnrollReply *reply, struct issued *ret_issued)
    MUST_CHECK;
/* It is written down. */
void order_is_valid(struct acme *acme, struct request *rq, const Pb__EnrollReply *reply, const struct issued *issued, struct order *order);

/* ---- finalize_together.c ---- */

#define CLIENT_WAITS_MS 5000

/* A finalize on its way into a batch, and how far it has come there. */
struct finalization {
    struct request *rq;
    const char *account_id, *order_id;
    const struct claim *claim;
    bool claimed;
    struct order order;           /* if it is claimed; ORDER_VALID: and at its end */
    struct kept_row kept;         /* the same */
    enum error error;             /* what ra said, recorded in rq; */
    const Pb__EnrollReply *reply; /* without both, it was not asked */
    void *whose;                  /* who has posted it; for him alone */
};
commit_batch finalize_together; /* items are struct finalization, context is struct acme */

/* ---- enroll_order.c ---- */

/* Asks ra for the certificate of an order, or for its next one (order->renewal). */
enum error enroll_order(struct acme *acme, struct request *rq, const struct order *order, int most_ms, const Pb__EnrollReply **ret_reply) MUST_CHECK;
enum error enroll_request_of_order(struct acme *acme, struct request *rq, const struct order *order, Pb__EnrollRequest *ret_input) MUST_CHECK;
/* Takes back what ra was asked for it; ret_issued: the certificate was made before. ERR_BUSY: it is being made. */
enum error withdraw_order(struct acme *acme, struct request *rq, const struct order *order, const char *reason, bool *ret_issued) MUST_CHECK;
/* Then ra is told, too, what was attested. */
bool order_has_device(const struct order *order);
struct issued issued_of_reply(struct arena *arena, const Pb__EnrollReply *reply);

/* ---- profile.c ---- */

/* "classic=Web Server:90"; as many as texts. `what` they are, for the refusal. */
enum error profiles_parse(struct request *rq, const char *what, char *const *texts, size_t count, struct profile **ret_profiles) MUST_CHECK;
const struct profile *profile_find(const struct policy *policy, const char *name); /* NULL when there is none */

/* ---- order_wishes.c ---- */

/* Dates, profile and `replaces` of a new order, into it. */
enum error order_wishes_take(struct acme *acme, struct request *rq, const struct policy *policy, const json_t *payload, struct order *order)
    MUST_CHECK;

/* ---- store_new_order.c ---- */

/* An order on its way into the database, with a challenge for each of its names. */
struct new_order {
    struct order *order; /* status, authorization_ids and expires_at_s are as they came out: what was proven lately takes the place of new ones */
    const struct challenge *challenges; /* of each name; the same where one proof is for several */
    bool subdomains_count;              /* proofs that hold for all names below */
    const struct spending *spendings;
    size_t spending_count;
    struct limit failures;
    const struct policy *quotas_of; /* NULL: no quota is asked */
    struct obstacle obstacle;       /* why it was not recorded; `rule` NULL: it was */
    struct request *rq;
    void *whose; /* who has posted it; for him alone */
};
/* In one round trip with others that come at the same time. ERR_CONFLICT: another order replaces the same certificate. */
enum error store_insert_order(struct acme *acme, struct request *rq, struct new_order *new_order) MUST_CHECK;
commit_batch store_insert_orders; /* items are struct new_order, context is struct acme */

/* ---- store_move.c ---- */

struct claim {
    const char *const *names;
    size_t name_count;
    struct bytes csr;
    struct bytes key_sha256;
    const struct spending *spendings; /* of which a turn must be left, unless the order replaces a certificate */
    size_t spending_count;
};
enum error store_end_order(struct acme *acme, struct request *rq, const char *id, const struct issued *issued) MUST_CHECK;
/* Challenge, authorisation and order; nothing when the lease has passed to somebody else. */
enum error store_end_validation(struct acme *acme, struct request *rq, const char *challenge_id, const struct finding *finding, const char *problem)
    MUST_CHECK;

/* A proof of a challenge that is still `pending`: when it was written down. 0 when it is not, or when its authorisation has expired or is decided. */
enum error store_prove_challenge(struct acme *acme, struct request *rq, const char *challenge_id, const char *type, const struct finding *finding,
                                 int64_t *ret_validated_at_s) MUST_CHECK;

enum move_kind { MOVE_CLAIM = 1, MOVE_END, MOVE_VERDICT };
/* One of them on its way into a batch. */
struct order_move {
    enum move_kind kind;
    struct request *rq;
    const char *id; /* of the order; of a verdict's challenge */
    const char *account_id;
    const struct claim *claim;
    const struct issued *issued;
    const struct finding *finding;
    const char *problem;    /* of a finding that does not hold */
    const char *type;       /* of a challenge that nobody has begun; NULL: its lease is ours */
    struct order order;     /* of a claim that is `done`: one alone of an order that was `ready`, has these names, and attests no other key */
    int64_t validated_at_s; /* of a finding that holds */
    bool done;
};
commit_batch store_move_batch; /* items are struct order_move, context is struct acme */

/* ---- stored_chains.c: which the database has ---- */

struct stored_chains *stored_chains_new(void);
void stored_chains_free(struct stored_chains *chains);
DEFINE_AUTO_STRUCT(stored_chains, stored_chains_free);
bool stored_chains_have(struct stored_chains *chains, struct bytes sha256);
/* Of a chain whose transaction has ended well; for a minute. */
void stored_chains_add(struct stored_chains *chains, struct bytes sha256);

/* ---- store_order.c ---- */

extern const struct db_statement store_take_finalizations, store_renew_finalizations, store_leave_finalizations;
enum order_status store_order_status(const char *name);
enum error store_load_order(struct acme *acme, struct request *rq, const char *account_id, const char *id, struct order *ret_order) MUST_CHECK;
/* The next `most` of an account after that place, newest first, whatever their status; expired ones are ORDER_INVALID. */
enum error store_list_orders(struct acme *acme, struct request *rq, const char *account_id, const struct order_place *after, int most,
                             struct order_place **ret_places, size_t *ret_count) MUST_CHECK;
struct order store_order_of_row(struct arena *arena, const struct db_rows *rows, size_t row);
enum error store_refuse_order(struct acme *acme, struct request *rq, const char *id, const char *problem) MUST_CHECK;
/* `trouble` is for the operator who asks what the order waits for. */
enum error store_postpone_order(struct acme *acme, struct request *rq, const char *id, int seconds, const char *trouble) MUST_CHECK;
/* The same without a failure to count. */
enum error store_await_approval(struct acme *acme, struct request *rq, const char *id, int seconds) MUST_CHECK;

/* What was attested of the devices of an order, in words; "" when it has none. */
enum error store_load_attestations(struct acme *acme, struct request *rq, const struct order *order, const char **ret_attested) MUST_CHECK;
/* Is there a device of this order that has attested another key? */
enum error store_other_key_is_attested(struct acme *acme, struct request *rq, const struct order *order, struct bytes key_sha256, bool *ret_attested)
    MUST_CHECK;

#endif
