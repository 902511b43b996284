/*
 * The SQL of intents and certificates. The two statements of an issuance work on one row or on many, whatever commit_queue.c has gathered: one
 * round trip, one transaction, one wait for the disk.
 */
#include "ra.h"

#include <assert.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"

/* ---- intents ---------------------------------------------------------------------------------------------------------------------------- */

#define INTENT_COLUMNS                                                                                                         \
    "id, status, channel, idempotency_key, principal_kind, principal_id, owner, client_address, request_sha256, csr, intent, " \
    "coalesce(refusal_kind, ''), coalesce(refusal, ''), attempts, coalesce(lease_holder, ''), preapproved, on_behalf_of, attested"
enum {
    COLUMN_ID,
    COLUMN_STATUS,
    COLUMN_CHANNEL,
    COLUMN_KEY,
    COLUMN_PRINCIPAL_KIND,
    COLUMN_PRINCIPAL_ID,
    COLUMN_OWNER,
    COLUMN_CLIENT,
    COLUMN_REQUEST,
    COLUMN_CSR,
    COLUMN_INTENT,
    COLUMN_REFUSAL_KIND,
    COLUMN_REFUSAL,
    COLUMN_ATTEMPTS,
    COLUMN_HOLDER,
    COLUMN_PREAPPROVED,
    COLUMN_ON_BEHALF_OF,
    COLUMN_ATTESTED
};

/*
 * Columns of a batch are arrays, and a row of it is its place in them: to take each array apart by unnest would cost more than the row. A key that is
 * taken, and a public key that is blocked, are left out of what RETURNING gives. ORDER BY, so that two batches with the same keys do not wait for
 * each other.
 */
#define INSERT_INTENTS                                                                                                                 \
    "INSERT INTO ra.intent (id, channel, idempotency_key, status, request_sha256, csr, intent, principal_kind, principal_id, owner, "  \
    "client_address, "                                                                                                                 \
    "preapproved, on_behalf_of, attested, due_at)"                                                                                     \
    " SELECT id, channel, ($3::text[])[n] AS idempotency_key, ($4::text[])[n], ($5::bytea[])[n], ($6::bytea[])[n], ($7::bytea[])[n], " \
    "($8::text[])[n], ($9::text[])[n], ($10::text[])[n], ($11::text[])[n], ($14::text[])[n], ($15::text[])[n], ($16::text[])[n], "     \
    "now() + $13 * interval '1 second'"                                                                                                \
    " FROM unnest($1::bytea[], $2::text[]) WITH ORDINALITY AS i (id, channel, n)"                                                      \
    " WHERE NOT EXISTS (SELECT FROM ra.blocked_key b WHERE b.spki_sha256 = ($12::bytea[])[n])"                                         \
    " ORDER BY channel, idempotency_key ON CONFLICT (channel, idempotency_key) DO NOTHING RETURNING id"
static const struct db_statement insert_intents = {"insert_intents", INSERT_INTENTS};
/* What waits for a person is on record at once. */
static const struct db_statement insert_recorded_intents = {
    "insert_recorded_intents",
    "WITH stored AS (" INSERT_INTENTS "), recorded AS ("
    " INSERT INTO audit.record (body) SELECT record FROM unnest($1::bytea[], $17::text[]) AS i (id, record) JOIN stored USING (id)"
    " WHERE record IS NOT NULL) SELECT id FROM stored"};

static bool
holds_id(const struct db_rows *rows, struct bytes id)
{
    for (size_t i = 0; i < db_count(rows); i++) {
        if (bytes_equal(db_bytes(rows, i, 0), id))
            return true;
    }
    return false;
}

static const char *
status_text(enum intent_status status)
{
    static const char *const texts[] = {
        [INTENT_OPEN] = "open", [INTENT_PENDING] = "pending", [INTENT_ISSUED] = "issued", [INTENT_REFUSED] = "refused"};

    return texts[status];
}

