/*
 * Certificates of the signer's own below a CA: its OCSP responder's (responder.c), and the RA's of a SCEP profile (scep_ra.c). Each has a key of its
 * own on the token. When a third of its life is left, the next request renews it, for the same key; those that come meanwhile use the old one. The
 * row of the new certificate is committed before it is signed. Replicas that renew at one moment make one certificate each, which harms nobody.
 */
#include "signer.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "pki/name.h"
#include "pki/serial.h"

#define SECONDS_A_DAY 86400
#define BACKDATE_S 3600 /* for clocks that are late */

struct delegates {
    const struct delegate_kind *kind;
    struct held_table *table;
    pthread_mutex_t renewing; /* held while one is made */
};

struct delegates *
delegates_new(const struct delegate_kind *kind)
{
    struct delegates *delegates = calloc(1, sizeof *delegates);

    if (delegates == NULL)
        abort();
    delegates->kind = kind;
    delegates->table = held_table_new();
    pthread_mutex_init(&delegates->renewing, NULL);
    return delegates;
}

void
delegates_free(struct delegates *delegates)
{
    held_table_free(delegates->table);
    pthread_mutex_destroy(&delegates->renewing);
    free(delegates);
}

static void
close_delegate(struct held *held)
{
    struct delegate *delegate = (struct delegate *)held;

    hsm_key_close(&delegate->key);
    wipe(delegate->secret, sizeof delegate->secret);
}

/* Neither name has a '/'. */
static const char *
name_of(struct arena *arena, const struct delegate_place *place)
{
    return arena_format(arena, "%s/%s", place->name, place->authority->row.name);
}

static const struct delegate *
hold_valid(struct delegates *delegates, struct request *rq, const struct delegate_place *place)
{
    const struct delegate *delegate = (const struct delegate *)held_find(delegates->table, rq, name_of(rq->arena, place));

    return delegate != NULL && delegate->certificate.not_after_s >= clock_now_s() ? delegate : NULL;
}

/* ---- making ---- */

static int64_t
longest_end_s(struct signer *signer, const struct delegate_kind *kind, const struct authority *authority)
{
    int64_t usual_s = clock_now_s() + (int64_t)kind->life_days(signer) * SECONDS_A_DAY;

    return usual_s < authority->certificate.not_after_s ? usual_s : authority->certificate.not_after_s;
}

/* Less than a third of its life is left; but near the end of the CA itself a new one would not live longer. */
static bool
is_due(struct signer *signer, const struct delegate_kind *kind, const struct authority *authority, const struct certificate *certificate)
{
    int64_t life_s = certificate->not_after_s - certificate->not_before_s;

    return certificate->not_after_s - clock_now_s() < life_s / 3 && longest_end_s(signer, kind, authority) > certificate->not_after_s + SECONDS_A_DAY;
}

static enum error
issue(struct signer *signer, struct request *rq, const struct delegate_kind *kind, const struct delegate_place *place, const struct service_key *key,
      struct bytes *ret_certificate)
{
    const struct authority *authority = place->authority;
    int64_t not_after_s = longest_end_s(signer, kind, authority), not_before_s = clock_now_s() - BACKDATE_S;
    struct serial *serial = arena_alloc(rq->arena, sizeof *serial);
    struct name_part common_name = {.type = OID_COMMON_NAME,
                                    .value = arena_format(rq->arena, "%s %.*s", kind->common_name, (int)strcspn(place->name, "."), place->name)};
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
        .ca_issuers_url = authority->aia_url,
    };
    kind->fill(authority, &plan);
    error = kind->begin(signer, rq, place, &plan);
    if (error == OK)
        error = issue_certificate(signer, rq, &plan, &authority->key, ret_certificate);
    if (error == OK)
        error = kind->set(signer, rq, plan.serial, *ret_certificate);
    return error;
}

/* True when the newest stored certificate can be used: another replica made it, or we before a restart. */
static bool
is_usable(struct signer *signer, struct request *rq, const struct delegate_kind *kind, const struct authority *authority,
          const struct service_key *key, struct bytes der)
{
    struct certificate certificate;

    if (certificate_parse(rq, der, &certificate) != OK) {
        failure_clear(rq);
        return false;
    }
    return bytes_equal(certificate.key.spki, key->spki) && certificate_is_issued_by(&certificate, &authority->certificate) &&
           certificate.not_after_s > clock_now_s() && !is_due(signer, kind, authority, &certificate);
}

