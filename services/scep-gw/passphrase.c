/*
 * Secrets that operators hand to devices: made here, shown once, kept as salt and scrypt. Because scrypt is slow on purpose, the one that was right
 * is remembered by a keyed hash with a key that this process has drawn; a wrong one pays the whole price.
 */
#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "scep.h"

#define SALT_LEN 16
#define KEY_LEN 32
#define SCRYPT_N 16384
#define SCRYPT_R 8
#define SCRYPT_P 1
#define SCRYPT_MEMORY (64 * 1024 * 1024)
#define GROUPS 6
#define GROUP_LEN 4
#define REMEMBERED 64

static_assert(SALT_LEN + KEY_LEN == SECRET_HASH_LEN, "salt, then key");

/* 120 bits, in groups that people can read to each other. */
const char *
passphrase_new(struct request *rq)
{
    static const char letters[] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
    uint8_t random[GROUPS * GROUP_LEN];
    struct buffer text = buffer_in(rq->arena);

    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++)
        buffer_append_format(&text, "%s%c", i > 0 && i % GROUP_LEN == 0 ? "-" : "", letters[random[i] % (sizeof letters - 1)]);
    return buffer_text(&text);
}

static void
derive(struct bytes passphrase, const uint8_t salt[SALT_LEN], uint8_t ret_key[KEY_LEN])
{
    if (EVP_PBE_scrypt((const char *)passphrase.at, passphrase.len, salt, SALT_LEN, SCRYPT_N, SCRYPT_R, SCRYPT_P, SCRYPT_MEMORY, ret_key, KEY_LEN) !=
        1)
        abort();
}

struct bytes
passphrase_hash(struct arena *arena, struct bytes passphrase)
{
    uint8_t *hash = arena_alloc(arena, SECRET_HASH_LEN);

    random_bytes(hash, SALT_LEN);
    derive(passphrase, hash, hash + SALT_LEN);
    return BYTES(hash, SECRET_HASH_LEN);
}

struct passphrase_cache {
    pthread_mutex_t mutex;
    uint8_t key[KEY_LEN];
    uint8_t known[REMEMBERED][KEY_LEN];
    unsigned next;
};

struct passphrase_cache *
passphrase_cache_new(void)
{
    struct passphrase_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    random_bytes(cache->key, sizeof cache->key);
    random_bytes(cache->known, sizeof cache->known);
    return cache;
}

void
passphrase_cache_free(struct passphrase_cache *cache)
{
    pthread_mutex_destroy(&cache->mutex);
    wipe(cache, sizeof *cache);
    free(cache);
}

/* Of the hash, whose length is fixed, and the passphrase: a passphrase that was changed is another pair. */
static void
mark_of(const struct passphrase_cache *cache, struct bytes passphrase, struct bytes hash, uint8_t ret_mark[KEY_LEN])
{
    AUTO_STRUCT(secret, both) = secret_new(hash.len + passphrase.len);
    unsigned int len = 0;

    memcpy(both->at, hash.at, hash.len);
    if (passphrase.len > 0)
        memcpy(both->at + hash.len, passphrase.at, passphrase.len);
    (void)HMAC(EVP_sha256(), cache->key, KEY_LEN, both->at, both->len, ret_mark, &len);
}

static bool
is_known(struct passphrase_cache *cache, const uint8_t mark[KEY_LEN])
{
    bool known = false;
    AUTO_LOCK(&cache->mutex);

    for (size_t i = 0; i < REMEMBERED; i++)
        known |= bytes_equal_secret(BYTES(cache->known[i], KEY_LEN), BYTES(mark, KEY_LEN));
    return known;
}

static void
remember(struct passphrase_cache *cache, const uint8_t mark[KEY_LEN])
{
    AUTO_LOCK(&cache->mutex);

    memcpy(cache->known[cache->next++ % REMEMBERED], mark, KEY_LEN);
}

bool
passphrase_is(struct passphrase_cache *cache, struct bytes passphrase, struct bytes hash)
{
    uint8_t mark[KEY_LEN], key[KEY_LEN];

    if (hash.len != SECRET_HASH_LEN || passphrase.len == 0)
        return false;
    mark_of(cache, passphrase, hash, mark);
    if (is_known(cache, mark))
        return true;
    derive(passphrase, hash.at, key);
    bool right = bytes_equal_secret(BYTES(key, KEY_LEN), BYTES(hash.at + SALT_LEN, KEY_LEN));
    if (right)
        remember(cache, mark);
    wipe(key, sizeof key);
    return right;
}
