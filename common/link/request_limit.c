/* What one address may ask. Called by gateways: on the event loop for each request before its handler, and by the handlers about failures. */
#include "link/request_limit.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/network.h"
#include "base/rate_limiter.h"
#include "base/text.h"
#include "link/metrics.h"

#define NETWORKS_MAX 64
#define NETWORK_OF_V6 8 /* octets */

struct request_limit {
    struct rate_limiter *requests, *failures;
    struct metric *requests_refused, *failures_refused;
    struct network unlimited[NETWORKS_MAX];
    size_t unlimited_count;
};

static struct metric *
refused_by(const char *rule)
{
    return metric_counter("signet_rate_limited_total", "requests that one address had too many of, by the rule", "rule", rule);
}

enum error
request_limit_new(struct request *rq, const struct request_limit_config *config, const char *networks_name, struct request_limit **ret_limit)
{
    struct network networks[NETWORKS_MAX];
    size_t count;
    char **texts = text_split(rq->arena, config->unlimited_networks, ',', &count);

    for (size_t i = 0; i < count; i++)
        if (i == NETWORKS_MAX || !network_parse(texts[i], &networks[i]))
            return fail(rq, ERR_BAD_REQUEST, "%s: \"%.60s\" is not a network, or one too many (%d)", networks_name, texts[i], NETWORKS_MAX);
    struct request_limit *limit = calloc(1, sizeof *limit);
    if (limit == NULL)
        abort();
    memcpy(limit->unlimited, networks, count * sizeof networks[0]);
    limit->unlimited_count = count;
    limit->requests = rate_limiter_new(config->requests_per_minute, config->requests_burst);
    limit->failures = rate_limiter_new(config->failures_per_minute, config->failures_burst);
    limit->requests_refused = refused_by("requests-per-address");
    limit->failures_refused = refused_by("failures-per-address");
    *ret_limit = limit;
    return OK;
}

void
request_limit_free(struct request_limit *limit)
{
    if (limit == NULL)
        return;
    rate_limiter_free(limit->requests);
    rate_limiter_free(limit->failures);
    free(limit);
}

/* Who has one address of a /64 has all of them. What is no address is itself. */
static struct bytes
subject_of(struct arena *arena, const char *peer, const char *whom)
{
    struct buffer subject = buffer_in(arena);
    struct address address;

    if (address_parse(peer, &address))
        buffer_append(&subject, address.octets, address_is_v4(&address) ? sizeof address.octets : NETWORK_OF_V6);
    else
        buffer_append_text(&subject, peer);
    buffer_append_text(&subject, whom);
    return buffer_bytes(&subject);
}

static bool
is_unlimited(const struct request_limit *limit, const char *peer)
{
    return networks_cover_text(limit->unlimited, limit->unlimited_count, peer);
}

/* The log has the address in any case; it is told to the client, too, who may not know what a proxy takes it for. */
static enum error
refuse(struct request *rq, struct metric *refused, const char *rule, const char *what, const char *peer, int wait_s)
{
    metric_add(refused, 1);
    request_note(rq, "rule", "%s", rule);
    (void)fail(rq, ERR_RATE_LIMITED, "%s: too many %s from %s; the next is taken in %d s", rule, what, peer, wait_s);
    return fail_retry_after(rq, wait_s);
}

enum error
request_limit_admit(struct request_limit *limit, struct http_exchange *x)
{
    int wait_s;

    if (is_unlimited(limit, x->peer) || rate_limiter_take(limit->requests, subject_of(x->rq.arena, x->peer, ""), clock_monotonic_us(), &wait_s))
        return OK;
    return refuse(&x->rq, limit->requests_refused, "requests-per-address", "requests", x->peer, wait_s);
}

enum error
request_limit_check_failures(struct request_limit *limit, struct request *rq, const char *peer, const char *whom)
{
    int wait_s;

    if (is_unlimited(limit, peer) || rate_limiter_allows(limit->failures, subject_of(rq->arena, peer, whom), clock_monotonic_us(), &wait_s))
        return OK;
    return refuse(rq, limit->failures_refused, "failures-per-address", "failures", peer, wait_s);
}

void
request_limit_count_failure(struct request_limit *limit, struct request *rq, const char *peer, const char *whom)
{
    int wait_s;

    if (!is_unlimited(limit, peer))
        (void)rate_limiter_take(limit->failures, subject_of(rq->arena, peer, whom), clock_monotonic_us(), &wait_s);
}
