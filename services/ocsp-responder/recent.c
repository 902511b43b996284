/*
 * What one loop was asked lately, octet for octet, each with the cached answer to it: who asks the same again is answered without base64, DER, locks
 * and counters that the loops share, which together cost as much as all the rest of our part of a request.
 *
 * The cache stays the master: an entry that it has let go of is not found here from that moment on. Threads: one, the loop's.
 */
#include <stdlib.h>
#include <string.h>

#include "ocsp_responder.h"

#define SLOTS 4096
#define NEWCOMERS_MAX 8
#define OCTETS_MAX 512 /* one CertID in base64 has about 120; long requests are not worth the memory */

struct recent_answer {
    const struct cached *cached; /* lent by the cache */
    const struct http_route *route;
    unsigned holders;   /* the slot and answers on their way; counted by this loop alone, so that the loops need not agree on it */
    unsigned newcomers; /* that were turned away since this was asked for last */
    size_t len;
    uint8_t octets[];
};

struct recent {
    struct recent_answer *slots[SLOTS];
};

struct recent *
recent_new(void)
{
    struct recent *recent = calloc(1, sizeof(*recent));

    if (recent == NULL)
        abort();
    return recent;
}

/* Not keyed: who aims at one slot only makes his own requests take the longer way. */
static size_t
slot_of(struct bytes octets)
{
    uint64_t hash = octets.len, word = 0;
    size_t i;

    for (i = 0; i + sizeof(word) <= octets.len; i += sizeof(word)) {
        memcpy(&word, octets.at + i, sizeof(word));
        hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
        hash ^= hash >> 32;
    }
    word = 0;
    memcpy(&word, octets.at + i, octets.len - i);
    hash = (hash ^ word) * 0x9e3779b97f4a7c15ULL;
    return (size_t)(hash >> 32) % SLOTS;
}

void
recent_release(void *answer)
{
    struct recent_answer *recent = answer;

    if (--recent->holders > 0)
        return;
    cache_release((void *)recent->cached);
    free(recent);
}

struct recent_answer *
recent_find(struct recent *recent, const struct http_route *route, struct bytes octets, const struct cached **ret_cached)
{
    struct recent_answer **slot, *found;

    if (octets.len > OCTETS_MAX)
        return NULL;
    slot = &recent->slots[slot_of(octets)];
    found = *slot;
    if (found == NULL || found->route != route || !bytes_equal(BYTES(found->octets, found->len), octets))
        return NULL;
    if (!cache_still_has(found->cached)) {
        *slot = NULL;
        recent_release(found);
        return NULL;
    }
    found->newcomers = 0;
    found->holders++;
    *ret_cached = found->cached;
    return found;
}

/* A place goes to the newcomer only when several came since it was asked for last: what is asked often stays, and requests of which no two are the
 * same, as a crawler's, do not pay for a place each time. */
static bool
has_to_go(struct recent_answer *old)
{
    return old == NULL || !cache_still_has(old->cached) || ++old->newcomers >= NEWCOMERS_MAX;
}

void
recent_keep(struct recent *recent, const struct http_route *route, struct bytes octets, const struct cached *cached)
{
    struct recent_answer **slot, *answer;

    if (octets.len > OCTETS_MAX)
        return;
    slot = &recent->slots[slot_of(octets)];
    if (!has_to_go(*slot))
        return;
    answer = malloc(sizeof(*answer) + octets.len);
    if (answer == NULL)
        abort();
    *answer = (struct recent_answer){.cached = cache_lend(cached), .route = route, .holders = 1, .len = octets.len};
    memcpy(answer->octets, octets.at, octets.len);
    if (*slot != NULL)
        recent_release(*slot);
    *slot = answer;
}

void
recent_free(struct recent *recent)
{
    size_t i;

    for (i = 0; i < SLOTS; i++)
        if (recent->slots[i] != NULL)
            recent_release(recent->slots[i]);
    free(recent);
}
