/*
 * What one address may ask of an HTTP service, before anything else looks at it: so many requests a minute; and where strangers come to be let in,
 * so many failures. A service has these settings in its table, and asks in its `admit`:
 *
 *     REQUEST_LIMIT_SETTINGS(struct est_config, limit, "SIGNET_EST"),
 *     FAILURE_LIMIT_SETTINGS(struct est_config, limit, "SIGNET_EST", "wrong passwords of one user from one address"),
 *     …
 *     return request_limit_admit(est->limit, x);
 *
 * An address is x->peer: behind a proxy of the service the client that it names; of IPv6 its /64, because who has one address of that has all.
 * Counted by each replica for itself, in a table of fixed size. Networks of the setting are not counted at all.
 *
 * Owner: the service. Errors: ERR_RATE_LIMITED with the time to wait; the rule is in the message, in the log and in the metric
 * signet_rate_limited_total. Threads: any.
 */
#ifndef SIGNET_LINK_REQUEST_LIMIT_H
#define SIGNET_LINK_REQUEST_LIMIT_H

#include "base/config.h"
#include "link/http_server.h"

struct request_limit_config {
    int requests_per_minute, requests_burst; /* a rate of 0: no limit */
    int failures_per_minute, failures_burst;
    const char *unlimited_networks;
};

#define REQUEST_LIMIT_SETTINGS(type_, member, prefix_)                                                                                   \
    SETTING_NUMBER(type_, member.requests_per_minute, prefix_ "_REQUESTS_PER_MINUTE", "300", 0, 1000000,                                 \
                   "requests of one address, an IPv6 /64 counting as one, at this replica; 0: as many as come"),                         \
        SETTING_NUMBER(type_, member.requests_burst, prefix_ "_REQUESTS_BURST", "500", 1, 1000000, "how many of them may come at once"), \
        SETTING_TEXT(type_, member.unlimited_networks, prefix_ "_UNLIMITED_NETWORKS", "",                                                \
                     "whose requests and failures are not counted, comma-separated CIDR: monitoring, sites behind one address")
#define FAILURE_LIMIT_SETTINGS(type_, member, prefix_, what_)                                                           \
    SETTING_NUMBER(type_, member.failures_per_minute, prefix_ "_FAILURES_PER_MINUTE", "10", 0, 1000000,                 \
                   what_ ", at this replica; beyond them nobody there is listened to for a while; 0: as many as come"), \
        SETTING_NUMBER(type_, member.failures_burst, prefix_ "_FAILURES_BURST", "30", 1, 1000000, "how many of them may come at once")

struct request_limit;

/* ERR_BAD_REQUEST when the networks of the setting `networks_name` cannot be read. */
enum error request_limit_new(struct request *rq, const struct request_limit_config *config, const char *networks_name,
                             struct request_limit **ret_limit) MUST_CHECK;
void request_limit_free(struct request_limit *limit); /* NULL is allowed */

/* One more request of x->peer; the rule is "requests-per-address". For `admit` of http_server_options. */
enum error request_limit_admit(struct request_limit *limit, struct http_exchange *x) MUST_CHECK;
/* Before work that has failed for this address so often; `whom` is what it fails at: a user, a profile. The rule is "failures-per-address". */
enum error request_limit_check_failures(struct request_limit *limit, struct request *rq, const char *peer, const char *whom) MUST_CHECK;
/* It has failed once more. */
void request_limit_count_failure(struct request_limit *limit, struct request *rq, const char *peer, const char *whom);

#endif
