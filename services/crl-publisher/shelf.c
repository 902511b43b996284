/*
 * What is served, in memory: three documents for each CA. Filled from the database by a loop that a NOTIFY wakes, so that every replica serves the
 * newest within a moment; whatever is away, what is here stays. A document is one block of memory that is freed by its last holder.
 */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "crl_publisher.h"

#define RETRY_AFTER_S 2

struct shelved {
    struct document document; /* first: shelf_release is given its address */
    atomic_int holders;
};

struct place {
    char *issuer;
    uint8_t authority_sha256[32], crl_sha256[32];
    uint8_t refused_sha256[32]; /* of a CRL in the database that did not pass */
    int64_t not_after_s;
    struct crl_number number;
    int64_t this_update_s;
    struct shelved *parts[SHELF_PARTS];
    struct metric *seconds_left, *entries;
};

struct shelf {
    pthread_mutex_t refreshing; /* one refresh at a time; only a refresh changes what follows */
    pthread_mutex_t mutex;      /* and holds this while it does */
    bool loaded;
    struct place **places; /* in the order of their names */
    size_t count, room;
};

struct shelf *
shelf_new(void)
{
    struct shelf *shelf = calloc(1, sizeof(*shelf));

    if (shelf == NULL)
        abort();
    pthread_mutex_init(&shelf->refreshing, NULL);
    pthread_mutex_init(&shelf->mutex, NULL);
    return shelf;
}

/* ---- documents ---- */

static char *
put_text(uint8_t **at, const char *text)
{
    char *copy = (char *)*at;

    if (text == NULL)
        return NULL;
    memcpy(copy, text, strlen(text) + 1);
    *at += strlen(text) + 1;
    return copy;
}

static size_t
room_of(const char *text)
{
    return text == NULL ? 0 : strlen(text) + 1;
}

static struct shelved *
shelved_new(struct arena *arena, struct bytes body, int64_t modified_s, int64_t next_update_s)
{
    uint8_t digest[32];
    const char *etag, *modified = clock_format_http(arena, modified_s);
    const char *expires = next_update_s == 0 ? NULL : clock_format_http(arena, next_update_s);
    struct shelved *shelved;
    uint8_t *at;

    certificate_sha256(body, digest);
    etag = arena_format(arena, "\"%s\"", bytes_hex(arena, BYTES(digest, 16), 0));
    shelved = malloc(sizeof(*shelved) + body.len + room_of(etag) + room_of(modified) + room_of(expires));
    if (shelved == NULL)
        abort();
    at = (uint8_t *)(shelved + 1);
    shelved->document = (struct document){.body = BYTES(at, body.len), .modified_s = modified_s, .next_update_s = next_update_s};
    if (body.len > 0)
        memcpy(at, body.at, body.len);
    at += body.len;
    shelved->document.etag = put_text(&at, etag);
    shelved->document.last_modified = put_text(&at, modified);
    shelved->document.expires = put_text(&at, expires);
    atomic_init(&shelved->holders, 1);
    return shelved;
}

void
shelf_release(void *document)
{
    struct shelved *shelved = document;

    if (atomic_fetch_sub(&shelved->holders, 1) == 1)
        free(shelved);
}

/* ---- finding ---- */

/* Where the CA stands, or would stand. */
static size_t
index_of(const struct shelf *shelf, const char *issuer)
{
    size_t low = 0, high = shelf->count;

    while (low < high) {
        size_t middle = low + (high - low) / 2;
        if (strcmp(shelf->places[middle]->issuer, issuer) < 0)
            low = middle + 1;
        else
            high = middle;
    }
    return low;
}

static struct place *
find_place(const struct shelf *shelf, const char *issuer)
{
    size_t at = index_of(shelf, issuer);

    return at < shelf->count && strcmp(shelf->places[at]->issuer, issuer) == 0 ? shelf->places[at] : NULL;
}

static enum error
not_yet(struct request *rq, const char *what)
{
    (void)fail(rq, ERR_UNAVAILABLE, "%s", what);
    return fail_retry_after(rq, RETRY_AFTER_S);
}

enum error
shelf_find(struct shelf *shelf, struct request *rq, const char *issuer, enum shelf_part part, const struct document **ret_document)
{
    struct place *place;

    AUTO_LOCK(&shelf->mutex);
    if (!shelf->loaded)
        return not_yet(rq, "nothing is known here yet, for the database was not reached so far");
    place = find_place(shelf, issuer);
    if (place == NULL)
        return fail(rq, ERR_NOT_FOUND, "there is no such CA");
    if (place->parts[part] == NULL)
        return not_yet(rq, "the first CRL of this CA is not there yet");
    atomic_fetch_add(&place->parts[part]->holders, 1);
    *ret_document = &place->parts[part]->document;
    return OK;
}

