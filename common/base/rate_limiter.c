/* Turns of subjects, counted in memory. Called before work that strangers ask for: by link/request_limit.c for their requests and failures, by
 * ocsp-responder for signatures that one client alone has use for. */
#include "base/rate_limiter.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/auto.h"
#include "base/clock.h"

#define SETS 4096
#define WAYS 4
#define MINUTE_US INT64_C(60000000)
#define SECOND_US INT64_C(1000000)

struct place {
    uint64_t subject; /* 0: free */
    int64_t tat_us;
};

struct rate_limiter {
    pthread_mutex_t mutex;
    uint64_t secret;
    int64_t step_us;  /* 0: no limit */
    int64_t ahead_us; /* of its next turn a subject may be this much */
    struct place places[SETS][WAYS];
};

struct rate_limiter *
rate_limiter_new(int per_minute, int burst)
{
    struct rate_limiter *limiter = calloc(1, sizeof *limiter);

    if (limiter == NULL)
        abort();
    pthread_mutex_init(&limiter->mutex, NULL);
    random_bytes(&limiter->secret, sizeof limiter->secret);
    limiter->step_us = per_minute == 0 ? 0 : MINUTE_US / per_minute;
    limiter->ahead_us = limiter->step_us * burst;
    return limiter;
}

void
rate_limiter_free(struct rate_limiter *limiter)
{
    if (limiter == NULL)
        return;
    pthread_mutex_destroy(&limiter->mutex);
    free(limiter);
}

/* Its own place, or the one that is soonest forgotten. */
static struct place *
place_of(struct rate_limiter *limiter, uint64_t subject)
{
    struct place *set = limiter->places[subject % SETS], *oldest = &set[0];

    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].subject == subject)
            return &set[i];
        if (set[i].tat_us < oldest->tat_us)
            oldest = &set[i];
    }
    return oldest;
}

static bool
turn(struct rate_limiter *limiter, struct bytes subject, int64_t now_us, bool take, int *ret_wait_s)
{
    uint64_t hash = bytes_hash_keyed(limiter->secret, subject);
    int64_t tat_us = now_us;

    if (limiter->step_us == 0)
        return true;
    hash = hash == 0 ? 1 : hash;
    AUTO_LOCK(&limiter->mutex);
    struct place *place = place_of(limiter, hash);
    if (place->subject == hash && place->tat_us > now_us)
        tat_us = place->tat_us;
    tat_us += limiter->step_us;
    if (tat_us - now_us > limiter->ahead_us) {
        *ret_wait_s = (int)((tat_us - now_us - limiter->ahead_us + SECOND_US - 1) / SECOND_US);
        return false;
    }
    if (take)
        *place = (struct place){.subject = hash, .tat_us = tat_us};
    return true;
}

bool
rate_limiter_take(struct rate_limiter *limiter, struct bytes subject, int64_t now_us, int *ret_wait_s)
{
    return turn(limiter, subject, now_us, true, ret_wait_s);
}

bool
rate_limiter_allows(struct rate_limiter *limiter, struct bytes subject, int64_t now_us, int *ret_wait_s)
{
    return turn(limiter, subject, now_us, false, ret_wait_s);
}
