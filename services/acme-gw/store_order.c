/*
 * Orders in the database. `processing` begins with store_claim_order (store_move.c; one winner, CSR and lease in the same statement) and ends with
 * one of store_end_order (there, too) and store_refuse_order, each only in the hands of the lease's holder.
 */
#include "acme.h"

#include "store.h"

static const struct db_statement load_order = {"load_order",
                                               "SELECT " ORDER_COLUMNS ", NULL::bytea FROM acme.orders o WHERE o.id = $1 AND o." ACCOUNT_IS "$2"};
static const struct db_statement list_orders = {
    "list_orders", "SELECT id, CASE WHEN status IN ('pending', 'ready') AND expires_at <= now() THEN 'invalid' ELSE status END, created_at "
                   "FROM acme.orders WHERE account_id = $1 AND (created_at, id) < ($2, $3) ORDER BY created_at DESC, id DESC LIMIT $4"};
/* As much as an audit record has room for, and ra takes. */
static const struct db_statement load_attestations = {
    "load_attestations",
    "SELECT coalesce(left(string_agg(a.attestation, '; ' ORDER BY a.name), 500), '') FROM acme.orders o JOIN acme.authorization a "
    "ON a.id = ANY (o.authorization_ids) WHERE o.id = $1"};
static const struct db_statement find_other_key = {
    "find_other_key",
    "SELECT FROM acme.orders o JOIN acme.authorization a ON a.id = ANY (o.authorization_ids) WHERE o.id = $1 AND a.attested_key <> $2"};
const struct db_statement store_take_finalizations = {
    "take_finalizations", "WITH due AS (SELECT id FROM acme.orders WHERE status = 'processing' AND due_at <= now() "
                          "AND (leased_until IS NULL OR leased_until < now()) ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) "
                          "UPDATE acme.orders o SET leased_until = now() + make_interval(secs => $2), lease_holder = $3, attempts = o.attempts + 1 "
                          "FROM due WHERE o.id = due.id RETURNING " ORDER_COLUMNS ", o.csr"};
const struct db_statement store_renew_finalizations = {
    "renew_finalizations", "UPDATE acme.orders SET leased_until = now() + make_interval(secs => $2) WHERE id = ANY ($1) AND lease_holder = $3"};
const struct db_statement store_leave_finalizations = {
    "leave_finalizations", "UPDATE acme.orders SET due_at = now() + make_interval(secs => power(2, least(attempts, 6) - 1)), leased_until = NULL, "
                           "lease_holder = NULL WHERE id = ANY ($1) AND lease_holder = $2 AND " STATUS_IS_STILL("processing")};
static const struct db_statement refuse_order = {"refuse_order",
                                                 "UPDATE acme.orders SET status = 'invalid', problem = $3, leased_until = NULL, lease_holder = NULL "
                                                 "WHERE id = $1 AND lease_holder = $2 AND " STATUS_IS_STILL("processing")};
static const struct db_statement postpone_order = {
    "postpone_order", "UPDATE acme.orders SET due_at = now() + make_interval(secs => $3), trouble = $4, leased_until = NULL, "
                      "lease_holder = NULL WHERE id = $1 AND lease_holder = $2 AND " STATUS_IS_STILL("processing")};
/* Who approves takes his time: that ra answers is no failed attempt, and the next trouble begins to count anew. */
static const struct db_statement await_approval = {
    "await_approval", "UPDATE acme.orders SET due_at = now() + make_interval(secs => $3), attempts = 0, "
                      "trouble = 'the template wants an approval, which nobody has given yet', leased_until = NULL, lease_holder = NULL "
                      "WHERE id = $1 AND lease_holder = $2 AND " STATUS_IS_STILL("processing")};
static const char *const order_statuses[] = {
    [ORDER_PENDING] = "pending",
    [ORDER_READY] = "ready",
    [ORDER_PROCESSING] = "processing",
    [ORDER_VALID] = "valid",
    [ORDER_INVALID] = "invalid",
    [ORDER_CANCELED] = "canceled",
    NULL,
};

enum order_status
store_order_status(const char *name)
{
    return (enum order_status)store_status(order_statuses, name);
}

static const struct identifier *
names_of_text(struct arena *arena, const char *text, size_t *ret_count)
{
    char **columns = text_split(arena, text, ' ', ret_count);
    struct identifier *names = arena_array(arena, *ret_count, sizeof *names);

    for (size_t i = 0; i < *ret_count; i++)
        names[i] = name_from_column(arena, columns[i]);
    return names;
}

