/*
 * The certificates that were issued here a moment ago. Clients come for theirs at once, and it never changes: most downloads need no database. A
 * place per order id; a newcomer takes the place of whoever was there.
 */
#include "acme.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#define PLACES 2048
#define PEM_MAX (32 * 1024) /* longer chains are read from the database */

struct entry {
    char order_id[ACME_ID_LEN + 1];
    char account_id[ACME_ID_LEN + 1];
    char *pem;
};

struct certificate_cache {
    pthread_mutex_t mutex;
    struct entry places[PLACES];
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
        free(cache->places[i].pem);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static struct entry *
place_of(struct certificate_cache *cache, const char *order_id)
{
    return &cache->places[text_hash(order_id) % PLACES];
}

void
certificate_cache_put(struct certificate_cache *cache, const struct order *order, const char *pem)
{
    if (strlen(order->id) != ACME_ID_LEN || strlen(order->account_id) != ACME_ID_LEN || strlen(pem) > PEM_MAX)
        return;
    struct entry *place = place_of(cache, order->id);
    char *copy = strdup(pem);
    if (copy == NULL)
        abort();
    AUTO_LOCK(&cache->mutex);
    memcpy(place->order_id, order->id, ACME_ID_LEN + 1);
    memcpy(place->account_id, order->account_id, ACME_ID_LEN + 1);
    free(place->pem);
    place->pem = copy;
}

const char *
certificate_cache_find(struct certificate_cache *cache, struct arena *arena, const char *order_id, const char *account_id)
{
    if (strlen(order_id) != ACME_ID_LEN)
        return NULL;
    struct entry *place = place_of(cache, order_id);

    AUTO_LOCK(&cache->mutex);
    if (place->pem == NULL || strcmp(place->order_id, order_id) != 0 || strcmp(place->account_id, account_id) != 0)
        return NULL;
    return arena_text(arena, place->pem);
}