/* What a batch needs until its round trip is over; in the arena. */
struct intent_columns {
    struct bytes ids[COMMIT_BATCH_MAX], requests[COMMIT_BATCH_MAX], csrs[COMMIT_BATCH_MAX], intents[COMMIT_BATCH_MAX], keys[COMMIT_BATCH_MAX];
    const char *channels[COMMIT_BATCH_MAX], *idempotency_keys[COMMIT_BATCH_MAX], *statuses[COMMIT_BATCH_MAX], *kinds[COMMIT_BATCH_MAX];
    const char *principals[COMMIT_BATCH_MAX], *owners[COMMIT_BATCH_MAX], *clients[COMMIT_BATCH_MAX], *records[COMMIT_BATCH_MAX];
    const char *preapproved[COMMIT_BATCH_MAX], *sponsors[COMMIT_BATCH_MAX], *attested[COMMIT_BATCH_MAX];
};

enum error
store_intents(struct ra *ra, struct request *rq, struct issue *const *issues, size_t count)
{
    struct intent_columns *c = arena_alloc(rq->arena, sizeof *c);
    struct db_rows *stored;
    bool has_records = false;

    assert(count <= COMMIT_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct intent *intent = &issues[i]->intent;
        c->ids[i] = intent->id;
        c->channels[i] = intent->channel;
        c->idempotency_keys[i] = intent->idempotency_key;
        c->statuses[i] = status_text(intent->status);
        c->requests[i] = intent->request_sha256;
        c->csrs[i] = intent->csr;
        c->intents[i] = intent->packed;
        c->kinds[i] = intent->principal_kind;
        c->principals[i] = intent->principal_id;
        c->owners[i] = intent->owner;
        c->clients[i] = intent->client_address;
        c->keys[i] = issues[i]->key_sha256;
        c->records[i] = issues[i]->record;
        has_records |= issues[i]->record != NULL;
        c->preapproved[i] = intent->preapproved;
        c->sponsors[i] = intent->on_behalf_of;
        c->attested[i] = intent->attested;
    }
    const struct db_value values[] = {
        DB_BYTES_ARRAY(c->ids, count),      DB_TEXT_ARRAY(c->channels, count),    DB_TEXT_ARRAY(c->idempotency_keys, count),
        DB_TEXT_ARRAY(c->statuses, count),  DB_BYTES_ARRAY(c->requests, count),   DB_BYTES_ARRAY(c->csrs, count),
        DB_BYTES_ARRAY(c->intents, count),  DB_TEXT_ARRAY(c->kinds, count),       DB_TEXT_ARRAY(c->principals, count),
        DB_TEXT_ARRAY(c->owners, count),    DB_TEXT_ARRAY(c->clients, count),     DB_BYTES_ARRAY(c->keys, count),
        DB_INT(ra->config.recover_after_s), DB_TEXT_ARRAY(c->preapproved, count), DB_TEXT_ARRAY(c->sponsors, count),
        DB_TEXT_ARRAY(c->attested, count),  DB_TEXT_ARRAY(c->records, count),
    };
    size_t value_count = sizeof values / sizeof values[0];
    enum error error = has_records ? db_query(ra->db, rq, &insert_recorded_intents, values, value_count, &stored)
                                   : db_query(ra->db, rq, &insert_intents, values, value_count - 1, &stored);
    if (error)
        return error;
    for (size_t i = 0; i < count; i++) {
        issues[i]->taken = !holds_id(stored, issues[i]->intent.id);
        issues[i]->progress = issues[i]->taken ? ISSUE_PLANNED : ISSUE_COMMITTED;
    }
    return OK;
}

static bool
read_status(const char *text, enum intent_status *ret_status)
{
    for (enum intent_status status = INTENT_OPEN; status <= INTENT_REFUSED; status++) {
        if (text_equal(text, status_text(status))) {
            *ret_status = status;
            return true;
        }
    }
    return false;
}

