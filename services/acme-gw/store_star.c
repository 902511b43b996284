/*
 * Orders that are renewed automatically, in the database: the turns at their next certificates, each ended in the hands of the lease's holder only,
 * and what is there to be fetched. That such an order got a certificate is followed by a trigger (017_star.sql).
 */
#include "acme.h"

#include "store.h"

const struct db_statement store_take_stars = {
    "take_stars", "WITH due AS (SELECT order_id FROM acme.star WHERE due_at <= now() AND (leased_until IS NULL OR leased_until < now()) "
                  "ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) "
                  "UPDATE acme.star s SET leased_until = now() + make_interval(secs => $2), lease_holder = $3, attempts = s.attempts + 1 "
                  "FROM due, acme.orders o, acme.account k WHERE s.order_id = due.order_id AND o.id = due.order_id AND k.id = o.account_id "
                  "RETURNING " ORDER_COLUMNS ", o.csr, s.attempts, s.renewal, " STAR_OBSTACLE};
const struct db_statement store_renew_stars = {
    "renew_stars", "UPDATE acme.star SET leased_until = now() + make_interval(secs => $2) WHERE order_id = ANY ($1) AND lease_holder = $3"};
const struct db_statement store_leave_stars = {
    "leave_stars", "UPDATE acme.star SET due_at = now() + make_interval(secs => power(2, least(attempts, 6) - 1)), leased_until = NULL, "
                   "lease_holder = NULL WHERE order_id = ANY ($1) AND lease_holder = $2 AND due_at IS NOT NULL"};

/* RFC 8739 §3.1.2: a canceled order gets no more, not even what was under way. */
static const struct db_statement end_renewal = {
    "end_renewal",
    "WITH held AS (UPDATE acme.star SET renewal = $3, due_at = $4, attempts = 0, trouble = NULL, leased_until = NULL, lease_holder = NULL "
    "WHERE order_id = $1 AND lease_holder = $2 AND due_at IS NOT NULL RETURNING order_id), "
    "forgotten AS (DELETE FROM acme.star_certificate f USING ra.certificate_status c WHERE f.order_id = $1 AND "
    "c.expiry_month = f.expiry_month AND c.serial = f.serial AND c.not_after < now()) "
    "UPDATE acme.orders o SET serial = $5, expiry_month = $6, chain_sha256 = $7, alternate_chains = $8 FROM held "
    "WHERE o.id = held.order_id AND o.status = 'valid'"};
static const struct db_statement insert_chain = {
    "insert_star_chain", "INSERT INTO acme.chain (sha256, pem) SELECT * FROM unnest($1::bytea[], $2::text[]) ON CONFLICT (sha256) DO NOTHING"};
/* Where the database's clock is ahead of ours, the row would come back at once, and again. */
static const struct db_statement plan_renewal = {"plan_renewal",
                                                 "UPDATE acme.star SET due_at = CASE WHEN $3::timestamptz IS NOT NULL THEN greatest($3, now() + "
                                                 "interval '1 s') END, attempts = 0, trouble = NULL, leased_until = NULL, lease_holder = NULL "
                                                 "WHERE order_id = $1 AND lease_holder = $2"};
static const struct db_statement postpone_renewal = {
    "postpone_renewal", "UPDATE acme.star SET due_at = now() + make_interval(secs => $3), trouble = $4, leased_until = NULL, lease_holder = NULL "
                        "WHERE order_id = $1 AND lease_holder = $2 AND due_at IS NOT NULL"};
static const struct db_statement stop_renewals = {
    "stop_renewals", "WITH held AS (UPDATE acme.star SET due_at = NULL, leased_until = NULL, lease_holder = NULL WHERE order_id = $1 AND "
                     "lease_holder = $2 RETURNING order_id) UPDATE acme.orders o SET status = 'canceled', problem = $3, expires_at = now() FROM held "
                     "WHERE o.id = held.order_id AND o.status = 'valid'"};
static const struct db_statement cancel = {
    "cancel_order", "WITH canceled AS (UPDATE acme.orders SET status = 'canceled', expires_at = now() WHERE id = $1 AND " ACCOUNT_IS
                    "$2 AND status = 'valid' AND auto_renewal IS NOT NULL RETURNING id) UPDATE acme.star s SET due_at = NULL FROM canceled c "
                    "WHERE s.order_id = c.id"};
static const struct db_statement load_star_certificate = {
    "load_star_certificate",
    "SELECT o.auto_renewal, o.policy, " STAR_OBSTACLE ", i.certificate, c.pem, s.due_at FROM acme.orders o JOIN acme.star s ON s.order_id = o.id "
    "JOIN acme.account k ON k.id = o.account_id JOIN ra.issued_certificate i ON i.expiry_month = o.expiry_month AND i.serial = o.serial "
    "JOIN acme.chain c ON c.sha256 = o.chain_sha256 WHERE o.id = $1 AND ($2::text IS NULL OR o.account_id = $2)"};