/* A copy: the rows of a batch end before the requests that it was for. */
static const char *
text_of(struct arena *arena, const struct db_rows *rows, size_t row, size_t column)
{
    const char *text = db_text(rows, row, column);

    return text == NULL ? NULL : arena_text(arena, text);
}

struct order
store_order_of_row(struct arena *arena, const struct db_rows *rows, size_t row)
{
    struct order order = {
        .id = text_of(arena, rows, row, 0),
        .account_id = text_of(arena, rows, row, 1),
        .status = store_order_status(db_text(rows, row, 2)),
        .expires_at_s = db_time_s(rows, row, 5),
        .finalized_at_s = db_time_s(rows, row, 6),
        .client_address = text_of(arena, rows, row, 7),
        .problem = text_of(arena, rows, row, 8),
        .attempts = (int)db_int(rows, row, 9),
        .policy = text_of(arena, rows, row, 10),
        .not_before_s = db_time_s(rows, row, 12),
        .not_after_s = db_time_s(rows, row, 13),
        .profile = text_of(arena, rows, row, 14),
        .replaces = text_of(arena, rows, row, 15),
        .owner = text_of(arena, rows, row, 16),
        .principal = text_of(arena, rows, row, 17),
        .star = star_of_text(arena, db_text(rows, row, 18)),
        .csr = bytes_copy(arena, db_bytes(rows, row, ORDER_COLUMN_COUNT)),
    };

    order.preapproved = (const char *const *)text_split(arena, db_text(rows, row, 11), ' ', &order.preapproved_count);
    order.names = names_of_text(arena, db_text(rows, row, 3), &order.name_count);
    order.authorization_ids = (const char *const *)text_split(arena, db_text(rows, row, 4), ' ', &order.authorization_count);
    return order;
}

static enum error
order_of_rows(struct request *rq, const struct db_rows *rows, struct order *ret_order)
{
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such order of this account");
    *ret_order = store_order_of_row(rq->arena, rows, 0);
    return OK;
}

enum error
store_load_order(struct acme *acme, struct request *rq, const char *account_id, const char *id, struct order *ret_order)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_order, &rows, DB_TEXT(id), DB_TEXT(account_id));
    return error ? error : order_of_rows(rq, rows, ret_order);
}

enum error
store_list_orders(struct acme *acme, struct request *rq, const char *account_id, const struct order_place *after, int most,
                  struct order_place **ret_places, size_t *ret_count)
{
    struct db_rows *rows;

    enum error error =
        DB_QUERY(acme->db, rq, &list_orders, &rows, DB_TEXT(account_id), DB_TIME_US(after->created_at_us), DB_TEXT(after->id), DB_INT(most));
    if (error)
        return error;
    size_t count = db_count(rows);
    struct order_place *places = arena_array(rq->arena, count, sizeof *places);
    for (size_t i = 0; i < count; i++)
        places[i] = (struct order_place){
            .id = db_text(rows, i, 0), .status = store_order_status(db_text(rows, i, 1)), .created_at_us = db_time_us(rows, i, 2)};
    *ret_places = places;
    *ret_count = count;
    return OK;
}

enum error
store_load_attestations(struct acme *acme, struct request *rq, const struct order *order, const char **ret_attested)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_attestations, &rows, DB_TEXT(order->id));
    if (!error)
        *ret_attested = db_text(rows, 0, 0);
    return error;
}

enum error
store_other_key_is_attested(struct acme *acme, struct request *rq, const struct order *order, struct bytes key_sha256, bool *ret_attested)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &find_other_key, &rows, DB_TEXT(order->id), DB_BYTES(key_sha256));
    if (!error)
        *ret_attested = db_count(rows) > 0;
    return error;
}

enum error
store_refuse_order(struct acme *acme, struct request *rq, const char *id, const char *problem)
{
    return DB_QUERY(acme->db, rq, &refuse_order, NULL, DB_TEXT(id), DB_TEXT(lease_holder(acme->finalizations)), DB_TEXT(problem));
}

enum error
store_postpone_order(struct acme *acme, struct request *rq, const char *id, int seconds, const char *trouble)
{
    return DB_QUERY(acme->db, rq, &postpone_order, NULL, DB_TEXT(id), DB_TEXT(lease_holder(acme->finalizations)), DB_INT(seconds), DB_TEXT(trouble));
}

enum error
store_await_approval(struct acme *acme, struct request *rq, const char *id, int seconds)
{
    return DB_QUERY(acme->db, rq, &await_approval, NULL, DB_TEXT(id), DB_TEXT(lease_holder(acme->finalizations)), DB_INT(seconds));
}