static enum error
open_delegate(struct signer *signer, struct request *own, const struct delegate_kind *kind, const struct service_key *key, struct bytes der,
              struct delegate *delegate)
{
    enum error error = certificate_parse(own, der, &delegate->certificate);

    if (error == OK)
        error = hsm_key_open(own, key->uri, key->spki, kind->algorithm, &delegate->key);
    if (error != OK)
        return error;
    public_key_identifier(&delegate->key.public_key, delegate->key_id);
    if (kind->finish == NULL)
        return OK;
    error = kind->finish(signer, own, delegate);
    if (error != OK)
        hsm_key_close(&delegate->key);
    return error;
}

/* In a request of its own, whose arena becomes the delegate's. */
static enum error
make(struct signer *signer, struct request *own, const struct delegate_kind *kind, const struct delegate_place *place, struct delegate **ret_delegate)
{
    struct delegate *delegate = arena_alloc(own->arena, sizeof *delegate);
    struct service_key key;
    struct bytes der;
    bool found;

    enum error error = service_key_load(signer, own, arena_format(own->arena, "%s:%s", kind->key_prefix, place->name), &key);
    if (error == OK)
        error = kind->find(signer, own, place, &found, &der);
    if (error == OK && !(found && is_usable(signer, own, kind, place->authority, &key, der)))
        error = issue(signer, own, kind, place, &key, &der);
    if (error == OK)
        error = open_delegate(signer, own, kind, &key, der, delegate);
    if (error != OK)
        return error;
    *ret_delegate = delegate;
    return OK;
}

static enum error
fail_expired(struct request *rq, const struct delegate_kind *kind, const struct authority *authority)
{
    return fail(rq, ERR_CONFLICT, "the CA %s has expired: %s", authority->row.name, kind->expired);
}

static enum error
renew(struct signer *signer, struct request *rq, struct delegates *delegates, const struct delegate_place *place,
      const struct delegate **ret_delegate)
{
    const struct delegate_kind *kind = delegates->kind;
    AUTO_STRUCT(request, own) = request_new();
    struct delegate *delegate;

    own->deadline_ms = rq->deadline_ms;
    enum error error = make(signer, own, kind, place, &delegate);
    rq->sql_round_trips += own->sql_round_trips;
    if (error != OK) {
        rq->failure = own->failure;
        return error;
    }
    delegate->held = (struct held){.name = name_of(own->arena, place), .close = close_delegate};
    delegate->held.arena = TAKE(own->arena);
    held_put(delegates->table, rq, &delegate->held);
    int64_t not_after_s = delegate->certificate.not_after_s;
    request_note(rq, arena_format(rq->arena, "%s_until", kind->note), "%s", clock_format_rfc3339(rq->arena, not_after_s));
    if (not_after_s < clock_now_s())
        return fail_expired(rq, kind, place->authority);
    *ret_delegate = delegate;
    return OK;
}

/* With `renewing` held: whoever held it before may have done the work. */
static enum error
renew_unless_done(struct signer *signer, struct request *rq, struct delegates *delegates, const struct delegate_place *place,
                  const struct delegate *current, const struct delegate **ret_delegate)
{
    const struct delegate *newer = hold_valid(delegates, rq, place);

    if (newer == NULL || newer == current)
        return renew(signer, rq, delegates, place, ret_delegate);
    *ret_delegate = newer;
    return OK;
}

enum error
delegate_load(struct signer *signer, struct request *rq, struct delegates *delegates, const struct delegate_place *place,
              const struct delegate **ret_delegate)
{
    const struct delegate_kind *kind = delegates->kind;
    const struct delegate *current = hold_valid(delegates, rq, place);

    if (place->authority->certificate.not_after_s <= clock_now_s())
        return fail_expired(rq, kind, place->authority);
    /* One renews; the others go on with the one in force, or wait when there is none. */
    bool is_due_now = current == NULL || is_due(signer, kind, place->authority, &current->certificate);
    if (current != NULL && (!is_due_now || pthread_mutex_trylock(&delegates->renewing) != 0)) {
        *ret_delegate = current;
        return OK;
    }
    if (current == NULL)
        pthread_mutex_lock(&delegates->renewing);
    enum error error = renew_unless_done(signer, rq, delegates, place, current, ret_delegate);
    pthread_mutex_unlock(&delegates->renewing);
    if (error == OK || current == NULL)
        return error;
    request_note(rq, kind->note, "not renewed: %s", rq->failure.message);
    failure_clear(rq);
    *ret_delegate = current;
    return OK;
}