static const struct db_statement is_star_certificate = {"is_star_certificate", "SELECT FROM acme.star_certificate WHERE serial = $1"};

struct star_turn
store_star_turn_of_row(const struct db_rows *rows, size_t row)
{
    size_t first = ORDER_COLUMN_COUNT + 1;

    return (struct star_turn){
        .attempts = (int)db_int(rows, row, first), .renewal = db_int(rows, row, first + 1), .obstacle = db_text(rows, row, first + 2)};
}

static struct db_value
time_or_never(int64_t time_s)
{
    return time_s == 0 ? DB_NULL : DB_TIME_S(time_s);
}

static enum error
check_held(struct request *rq, enum error error, const struct db_rows *rows)
{
    if (error || db_affected(rows) == 1)
        return error;
    return fail(rq, ERR_BUSY, "the order was canceled, or is renewed elsewhere");
}

enum error
store_end_renewal(struct acme *acme, struct request *rq, const struct order *order, const struct issued *issued, int64_t due_s)
{
    struct db_rows *ended = NULL;
    struct db_step steps[] = {
        DB_STEP(&insert_chain, NULL, DB_BYTES_ARRAY(issued->chain_sha256, issued->chain_count),
                DB_TEXT_ARRAY(issued->chain_pem, issued->chain_count)),
        DB_STEP(&end_renewal, &ended, DB_TEXT(order->id), DB_TEXT(lease_holder(acme->stars)), DB_INT((int32_t)order->renewal), time_or_never(due_s),
                DB_BYTES(issued->serial), DB_INT(issued->expiry_month), DB_BYTES(issued->chain_sha256[0]),
                DB_BYTES_ARRAY(issued->chain_sha256 + 1, issued->chain_count - 1)),
    };

    enum error error = db_atomic(acme->db, rq, steps, 2);
    return check_held(rq, error, ended);
}

enum error
store_plan_renewal(struct acme *acme, struct request *rq, const struct order *order, int64_t due_s)
{
    struct db_rows *planned = NULL;

    enum error error = DB_QUERY(acme->db, rq, &plan_renewal, &planned, DB_TEXT(order->id), DB_TEXT(lease_holder(acme->stars)), time_or_never(due_s));
    return check_held(rq, error, planned);
}

enum error
store_postpone_renewal(struct acme *acme, struct request *rq, const struct order *order, int64_t seconds, const char *trouble)
{
    struct db_rows *postponed = NULL;

    enum error error = DB_QUERY(acme->db, rq, &postpone_renewal, &postponed, DB_TEXT(order->id), DB_TEXT(lease_holder(acme->stars)),
                                DB_INT((int32_t)seconds), DB_TEXT(trouble));
    return check_held(rq, error, postponed);
}

enum error
store_stop_renewals(struct acme *acme, struct request *rq, const struct order *order, const char *problem)
{
    return DB_QUERY(acme->db, rq, &stop_renewals, NULL, DB_TEXT(order->id), DB_TEXT(lease_holder(acme->stars)), DB_TEXT(problem));
}

enum error
store_cancel_order(struct acme *acme, struct request *rq, const char *account_id, const char *id, bool *ret_canceled)
{
    struct db_rows *canceled = NULL;

    enum error error = DB_QUERY(acme->db, rq, &cancel, &canceled, DB_TEXT(id), DB_TEXT(account_id));
    if (!error)
        *ret_canceled = db_affected(canceled) == 1;
    return error;
}

enum error
store_load_star_certificate(struct acme *acme, struct request *rq, const char *account_id, const char *order_id, struct held_certificate *ret_held)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_star_certificate, &rows, DB_TEXT(order_id), DB_TEXT(account_id));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such certificate");
    *ret_held = (struct held_certificate){.star = star_of_text(rq->arena, db_text(rows, 0, 0)),
                                          .policy = db_text(rows, 0, 1),
                                          .obstacle = db_text(rows, 0, 2),
                                          .leaf = db_bytes(rows, 0, 3),
                                          .chain_pem = db_text(rows, 0, 4),
                                          .next_s = db_time_s(rows, 0, 5)};
    return OK;
}

enum error
store_is_star_certificate(struct acme *acme, struct request *rq, struct bytes serial, bool *ret_is)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &is_star_certificate, &rows, DB_BYTES(serial));
    if (!error)
        *ret_is = db_count(rows) > 0;
    return error;
}
