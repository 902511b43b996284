/*
 * Passwords of Basic users. They are drawn here, never chosen, with 130 bits: nobody finds one from its hash, so the hash need not be slow, and must
 * not be: everybody on the network can have us compute one.
 */
#include "est.h"

#include <openssl/evp.h>

#include "base/clock.h"

#define ROUNDS 10000
#define SALT_LEN 16
#define HASH_LEN 32
#define SCHEME "pbkdf2-sha256"

char *
password_new(struct arena *arena)
{
    static const char digits[] = "abcdefghijkmnpqrstuvwxyz23456789"; /* 32: no l, o, 0, 1 */
    char *password = arena_alloc(arena, PASSWORD_LEN + 1);
    uint8_t octets[PASSWORD_LEN];

    random_bytes(octets, sizeof octets);
    for (size_t i = 0; i < PASSWORD_LEN; i++)
        password[i] = digits[octets[i] & 31];
    wipe(octets, sizeof octets);
    return password;
}

static void
derive(struct bytes password, struct bytes salt, int rounds, uint8_t ret_hash[HASH_LEN])
{
    if (PKCS5_PBKDF2_HMAC((const char *)password.at, (int)password.len, salt.at, (int)salt.len, rounds, EVP_sha256(), HASH_LEN, ret_hash) != 1)
        abort();
}

char *
password_hash(struct arena *arena, const char *password)
{
    uint8_t salt[SALT_LEN], hash[HASH_LEN];

    random_bytes(salt, sizeof salt);
    derive(bytes_of_text(password), BYTES(salt, sizeof salt), ROUNDS, hash);
    return arena_format(arena, SCHEME "$%d$%s$%s", ROUNDS, bytes_hex(arena, BYTES(salt, sizeof salt), 0),
                        bytes_hex(arena, BYTES(hash, sizeof hash), 0));
}

bool
password_is(const char *hash, struct bytes password)
{
    static const char nobodys[] = SCHEME "$10000$00000000000000000000000000000000$00";
    AUTO_STRUCT(arena, arena) = arena_new();
    struct bytes salt, wanted;
    uint8_t found[HASH_LEN];
    size_t count;
    int64_t rounds;

    char **parts = text_split(arena, hash == NULL ? nobodys : hash, '$', &count);
    if (count != 4 || !text_equal(parts[0], SCHEME) || !text_parse_number(parts[1], 1, 10000000, &rounds) ||
        !bytes_from_hex(arena, parts[2], &salt) || !bytes_from_hex(arena, parts[3], &wanted))
        return false;
    derive(password, salt, (int)rounds, found);
    return bytes_equal_secret(BYTES(found, sizeof found), wanted) && hash != NULL;
}
