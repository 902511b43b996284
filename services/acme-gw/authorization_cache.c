/*
 * Authorisations that were made or proven here a moment ago. Their clients read them next, and then begin the challenge: each state is told from here
 * once, and after that the database is asked, so that what another replica has done meanwhile stays unseen for one answer at most, and for a few
 * seconds. Nothing is decided by what is remembered here.
 */
#include "acme.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "places.h"

#define REMEMBERED_MS 5000

struct entry {
    struct arena *arena; /* everything lives in it; NULL: nobody is here */
    struct authorization authorization;
    const char *account_id;
    int64_t until_ms;
    bool told;
};

struct authorization_cache {
    pthread_mutex_t mutex;
    struct places places;
    struct entry entries[PLACES]; /* each in its place */
};

struct authorization_cache *
authorization_cache_new(void)
{
    struct authorization_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

static void
clear(struct entry *entry)
{
    if (entry->arena != NULL)
        arena_free(entry->arena);
    *entry = (struct entry){0};
}

void
authorization_cache_free(struct authorization_cache *cache)
{
    for (size_t i = 0; i < PLACES; i++)
        clear(&cache->entries[i]);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static struct authorization
copy_of(struct arena *arena, const char *account_id, const struct authorization *from)
{
    struct authorization copy = *from;
    struct challenge *challenges = arena_array(arena, from->challenge_count, sizeof *challenges);

    copy.id = arena_text(arena, from->id);
    copy.name.value = arena_text(arena, from->name.value);
    for (size_t i = 0; i < from->challenge_count; i++) {
        challenges[i] = (struct challenge){.id = copy.id,
                                           .authorization_id = copy.id,
                                           .account_id = account_id,
                                           .type = arena_text(arena, from->challenges[i].type),
                                           .token = arena_text(arena, from->challenges[i].token),
                                           .name = copy.name,
                                           .subdomains = copy.subdomains,
                                           .status = from->challenges[i].status,
                                           .validated_at_s = from->challenges[i].validated_at_s};
    }
    copy.challenges = challenges;
    return copy;
}

void
authorization_cache_put(struct authorization_cache *cache, const char *account_id, const struct authorization *authorization)
{
    struct arena *arena = arena_new();
    const char *account = arena_text(arena, account_id);
    struct entry entry = {.arena = arena,
                          .authorization = copy_of(arena, account, authorization),
                          .account_id = account,
                          .until_ms = clock_monotonic_ms() + REMEMBERED_MS};

    AUTO_LOCK(&cache->mutex);
    struct entry *old = &cache->entries[places_take(&cache->places, authorization->id)];
    clear(old);
    *old = entry;
}

static struct entry *
find(struct authorization_cache *cache, const char *account_id, const char *id)
{
    size_t place;

    if (!places_find(&cache->places, id, &place))
        return NULL;
    struct entry *entry = &cache->entries[place];
    if (entry->arena == NULL || strcmp(entry->account_id, account_id) != 0 || entry->until_ms < clock_monotonic_ms())
        return NULL;
    return entry;
}

bool
authorization_cache_tell(struct authorization_cache *cache, struct arena *arena, const char *account_id, const char *id,
                         struct authorization *ret_authorization)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find(cache, account_id, id);

    if (entry == NULL || entry->told)
        return false;
    entry->told = true;
    *ret_authorization = copy_of(arena, account_id, &entry->authorization);
    return true;
}

bool
authorization_cache_take(struct authorization_cache *cache, struct arena *arena, const char *account_id, const char *id,
                         struct authorization *ret_authorization)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find(cache, account_id, id);

    if (entry == NULL)
        return false;
    *ret_authorization = copy_of(arena, account_id, &entry->authorization);
    clear(entry);
    return true;
}
