/*
 * The RA certificate of each SCEP profile (RFC 8894 §2.1.2): an RSA key of its own on the token, whatever key the CA has, and a certificate for
 * digitalSignature and keyEncipherment, which clients look for. When a third of its life is left, the next request renews it, for the same key, so
 * that envelopes for the old one still open. The row of the new certificate is committed before it is signed.
 */
#include "signer.h"

#include <openssl/sha.h>
#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/name.h"
#include "pki/serial.h"

#define LIFE_S (366 * INT64_C(86400))
#define DAY_S 86400
#define BACKDATE_S 3600 /* for clocks that are late */
#define NAME_MAX_LEN 40

struct entry {
    struct entry *next;
    const char *profile, *issuer; /* in the RA's arena */
    struct scep_ra *ra;
};

struct scep_ra_cache {
    pthread_mutex_t mutex;
    struct entry *entries;
    pthread_mutex_t renewing; /* held while one is made */
};

struct scep_ra_cache *
scep_ra_cache_new(void)
{
    struct scep_ra_cache *cache = calloc(1, sizeof *cache);

    if (cache == NULL)
        abort();
    pthread_mutex_init(&cache->mutex, NULL);
    pthread_mutex_init(&cache->renewing, NULL);
    return cache;
}

static void
let_go(void *held)
{
    struct scep_ra *ra = held;

    if (atomic_fetch_sub(&ra->holders, 1) > 1)
        return;
    hsm_key_close(&ra->key);
    wipe(ra->rejection, sizeof ra->rejection);
    arena_free(ra->arena); /* the RA itself lies in it */
}

void
scep_ra_cache_free(struct scep_ra_cache *cache)
{
    for (struct entry *entry = cache->entries, *next; entry != NULL; entry = next) {
        next = entry->next;
        let_go(entry->ra);
        free(entry);
    }
    pthread_mutex_destroy(&cache->renewing);
    pthread_mutex_destroy(&cache->mutex);
    free(cache);
}

static struct entry *
find_entry(struct scep_ra_cache *cache, const char *profile, const char *issuer)
{
    struct entry *entry = cache->entries;

    while (entry != NULL && !(text_equal(entry->profile, profile) && text_equal(entry->issuer, issuer)))
        entry = entry->next;
    return entry;
}

static const struct scep_ra *
hold_cached(struct scep_ra_cache *cache, struct request *rq, const char *profile, const char *issuer)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find_entry(cache, profile, issuer);

    if (entry == NULL || entry->ra->certificate.not_after_s < clock_now_s())
        return NULL;
    atomic_fetch_add(&entry->ra->holders, 1);
    arena_defer(rq->arena, let_go, entry->ra);
    return entry->ra;
}

static void
put(struct scep_ra_cache *cache, const char *profile, const char *issuer, struct scep_ra *ra)
{
    AUTO_LOCK(&cache->mutex);
    struct entry *entry = find_entry(cache, profile, issuer);

    if (entry == NULL) {
        entry = calloc(1, sizeof *entry);
        if (entry == NULL)
            abort();
        entry->next = cache->entries;
        cache->entries = entry;
    } else {
        let_go(entry->ra);
    }
    atomic_fetch_add(&ra->holders, 1);
    entry->profile = arena_text(ra->arena, profile);
    entry->issuer = arena_text(ra->arena, issuer);
    entry->ra = ra;
}

/* ---- making ---- */

static int64_t
longest_end_s(const struct authority *authority)
{
    int64_t usual_s = clock_now_s() + LIFE_S;

    return usual_s < authority->certificate.not_after_s ? usual_s : authority->certificate.not_after_s;
}

/* Less than a third of its life is left; but near the end of the CA itself a new one would not live longer. */
static bool
is_due(const struct authority *authority, const struct certificate *certificate)
{
    int64_t life_s = certificate->not_after_s - certificate->not_before_s;

    return certificate->not_after_s - clock_now_s() < life_s / 3 && longest_end_s(authority) > certificate->not_after_s + DAY_S;
}

static enum error
issue(struct signer *signer, struct request *rq, const char *profile, const struct authority *authority, const struct service_key *key,
      struct bytes *ret_certificate)
{
    int64_t not_after_s = longest_end_s(authority), not_before_s = clock_now_s() - BACKDATE_S;
    struct serial *serial = arena_alloc(rq->arena, sizeof *serial);
    struct name_part common_name = {.type = OID_COMMON_NAME, .value = arena_format(rq->arena, "SCEP RA %s", profile)};
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
        .with_basic_constraints = true,
        .key_usage = 1u << key_usage_bit("digitalSignature") | 1u << key_usage_bit("keyEncipherment"),
        .ca_issuers_url = authority->aia_url,
        .crl_url = authority->crl_url,
    };
    error = store_begin_scep_ra(signer, rq, profile, authority->row.name, &plan);
    if (error == OK)
        error = issue_certificate(signer, rq, &plan, &authority->key, ret_certificate);
    if (error == OK)
        error = store_set_scep_ra(signer, rq, plan.serial, *ret_certificate);
    return error;
}

