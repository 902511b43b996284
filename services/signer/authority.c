/*
 * CAs as the signing paths need them: parsed once, with an imported key, held by requests while they are used. A snapshot is read anew a few
 * seconds after it was read, at once after a write here, and on NOTIFY after a write of another replica. While the database is away the last one
 * stays in force: who could have changed it?
 */
#include "signer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

#define FRESH_MS 5000

struct entry {
    struct entry *next;
    struct authority *authority;
    int64_t read_ms;
    unsigned epoch;
};

struct authority_cache {
    pthread_mutex_t mutex;
    struct entry *entries; /* as many as there are CAs */
    atomic_uint epoch;
};

struct authority_cache *
authority_cache_new(void)
{
    struct authority_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    return cache;
}

static void
let_go(void *held)
{
    struct authority *authority = held;

    if (atomic_fetch_sub(&authority->holders, 1) > 1)
        return;
    hsm_key_close(&authority->key);
    arena_free(authority->arena); /* authority itself lies in it */
}

void
authority_cache_free(struct authority_cache *cache)
{
    for (struct entry *entry = cache->entries, *next; entry != NULL; entry = next) {
        next = entry->next;
        let_go(entry->authority);
        free(entry);
    }
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

void
authority_cache_forget(struct authority_cache *cache)
{
    atomic_fetch_add(&cache->epoch, 1);
}

static struct entry *
find_entry(struct authority_cache *cache, const char *name)
{
    struct entry *entry = cache->entries;

    while (entry != NULL && !text_equal(entry->authority->row.name, name))
        entry = entry->next;
    return entry;
}

static const struct authority *
hold(struct request *rq, struct authority *authority)
{
    atomic_fetch_add(&authority->holders, 1);
    arena_defer(rq->arena, let_go, authority);
    return authority;
}

/* NULL when there is none, or only an old one and `any_age` is false. */
static const struct authority *
hold_cached(struct authority_cache *cache, struct request *rq, const char *name, bool any_age)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find_entry(cache, name);

    if (entry == NULL)
        return NULL;
    if (!any_age && (entry->epoch != atomic_load(&cache->epoch) || clock_monotonic_ms() - entry->read_ms > FRESH_MS))
        return NULL;
    return hold(rq, entry->authority);
}

static void
put(struct authority_cache *cache, struct authority *authority, unsigned epoch)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find_entry(cache, authority->row.name);

    if (entry == NULL) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL)
            abort();
        entry->next = cache->entries;
        cache->entries = entry;
    } else {
        let_go(entry->authority);
    }
    atomic_fetch_add(&authority->holders, 1);
    entry->authority = authority;
    entry->read_ms = clock_monotonic_ms();
    entry->epoch = epoch;
}

static void
set_urls(struct signer *signer, struct arena *arena, struct authority *authority)
{
    const char *base = signer->config.publish_url, *name = authority->row.name;
    bool publishes = !text_is_empty(base);

    authority->crl_url = publishes ? arena_format(arena, "%s/crl/%s.crl", base, name) : "";
    authority->aia_url = publishes ? arena_format(arena, "%s/ca/%s.crt", base, name) : "";
    authority->ocsp_url = signer->config.ocsp_url;
}

static enum error
build(struct signer *signer, struct request *rq, const struct authority_row *row, struct authority *authority)
{
    uint8_t *key_id = arena_alloc(rq->arena, 20);

    authority->row = *row;
    enum error error = certificate_parse(rq, row->certificate, &authority->certificate);
    if (error == OK)
        error = hsm_key_open(rq, row->key_uri, authority->certificate.key.spki, hsm_key_algorithm(row->key_type, row->digest), &authority->key);
    if (error != OK)
        return error;
    public_key_identifier(&authority->certificate.key, key_id);
    const struct extension *extension = certificate_extension(&authority->certificate, OID_SUBJECT_KEY_IDENTIFIER);
    struct der inside = extension != NULL ? der_of(extension->value) : der_of(BYTES_NONE);
    /* Who signed an imported CA may have chosen another identifier; what we issue points at that one (RFC 5280 §4.2.1.1). */
    if (extension == NULL || !der_take(&inside, DER_OCTET_STRING, &authority->subject_key_id))
        authority->subject_key_id = BYTES(key_id, 20);
    authority->is_self_signed = bytes_equal(authority->certificate.subject, authority->certificate.issuer);
    (void)certificate_is_ca(&authority->certificate, &authority->path_length);
    set_urls(signer, rq->arena, authority);
    return OK;
}

/* In a request of its own, whose arena becomes the snapshot's. */
static enum error
read_anew(struct signer *signer, struct request *own, const char *name, struct authority **ret_authority)
{
    struct authority_row row;
    bool found;

    enum error error = store_find_authority(signer, own, name, &found, &row);
    if (error != OK)
        return error;
    if (!found)
        return fail(own, ERR_NOT_FOUND, "there is no CA \"%s\"", name);
    if (row.certificate.len == 0)
        return fail(own, ERR_NOT_FOUND, "the CA \"%s\" has no certificate yet; it is %s", name, authority_status_name(row.status));
    struct authority *authority = arena_alloc(own->arena, sizeof *authority);
    error = build(signer, own, &row, authority);
    if (error != OK) {
        struct failure said = own->failure;
        failure_clear(own);
        return fail_privately(own, ERR_INTERNAL, "internal error", "the stored CA \"%s\" cannot be read: %s", name, said.message);
    }
    *ret_authority = authority;
    return OK;
}

enum error
authority_load(struct signer *signer, struct request *rq, const char *name, const struct authority **ret_authority)
{
    struct authority_cache *cache = signer->authorities;
    struct authority *authority = NULL;

    if (text_is_empty(name))
        return fail(rq, ERR_BAD_REQUEST, "the request names no CA");
    const struct authority *cached = hold_cached(cache, rq, name, false);
    if (cached != NULL) {
        *ret_authority = cached;
        return OK;
    }
    AUTO_STRUCT(request, own) = request_new();
    own->deadline_ms = rq->deadline_ms;
    unsigned epoch = atomic_load(&cache->epoch); /* before reading: what is written meanwhile makes this snapshot old */
    enum error error = read_anew(signer, own, name, &authority);
    rq->sql_round_trips += own->sql_round_trips;
    if (error == OK) {
        authority->arena = TAKE(own->arena);
        *ret_authority = hold(rq, authority);
        put(cache, authority, epoch);
        return OK;
    }
    cached = error_is_retriable(error) ? hold_cached(cache, rq, name, true) : NULL;
    if (cached == NULL) {
        rq->failure = own->failure;
        return error;
    }
    *ret_authority = cached;
    return OK;
}
