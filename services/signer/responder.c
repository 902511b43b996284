/*
 * The delegated responder of each CA (RFC 6960 §4.2.2.2): a key of its own on the token, so that the CA's key does not sign answers to strangers all
 * day, and a short certificate for it. When a third of its life is left, the next OCSP request renews it; those that come meanwhile use the old one.
 * The row of the new certificate is committed before it is signed. Replicas that renew at one moment make one certificate each, which harms nobody.
 */
#include "signer.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/name.h"
#include "pki/serial.h"

#define SECONDS_A_DAY 86400
#define BACKDATE_S 3600 /* for clocks that are late */

struct entry {
    struct entry *next;
    const char *name; /* in the responder's arena */
    struct responder *responder;
};

struct responder_cache {
    pthread_mutex_t mutex;
    struct entry *entries;
    pthread_mutex_t renewing; /* held while one is made */
};

struct responder_cache *
responder_cache_new(void)
{
    struct responder_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    pthread_mutex_init(&cache->renewing, NULL);
    return cache;
}

static void
let_go(void *held)
{
    struct responder *responder = held;

    if (atomic_fetch_sub(&responder->holders, 1) > 1)
        return;
    hsm_key_close(&responder->key);
    arena_free(responder->arena); /* the responder itself lies in it */
}

void
responder_cache_free(struct responder_cache *cache)
{
    for (struct entry *entry = cache->entries, *next; entry != NULL; entry = next) {
        next = entry->next;
        let_go(entry->responder);
        free(entry);
    }
    pthread_mutex_destroy(&cache->renewing);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static struct entry *
find_entry(struct responder_cache *cache, const char *name)
{
    struct entry *entry = cache->entries;

    while (entry != NULL && !text_equal(entry->name, name))
        entry = entry->next;
    return entry;
}

static const struct responder *
hold_cached(struct responder_cache *cache, struct request *rq, const char *name)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find_entry(cache, name);

    if (entry == NULL || entry->responder->not_after_s < clock_now_s())
        return NULL;
    atomic_fetch_add(&entry->responder->holders, 1);
    arena_defer(rq->arena, let_go, entry->responder);
    return entry->responder;
}

static void
put(struct responder_cache *cache, const char *name, struct responder *responder)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find_entry(cache, name);

    if (entry == NULL) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL)
            abort();
        entry->next = cache->entries;
        cache->entries = entry;
    } else {
        let_go(entry->responder);
    }
    atomic_fetch_add(&responder->holders, 1);
    entry->name = arena_text(responder->arena, name);
    entry->responder = responder;
}

/* ---- making ---- */

static int64_t
longest_end_s(struct signer *signer, const struct authority *authority)
{
    int64_t usual_s = clock_now_s() + (int64_t)signer->config.responder_days * SECONDS_A_DAY;

    return usual_s < authority->certificate.not_after_s ? usual_s : authority->certificate.not_after_s;
}

/* Less than a third of its life is left; but near the end of the CA itself a new one would not live longer. */
static bool
is_due(struct signer *signer, const struct authority *authority, int64_t not_before_s, int64_t not_after_s)
{
    return not_after_s - clock_now_s() < (not_after_s - not_before_s) / 3 && longest_end_s(signer, authority) > not_after_s + SECONDS_A_DAY;
}

static enum error
issue(struct signer *signer, struct request *rq, const struct authority *authority, const struct service_key *key, struct bytes *ret_certificate)
{
    static const char *const usage = "digitalSignature";
    int64_t not_after_s = longest_end_s(signer, authority), not_before_s = clock_now_s() - BACKDATE_S;
    struct serial *serial = arena_alloc(rq->arena, sizeof *serial);
    struct name_part common_name = {.type = OID_COMMON_NAME, .value = arena_format(rq->arena, "OCSP responder %s", authority->row.name)};
    struct public_key public_key;
    uint8_t key_id[20];

    *serial = serial_new(not_after_s);
    if (not_before_s < authority->certificate.not_before_s)
        not_before_s = authority->certificate.not_before_s;
    enum error error = public_key_parse(rq, key->spki, &public_key);
    if (error != OK)
        return error;
    public_key_identifier(&public_key, key_id);
    struct certificate_plan plan = {
        .serial = BYTES(serial->octets, SERIAL_LEN),
        .algorithm = authority->key.algorithm,
        .issuer = authority->certificate.subject,
        .subject = name_encode(rq->arena, &common_name, 1),
        .not_before_s = not_before_s,
        .not_after_s = not_after_s,
        .spki = key->spki,
        .authority_key_id = authority->subject_key_id,
        .subject_key_id = BYTES(key_id, sizeof key_id),
        .path_length = -1,
        .key_usage = 1u << key_usage_bit(usage),
        .extended_key_usage = &OID_OCSP_SIGNING,
        .extended_key_usage_count = 1,
        .ca_issuers_url = authority->aia_url,
        .ocsp_nocheck = true, /* RFC 6960 §4.2.2.2.1: its life is short instead */
    };
    error = store_begin_responder(signer, rq, authority->row.name, plan.serial, not_before_s, not_after_s);
    if (error == OK)
        error = issue_certificate(signer, rq, &plan, &authority->key, ret_certificate);
    if (error == OK)
        error = store_set_responder(signer, rq, plan.serial, *ret_certificate);
    return error;
}

