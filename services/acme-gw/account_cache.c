/*
 * Accounts and their imported keys, remembered for a few seconds: a client makes a handful of requests in a row, and importing a key costs more
 * than checking a signature. A place per account id; a newcomer takes the place of whoever was there. That an account was deactivated or revoked,
 * here or elsewhere, is heard from the database at once; other changes are seen when the entry is too old.
 */
#include "acme.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PLACES 1024
#define REMEMBERED_MS 5000

struct entry {
    atomic_uint holders;
    int64_t until_ms;
    struct request *rq; /* whose arena everything lives in */
    struct account account;
};

struct account_cache {
    pthread_mutex_t mutex;
    struct entry *places[PLACES];
};

static void
let_go(void *held)
{
    struct entry *entry = held;

    if (atomic_fetch_sub(&entry->holders, 1) != 1)
        return;
    request_free(entry->rq);
    free(entry);
}

struct account_cache *
account_cache_new(void)
{
    struct account_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void
account_cache_free(struct account_cache *cache)
{
    for (size_t i = 0; i < PLACES; i++)
        if (cache->places[i] != NULL)
            let_go(cache->places[i]);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

/* Ids are random, so that their first characters are as good as any hash. */
static struct entry **
place_of(struct account_cache *cache, const char *id)
{
    size_t at = 0;

    for (size_t i = 0; i < 4 && id[i] != '\0'; i++)
        at = at * 64 + (unsigned char)id[i];
    return &cache->places[at % PLACES];
}

static struct entry *
find(struct account_cache *cache, const char *id)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = *place_of(cache, id);

    if (entry == NULL || strcmp(entry->account.id, id) != 0 || entry->until_ms < clock_monotonic_ms())
        return NULL;
    atomic_fetch_add(&entry->holders, 1);
    return entry;
}

static void
put(struct account_cache *cache, struct entry *entry)
{
    struct entry *old;

    atomic_fetch_add(&entry->holders, 1);
    pthread_mutex_lock(&cache->mutex);
    struct entry **place = place_of(cache, entry->account.id);
    old = *place;
    *place = entry;
    pthread_mutex_unlock(&cache->mutex);
    if (old != NULL)
        let_go(old);
}

/* The account is loaded into an arena of its own, which outlives the request that needed it first. */
static enum error
load(struct acme *acme, struct request *rq, const char *id, struct entry **ret_entry)
{
    AUTO_STRUCT(request, own) = request_new();
    struct account account;

    own->deadline_ms = rq->deadline_ms;
    enum error error = store_load_account(acme, own, id, &account);
    rq->sql_round_trips += own->sql_round_trips;
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        abort();
    atomic_init(&entry->holders, 1);
    entry->until_ms = clock_monotonic_ms() + REMEMBERED_MS;
    entry->account = account;
    entry->rq = TAKE(own);
    *ret_entry = entry;
    return OK;
}

enum error
account_cache_load(struct acme *acme, struct request *rq, const char *id, const struct account **ret_account)
{
    struct entry *entry = find(acme->accounts, id);

    if (entry == NULL) {
        enum error error = load(acme, rq, id, &entry);
        if (error)
            return error;
        put(acme->accounts, entry);
    }
    arena_defer(rq->arena, let_go, entry);
    *ret_account = &entry->account;
    return OK;
}

void
account_cache_forget(struct account_cache *cache, const char *id)
{
    struct entry *old = NULL;

    pthread_mutex_lock(&cache->mutex);
    struct entry **place = place_of(cache, id);
    if (*place != NULL && strcmp((*place)->account.id, id) == 0) {
        old = *place;
        *place = NULL;
    }
    pthread_mutex_unlock(&cache->mutex);
    if (old != NULL)
        let_go(old);
}

static void
forget_all(struct account_cache *cache)
{
    AUTO_LOCK(&cache->mutex);
    for (size_t i = 0; i < PLACES; i++) {
        if (cache->places[i] == NULL)
            continue;
        let_go(cache->places[i]);
        cache->places[i] = NULL;
    }
}

/* Without an id: something may have been missed. */
static void
heard_of_account(void *context, const char *id)
{
    struct account_cache *cache = context;

    if (id == NULL)
        forget_all(cache);
    else
        account_cache_forget(cache, id);
}

enum error
accounts_follow(struct acme *acme, struct request *rq)
{
    return db_listen(acme->db, rq, "acme_account", heard_of_account, acme->accounts);
}
