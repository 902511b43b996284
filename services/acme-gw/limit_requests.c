/*
 * Requests of one address at this replica: 300 a minute, 500 at once, unless the settings say otherwise. In memory, of a fixed size: a set of places
 * for each hash, of which the one that is nearest to be forgotten gives way. The hash has a secret, so that nobody can choose whom he shares a set
 * with.
 */
#include "acme.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SETS 4096
#define WAYS 4
#define MINUTE_US INT64_C(60000000)
#define SECOND_US INT64_C(1000000)
#define NETWORKS_MAX 64
#define NETWORK_OF_V6 8 /* octets: who has one address of a /64 has all of them */

struct place {
    uint64_t subject; /* 0: free */
    int64_t tat_us;
};

struct request_limiter {
    pthread_mutex_t mutex;
    uint64_t secret;
    int64_t step_us;  /* 0: no limit */
    int64_t ahead_us; /* of its next turn a subject may be this much */
    struct network unlimited[NETWORKS_MAX];
    size_t unlimited_count;
    struct place places[SETS][WAYS];
};

enum error
request_limiter_new(struct request *rq, int per_minute, int burst, const char *unlimited_networks, struct request_limiter **ret_limiter)
{
    size_t count;
    char **texts = text_split(rq->arena, unlimited_networks, ',', &count);
    struct request_limiter *limiter = calloc(1, sizeof *limiter);

    if (limiter == NULL)
        abort();
    pthread_mutex_init(&limiter->mutex, NULL);
    random_bytes(&limiter->secret, sizeof limiter->secret);
    limiter->step_us = per_minute == 0 ? 0 : MINUTE_US / per_minute;
    limiter->ahead_us = limiter->step_us * burst;
    for (size_t i = 0; i < count; i++) {
        if (i < NETWORKS_MAX && network_parse(texts[i], &limiter->unlimited[i]))
            continue;
        request_limiter_free(limiter);
        return fail(rq, ERR_BAD_REQUEST, "SIGNET_ACME_UNLIMITED_NETWORKS: \"%s\" is not a network, or one too many (%d)", texts[i], NETWORKS_MAX);
    }
    limiter->unlimited_count = count;
    *ret_limiter = limiter;
    return OK;
}

void
request_limiter_free(struct request_limiter *limiter)
{
    if (limiter == NULL)
        return;
    pthread_mutex_destroy(&limiter->mutex);
    free(limiter);
}

static uint64_t
hash(const struct request_limiter *limiter, const char *address)
{
    struct address parsed;
    bool known = address_parse(address, &parsed);
    bool v6 = known && !address_is_v4(&parsed);
    const uint8_t *at = known ? parsed.octets : (const uint8_t *)address;
    size_t len = v6 ? NETWORK_OF_V6 : known ? sizeof parsed.octets : strlen(address);
    uint64_t value = bytes_hash_keyed(limiter->secret, BYTES(at, len));

    return value == 0 ? 1 : value;
}

/* Its own place, or the one that is soonest forgotten. */
static struct place *
place_of(struct request_limiter *limiter, uint64_t subject)
{
    struct place *set = limiter->places[subject % SETS], *oldest = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].subject == subject)
            return &set[i];
        if (set[i].tat_us < oldest->tat_us)
            oldest = &set[i];
    }
    *oldest = (struct place){.subject = subject};
    return oldest;
}

bool
request_limiter_take(struct request_limiter *limiter, const char *address, int64_t now_us, int *ret_wait_s)
{
    if (limiter->step_us == 0 || networks_cover_text(limiter->unlimited, limiter->unlimited_count, address))
        return true;
    uint64_t subject = hash(limiter, address);
    AUTO_LOCK(&limiter->mutex);
    struct place *place = place_of(limiter, subject);
    int64_t tat_us = (place->tat_us > now_us ? place->tat_us : now_us) + limiter->step_us;
    if (tat_us - now_us > limiter->ahead_us) {
        *ret_wait_s = (int)((tat_us - now_us - limiter->ahead_us + SECOND_US - 1) / SECOND_US);
        return false;
    }
    place->tat_us = tat_us;
    return true;
}

enum error
limit_request(void *context, struct http_exchange *x)
{
    struct acme *acme = context;
    int wait_s;

    if (request_limiter_take(acme->requests, x->peer, clock_monotonic_us(), &wait_s))
        return OK;
    x->rq.failure_members = "{\"rule\":\"requests-per-address\"}";
    (void)refuse(&x->rq, ERR_RATE_LIMITED, "rateLimited", "requests-per-address: too many requests from %s; the next is taken in %d s", x->peer,
                 wait_s);
    return fail_retry_after(&x->rq, wait_s);
}
