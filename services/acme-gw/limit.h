/*
 * Rate limits. What is in the database is shared by all replicas and counts accounts, orders, failures and certificates, by the set that a policy
 * names; what is in memory counts requests of an address at this replica (link/request_limit.h), before anything else looks at them.
 *
 * Both are GCRA: a subject has one number, the time of its next turn if all took theirs one after the other, and may be ahead of it by one period.
 */
#ifndef SIGNET_ACME_GW_LIMIT_H
#define SIGNET_ACME_GW_LIMIT_H

#include "base/network.h"
#include "link/request_limit.h"
#include "signet/v1/acme_gw.pb-c.h"

struct acme;
struct account;
struct order;
struct policy;

struct limit {
    int count; /* 0: no limit */
    int period_s;
};

/* Between two turns, if they are spread. */
static inline int64_t
limit_step_us(struct limit limit)
{
    return limit.period_s * INT64_C(1000000) / limit.count;
}

struct limits {
    const char *name;
    struct limit new_accounts, new_orders, failed_authorizations, certificates;
    int failures_before_pause; /* 0: never */
};

/* ---- limit.c ---- */

/* For http_server_options, before any handler: rateLimited. */
enum error limit_request(void *context, struct http_exchange *x) MUST_CHECK;
/* Before an account is made: rateLimited. */
enum error limit_new_account(struct acme *acme, struct http_exchange *x, const struct policy *policy) MUST_CHECK;
/* Counts an order and records it with its challenges, one for each name, unless something stands in its way: rateLimited, with the rule. The policy's
 * quotas, too. A replacement (RFC 9773) counts for nothing but failures. */
struct challenge;
enum error limit_insert_order(struct acme *acme, struct request *rq, const struct policy *policy, const struct challenge *challenges,
                              struct order *order) MUST_CHECK;
/* The same in two halves, for an order that has no quotas to lock and replaces nothing: what the store takes, and what its answer means. */
struct new_order;
bool limit_goes_together(const struct policy *policy, const struct order *order);
struct new_order limit_of_order(struct request *rq, const struct policy *policy, const struct challenge *challenges, struct order *order);
enum error limit_refuse_order(struct request *rq, const struct policy *policy, const struct new_order *new_order) MUST_CHECK;
/* What the certificate of these names would count for, into `claim`: an order whose domains have had their share meanwhile is not claimed… */
struct claim;
struct identifier;
enum error limit_claim(struct acme *acme, struct request *rq, const char *policy_name, const struct identifier *names, size_t count,
                       struct claim *claim) MUST_CHECK;
/* …and this says so: rateLimited. OK when it is not for this. */
enum error limit_refuse_claim(struct acme *acme, struct request *rq, const struct order *order, const struct claim *claim) MUST_CHECK;
/* What its certificate counts for, into `issued`, to be spent with the order's end. */
struct issued;
void limit_count_certificate(struct acme *acme, struct request *rq, const struct order *order, struct issued *issued);
/* Before an authorisation without an order is recorded. */
enum error limit_new_authorization(struct acme *acme, struct request *rq, const struct policy *policy, const char *account_id,
                                   const struct identifier *name) MUST_CHECK;
/* The page that rel="help" leads to. */
http_handler limits_page;
/* Forgets what is used up no more. */
void limits_sweep(void *context, struct request *rq);

/* ---- store_limit.c ---- */

/* One turn for a subject. */
struct spending {
    const char *key;
    const char *rule;    /* "new-orders-per-account" */
    const char *subject; /* for the client */
    struct limit limit;
    bool only_asked; /* is there a turn left? It is taken later. */
};

/* What stands in the way; `rule` NULL: nothing. */
struct obstacle {
    const char *rule;
    const char *subject;
    int wait_s; /* 0: no time helps */
    bool paused;
};

/* Spends all that can be spent; the first that cannot is the obstacle. */
enum error store_spend(struct acme *acme, struct request *rq, const struct spending *spendings, size_t count, struct obstacle *ret_obstacle)
    MUST_CHECK;
/* Spends nothing: which of them has no turn left. */
enum error store_find_spent(struct acme *acme, struct request *rq, const struct spending *spendings, size_t count, struct obstacle *ret_obstacle)
    MUST_CHECK;
/* Spends one turn, together with a look at what the account has failed at. */
enum error store_spend_authorization(struct acme *acme, struct request *rq, const struct policy *policy, const char *account_id,
                                     const struct identifier *name, const struct spending *spending, struct obstacle *ret_obstacle) MUST_CHECK;
/* Of two transactions the second waits here for the end of the first. */
enum error store_lock_account(struct acme *acme, struct request *rq, const char *account_id) MUST_CHECK;
/* How many orders and certificates the account has, those under way included. */
enum error store_check_quotas(struct acme *acme, struct request *rq, const struct policy *policy, const char *account_id,
                              struct obstacle *ret_obstacle) MUST_CHECK;
/* The spending with this key cannot be; this name has failed too often. */
struct obstacle obstacle_of_turn(const struct spending *spendings, size_t count, const char *key, int wait_s);
struct obstacle obstacle_of_failure(struct arena *arena, const char *column, bool paused, int wait_s);
enum error store_sweep_limits(struct acme *acme, struct request *rq) MUST_CHECK;
enum error store_list_limits(struct acme *acme, struct request *rq, const char *name, Pb__AcmeLimits ***ret_limits, size_t *ret_count) MUST_CHECK;
enum error store_write_limits(struct acme *acme, struct request *rq, const Pb__AcmeLimits *limits, bool *ret_created) MUST_CHECK;
enum error store_delete_limits(struct acme *acme, struct request *rq, const char *name) MUST_CHECK;
enum error store_resume_name(struct acme *acme, struct request *rq, const char *name, const char *account_id, size_t *ret_resumed) MUST_CHECK;

/* ---- the administrative rpcs, one file each ---- */

enum error list_acme_limits(struct acme *acme, struct request *rq, const Pb__ListAcmeLimitsRequest *input, Pb__ListAcmeLimitsReply *ret_reply)
    MUST_CHECK;
enum error put_acme_limits(struct acme *acme, struct request *rq, const Pb__PutAcmeLimitsRequest *input, Pb__PutAcmeLimitsReply *ret_reply)
    MUST_CHECK;
enum error delete_acme_limits(struct acme *acme, struct request *rq, const Pb__DeleteAcmeLimitsRequest *input, Pb__DeleteAcmeLimitsReply *ret_reply)
    MUST_CHECK;
enum error resume_name(struct acme *acme, struct request *rq, const Pb__ResumeNameRequest *input, Pb__ResumeNameReply *ret_reply) MUST_CHECK;

#endif