static enum error
read_intent(struct request *rq, const struct db_rows *rows, size_t row, struct intent *ret_intent)
{
    struct intent intent = {
        .id = db_bytes(rows, row, COLUMN_ID),
        .channel = db_text(rows, row, COLUMN_CHANNEL),
        .idempotency_key = db_text(rows, row, COLUMN_KEY),
        .principal_kind = db_text(rows, row, COLUMN_PRINCIPAL_KIND),
        .principal_id = db_text(rows, row, COLUMN_PRINCIPAL_ID),
        .owner = db_text(rows, row, COLUMN_OWNER),
        .client_address = db_text(rows, row, COLUMN_CLIENT),
        .request_sha256 = db_bytes(rows, row, COLUMN_REQUEST),
        .csr = db_bytes(rows, row, COLUMN_CSR),
        .packed = db_bytes(rows, row, COLUMN_INTENT),
        .refusal_kind = db_text(rows, row, COLUMN_REFUSAL_KIND),
        .refusal = db_text(rows, row, COLUMN_REFUSAL),
        .preapproved = db_text(rows, row, COLUMN_PREAPPROVED),
        .on_behalf_of = db_text(rows, row, COLUMN_ON_BEHALF_OF),
        .attested = db_text(rows, row, COLUMN_ATTESTED),
    };

    intent.plan = (const Pb__CertificateIntent *)message_unpack(rq->arena, &pb__certificate_intent__descriptor, intent.packed);
    if (intent.plan == NULL || !read_status(db_text(rows, row, COLUMN_STATUS), &intent.status))
        return fail_privately(rq, ERR_INTERNAL, "internal error", "intent %s cannot be read", bytes_hex(rq->arena, intent.id, 0));
    *ret_intent = intent;
    return OK;
}

static const struct db_statement find_intent = {"find_intent",
                                                "SELECT " INTENT_COLUMNS " FROM ra.intent WHERE channel = $1 AND idempotency_key = $2"};

enum error
store_find_intent(struct ra *ra, struct request *rq, const char *channel, const char *idempotency_key, bool *ret_found, struct intent *ret_intent)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &find_intent, &rows, DB_TEXT(channel), DB_TEXT(idempotency_key));

    if (error)
        return error;
    *ret_found = db_count(rows) == 1;
    return *ret_found ? read_intent(rq, rows, 0, ret_intent) : OK;
}

static const struct db_statement load_intent = {"load_intent", "SELECT " INTENT_COLUMNS " FROM ra.intent WHERE id = $1"};

enum error
store_load_intent(struct ra *ra, struct request *rq, struct bytes id, struct intent *ret_intent)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &load_intent, &rows, DB_BYTES(id));

    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail_privately(rq, ERR_INTERNAL, "internal error", "intent %s is gone", bytes_hex(rq->arena, id, 0));
    return read_intent(rq, rows, 0, ret_intent);
}

/* The coalesce, here and below, keeps the planner from looking for an intent by the index of open ones, of which there may be many. */
static const struct db_statement refuse_intent = {"refuse_intent",
                                                  "WITH refused AS ("
                                                  " UPDATE ra.intent SET status = 'refused', closed_at = now(), refusal_kind = $2, refusal = $3"
                                                  " WHERE id = $1 AND coalesce(status, '') = 'open' RETURNING id"
                                                  ") INSERT INTO audit.record (body) SELECT $4 FROM refused"};

enum error
store_refuse_intent(struct ra *ra, struct request *rq, struct bytes id, const struct failure *why, const char *record, bool *ret_refused)
{
    struct db_rows *rows;
    enum error error =
        DB_QUERY(ra->db, rq, &refuse_intent, &rows, DB_BYTES(id), DB_TEXT(error_name(why->kind)), DB_TEXT(why->message), DB_TEXT(record));

    if (error)
        return error;
    *ret_refused = db_affected(rows) == 1;
    return OK;
}

static const struct db_statement is_blocked = {"is_blocked", "SELECT 1 FROM ra.blocked_key WHERE spki_sha256 = $1"};

enum error
store_is_blocked(struct ra *ra, struct request *rq, const uint8_t key_sha256[32], bool *ret_blocked)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &is_blocked, &rows, DB_BYTES(BYTES(key_sha256, 32)));

    if (error)
        return error;
    *ret_blocked = db_count(rows) > 0;
    return OK;
}

/* ---- rows that outlived their process ----------------------------------------------------------------------------------------------------- */

const struct db_statement store_take_intents = {
    "take_intents",
    "UPDATE ra.intent SET leased_until = now() + $2 * interval '1 second', lease_holder = $3, attempts = attempts + 1"
    " WHERE id IN (SELECT id FROM ra.intent WHERE status = 'open' AND due_at <= now() AND (leased_until IS NULL OR leased_until <= now())"
    "  ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED)"
    " RETURNING " INTENT_COLUMNS};