struct crl_number
shelf_number(struct shelf *shelf, const char *issuer)
{
    static const struct crl_number none;
    struct place *place;

    AUTO_LOCK(&shelf->mutex);
    place = find_place(shelf, issuer);
    return place == NULL ? none : place->number;
}

/* ---- refreshing ---- */

/* Adds the CA when it is new. Under the mutex. */
static struct place *
make_place(struct shelf *shelf, const char *issuer)
{
    size_t at = index_of(shelf, issuer);
    struct place *place = find_place(shelf, issuer);

    if (place != NULL)
        return place;
    if (shelf->count == shelf->room) {
        shelf->room = shelf->room == 0 ? 16 : shelf->room * 2;
        shelf->places = reallocarray(shelf->places, shelf->room, sizeof(struct place *));
        if (shelf->places == NULL)
            abort();
    }
    place = calloc(1, sizeof(*place));
    if (place == NULL || (place->issuer = strdup(issuer)) == NULL)
        abort();
    place->seconds_left = metric_gauge("signet_crl_seconds_to_next_update", "until the CRL that is served ends", "issuer", issuer);
    place->entries = metric_gauge("signet_crl_entries", "certificates on the CRL that is served", "issuer", issuer);
    memmove(shelf->places + at + 1, shelf->places + at, (shelf->count - at) * sizeof(struct place *));
    shelf->places[at] = place;
    shelf->count++;
    return place;
}

static void
swap_part(struct place *place, enum shelf_part part, struct shelved *shelved)
{
    if (place->parts[part] != NULL)
        shelf_release(place->parts[part]);
    place->parts[part] = shelved;
}

static void
put_authority(struct shelf *shelf, struct request *rq, const struct published_row *row)
{
    struct shelved *certificate = shelved_new(rq->arena, row->authority.certificate, row->changed_at_s, 0);
    struct shelved *chain = shelved_new(rq->arena, bytes_of_text(row->authority.chain_pem), row->changed_at_s, 0);
    struct place *place;

    AUTO_LOCK(&shelf->mutex);
    place = make_place(shelf, row->authority.issuer);
    swap_part(place, SHELF_CERTIFICATE, certificate);
    swap_part(place, SHELF_CHAIN, chain);
    memcpy(place->authority_sha256, row->authority.sha256.at, sizeof(place->authority_sha256));
    place->not_after_s = row->authority.not_after_s;
}

static void
put_crl(struct shelf *shelf, struct request *rq, const struct published_row *row, const struct crl *crl, const struct crl_number *number)
{
    struct shelved *shelved = shelved_new(rq->arena, crl->der, crl->this_update_s, crl->next_update_s);
    struct place *place;

    AUTO_LOCK(&shelf->mutex);
    place = make_place(shelf, row->authority.issuer);
    swap_part(place, SHELF_CRL, shelved);
    memcpy(place->crl_sha256, row->crl_sha256.at, sizeof(place->crl_sha256));
    place->number = *number;
    place->this_update_s = crl->this_update_s;
    metric_set(place->entries, (int64_t)crl->entry_count);
    metric_set(place->seconds_left, crl->next_update_s - clock_now_s());
}

/* A stored CRL was checked by who stored it; it is checked again because the database may not be what it was then. */
static enum error
check_stored(struct shelf *shelf, struct request *rq, const struct published_row *row, struct crl *ret_crl, struct crl_number *ret_number)
{
    struct certificate *certificate = arena_alloc(rq->arena, sizeof(*certificate));
    struct crl_number served = shelf_number(shelf, row->authority.issuer), number;
    struct crl crl;
    enum error error = certificate_parse(rq, row->authority.certificate, certificate);

    if (!error)
        error = crl_check(rq, row->crl, certificate, &crl, &number);
    if (error)
        return error;
    if (crl_number_compare(&number, &served) <= 0)
        return fail(rq, ERR_CONFLICT, "its number is not greater than that of the CRL that is served");
    *ret_crl = crl;
    *ret_number = number;
    return OK;
}

/* The last good CRL is served on, and the one in the database replaced as soon as may be. Said and asked for once. */
static enum error
refuse_stored(struct publisher *publisher, struct request *rq, const struct published_row *row, const char *why)
{
    const char *issuer = row->authority.issuer;
    struct place *place;
    enum error error = schedule_soon(publisher, rq, &issuer, 1);

    if (error)
        return error;
    request_note(rq, "issuer", "%s", issuer);
    request_note(rq, "stored_crl_refused", "%s", why);
    AUTO_LOCK(&publisher->shelf->mutex);
    place = find_place(publisher->shelf, issuer);
    assert(place != NULL); /* put_authority came before */
    memcpy(place->refused_sha256, row->crl_sha256.at, sizeof(place->refused_sha256));
    return OK;
}