static enum error
build(struct request *rq, const struct service_key *key, struct bytes der, struct responder *responder)
{
    uint8_t *key_id = arena_alloc(rq->arena, 20);
    struct certificate certificate;

    enum error error = certificate_parse(rq, der, &certificate);
    if (error == OK)
        error = hsm_key_open(rq, key->uri, key->spki, SIG_ECDSA_SHA256, &responder->key);
    if (error != OK)
        return error;
    public_key_identifier(&responder->key.public_key, key_id);
    responder->key_id = BYTES(key_id, 20);
    responder->certificate = der;
    responder->not_before_s = certificate.not_before_s;
    responder->not_after_s = certificate.not_after_s;
    return OK;
}

/* True when the newest stored certificate can be used: another replica made it, or we before a restart. */
static bool
is_usable(struct signer *signer, struct request *rq, const struct authority *authority, const struct service_key *key, struct bytes der)
{
    struct certificate certificate;

    if (certificate_parse(rq, der, &certificate) != OK) {
        failure_clear(rq);
        return false;
    }
    return bytes_equal(certificate.key.spki, key->spki) && certificate_is_issued_by(&certificate, &authority->certificate) &&
           certificate.not_after_s > clock_now_s() && !is_due(signer, authority, certificate.not_before_s, certificate.not_after_s);
}

/* In a request of its own, whose arena becomes the responder's. */
static enum error
make(struct signer *signer, struct request *own, const struct authority *authority, struct responder **ret_responder)
{
    struct responder *responder = arena_alloc(own->arena, sizeof *responder);
    struct service_key key;
    struct bytes der;
    bool found;

    enum error error = service_key_load(signer, own, arena_format(own->arena, "ocsp:%s", authority->row.name), &key);
    if (error == OK)
        error = store_find_responder(signer, own, authority->row.name, &found, &der);
    if (error == OK && !(found && is_usable(signer, own, authority, &key, der)))
        error = issue(signer, own, authority, &key, &der);
    if (error == OK)
        error = build(own, &key, der, responder);
    if (error != OK)
        return error;
    *ret_responder = responder;
    return OK;
}

static enum error
renew(struct signer *signer, struct request *rq, const struct authority *authority, const struct responder **ret_responder)
{
    AUTO_STRUCT(request, own) = request_new();
    struct responder *responder;

    own->deadline_ms = rq->deadline_ms;
    enum error error = make(signer, own, authority, &responder);
    rq->sql_round_trips += own->sql_round_trips;
    if (error != OK) {
        rq->failure = own->failure;
        return error;
    }
    responder->arena = TAKE(own->arena);
    put(signer->responders, authority->row.name, responder);
    request_note(rq, "responder_until", "%s", clock_format_rfc3339(rq->arena, responder->not_after_s));
    *ret_responder = hold_cached(signer->responders, rq, authority->row.name);
    if (*ret_responder == NULL)
        return fail(rq, ERR_CONFLICT, "the CA %s has expired: nobody can answer for it", authority->row.name);
    return OK;
}

/* With `renewing` held: whoever held it before may have done the work. */
static enum error
renew_unless_done(struct signer *signer, struct request *rq, const struct authority *authority, const struct responder *current,
                  const struct responder **ret_responder)
{
    const struct responder *newer = hold_cached(signer->responders, rq, authority->row.name);

    if (newer == NULL || newer == current)
        return renew(signer, rq, authority, ret_responder);
    *ret_responder = newer;
    return OK;
}

enum error
responder_load(struct signer *signer, struct request *rq, const struct authority *authority, const struct responder **ret_responder)
{
    struct responder_cache *cache = signer->responders;
    const struct responder *current = hold_cached(cache, rq, authority->row.name);

    if (authority->certificate.not_after_s <= clock_now_s())
        return fail(rq, ERR_CONFLICT, "the CA %s has expired: nobody can answer for it", authority->row.name);
    /* One renews; the others go on with the one in force, or wait when there is none. */
    bool is_due_now = current == NULL || is_due(signer, authority, current->not_before_s, current->not_after_s);
    if (current != NULL && (!is_due_now || pthread_mutex_trylock(&cache->renewing) != 0)) {
        *ret_responder = current;
        return OK;
    }
    if (current == NULL)
        pthread_mutex_lock(&cache->renewing);
    enum error error = renew_unless_done(signer, rq, authority, current, ret_responder);
    pthread_mutex_unlock(&cache->renewing);
    if (error == OK || current == NULL)
        return error;
    request_note(rq, "responder", "not renewed: %s", rq->failure.message);
    failure_clear(rq);
    *ret_responder = current;
    return OK;
}
