/*
 * Signed answers in memory. A fixed table of buckets, each bucket a short list under one of a few locks; the serial number chooses the bucket, so
 * that a revocation finds every answer about it, whatever hash its CertID was made with.
 *
 * Tickets: each lock counts the drops below it. An answer made from a database read that began before a drop is not kept.
 * The hash is keyed at random: serial numbers come from outside. A bucket that is full gives its oldest place to the newcomer.
 */
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "ocsp_responder.h"

#define LOCKS 64
#define BUCKET_MAX 8

struct entry {
    struct cached cached; /* first: cache_release is given its address */
    struct entry *next;
    atomic_int holders;
    atomic_bool kept; /* in its bucket */
    _Atomic int64_t checked_s;
};

struct cache {
    uint64_t key;
    size_t bucket_count; /* a multiple of LOCKS */
    struct entry **buckets;
    struct {
        pthread_mutex_t mutex;
        uint64_t drops;
    } locks[LOCKS];
};

struct cache *
cache_new(int entries)
{
    struct cache *cache = calloc(1, sizeof(*cache));
    size_t i;

    if (cache == NULL)
        abort();
    cache->bucket_count = ((size_t)entries / 4 / LOCKS + 1) * LOCKS;
    cache->buckets = calloc(cache->bucket_count, sizeof(struct entry *));
    if (cache->buckets == NULL)
        abort();
    random_bytes(&cache->key, sizeof(cache->key));
    for (i = 0; i < LOCKS; i++)
        pthread_mutex_init(&cache->locks[i].mutex, NULL);
    return cache;
}

static size_t
bucket_of(const struct cache *cache, struct bytes serial)
{
    return (size_t)(bytes_hash_keyed(cache->key, serial) % cache->bucket_count);
}

void
cache_release(void *cached)
{
    struct entry *entry = cached;

    if (atomic_fetch_sub(&entry->holders, 1) == 1)
        free(entry);
}

const struct cached *
cache_lend(const struct cached *cached)
{
    struct entry *entry = (struct entry *)(void *)cached;

    atomic_fetch_add(&entry->holders, 1);
    return cached;
}

bool
cache_still_has(const struct cached *cached)
{
    const struct entry *entry = (const struct entry *)(const void *)cached;

    return atomic_load(&entry->kept);
}

bool
cache_take_check(const struct cached *cached, int64_t since_s)
{
    struct entry *entry = (struct entry *)(void *)cached;
    int64_t checked_s = atomic_load(&entry->checked_s);

    return checked_s <= since_s && atomic_compare_exchange_strong(&entry->checked_s, &checked_s, clock_now_s());
}

const struct cached *
cache_find(struct cache *cache, struct bytes serial, struct bytes cert_id)
{
    size_t bucket = bucket_of(cache, serial);
    struct entry *entry;

    AUTO_LOCK(&cache->locks[bucket % LOCKS].mutex);
    for (entry = cache->buckets[bucket]; entry != NULL; entry = entry->next)
        if (bytes_equal(entry->cached.cert_id, cert_id))
            return cache_lend(&entry->cached);
    return NULL;
}

uint64_t
cache_ticket(struct cache *cache, struct bytes serial)
{
    size_t lock = bucket_of(cache, serial) % LOCKS;

    AUTO_LOCK(&cache->locks[lock].mutex);
    return cache->locks[lock].drops;
}

/* One block holds the entry and all that it points at. */
static struct entry *
entry_new(const struct cached *from)
{
    const char *const texts[] = {from->etag, from->last_modified, from->expires, from->cache_control};
    const char *copies[sizeof(texts) / sizeof(texts[0])];
    size_t size = sizeof(struct entry) + from->cert_id.len + from->serial.len + from->response.len, i;
    struct entry *entry;
    uint8_t *at;

    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        size += strlen(texts[i]) + 1;
    entry = malloc(size);
    if (entry == NULL)
        abort();
    at = (uint8_t *)(entry + 1);
    entry->cached = *from;
    entry->cached.cert_id.at = memcpy(at, from->cert_id.at, from->cert_id.len);
    at += from->cert_id.len;
    entry->cached.serial.at = memcpy(at, from->serial.at, from->serial.len);
    at += from->serial.len;
    entry->cached.response.at = memcpy(at, from->response.at, from->response.len);
    at += from->response.len;
    for (i = 0; i < sizeof(texts) / sizeof(texts[0]); i++) {
        copies[i] = memcpy(at, texts[i], strlen(texts[i]) + 1);
        at += strlen(texts[i]) + 1;
    }
    entry->cached.etag = copies[0];
    entry->cached.last_modified = copies[1];
    entry->cached.expires = copies[2];
    entry->cached.cache_control = copies[3];
    entry->next = NULL;
    atomic_init(&entry->holders, 1);
    atomic_init(&entry->kept, false);
    atomic_init(&entry->checked_s, clock_now_s());
    return entry;
}

/* Unlinks the entries that `leaves` says; the lock of the bucket is held. */
static void
unlink_where(struct cache *cache, size_t bucket, bool (*leaves)(const struct entry *entry, struct bytes what, size_t place), struct bytes what)
{
    struct entry **at = &cache->buckets[bucket];
    size_t place = 0;

    while (*at != NULL) {
        struct entry *entry = *at;
        if (leaves(entry, what, place++)) {
            *at = entry->next;
            atomic_store(&entry->kept, false);
            cache_release(entry);
        } else {
            at = &entry->next;
        }
    }
}

static bool
same_cert_id_or_too_old(const struct entry *entry, struct bytes cert_id, size_t place)
{
    return bytes_equal(entry->cached.cert_id, cert_id) || place >= BUCKET_MAX - 1;
}

static bool
same_serial(const struct entry *entry, struct bytes serial, size_t place)
{
    return bytes_equal(entry->cached.serial, serial);
}

static bool
always(const struct entry *entry, struct bytes what, size_t place)
{
    return true;
}

const struct cached *
cache_put(struct cache *cache, uint64_t ticket, const struct cached *from)
{
    size_t bucket = bucket_of(cache, from->serial), lock = bucket % LOCKS;
    struct entry *entry = entry_new(from);

    AUTO_LOCK(&cache->locks[lock].mutex);
    if (cache->locks[lock].drops != ticket)
        return &entry->cached;
    unlink_where(cache, bucket, same_cert_id_or_too_old, from->cert_id);
    entry->next = cache->buckets[bucket];
    cache->buckets[bucket] = entry;
    atomic_store(&entry->kept, true);
    return cache_lend(&entry->cached);
}

void
cache_drop(struct cache *cache, struct bytes serial)
{
    size_t bucket = bucket_of(cache, serial), lock = bucket % LOCKS;

    AUTO_LOCK(&cache->locks[lock].mutex);
    cache->locks[lock].drops++;
    unlink_where(cache, bucket, same_serial, serial);
}

void
cache_clear(struct cache *cache)
{
    size_t lock, bucket;

    for (lock = 0; lock < LOCKS; lock++) {
        AUTO_LOCK(&cache->locks[lock].mutex);
        cache->locks[lock].drops++;
        for (bucket = lock; bucket < cache->bucket_count; bucket += LOCKS)
            unlink_where(cache, bucket, always, BYTES_NONE);
    }
}

void
cache_free(struct cache *cache)
{
    size_t i;

    cache_clear(cache);
    for (i = 0; i < LOCKS; i++)
        pthread_mutex_destroy(&cache->locks[i].mutex);
    free(cache->buckets);
    free(cache);
}
