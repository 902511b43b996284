/* All SQL of the publisher. The clock of the database decides what is due, for all replicas alike. */
#include <string.h>

#include "crl_publisher.h"

/* ---- CAs ---- */

static const struct db_statement keep_authorities = {
    "keep_authorities",
    "WITH changed AS (INSERT INTO crl.authority AS a (issuer, certificate, chain_pem, sha256, not_after)"
    " SELECT * FROM unnest($1, $2, $3, $4, $5)"
    " ON CONFLICT (issuer) DO UPDATE SET certificate = excluded.certificate, chain_pem = excluded.chain_pem, sha256 = excluded.sha256,"
    " not_after = excluded.not_after, changed_at = now() WHERE a.sha256 <> excluded.sha256 RETURNING issuer),"
    " due AS (INSERT INTO crl.schedule AS s (issuer, due_at) SELECT issuer, now() FROM changed"
    " ON CONFLICT (issuer) DO UPDATE SET wanted = s.wanted + 1, due_at = now() RETURNING issuer)"
    " SELECT pg_notify('" STORE_CHANNEL "', '') FROM due LIMIT 1"};

enum error
store_keep_authorities(struct publisher *publisher, struct request *rq, const struct authority_row *rows, size_t count)
{
    const char **issuers = arena_array(rq->arena, count, sizeof(*issuers)), **chains = arena_array(rq->arena, count, sizeof(*chains));
    struct bytes *certificates = arena_array(rq->arena, count, sizeof(*certificates)), *digests = arena_array(rq->arena, count, sizeof(*digests));
    int64_t *ends_us = arena_array(rq->arena, count, sizeof(*ends_us));
    size_t i;

    for (i = 0; i < count; i++) {
        issuers[i] = rows[i].issuer;
        certificates[i] = rows[i].certificate;
        chains[i] = rows[i].chain_pem;
        digests[i] = rows[i].sha256;
        ends_us[i] = rows[i].not_after_s * 1000000;
    }
    return DB_QUERY(publisher->db, rq, &keep_authorities, NULL, DB_TEXT_ARRAY(issuers, count), DB_BYTES_ARRAY(certificates, count),
                    DB_TEXT_ARRAY(chains, count), DB_BYTES_ARRAY(digests, count), DB_TIME_ARRAY(ends_us, count));
}

/* ---- the schedule ---- */

/* A CA whose certificate has expired signs nothing more, and needs to say nothing more. */
const struct db_statement store_take_due = {
    "take_due", "WITH due AS (SELECT s.issuer FROM crl.schedule s JOIN crl.authority a USING (issuer)"
                " WHERE s.due_at <= now() AND (s.leased_until IS NULL OR s.leased_until <= now()) AND a.not_after > now()"
                " ORDER BY s.due_at LIMIT $1 FOR UPDATE OF s SKIP LOCKED),"
                " taken AS (UPDATE crl.schedule s SET leased_until = now() + $2 * interval '1 second', lease_holder = $3, attempts = s.attempts + 1"
                " FROM due WHERE s.issuer = due.issuer RETURNING s.issuer, s.lease_holder, s.wanted, s.attempts)"
                " SELECT taken.issuer, taken.lease_holder, taken.wanted, taken.attempts, a.certificate, p.number, p.this_update, p.published_at"
                " FROM taken JOIN crl.authority a USING (issuer) LEFT JOIN crl.published p USING (issuer)"};

const struct db_statement store_renew_due = {
    "renew_due", "UPDATE crl.schedule SET leased_until = now() + $2 * interval '1 second' WHERE issuer = ANY ($1) AND lease_holder = $3"};

#define TOOK_MOST_S 300 /* longer than any CRL is waited for (schedule.c) */

struct due_crl
store_due_of_row(const struct db_rows *rows, size_t row)
{
    struct due_crl due = {
        .issuer = db_text(rows, row, 0),
        .holder = db_text(rows, row, 1),
        .wanted = db_int(rows, row, 2),
        .attempts = (int)db_int(rows, row, 3),
        .certificate = db_bytes(rows, row, 4),
        .last.this_update_s = db_time_s(rows, row, 6),
    };
    int64_t published_at_s = db_time_s(rows, row, 7);
    struct bytes number = db_bytes(rows, row, 5);

    if (number.len == CRL_NUMBER_LEN)
        memcpy(due.last.number.octets, number.at, CRL_NUMBER_LEN);
    /* thisUpdate may lie a little in the future (renew.c), and far in the past where somebody has put another CRL in its place. */
    if (published_at_s > due.last.this_update_s && published_at_s - due.last.this_update_s <= TOOK_MOST_S)
        due.last.took_s = published_at_s - due.last.this_update_s;
    return due;
}

