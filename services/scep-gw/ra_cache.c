/* The RA certificate of each profile and the CAs above it, as the signer last gave them. It renews them by itself, so they are asked for again after
 * a while; when it is away, what was given before stands. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/rpc.h"
#include "scep.h"

#define FRESH_MS 30000
#define ENTRIES_MAX 256

struct entry {
    struct arena *arena;
    const char *profile, *issuer;
    struct bytes ra, chain[CA_CHAIN_MAX];
    size_t chain_count;
    int64_t read_ms;
};

struct ra_cache {
    pthread_mutex_t mutex;
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

struct ra_cache *
ra_cache_new(void)
{
    struct ra_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void
ra_cache_free(struct ra_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        arena_free(cache->entries[i].arena);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static struct entry *
find_entry(struct ra_cache *cache, const Pb__ScepProfile *about)
{
    for (size_t i = 0; i < cache->count; i++)
        if (text_equal(cache->entries[i].profile, about->name) && text_equal(cache->entries[i].issuer, about->issuer))
            return &cache->entries[i];
    return NULL;
}

struct copy {
    struct bytes ra, chain[CA_CHAIN_MAX];
    size_t chain_count;
};

/* False when there is none, or only an old one and `any_age` is false. */
static bool
copy_cached(struct ra_cache *cache, struct arena *arena, const Pb__ScepProfile *about, bool any_age, struct copy *ret_copy)
{
    AUTO_LOCK(&cache->mutex);
    const struct entry *entry = find_entry(cache, about);

    if (entry == NULL || (!any_age && clock_monotonic_ms() - entry->read_ms > FRESH_MS))
        return false;
    ret_copy->ra = bytes_copy(arena, entry->ra);
    ret_copy->chain_count = entry->chain_count;
    for (size_t i = 0; i < entry->chain_count; i++)
        ret_copy->chain[i] = bytes_copy(arena, entry->chain[i]);
    return true;
}

/* Where every place is taken, the oldest goes. */
static struct entry *
choose_place(struct ra_cache *cache, const Pb__ScepProfile *about)
{
    struct entry *place = find_entry(cache, about);

    if (place == NULL && cache->count < ENTRIES_MAX)
        return &cache->entries[cache->count++];
    if (place == NULL) {
        place = &cache->entries[0];
        for (size_t i = 1; i < cache->count; i++)
            if (cache->entries[i].read_ms < place->read_ms)
                place = &cache->entries[i];
    }
    arena_free(place->arena);
    return place;
}

static void
put(struct ra_cache *cache, const Pb__ScepProfile *about, const Pb__GetScepRaReply *reply)
{
    struct arena *arena = arena_new();
    struct entry entry = {.arena = arena, .profile = arena_text(arena, about->name), .issuer = arena_text(arena, about->issuer)};

    entry.ra = bytes_copy(arena, message_bytes(reply->certificate));
    for (size_t i = 0; i < reply->n_chain && i < CA_CHAIN_MAX; i++)
        entry.chain[entry.chain_count++] = bytes_copy(arena, message_bytes(reply->chain[i]));
    entry.read_ms = clock_monotonic_ms();
    AUTO_LOCK(&cache->mutex);
    *choose_place(cache, about) = entry;
}

static enum error
ask(struct scep *scep, struct request *rq, const struct profile *profile)
{
    Pb__GetScepRaRequest input = PB__GET_SCEP_RA_REQUEST__INIT;
    const Pb__GetScepRaReply *reply;

    input.profile = profile->about->name;
    input.issuer = profile->about->issuer;
    enum error error = RPC_CALL(scep->bus, rq, signer, GetScepRa, &input, &reply);
    if (error == OK && reply->n_chain == 0)
        error = fail_privately(rq, ERR_INTERNAL, "internal error", "the signer's answer has no CA");
    if (error == OK)
        put(scep->ras, profile->about, reply);
    return error;
}

enum error
ra_certificates_load(struct scep *scep, struct request *rq, const struct profile *profile, struct ra_certificates *ret_certificates)
{
    struct copy copy;

    if (!copy_cached(scep->ras, rq->arena, profile->about, false, &copy)) {
        enum error error = ask(scep, rq, profile);
        if (!copy_cached(scep->ras, rq->arena, profile->about, true, &copy))
            return error;
        failure_clear(rq);
    }
    enum error error = certificate_parse(rq, copy.ra, &ret_certificates->ra);
    if (error == OK)
        error = certificate_parse(rq, copy.chain[0], &ret_certificates->issuer);
    if (error != OK)
        return error;
    memcpy(ret_certificates->chain, copy.chain, sizeof copy.chain);
    ret_certificates->chain_count = copy.chain_count;
    return OK;
}
