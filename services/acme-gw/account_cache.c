/*
 * Accounts and their imported keys, remembered until they change: a client comes again with each order, and importing a key costs more than checking
 * a signature. Every change of an account's row is announced by the database, to all replicas at once; as long as it is sure that nothing was missed,
 * an entry is as good as the row. Otherwise, while the connection that hears of it is away or silent, an entry is good for a few seconds.
 */
#include "acme.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SETS 1024
#define WAYS 4 /* accounts of one set; the least used of them makes room for a newcomer */

struct entry {
    atomic_uint holders;
    int64_t read_ms, used_ms;
    struct request *rq; /* whose arena everything lives in */
    struct account account;
};

struct account_cache {
    pthread_mutex_t mutex;
    struct entry *sets[SETS][WAYS];
    int64_t heard_ms; /* all changes until then have been heard of */
    uint64_t changes; /* that have been heard of, or were made here */
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

static void
forget_all(struct account_cache *cache)
{
    AUTO_LOCK(&cache->mutex);
    cache->changes++;
    for (size_t i = 0; i < SETS; i++)
        for (size_t way = 0; way < WAYS; way++) {
            if (cache->sets[i][way] == NULL)
                continue;
            let_go(cache->sets[i][way]);
            cache->sets[i][way] = NULL;
        }
}

void
account_cache_free(struct account_cache *cache)
{
    forget_all(cache);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

/* Ids are random, so that their first characters are as good as any hash. */
static struct entry **
set_of(struct account_cache *cache, const char *id)
{
    size_t at = 0;

    for (size_t i = 0; i < 4 && id[i] != '\0'; i++)
        at = at * 64 + (unsigned char)id[i];
    return cache->sets[at % SETS];
}

static bool
is_of(const struct entry *entry, const char *id)
{
    return entry != NULL && strcmp(entry->account.id, id) == 0;
}

/* The place of the account with this id, or the one that it should take. */
static struct entry **
place_of(struct account_cache *cache, const char *id)
{
    struct entry **set = set_of(cache, id), **place = &set[0];

    for (size_t way = 0; way < WAYS; way++) {
        if (is_of(set[way], id))
            return &set[way];
        if (*place != NULL && (set[way] == NULL || set[way]->used_ms < (*place)->used_ms))
            place = &set[way];
    }
    return place;
}

/* `ret_changes` stands before the row is read, when it has to be. */
static struct entry *
find(struct account_cache *cache, const char *id, uint64_t *ret_changes)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = *place_of(cache, id);
    int64_t now_ms = clock_monotonic_ms();

    *ret_changes = cache->changes;
    if (!is_of(entry, id) || !db_still_holds(entry->read_ms, cache->heard_ms, now_ms))
        return NULL;
    entry->used_ms = now_ms;
    atomic_fetch_add(&entry->holders, 1);
    return entry;
}

/* Not when something was heard of while the row was read: it may be of this row, and have come before. */
static void
put(struct account_cache *cache, struct entry *entry, uint64_t changes)
{
    struct entry *old = NULL;

    pthread_mutex_lock(&cache->mutex);
    if (cache->changes == changes) {
        atomic_fetch_add(&entry->holders, 1);
        struct entry **place = place_of(cache, entry->account.id);
        old = *place;
        *place = entry;
    }
    pthread_mutex_unlock(&cache->mutex);
    if (old != NULL)
        let_go(old);
}

/* An account that is there, or the one that is `wanted` (or has its key), in an arena of its own, which outlives the request that needed it first. */
static enum error
load(struct acme *acme, struct request *rq, const char *id, const struct account *wanted, bool *ret_created, struct entry **ret_entry)
{
    AUTO_STRUCT(request, own) = request_new();
    struct account account;
    int64_t asked_ms = clock_monotonic_ms();

    own->deadline_ms = rq->deadline_ms;
    enum error error = wanted == NULL ? store_load_account(acme, own, id, &account) : store_insert_account(acme, own, wanted, &account, ret_created);
    rq->sql_round_trips += own->sql_round_trips;
    if (error) {
        rq->failure = own->failure;
        return error;
    }
    jws_prepare(own->arena, &account.jwk);
    struct entry *entry = calloc(1, sizeof *entry);
    if (entry == NULL)
        abort();
    atomic_init(&entry->holders, 1);
    entry->read_ms = entry->used_ms = asked_ms;
    entry->account = account;
    entry->rq = TAKE(own);
    *ret_entry = entry;
    return OK;
}

bool
account_cache_find(struct account_cache *cache, struct request *rq, const char *id, const struct account **ret_account)
{
    uint64_t changes;
    struct entry *entry = find(cache, id, &changes);

    if (entry == NULL)
        return false;
    arena_defer(rq->arena, let_go, entry);
    *ret_account = &entry->account;
    return true;
}

enum error
account_cache_load(struct acme *acme, struct request *rq, const char *id, const struct account **ret_account)
{
    uint64_t changes;
    struct entry *entry = find(acme->accounts, id, &changes);

    if (entry == NULL) {
        enum error error = load(acme, rq, id, NULL, NULL, &entry);
        if (error)
            return error;
        put(acme->accounts, entry, changes);
    }
    arena_defer(rq->arena, let_go, entry);
    *ret_account = &entry->account;
    return OK;
}

enum error
account_cache_insert(struct acme *acme, struct request *rq, const struct account *wanted, struct account *ret_account, bool *ret_created)
{
    struct entry *entry;

    pthread_mutex_lock(&acme->accounts->mutex);
    uint64_t changes = acme->accounts->changes;
    pthread_mutex_unlock(&acme->accounts->mutex);
    enum error error = load(acme, rq, NULL, wanted, ret_created, &entry);
    if (error)
        return error;
    put(acme->accounts, entry, changes);
    arena_defer(rq->arena, let_go, entry);
    *ret_account = entry->account;
    return OK;
}

void
account_cache_forget(struct account_cache *cache, const char *id)
{
    struct entry *old = NULL;

    pthread_mutex_lock(&cache->mutex);
    cache->changes++;
    struct entry **place = place_of(cache, id);
    if (is_of(*place, id)) {
        old = *place;
        *place = NULL;
    }
    pthread_mutex_unlock(&cache->mutex);
    if (old != NULL)
        let_go(old);
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

static void
heard_all(void *context, int64_t until_ms)
{
    struct account_cache *cache = context;
    AUTO_LOCK(&cache->mutex);

    cache->heard_ms = until_ms;
}

enum error
accounts_follow(struct acme *acme, struct request *rq)
{
    return db_listen_surely(acme->db, rq, "acme_account", heard_of_account, heard_all, acme->accounts);
}