/* The first demand of a burst sets the time, those after it do not put it off; after a failure the back-off stands. */
static const struct db_statement want_soon = {
    "want_soon",
    "UPDATE crl.schedule SET wanted = wanted + 1,"
    " due_at = CASE WHEN attempts = 0 THEN least(due_at, now() + $2 * interval '1 millisecond') ELSE due_at END WHERE issuer = ANY ($1)"};

enum error
store_want_soon(struct publisher *publisher, struct request *rq, const char *const *issuers, size_t count)
{
    return DB_QUERY(publisher->db, rq, &want_soon, NULL, DB_TEXT_ARRAY(issuers, count), DB_INT(publisher->config.delay_ms));
}

static const struct db_statement want_now = {
    "want_now", "UPDATE crl.schedule s SET wanted = s.wanted + 1, due_at = now(), failure = NULL FROM crl.authority a"
                " WHERE a.issuer = s.issuer AND a.not_after > now() AND ($1 = '' OR s.issuer = $1) RETURNING s.issuer, s.wanted"};

enum error
store_want_now(struct publisher *publisher, struct request *rq, const char *issuer, struct demand **ret_demands, size_t *ret_count)
{
    struct demand *demands;
    struct db_rows *rows;
    size_t count, i;
    enum error error = DB_QUERY(publisher->db, rq, &want_now, &rows, DB_TEXT(issuer));

    if (error)
        return error;
    count = db_count(rows);
    demands = arena_array(rq->arena, count, sizeof(*demands));
    for (i = 0; i < count; i++)
        demands[i] = (struct demand){.issuer = db_text(rows, i, 0), .wanted = db_int(rows, i, 1)};
    *ret_demands = demands;
    *ret_count = count;
    return OK;
}

static const struct db_statement select_outcome = {"select_outcome",
                                                   "SELECT s.issuer, s.met >= asked.wanted, s.failure FROM unnest($1, $2) AS asked (issuer, wanted)"
                                                   " JOIN crl.schedule s USING (issuer) ORDER BY s.issuer"};

enum error
store_find_outcome(struct publisher *publisher, struct request *rq, const struct demand *demands, size_t count, struct outcome *ret_outcome)
{
    const char **issuers = arena_array(rq->arena, count, sizeof(*issuers));
    int64_t *wanted = arena_array(rq->arena, count, sizeof(*wanted));
    struct outcome outcome = {0};
    struct db_rows *rows;
    enum error error;
    size_t i;

    for (i = 0; i < count; i++) {
        issuers[i] = demands[i].issuer;
        wanted[i] = demands[i].wanted;
    }
    error = DB_QUERY(publisher->db, rq, &select_outcome, &rows, DB_TEXT_ARRAY(issuers, count), DB_BIGINT_ARRAY(wanted, count));
    if (error)
        return error;
    for (i = 0; i < db_count(rows); i++) {
        if (db_bool(rows, i, 1)) {
            outcome.met++;
        } else if (!db_is_null(rows, i, 2) && outcome.failed++ == 0) {
            outcome.failed_issuer = db_text(rows, i, 0);
            outcome.failure = db_text(rows, i, 2);
        }
    }
    *ret_outcome = outcome;
    return OK;
}

static const struct db_statement select_signed = {"select_signed", "SELECT der FROM ca.signed_crl WHERE issuer = $1 AND sha256 = $2"};

enum error
store_load_signed(struct publisher *publisher, struct request *rq, const char *issuer, struct bytes sha256, struct bytes *ret_der)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(publisher->db, rq, &select_signed, &rows, DB_TEXT(issuer), DB_BYTES(sha256));

    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_CONFLICT, "the CRL that was signed is not there: a newer one has taken its place");
    *ret_der = db_bytes(rows, 0, 0);
    return OK;
}

