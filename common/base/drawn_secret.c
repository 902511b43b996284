/* The form of a hash is SALT_LEN octets of salt, then HMAC-SHA-256 with the salt as its key. */
#include "base/drawn_secret.h"

#include <assert.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"

#define SALT_LEN 16
#define MAC_LEN 32
#define GROUPS 4
#define GROUP_LEN 7
#define LETTER_BITS 5

static_assert(SALT_LEN + MAC_LEN == DRAWN_SECRET_HASH_LEN, "salt, then MAC");
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
derive(const uint8_t salt[SALT_LEN], struct bytes secret, uint8_t ret_mac[MAC_LEN])
{
    unsigned int len = 0;

    if (HMAC(EVP_sha256(), salt, SALT_LEN, secret.at, secret.len, ret_mac, &len) == NULL || len != MAC_LEN)
        abort();
}

struct bytes
drawn_secret_hash(struct arena *arena, struct bytes secret)
{
    uint8_t *hash = arena_alloc(arena, DRAWN_SECRET_HASH_LEN);

    random_bytes(hash, SALT_LEN);
    derive(hash, secret, hash + SALT_LEN);
    return BYTES(hash, DRAWN_SECRET_HASH_LEN);
}

bool
drawn_secret_is(struct bytes hash, struct bytes given)
{
    static const uint8_t nobodys[DRAWN_SECRET_HASH_LEN];
    bool known = hash.len == DRAWN_SECRET_HASH_LEN;
    const uint8_t *at = known ? hash.at : nobodys;
    uint8_t mac[MAC_LEN];

    derive(at, given, mac);
    return bytes_equal_secret(BYTES(mac, MAC_LEN), BYTES(at + SALT_LEN, MAC_LEN)) && known;
}