/* True when the newest stored certificate can be used: another replica made it, or we before a restart. */
static bool
is_usable(struct request *rq, const struct authority *authority, const struct service_key *key, struct bytes der)
{
    struct certificate certificate;

    if (certificate_parse(rq, der, &certificate) != OK) {
        failure_clear(rq);
        return false;
    }
    return bytes_equal(certificate.key.spki, key->spki) && certificate_is_issued_by(&certificate, &authority->certificate) &&
           certificate.not_after_s > clock_now_s() && !is_due(authority, &certificate);
}

/* A secret that every replica derives alike and that nobody has who has not the key: PKCS#1 v1.5 signatures are deterministic. No SCEP message, whose
 * attributes are a SET, has this form. */
static enum error
derive_rejection(struct signer *signer, struct request *rq, struct scep_ra *ra)
{
    struct bytes signature;

    enum error error = hsm_key_sign(signer, rq, &ra->key, bytes_of_text("signet-scep-implicit-rejection-v1"), &signature);
    if (error != OK)
        return error;
    (void)SHA256(signature.at, signature.len, ra->rejection);
    return OK;
}

/* In a request of its own, whose arena becomes the RA's. */
static enum error
make(struct signer *signer, struct request *own, const char *profile, const struct authority *authority, struct scep_ra **ret_ra)
{
    struct scep_ra *ra = arena_alloc(own->arena, sizeof *ra);
    struct service_key key;
    struct bytes der;
    bool found;

    enum error error = service_key_load(signer, own, arena_format(own->arena, "scep:%s", profile), &key);
    if (error == OK)
        error = store_find_scep_ra(signer, own, profile, authority->row.name, &found, &der);
    if (error == OK && !(found && is_usable(own, authority, &key, der)))
        error = issue(signer, own, profile, authority, &key, &der);
    if (error == OK)
        error = certificate_parse(own, der, &ra->certificate);
    if (error == OK)
        error = hsm_key_open(own, key.uri, key.spki, SIG_RSA_SHA256, &ra->key);
    if (error != OK)
        return error;
    error = derive_rejection(signer, own, ra);
    if (error != OK) {
        hsm_key_close(&ra->key);
        return error;
    }
    *ret_ra = ra;
    return OK;
}

static enum error
renew(struct signer *signer, struct request *rq, const char *profile, const struct authority *authority, const struct scep_ra **ret_ra)
{
    AUTO_STRUCT(request, own) = request_new();
    struct scep_ra *ra;

    own->deadline_ms = rq->deadline_ms;
    enum error error = make(signer, own, profile, authority, &ra);
    rq->sql_round_trips += own->sql_round_trips;
    if (error != OK) {
        rq->failure = own->failure;
        return error;
    }
    ra->arena = TAKE(own->arena);
    put(signer->scep_ras, profile, authority->row.name, ra);
    request_note(rq, "scep_ra_until", "%s", clock_format_rfc3339(rq->arena, ra->certificate.not_after_s));
    *ret_ra = hold_cached(signer->scep_ras, rq, profile, authority->row.name);
    if (*ret_ra == NULL)
        return fail(rq, ERR_CONFLICT, "the CA %s has expired: it has no RA any more", authority->row.name);
    return OK;
}

/* With `renewing` held: whoever held it before may have done the work. */
static enum error
renew_unless_done(struct signer *signer, struct request *rq, const char *profile, const struct authority *authority, const struct scep_ra *current,
                  const struct scep_ra **ret_ra)
{
    const struct scep_ra *newer = hold_cached(signer->scep_ras, rq, profile, authority->row.name);

    if (newer == NULL || newer == current)
        return renew(signer, rq, profile, authority, ret_ra);
    *ret_ra = newer;
    return OK;
}

enum error
scep_ra_load(struct signer *signer, struct request *rq, const char *profile, const struct authority *authority, const struct scep_ra **ret_ra)
{
    struct scep_ra_cache *cache = signer->scep_ras;
    const struct scep_ra *current = hold_cached(cache, rq, profile, authority->row.name);

    if (authority->certificate.not_after_s <= clock_now_s())
        return fail(rq, ERR_CONFLICT, "the CA %s has expired: it has no RA any more", authority->row.name);
    /* One renews; the others go on with the one in force, or wait when there is none. */
    if (current != NULL && (!is_due(authority, &current->certificate) || pthread_mutex_trylock(&cache->renewing) != 0)) {
        *ret_ra = current;
        return OK;
    }
    if (current == NULL)
        pthread_mutex_lock(&cache->renewing);
    enum error error = renew_unless_done(signer, rq, profile, authority, current, ret_ra);
    pthread_mutex_unlock(&cache->renewing);
    if (error == OK || current == NULL)
        return error;
    request_note(rq, "scep_ra", "not renewed: %s", rq->failure.message);
    failure_clear(rq);
    *ret_ra = current;
    return OK;
}

enum error
scep_ra_of(struct signer *signer, struct request *rq, const char *profile, const char *issuer, const struct scep_ra **ret_ra)
{
    const struct authority *authority;
    size_t len = strlen(profile);

    if (len == 0 || len > NAME_MAX_LEN || strspn(profile, "abcdefghijklmnopqrstuvwxyz0123456789-") != len)
        return fail(rq, ERR_BAD_REQUEST, "a profile is named with at most %d of a-z, 0-9 and '-'", NAME_MAX_LEN);
    request_note(rq, "profile", "%s", profile);
    enum error error = authority_load(signer, rq, issuer, &authority);
    return error == OK ? scep_ra_load(signer, rq, profile, authority, ret_ra) : error;
}
