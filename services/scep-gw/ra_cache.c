/* The RA certificate of each profile and the CAs above it, as the signer last gave them. It renews them by itself, so they are asked for again after
 * a while; when it is away, what was given before stands. */
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/rpc.h"
#include "scep.h"

#define FRESH_MS 30000
#define ENTRIES_MAX 256

/* As the signer gave it. */
struct given {
    struct bytes ra, chain[CA_CHAIN_MAX];
    size_t chain_count;
    const char *successor;
    struct predecessor {
        const char *name;
        struct bytes certificate;
    } predecessors[PREDECESSORS_MAX];
    size_t predecessor_count;
    struct bytes next_ca; /* the answer to GetNextCACert, once somebody has asked: a CA's key signs it */
};

struct entry {
    struct arena *arena;
    const char *ra, *issuer;
    struct given given;
    int64_t read_ms;
};

struct ra_cache {
    pthread_mutex_t mutex;
    struct entry entries[ENTRIES_MAX];
    size_t count;
};

struct ra_cache *
ra_cache_new(void)
{
    struct ra_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

void
ra_cache_free(struct ra_cache *cache)
{
    for (size_t i = 0; i < cache->count; i++)
        arena_free(cache->entries[i].arena);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static struct entry *
find_entry(struct ra_cache *cache, const struct profile *profile)
{
    for (size_t i = 0; i < cache->count; i++)
        if (text_equal(cache->entries[i].ra, profile->ra) && text_equal(cache->entries[i].issuer, profile->about->issuer))
            return &cache->entries[i];
    return NULL;
}

static struct given
copy_given(struct arena *arena, const struct given *given)
{
    struct given copy = {
        .ra = bytes_copy(arena, given->ra),
        .chain_count = given->chain_count,
        .successor = arena_text(arena, given->successor),
        .predecessor_count = given->predecessor_count,
        .next_ca = bytes_copy(arena, given->next_ca),
    };

    for (size_t i = 0; i < given->chain_count; i++)
        copy.chain[i] = bytes_copy(arena, given->chain[i]);
    for (size_t i = 0; i < given->predecessor_count; i++)
        copy.predecessors[i] = (struct predecessor){.name = arena_text(arena, given->predecessors[i].name),
                                                    .certificate = bytes_copy(arena, given->predecessors[i].certificate)};
    return copy;
}

/* False when there is none, or only an old one and `any_age` is false. */
static bool
copy_cached(struct ra_cache *cache, struct arena *arena, const struct profile *profile, bool any_age, struct given *ret_copy)
{
    AUTO_LOCK(&cache->mutex);
    const struct entry *entry = find_entry(cache, profile);

    if (entry == NULL || (!any_age && clock_monotonic_ms() - entry->read_ms > FRESH_MS))
        return false;
    *ret_copy = copy_given(arena, &entry->given);
    return true;
}

/* Where every place is taken, the oldest goes. */
static struct entry *
choose_place(struct ra_cache *cache, const struct profile *profile)
{
    struct entry *place = find_entry(cache, profile);

    if (place == NULL && cache->count < ENTRIES_MAX)
        return &cache->entries[cache->count++];
    if (place == NULL) {
        place = &cache->entries[0];
        for (size_t i = 1; i < cache->count; i++)
            if (cache->entries[i].read_ms < place->read_ms)
                place = &cache->entries[i];
    }
    arena_free(place->arena);
    return place;
}

static void
put(struct ra_cache *cache, const struct profile *profile, const Pb__GetScepRaReply *reply)
{
    struct arena *arena = arena_new();
    struct entry entry = {.arena = arena, .ra = arena_text(arena, profile->ra), .issuer = arena_text(arena, profile->about->issuer)};
    struct given given = {.ra = message_bytes(reply->certificate), .successor = reply->successor};

    for (size_t i = 0; i < reply->n_chain && i < CA_CHAIN_MAX; i++)
        given.chain[given.chain_count++] = message_bytes(reply->chain[i]);
    for (size_t i = 0; i < reply->n_predecessors && i < PREDECESSORS_MAX; i++)
        given.predecessors[given.predecessor_count++] =
            (struct predecessor){.name = reply->predecessors[i]->name, .certificate = message_bytes(reply->predecessors[i]->certificate)};
    entry.given = copy_given(arena, &given);
    entry.read_ms = clock_monotonic_ms();
    AUTO_LOCK(&cache->mutex);
    *choose_place(cache, profile) = entry;
}

/* Kept as long as what it was made for: a stranger's question is no signature of the CA. */
static void
put_next_ca(struct ra_cache *cache, const struct profile *profile, const char *successor, struct bytes message)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find_entry(cache, profile);

    if (entry != NULL && text_equal(entry->given.successor, successor) && entry->given.next_ca.len == 0)
        entry->given.next_ca = bytes_copy(entry->arena, message);
}

static enum error
ask(struct scep *scep, struct request *rq, const struct profile *profile)
{
    Pb__GetScepRaRequest input = PB__GET_SCEP_RA_REQUEST__INIT;
    const Pb__GetScepRaReply *reply;

    input.profile = profile->ra;
    input.issuer = profile->about->issuer;
    enum error error = RPC_CALL(scep->bus, rq, signer, GetScepRa, &input, &reply);
    if (error == OK && reply->n_chain == 0)
        error = fail_privately(rq, ERR_INTERNAL, "internal error", "the signer's answer has no CA");
    if (error == OK)
        put(scep->ras, profile, reply);
    return error;
}

static enum error
load(struct scep *scep, struct request *rq, const struct profile *profile, struct given *ret_given)
{
    if (copy_cached(scep->ras, rq->arena, profile, false, ret_given))
        return OK;
    enum error error = ask(scep, rq, profile);
    if (error != OK && error != ERR_INTERNAL && !error_is_retriable(error))
        return error; /* the signer has spoken: what it gave before does not hold against it */
    if (copy_cached(scep->ras, rq->arena, profile, true, ret_given)) {
        failure_clear(rq);
        return OK;
    }
    /* Without an error, others have taken its place already. */
    return error != OK ? error : fail(rq, ERR_UNAVAILABLE, "more than %d profiles are used at one time", ENTRIES_MAX);
}

static enum error
read_authorities(struct request *rq, const struct profile *profile, const struct given *given, struct ra_certificates *certificates)
{
    certificates->cas = arena_array(rq->arena, given->predecessor_count + 1, sizeof *certificates->cas);
    certificates->cas[0] = (struct profile_ca){.name = profile->about->issuer, .certificate = certificates->issuer};
    certificates->ca_count = 1;
    for (size_t i = 0; i < given->predecessor_count; i++) {
        struct profile_ca *ca = &certificates->cas[certificates->ca_count++];
        ca->name = given->predecessors[i].name;
        enum error error = certificate_parse(rq, given->predecessors[i].certificate, &ca->certificate);
        if (error != OK)
            return error;
    }
    return OK;
}

enum error
ra_certificates_load(struct scep *scep, struct request *rq, const struct profile *profile, struct ra_certificates *ret_certificates)
{
    struct ra_certificates certificates = {0};
    struct given given;

    enum error error = load(scep, rq, profile, &given);
    if (error == OK)
        error = certificate_parse(rq, given.ra, &certificates.ra);
    if (error == OK)
        error = certificate_parse(rq, given.chain[0], &certificates.issuer);
    if (error == OK)
        error = read_authorities(rq, profile, &given, &certificates);
    if (error != OK)
        return error;
    memcpy(certificates.chain, given.chain, sizeof given.chain);
    certificates.chain_count = given.chain_count;
    certificates.successor = given.successor;
    *ret_certificates = certificates;
    return OK;
}

enum error
next_ca_load(struct scep *scep, struct request *rq, const struct profile *profile, struct bytes *ret_message)
{
    Pb__SignScepNextCaRequest input = PB__SIGN_SCEP_NEXT_CA_REQUEST__INIT;
    const Pb__SignScepNextCaReply *reply;
    struct given given;

    enum error error = load(scep, rq, profile, &given);
    if (error != OK)
        return error;
    if (text_is_empty(given.successor))
        return fail(rq, ERR_NOT_FOUND, "no CA is named to come after the one of this profile");
    *ret_message = given.next_ca;
    if (given.next_ca.len > 0)
        return OK;
    input.profile = profile->ra;
    input.issuer = profile->about->issuer;
    input.only_ra = profile->ca_only_ra;
    input.strip_root = profile->about->strip_root;
    error = RPC_CALL(scep->bus, rq, signer, SignScepNextCa, &input, &reply);
    if (error != OK)
        return error;
    *ret_message = message_bytes(reply->message);
    put_next_ca(scep->ras, profile, given.successor, *ret_message);
    return OK;
}