static const struct db_statement replace = {
    "replace", "WITH replaced AS (INSERT INTO crl.published AS p (issuer, number, der, this_update, next_update, sha256, entries)"
               " SELECT $1, $2, $3, $4, $5, $6, $7 WHERE $5 > now()"
               " ON CONFLICT (issuer) DO UPDATE SET number = excluded.number, der = excluded.der, this_update = excluded.this_update,"
               " next_update = excluded.next_update, sha256 = excluded.sha256, entries = excluded.entries, published_at = now()"
               " WHERE p.number < excluded.number AND p.this_update <= excluded.this_update RETURNING p.issuer),"
               " ended AS (UPDATE crl.schedule SET leased_until = NULL, lease_holder = NULL, attempts = 0, failure = NULL, met = $8,"
               " due_at = CASE WHEN wanted > $8 THEN now() + $11 * interval '1 millisecond' ELSE now() + $10 * interval '1 second' END"
               " WHERE issuer = $1 AND lease_holder = $9 AND EXISTS (SELECT FROM replaced) RETURNING wanted > met)"
               " SELECT coalesce((SELECT * FROM ended), false), pg_notify('" STORE_CHANNEL "', '') FROM replaced"};

enum error
store_replace(struct publisher *publisher, struct request *rq, const struct due_crl *due, const struct new_crl *new, bool *ret_again)
{
    const struct crl *crl = &new->crl;
    struct db_rows *rows;
    uint8_t digest[32];
    enum error error;

    certificate_sha256(crl->der, digest);
    error = DB_QUERY(publisher->db, rq, &replace, &rows, DB_TEXT(due->issuer), DB_BYTES(BYTES(new->number.octets, CRL_NUMBER_LEN)),
                     DB_BYTES(crl->der), DB_TIME_S(crl->this_update_s), DB_TIME_S(crl->next_update_s), DB_BYTES(BYTES(digest, sizeof(digest))),
                     DB_INT((int64_t)crl->entry_count), DB_BIGINT(due->wanted), DB_TEXT(due->holder), DB_INT(publisher->config.interval_s),
                     DB_INT(publisher->config.delay_ms));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_CONFLICT, "a CRL that is as new or newer was stored meanwhile");
    *ret_again = db_bool(rows, 0, 0);
    return OK;
}

static const struct db_statement postpone = {
    "postpone", "UPDATE crl.schedule SET leased_until = NULL, lease_holder = NULL, due_at = now() + $3 * interval '1 millisecond', failure = $4"
                " WHERE issuer = $1 AND lease_holder = $2"};

enum error
store_postpone(struct publisher *publisher, struct request *rq, const struct due_crl *due, int by_ms, const char *failure)
{
    return DB_QUERY(publisher->db, rq, &postpone, NULL, DB_TEXT(due->issuer), DB_TEXT(due->holder), DB_INT(by_ms), DB_TEXT(failure));
}

/* ---- for the shelf ---- */

static const struct db_statement select_heads = {"select_heads",
                                                 "SELECT a.issuer, a.sha256, p.sha256 FROM crl.authority a LEFT JOIN crl.published p USING (issuer)"};

enum error
store_list_heads(struct publisher *publisher, struct request *rq, struct db_rows **ret_rows)
{
    return DB_QUERY0(publisher->db, rq, &select_heads, ret_rows);
}

static const struct db_statement select_published = {"select_published",
                                                     "SELECT a.certificate, a.chain_pem, a.sha256, a.not_after, a.changed_at, p.der, p.sha256"
                                                     " FROM crl.authority a LEFT JOIN crl.published p USING (issuer) WHERE a.issuer = $1"};

enum error
store_load_published(struct publisher *publisher, struct request *rq, const char *issuer, struct published_row *ret_row)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(publisher->db, rq, &select_published, &rows, DB_TEXT(issuer));

    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no CA %s", issuer);
    *ret_row = (struct published_row){
        .authority = {.issuer = issuer,
                      .certificate = db_bytes(rows, 0, 0),
                      .chain_pem = db_text(rows, 0, 1),
                      .sha256 = db_bytes(rows, 0, 2),
                      .not_after_s = db_time_s(rows, 0, 3)},
        .changed_at_s = db_time_s(rows, 0, 4),
        .crl = db_bytes(rows, 0, 5),
        .crl_sha256 = db_bytes(rows, 0, 6),
    };
    return OK;
}
