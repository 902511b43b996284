/*
 * Which chains the database had a moment ago: nearly all certificates have the same few, and none is ever deleted. They are stored again now and then
 * all the same, so that a database that was put back to an earlier day gets them again.
 */
#include "acme.h"

#include <assert.h>
#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define PLACES 16 /* a chain has one, by its digest; a newcomer takes the place of whoever was there */
#define REMEMBERED_MS 60000

struct place {
    uint8_t sha256[SHA256_DIGEST_LENGTH];
    int64_t until_ms;
};

struct stored_chains {
    pthread_mutex_t mutex;
    struct place places[PLACES];
};

struct stored_chains *
stored_chains_new(void)
{
    struct stored_chains *chains = calloc(1, sizeof *chains);
    if (chains == NULL)
        abort();
    pthread_mutex_init(&chains->mutex, NULL);
    return chains;
}

void
stored_chains_free(struct stored_chains *chains)
{
    pthread_mutex_destroy(&chains->mutex);
    free(chains);
}

static struct place *
place_of(struct stored_chains *chains, struct bytes sha256)
{
    assert(sha256.len == SHA256_DIGEST_LENGTH);
    return &chains->places[sha256.at[0] % PLACES];
}

bool
stored_chains_have(struct stored_chains *chains, struct bytes sha256)
{
    AUTO_LOCK(&chains->mutex);
    const struct place *place = place_of(chains, sha256);

    return place->until_ms > clock_monotonic_ms() && memcmp(place->sha256, sha256.at, sha256.len) == 0;
}

void
stored_chains_add(struct stored_chains *chains, struct bytes sha256)
{
    AUTO_LOCK(&chains->mutex);
    struct place *place = place_of(chains, sha256);

    memcpy(place->sha256, sha256.at, sha256.len);
    place->until_ms = clock_monotonic_ms() + REMEMBERED_MS;
}