enum error
store_taken_intent(struct request *rq, const struct db_rows *rows, size_t row, struct taken_intent *ret_taken)
{
    struct taken_intent taken = {.attempts = (int)db_int(rows, row, COLUMN_ATTEMPTS), .holder = db_text(rows, row, COLUMN_HOLDER)};
    enum error error = read_intent(rq, rows, row, &taken.intent);

    if (error)
        return error;
    *ret_taken = taken;
    return OK;
}

static const struct db_statement postpone_intent = {
    "postpone_intent", "UPDATE ra.intent SET due_at = now() + $3 * interval '1 second', leased_until = NULL, lease_holder = NULL"
                       " WHERE id = $1 AND lease_holder = $2 AND coalesce(status, '') = 'open'"};

enum error
store_postpone_intent(struct ra *ra, struct request *rq, struct bytes id, const char *holder, int pause_s)
{
    return DB_QUERY(ra->db, rq, &postpone_intent, NULL, DB_BYTES(id), DB_TEXT(holder), DB_INT(pause_s));
}

/* ---- certificates ------------------------------------------------------------------------------------------------------------------------- */

/* Whoever closes the intent first stores its certificate, its audit record and its event; for a second one `closed` is empty and nothing happens.
 * Under load the index of open intents is full of those that are no longer. */
static const struct db_statement insert_certificates = {
    "insert_certificates",
    "WITH closed AS ("
    " UPDATE ra.intent SET status = 'issued', closed_at = now() FROM unnest($1::bytea[]) WITH ORDINALITY AS i (id, n)"
    " WHERE intent.id = i.id AND coalesce(intent.status, '') = 'open'"
    " RETURNING i.n, intent.id, intent.channel, intent.principal_kind, intent.principal_id, intent.owner"
    "), stored AS ("
    " INSERT INTO ra.certificate (expiry_month, serial, issuer, template, certificate, not_before, not_after, intent_id, channel, principal_kind, "
    "principal_id, owner)"
    " SELECT ($2::int[])[n], ($3::bytea[])[n], ($4::text[])[n], ($5::text[])[n], ($6::bytea[])[n], ($7::timestamptz[])[n], ($8::timestamptz[])[n],"
    "  id, channel, principal_kind, principal_id, owner FROM closed"
    "), recorded AS ("
    " INSERT INTO audit.record (body) SELECT ($9::text[])[n] FROM closed"
    "), announced AS ("
    " INSERT INTO ra.outbox (event_id, subject, body) SELECT ($10::text[])[n], 'signet.event.certificate.issued', string_agg(($11::bytea[])[n], "
    "''::bytea)"
    "  FROM closed GROUP BY 1"
    ") SELECT id FROM closed"};

struct closing_columns {
    struct bytes ids[COMMIT_BATCH_MAX], serials[COMMIT_BATCH_MAX], certificates[COMMIT_BATCH_MAX], events[COMMIT_BATCH_MAX];
    int32_t months[COMMIT_BATCH_MAX];
    int64_t not_before_us[COMMIT_BATCH_MAX], not_after_us[COMMIT_BATCH_MAX];
    const char *issuers[COMMIT_BATCH_MAX], *templates[COMMIT_BATCH_MAX], *records[COMMIT_BATCH_MAX], *bundles[COMMIT_BATCH_MAX];
};

/* Never the same again: the stream drops what has an id that it knows. */
static const char *
new_bundle_id(struct arena *arena)
{
    uint8_t random[16];

    random_bytes(random, sizeof random);
    return arena_format(arena, EVENTS_BUNDLE_PREFIX "%s", bytes_hex(arena, BYTES(random, sizeof random), 0));
}

/* Which events share a message of the stream. */
static void
fill_bundles(struct arena *arena, struct issue *const *issues, size_t count, const char **ret_bundles)
{
    size_t octets = 0;

    for (size_t i = 0; i < count; i++) {
        size_t len = issues[i]->announcement.len;
        bool fits = i > 0 && octets + len <= OUTBOX_BUNDLE_MAX;
        ret_bundles[i] = fits ? ret_bundles[i - 1] : new_bundle_id(arena);
        octets = fits ? octets + len : len;
    }
}