static enum error
refresh_place(struct publisher *publisher, struct request *rq, const char *issuer)
{
    struct published_row row;
    struct crl_number number;
    struct crl crl = {0};
    enum error error = store_load_published(publisher, rq, issuer, &row);

    if (error)
        return error;
    put_authority(publisher->shelf, rq, &row);
    if (row.crl.at == NULL)
        return OK;
    AUTO_STRUCT(request, checking) = request_new();
    if (check_stored(publisher->shelf, checking, &row, &crl, &number) != OK)
        return refuse_stored(publisher, rq, &row, checking->failure.message);
    put_crl(publisher->shelf, rq, &row, &crl, &number);
    return OK;
}

static bool
is_newest(struct shelf *shelf, const char *issuer, struct bytes authority_sha256, struct bytes crl_sha256)
{
    struct place *place;

    AUTO_LOCK(&shelf->mutex);
    place = find_place(shelf, issuer);
    if (place == NULL || !bytes_equal(authority_sha256, BYTES(place->authority_sha256, 32)))
        return false;
    return crl_sha256.at == NULL || bytes_equal(crl_sha256, BYTES(place->crl_sha256, 32)) ||
           bytes_equal(crl_sha256, BYTES(place->refused_sha256, 32));
}

enum error
shelf_refresh(struct publisher *publisher, struct request *rq)
{
    struct shelf *shelf = publisher->shelf;
    struct db_rows *rows;
    enum error error;
    size_t i;

    AUTO_LOCK(&shelf->refreshing);
    error = store_list_heads(publisher, rq, &rows);
    if (error)
        return error;
    for (i = 0; i < db_count(rows); i++) {
        if (is_newest(shelf, db_text(rows, i, 0), db_bytes(rows, i, 1), db_bytes(rows, i, 2)))
            continue;
        error = refresh_place(publisher, rq, db_text(rows, i, 0));
        if (error)
            return error;
    }
    AUTO_LOCK(&shelf->mutex);
    shelf->loaded = true;
    return OK;
}

/* ---- watching ---- */

void
shelf_measure(struct shelf *shelf)
{
    int64_t now_s = clock_now_s();
    size_t i;

    AUTO_LOCK(&shelf->mutex);
    for (i = 0; i < shelf->count; i++)
        if (shelf->places[i]->parts[SHELF_CRL] != NULL)
            metric_set(shelf->places[i]->seconds_left, shelf->places[i]->parts[SHELF_CRL]->document.next_update_s - now_s);
}

/* Of no use to anybody: nothing read yet, or every CRL here has ended (its replicas may have newer ones). One CA without a current CRL takes the
 * others' CRLs from nobody, and a CRL that is near its end is as good as any: signet_crl_seconds_to_next_update tells of these. */
enum error
shelf_check(void *context, struct request *rq)
{
    struct publisher *publisher = context;
    struct shelf *shelf = publisher->shelf;
    const struct place *ended = NULL;
    int64_t now_s = clock_now_s();
    size_t i;

    AUTO_LOCK(&shelf->mutex);
    if (!shelf->loaded)
        return fail(rq, ERR_UNAVAILABLE, "no CRL was loaded yet");
    for (i = 0; i < shelf->count; i++) {
        const struct place *place = shelf->places[i];
        if (place->not_after_s < now_s || place->parts[SHELF_CRL] == NULL)
            continue; /* its certificates have ended with it; or no CRL was made so far */
        if (place->parts[SHELF_CRL]->document.next_update_s > now_s)
            return OK;
        ended = place;
    }
    if (ended == NULL)
        return OK;
    return fail(rq, ERR_UNAVAILABLE, "all CRLs here have ended, that of %s at %s, and no newer one could be made", ended->issuer,
                clock_format_rfc3339(rq->arena, ended->parts[SHELF_CRL]->document.next_update_s));
}

void
shelf_free(struct shelf *shelf)
{
    for (size_t i = 0; i < shelf->count; i++) {
        struct place *place = shelf->places[i];
        for (size_t part = 0; part < SHELF_PARTS; part++)
            if (place->parts[part] != NULL)
                shelf_release(place->parts[part]);
        free(place->issuer);
        free(place);
    }
    free(shelf->places);
    pthread_mutex_destroy(&shelf->refreshing);
    pthread_mutex_destroy(&shelf->mutex);
    free(shelf);
}
