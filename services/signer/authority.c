/*
 * CAs as the signing paths need them: parsed once, with an imported key, held by requests while they are used. A snapshot is read anew after a
 * write here, on NOTIFY after a write of another replica, and when for a few seconds nobody could be sure to have heard of such. While the database
 * is away the last one stays in force: who could have changed it?
 */
#include "signer.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"

struct authority_cache {
    struct held_table *table;
    atomic_uint epoch;
    atomic_int_least64_t heard_ms; /* all changes until then have been heard of */
};

struct authority_cache *
authority_cache_new(void)
{
    struct authority_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    cache->table = held_table_new();
    return cache;
}

void
authority_cache_free(struct authority_cache *cache)
{
    held_table_free(cache->table);
    free(cache);
}

void
authority_cache_forget(struct authority_cache *cache)
{
    atomic_fetch_add(&cache->epoch, 1);
}

/* Of a CA, or of a template. */
static void
heard_of_change(void *context, const char *name)
{
    struct signer *signer = context;

    authority_cache_forget(signer->authorities);
    template_use_forget(signer->template_use);
}

static void
heard_all(void *context, int64_t until_ms)
{
    struct signer *signer = context;

    atomic_store(&signer->authorities->heard_ms, until_ms);
    template_use_heard(signer->template_use, until_ms);
}

enum error
authorities_follow(struct signer *signer, struct request *rq)
{
    return db_listen_surely(signer->db, rq, "ca_changed", heard_of_change, heard_all, signer);
}

static bool
is_true_still(struct authority_cache *cache, const struct authority *authority)
{
    return authority->epoch == atomic_load(&cache->epoch) && db_still_holds(authority->read_ms, atomic_load(&cache->heard_ms), clock_monotonic_ms());
}

static void
close_authority(struct held *held)
{
    hsm_key_close(&((struct authority *)held)->key);
}

/* NULL when there is none, or only an old one and `any_age` is false. */
static const struct authority *
hold_cached(struct authority_cache *cache, struct request *rq, const char *name, bool any_age)
{
    const struct authority *authority = (const struct authority *)held_find(cache->table, rq, name);

    return authority == NULL || any_age || is_true_still(cache, authority) ? authority : NULL;
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
    int64_t asked_ms = clock_monotonic_ms();
    enum error error = read_anew(signer, own, name, &authority);
    rq->sql_round_trips += own->sql_round_trips;
    if (error == OK) {
        authority->read_ms = asked_ms;
        authority->epoch = epoch;
        authority->held = (struct held){.name = authority->row.name, .close = close_authority};
        authority->held.arena = TAKE(own->arena);
        held_put(cache->table, rq, &authority->held);
        *ret_authority = authority;
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