enum error
store_certificates(struct ra *ra, struct request *rq, struct issue *const *issues, size_t count)
{
    struct closing_columns *c = arena_alloc(rq->arena, sizeof *c);
    struct db_rows *closed;

    assert(count <= COMMIT_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const Pb__CertificateIntent *plan = issues[i]->intent.plan;
        c->ids[i] = issues[i]->intent.id;
        c->months[i] = serial_month_of(plan->not_after_s);
        c->serials[i] = message_bytes(plan->serial);
        c->issuers[i] = plan->issuer;
        c->templates[i] = plan->template_;
        c->certificates[i] = issues[i]->certificate;
        c->not_before_us[i] = plan->not_before_s * 1000000;
        c->not_after_us[i] = plan->not_after_s * 1000000;
        c->records[i] = issues[i]->record;
        c->events[i] = issues[i]->announcement;
    }
    fill_bundles(rq->arena, issues, count, c->bundles);
    enum error error = DB_QUERY(ra->db, rq, &insert_certificates, &closed, DB_BYTES_ARRAY(c->ids, count), DB_INT_ARRAY(c->months, count),
                                DB_BYTES_ARRAY(c->serials, count), DB_TEXT_ARRAY(c->issuers, count), DB_TEXT_ARRAY(c->templates, count),
                                DB_BYTES_ARRAY(c->certificates, count), DB_TIME_ARRAY(c->not_before_us, count), DB_TIME_ARRAY(c->not_after_us, count),
                                DB_TEXT_ARRAY(c->records, count), DB_TEXT_ARRAY(c->bundles, count), DB_BYTES_ARRAY(c->events, count));
    if (error)
        return error;
    for (size_t i = 0; i < count; i++) {
        issues[i]->taken = !holds_id(closed, issues[i]->intent.id);
        issues[i]->progress = ISSUE_STORED;
    }
    return OK;
}

static const struct db_statement load_certificate = {"load_certificate",
                                                     "SELECT certificate FROM ra.certificate WHERE expiry_month = $1 AND serial = $2"};

enum error
store_load_certificate(struct ra *ra, struct request *rq, int expiry_month, struct bytes serial, struct bytes *ret_certificate)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(ra->db, rq, &load_certificate, &rows, DB_INT(expiry_month), DB_BYTES(serial));

    if (error)
        return error;
    if (db_count(rows) == 0) {
        (void)fail(rq, ERR_NOT_FOUND, "the certificate is no longer kept");
        return fail_reason(rq, "archived");
    }
    *ret_certificate = db_bytes(rows, 0, 0);
    return OK;
}

static const struct db_statement ensure_partition = {"ensure_partition", "SELECT ra.ensure_partition($1)"};

enum error
store_ensure_partition(struct ra *ra, struct request *rq, int month)
{
    assert(month >= 0 && month < MONTHS_MAX);
    if (atomic_load(&ra->known_months[month]))
        return OK;
    enum error error = DB_QUERY(ra->db, rq, &ensure_partition, NULL, DB_INT(month));
    if (error)
        return error;
    atomic_store(&ra->known_months[month], true);
    return OK;
}

/* ---- audit records alone, and figures ------------------------------------------------------------------------------------------------------- */

static const struct db_statement insert_record = {"insert_record", "INSERT INTO audit.record (body) VALUES ($1)"};

enum error
store_refusal(struct ra *ra, struct request *rq, const char *record)
{
    struct failure why = rq->failure;

    failure_clear(rq);
    enum error error = DB_QUERY(ra->db, rq, &insert_record, NULL, DB_TEXT(record));
    if (error)
        return error;
    rq->failure = why;
    return why.kind;
}

static const struct db_statement count_work = {
    "count_work", "SELECT (SELECT count(*) FROM ra.intent WHERE status = 'open'), (SELECT count(*) FROM audit.record WHERE position IS NULL)"};

enum error
store_count(struct ra *ra, struct request *rq, struct counts *ret_counts)
{
    struct db_rows *rows;
    enum error error = DB_QUERY0(ra->db, rq, &count_work, &rows);

    if (error)
        return error;
    *ret_counts = (struct counts){.open_intents = db_int(rows, 0, 0), .unsealed_records = db_int(rows, 0, 1)};
    return OK;
}
