/* What operators ask and say about orders and certificates. */
#include "acme.h"

#include "pki/serial.h"
#include "store.h"

static const struct db_statement describe_order = {
    "describe_order",
    "SELECT o.id, o.status, o.account_id, k.status, o.policy, coalesce(o.profile, ''), o.client_address, o.created_at, o.expires_at, "
    "o.finalized_at, o.attempts, CASE WHEN o.status = 'processing' THEN o.due_at END, o.leased_until, coalesce(o.lease_holder, ''), "
    "CASE WHEN o.status = 'processing' THEN coalesce(o.trouble, '') ELSE '' END, coalesce(o.problem, ''), o.serial, "
    "coalesce(o.replaces, ''), o.auto_renewal, (o.auto_renewal::json ->> 'end-date')::timestamptz, s.renewal, s.due_at, s.attempts, s.leased_until, "
    "coalesce(s.lease_holder, ''), coalesce(s.trouble, ''), CASE WHEN o.auto_renewal IS NOT NULL AND o.status = 'valid' THEN " STAR_OBSTACLE
    " END FROM acme.orders o JOIN acme.account k ON k.id = o.account_id "
    "LEFT JOIN acme.star s ON s.order_id = o.id WHERE o.id = $1"};
static const struct db_statement describe_authorizations = {
    "describe_authorizations",
    "SELECT a.name, a.id, a.status, a.expires_at, coalesce(c.type, array_to_string(c.offered, ' '), ''), coalesce(c.status, ''), c.attempts, "
    "CASE WHEN c.status = 'processing' THEN c.due_at END, c.leased_until, coalesce(c.lease_holder, ''), coalesce(c.problem, '') FROM acme.orders o "
    "JOIN acme.authorization a ON a.id = ANY (o.authorization_ids) LEFT JOIN acme.challenge c ON c.authorization_id = a.id WHERE o.id = $1 "
    "ORDER BY a.name"};
/* $7: the month in which the one certificate expires; 0 when it is not one: that, then, of the last of all that there are. */
static const struct db_statement write_renewal_window = {
    "write_renewal_window", "INSERT INTO acme.renewal_window (issuer, name, serial, issued_before, starts_at, ends_at, explanation, expiry_month) "
                            "VALUES ($1, $2, $3, $4, $4, $5, $6, coalesce(nullif($7, 0), (SELECT max(expiry_month) FROM ra.issued_certificate), 0)) "
                            "ON CONFLICT (serial, name, issuer) DO UPDATE SET id = DEFAULT, issued_before = excluded.issued_before, "
                            "starts_at = excluded.starts_at, ends_at = excluded.ends_at, explanation = excluded.explanation, created_at = now(), "
                            "expiry_month = excluded.expiry_month"};

static Pb__AutoRenewal *
auto_renewal_of_row(struct arena *arena, const struct db_rows *rows)
{
    Pb__AutoRenewal *renewal = arena_alloc(arena, sizeof *renewal);

    if (db_is_null(rows, 0, 18))
        return NULL;
    pb__auto_renewal__init(renewal);
    renewal->wishes = db_text(rows, 0, 18);
    renewal->ends_at_s = db_time_s(rows, 0, 19);
    renewal->renewals = (uint32_t)db_int(rows, 0, 20);
    renewal->next_at_s = db_time_s(rows, 0, 21);
    renewal->attempts = (int32_t)db_int(rows, 0, 22);
    renewal->lease_ends_at_s = db_time_s(rows, 0, 23);
    renewal->lease_holder = db_text(rows, 0, 24);
    renewal->trouble = db_text(rows, 0, 25);
    renewal->obstacle = db_is_null(rows, 0, 26) ? "" : db_text(rows, 0, 26);
    return renewal;
}

static void
take_order(struct arena *arena, const struct db_rows *rows, Pb__ExplainOrderReply *reply)
{
    reply->order = db_text(rows, 0, 0);
    reply->status = db_text(rows, 0, 1);
    reply->account = db_text(rows, 0, 2);
    reply->account_status = db_text(rows, 0, 3);
    reply->policy = db_text(rows, 0, 4);
    reply->profile = db_text(rows, 0, 5);
    reply->client_address = db_text(rows, 0, 6);
    reply->created_at_s = db_time_s(rows, 0, 7);
    reply->expires_at_s = db_time_s(rows, 0, 8);
    reply->finalized_at_s = db_time_s(rows, 0, 9);
    reply->attempts = (int32_t)db_int(rows, 0, 10);
    reply->next_attempt_at_s = db_time_s(rows, 0, 11);
    reply->lease_ends_at_s = db_time_s(rows, 0, 12);
    reply->lease_holder = db_text(rows, 0, 13);
    reply->trouble = db_text(rows, 0, 14);
    reply->problem = db_text(rows, 0, 15);
    reply->serial = message_data(db_bytes(rows, 0, 16));
    reply->replaces = db_text(rows, 0, 17);
    reply->auto_renewal = auto_renewal_of_row(arena, rows);
}

static Pb__OrderAuthorization *
authorization_of_row(struct arena *arena, const struct db_rows *rows, size_t row)
{
    Pb__OrderAuthorization *authorization = arena_alloc(arena, sizeof *authorization);

    pb__order_authorization__init(authorization);
    authorization->name = db_text(rows, row, 0);
    authorization->id = db_text(rows, row, 1);
    authorization->status = db_text(rows, row, 2);
    authorization->expires_at_s = db_time_s(rows, row, 3);
    authorization->challenge = db_text(rows, row, 4);
    authorization->challenge_status = db_text(rows, row, 5);
    authorization->attempts = (int32_t)db_int(rows, row, 6);
    authorization->next_attempt_at_s = db_time_s(rows, row, 7);
    authorization->lease_ends_at_s = db_time_s(rows, row, 8);
    authorization->lease_holder = db_text(rows, row, 9);
    authorization->problem = db_text(rows, row, 10);
    return authorization;
}

enum error
store_describe_order(struct acme *acme, struct request *rq, const char *id, Pb__ExplainOrderReply *ret_reply)
{
    struct db_rows *orders = NULL, *authorizations = NULL;
    struct db_step steps[] = {
        DB_STEP(&describe_order, &orders, DB_TEXT(id)),
        DB_STEP(&describe_authorizations, &authorizations, DB_TEXT(id)),
    };

    enum error error = db_atomic(acme->db, rq, steps, 2);
    if (error)
        return error;
    if (db_count(orders) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no order %s", id);
    take_order(rq->arena, orders, ret_reply);
    ret_reply->n_authorizations = db_count(authorizations);
    ret_reply->authorizations = arena_array(rq->arena, ret_reply->n_authorizations, sizeof *ret_reply->authorizations);
    for (size_t i = 0; i < ret_reply->n_authorizations; i++)
        ret_reply->authorizations[i] = authorization_of_row(rq->arena, authorizations, i);
    return OK;
}

enum error
store_write_renewal_window(struct acme *acme, struct request *rq, const Pb__MoveRenewalWindowRequest *input, int64_t starts_s, int64_t ends_s)
{
    struct bytes serial = input->serial.len > 0 ? message_bytes(input->serial) : BYTES_NONE;
    int month = 0;

    (void)serial_parse(serial, &month); /* or there is none */
    return DB_QUERY(acme->db, rq, &write_renewal_window, NULL, DB_TEXT(input->issuer), DB_TEXT(input->name), DB_BYTES(serial), DB_TIME_S(starts_s),
                    DB_TIME_S(ends_s), DB_TEXT(input->explanation), DB_INT(month));
}
