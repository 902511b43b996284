/* The certificates that were issued here a moment ago. Clients come for theirs at once, and it never changes: most downloads need no database. */
#include "acme.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "places.h"

#define PEM_MAX (32 * 1024) /* longer chains are read from the database */

struct entry {
    char account_id[ACME_ID_LEN + 1];
    char *pem;
};

struct certificate_cache {
    pthread_mutex_t mutex;
    struct places places; /* by the order's id */
    struct entry entries[PLACES];
};

struct certificate_cache *
certificate_cache_new(void)
{
    struct certificate_cache *cache = calloc(1, sizeof *cache);
    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void
certificate_cache_free(struct certificate_cache *cache)
{
    for (size_t i = 0; i < PLACES; i++)
        free(cache->entries[i].pem);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

void
certificate_cache_put(struct certificate_cache *cache, const struct order *order, const char *pem)
{
    if (strlen(order->id) != ACME_ID_LEN || strlen(order->account_id) != ACME_ID_LEN || strlen(pem) > PEM_MAX)
        return;
    char *copy = strdup(pem);
    if (copy == NULL)
        abort();
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = &cache->entries[places_take(&cache->places, order->id)];
    memcpy(entry->account_id, order->account_id, ACME_ID_LEN + 1);
    free(entry->pem);
    entry->pem = copy;
}

const char *
certificate_cache_find(struct certificate_cache *cache, struct arena *arena, const char *order_id, const char *account_id)
{
    size_t place;

    AUTO_LOCK(&cache->mutex);
    if (!places_find(&cache->places, order_id, &place) || strcmp(cache->entries[place].account_id, account_id) != 0)
        return NULL;
    return arena_text(arena, cache->entries[place].pem);
}
