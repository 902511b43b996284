/*
 * Replay protection (RFC 8555 §6.5) without a database and behind any load balancer.
 *
 * A nonce is  prefix (6 octets, this replica's, drawn at start) | counter (8) | HMAC-SHA256 (16)  in base64url. The key is shared, so every replica
 * can tell a nonce of the suite from garbage before it asks anybody; whether it was used, only the replica knows that minted it, in one bit of a
 * ring. A nonce is too old when the ring has gone once around. A replica that is gone took its bits along: its nonces are refused.
 */
#include "acme.h"

#include <openssl/core_names.h>
#include <openssl/evp.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/base64.h"
#include "base/clock.h"

#define RING_BITS (UINT64_C(1) << 22) /* 512 KiB; at 10,000 answers a second a nonce is good for seven minutes */
#define PREFIX_OCTETS 6
#define COUNTER_OCTETS 8
#define MAC_OCTETS 16
#define NONCE_OCTETS (PREFIX_OCTETS + COUNTER_OCTETS + MAC_OCTETS)
#define KEY_MAX 64

struct nonces {
    EVP_MAC_CTX *mac; /* with its key, for one after the other: guarded by mutex */
    uint8_t prefix[PREFIX_OCTETS];
    char prefix_text[NONCE_PREFIX_LEN + 1];
    pthread_mutex_t mutex;
    uint64_t next;
    uint8_t used[RING_BITS / 8];
};

/* Made once: to find the algorithm and to set the key costs several times the HMAC itself. */
static EVP_MAC_CTX *
keyed_hmac(struct bytes key)
{
    OSSL_PARAM digest[] = {OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST, (char *)"SHA256", 0), OSSL_PARAM_construct_end()};
    EVP_MAC *hmac = EVP_MAC_fetch(NULL, "HMAC", NULL);
    EVP_MAC_CTX *mac = EVP_MAC_CTX_new(hmac);

    if (mac == NULL || EVP_MAC_init(mac, key.at, key.len, digest) != 1)
        abort();
    EVP_MAC_free(hmac);
    return mac;
}

struct nonces *
nonces_new(struct bytes key)
{
    struct nonces *nonces = calloc(1, sizeof *nonces);
    if (nonces == NULL)
        abort();
    nonces->mac = keyed_hmac(BYTES(key.at, key.len < KEY_MAX ? key.len : KEY_MAX));
    random_bytes(nonces->prefix, PREFIX_OCTETS);
    AUTO_STRUCT(arena, arena) = arena_new();
    memcpy(nonces->prefix_text, base64url_encode(arena, BYTES(nonces->prefix, PREFIX_OCTETS)), NONCE_PREFIX_LEN);
    pthread_mutex_init(&nonces->mutex, NULL);
    return nonces;
}

void
nonces_free(struct nonces *nonces)
{
    EVP_MAC_CTX_free(nonces->mac);
    pthread_mutex_destroy(&nonces->mutex);
    free(nonces);
}

const char *
nonces_prefix(const struct nonces *nonces)
{
    return nonces->prefix_text;
}

static void
authenticate(struct nonces *nonces, const uint8_t *octets, uint8_t ret_mac[MAC_OCTETS])
{
    uint8_t mac[EVP_MAX_MD_SIZE];
    size_t len;

    AUTO_LOCK(&nonces->mutex);
    if (EVP_MAC_init(nonces->mac, NULL, 0, NULL) != 1 || EVP_MAC_update(nonces->mac, octets, PREFIX_OCTETS + COUNTER_OCTETS) != 1 ||
        EVP_MAC_final(nonces->mac, mac, &len, sizeof mac) != 1)
        abort();
    memcpy(ret_mac, mac, MAC_OCTETS);
}

static void
mark(struct nonces *nonces, uint64_t counter, bool used)
{
    uint64_t bit = counter % RING_BITS;
    uint8_t mask = (uint8_t)(1U << bit % 8);

    if (used)
        nonces->used[bit / 8] |= mask;
    else
        nonces->used[bit / 8] &= (uint8_t)~mask;
}

static uint64_t
count_one(struct nonces *nonces)
{
    AUTO_LOCK(&nonces->mutex);
    uint64_t counter = nonces->next++;
    mark(nonces, counter, false);
    return counter;
}

char *
nonce_mint(struct nonces *nonces, struct arena *arena)
{
    uint8_t octets[NONCE_OCTETS];
    uint64_t counter = count_one(nonces);

    memcpy(octets, nonces->prefix, PREFIX_OCTETS);
    for (size_t i = 0; i < COUNTER_OCTETS; i++)
        octets[PREFIX_OCTETS + i] = (uint8_t)(counter >> 8 * (COUNTER_OCTETS - 1 - i));
    authenticate(nonces, octets, octets + PREFIX_OCTETS + COUNTER_OCTETS);
    return base64url_encode(arena, BYTES(octets, NONCE_OCTETS));
}

/* A nonce of the suite, minted by whichever replica; its octets, or NULL. */
static const uint8_t *
octets_of(struct nonces *nonces, struct arena *arena, const char *nonce)
{
    uint8_t mac[MAC_OCTETS];
    struct bytes octets;

    if (strlen(nonce) != NONCE_LEN || !base64url_decode(arena, bytes_of_text(nonce), &octets))
        return NULL;
    authenticate(nonces, octets.at, mac);
    bool equal = bytes_equal_secret(BYTES(mac, MAC_OCTETS), BYTES(octets.at + PREFIX_OCTETS + COUNTER_OCTETS, MAC_OCTETS));
    return equal ? octets.at : NULL;
}

static bool
use_once(struct nonces *nonces, const uint8_t *octets)
{
    uint64_t counter = 0;
    for (size_t i = 0; i < COUNTER_OCTETS; i++)
        counter = counter << 8 | octets[PREFIX_OCTETS + i];

    AUTO_LOCK(&nonces->mutex);
    if (counter >= nonces->next || nonces->next - counter > RING_BITS)
        return false;
    uint64_t bit = counter % RING_BITS;
    if (nonces->used[bit / 8] >> bit % 8 & 1)
        return false;
    mark(nonces, counter, true);
    return true;
}

enum nonce_fate
nonce_use(struct nonces *nonces, struct arena *arena, const char *nonce)
{
    const uint8_t *octets = octets_of(nonces, arena, nonce);

    if (octets == NULL)
        return NONCE_STALE;
    if (memcmp(octets, nonces->prefix, PREFIX_OCTETS) != 0)
        return NONCE_OF_ANOTHER_REPLICA;
    return use_once(nonces, octets) ? NONCE_FRESH : NONCE_STALE;
}
