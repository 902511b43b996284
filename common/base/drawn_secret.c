/* The form of a hash is DRAWN_SECRET_SALT_LEN octets of salt, then HMAC-SHA-256 with the salt as its key. */
#include "base/drawn_secret.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define GROUPS 4
#define GROUP_LEN 7
#define LETTER_BITS 5

static_assert(DRAWN_SECRET_SALT_LEN + DRAWN_SECRET_MAC_LEN == DRAWN_SECRET_HASH_LEN, "salt, then MAC");
static_assert(GROUPS * (GROUP_LEN + 1) - 1 == DRAWN_SECRET_LEN, "groups with a hyphen between them");
static_assert(GROUPS * GROUP_LEN * LETTER_BITS >= 128, "a fast hash is for keys of full strength");

char *
drawn_secret_new(struct arena *arena)
{
    static const char letters[1 << LETTER_BITS] = "ABCDEFGHJKLMNPQRSTUVWXYZ23456789"; /* no I, O, 0, 1 */
    char *secret = arena_alloc(arena, DRAWN_SECRET_LEN + 1), *to = secret;
    uint8_t random[GROUPS * GROUP_LEN];

    random_bytes(random, sizeof random);
    for (size_t i = 0; i < sizeof random; i++) {
        if (i > 0 && i % GROUP_LEN == 0)
            *to++ = '-';
        *to++ = letters[random[i] % sizeof letters];
    }
    wipe(random, sizeof random);
    return secret;
}

static void
derive(const uint8_t salt[DRAWN_SECRET_SALT_LEN], struct bytes secret, uint8_t ret_mac[DRAWN_SECRET_MAC_LEN])
{
    unsigned int len = 0;

    if (HMAC(EVP_sha256(), salt, DRAWN_SECRET_SALT_LEN, secret.at, secret.len, ret_mac, &len) == NULL || len != DRAWN_SECRET_MAC_LEN)
        abort();
}

struct bytes
drawn_secret_hash(struct arena *arena, struct bytes secret)
{
    uint8_t *hash = arena_alloc(arena, DRAWN_SECRET_HASH_LEN);

    random_bytes(hash, DRAWN_SECRET_SALT_LEN);
    derive(hash, secret, hash + DRAWN_SECRET_SALT_LEN);
    return BYTES(hash, DRAWN_SECRET_HASH_LEN);
}

struct bytes
drawn_secret_mac(struct arena *arena, struct bytes salt, struct bytes secret)
{
    uint8_t *mac = arena_alloc(arena, DRAWN_SECRET_MAC_LEN);

    assert(salt.len == DRAWN_SECRET_SALT_LEN);
    derive(salt.at, secret, mac);
    return BYTES(mac, DRAWN_SECRET_MAC_LEN);
}

bool
drawn_secret_is(struct bytes hash, struct bytes given)
{
    static const uint8_t nobodys[DRAWN_SECRET_HASH_LEN];
    bool known = hash.len == DRAWN_SECRET_HASH_LEN;
    const uint8_t *at = known ? hash.at : nobodys;
    uint8_t mac[DRAWN_SECRET_MAC_LEN];

    derive(at, given, mac);
    return bytes_equal_secret(BYTES(mac, DRAWN_SECRET_MAC_LEN), BYTES(at + DRAWN_SECRET_SALT_LEN, DRAWN_SECRET_MAC_LEN)) && known;
}
