/*
 * Accounts as operators see them, and as they end them: with their orders, in one transaction, and each on record.
 */
#include "acme.h"

#include <string.h>

#include "base/base64.h"
#include "base/clock.h"
#include "pki/serial.h"
#include "store.h"

#define ADMIN_COLUMNS                                                                                                                      \
    "a.id, a.status, a.policy, a.contacts, a.key_thumbprint, a.eab_name, coalesce(a.eab_key_id, ''), a.owner, a.principal, a.created_at, " \
    "a.client_address, (SELECT o.created_at FROM acme.orders o WHERE o.account_id = a.id ORDER BY o.created_at DESC, o.id DESC LIMIT 1)"
enum { ADMIN_COLUMN_COUNT = 12 };

/* Accounts that were made with a credential: by its name, or its key id, whether it is there or was deleted. */
#define MADE_WITH(eab)                                                                          \
    "id IN (SELECT id FROM acme.account WHERE eab_name = " eab " AND eab_name <> '' UNION ALL " \
    "SELECT id FROM acme.account WHERE eab_key_id = " eab " UNION ALL "                         \
    "SELECT b.id FROM acme.eab e JOIN acme.account b ON b.eab_key_id = e.key_id WHERE e.name = " eab ")"
/* By the index of what is in work, which is little; not by that of all that the account has ever ordered. */
#define IN_WORK_OF(accounts) STATUS_IS_PROCESSING " AND coalesce(account_id, '') = ANY (" accounts ")"
#define STATUS_IS_PROCESSING "status = 'processing'"
/* Orders do not wait for their clients for longer than a week: older ones need not be looked through. */
#define OPEN_OF(accounts) "account_id = ANY (" accounts ") AND created_at > now() - interval '8 days' AND status IN ('pending', 'ready')"

const struct db_statement store_end_orders = {"end_orders_of_accounts",
                                              "WITH woken AS (UPDATE acme.orders SET due_at = now() WHERE leased_until IS NULL AND " IN_WORK_OF(
                                                  "$1") ") "
                                                        "UPDATE acme.orders SET status = 'invalid', problem = $2 WHERE " OPEN_OF("$1")};
static const struct db_statement list_accounts = {
    "list_accounts",
    "SELECT " ADMIN_COLUMNS " FROM acme.account a WHERE (a.created_at, a.id) < ($1, $2) AND ($3 = '' OR a.policy = $3) "
    "AND ($4 = '' OR a.status = $4) AND ($5 = '' OR a." MADE_WITH(
        "$5") ") "
              "AND ($6 = '' OR strpos(lower(array_to_string(a.contacts, ' ')), lower($6)) > 0) ORDER BY a.created_at DESC, a.id DESC LIMIT $7"};
static const struct db_statement show_account = {
    "show_account",
    "SELECT " ADMIN_COLUMNS ", (SELECT count(*) FROM acme.orders WHERE expires_at > now() AND " OPEN_OF(
        "ARRAY[$1]") "), "
                     "(SELECT count(*) FROM acme.orders WHERE " IN_WORK_OF("ARRAY[$1]") "), coalesce(array_length(a.former_thumbprints, 1), 0) "
                                                                                        "FROM acme.account a WHERE a.id = $1"};
static const struct db_statement find_account_named = {"find_account_named",
                                                       "SELECT id FROM acme.account WHERE id = $1 UNION ALL SELECT id FROM acme.account WHERE "
                                                       "key_thumbprint = $2"};
#define REVOKE_CHOSEN                                                                                                                          \
    "UPDATE acme.account a SET status = 'revoked' FROM chosen WHERE a.id = chosen.id RETURNING a.id, a.policy, a.key_thumbprint, a.eab_name, " \
    "coalesce(a.eab_key_id, '')"
static const struct db_statement revoke_account = {
    "revoke_account", "WITH chosen AS (SELECT id FROM acme.account WHERE id = $1 AND status = 'valid' FOR NO KEY UPDATE) " REVOKE_CHOSEN};
static const struct db_statement revoke_bound_accounts = {
    "revoke_bound_accounts", "WITH chosen AS (SELECT id FROM acme.account WHERE " MADE_WITH("$1") " AND status = 'valid' ORDER BY id LIMIT $2 "
                                                                                                  "FOR NO KEY UPDATE) " REVOKE_CHOSEN};
static const struct db_statement announce_accounts = {
    "announce_accounts", "INSERT INTO acme.outbox (event_id, subject, body) SELECT e.id, 'signet.event.account.changed', e.body "
                         "FROM unnest($1::text[], $2::bytea[]) AS e (id, body)"};
static const struct db_statement is_bound_by = {"is_bound_by", "SELECT FROM acme.account WHERE " MADE_WITH("$1") " LIMIT 1"};
/* A certificate of an automatic renewal may be one of many of its order. */
static const struct db_statement list_account_certificates = {
    "list_account_certificates",
    "SELECT f.serial, c.issuer, c.not_after, coalesce(o.names[1], ''), coalesce(array_length(o.names, 1), 0), o.id, o.created_at FROM acme.orders o "
    "CROSS JOIN LATERAL (SELECT o.serial, o.expiry_month WHERE o.serial IS NOT NULL UNION SELECT s.serial, s.expiry_month FROM "
    "acme.star_certificate s WHERE s.order_id = o.id) AS f JOIN ra.certificate_status c ON c.expiry_month = f.expiry_month AND c.serial = f.serial "
    "WHERE o.account_id = $1 AND (o.created_at, o.id) <= ($2, $3) AND (o.created_at, o.id, f.serial) < ($2, $3, $4) AND f.expiry_month >= $5 AND "
    "c.not_after > now() AND c.revoked_at IS NULL ORDER BY o.created_at DESC, o.id DESC, f.serial DESC LIMIT $6"};

/* ---- pages ---- */

#define CURSOR_MAX 120
#define NEWEST_US (INT64_MAX / 2)

enum error
page_place_parse(struct request *rq, const char *cursor, struct page_place *ret_place)
{
    static const uint8_t above_all[] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff,
                                        0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
    struct page_place place = {.created_at_us = NEWEST_US, .id = "", .serial = BYTES(above_all, sizeof above_all)};
    size_t count;

    if (cursor[0] == '\0') {
        *ret_place = place;
        return OK;
    }
    char **parts = strlen(cursor) > CURSOR_MAX ? NULL : text_split(rq->arena, cursor, '.', &count);
    if (parts == NULL || count < 2 || count > 3 || !text_parse_number(parts[0], 0, NEWEST_US, &place.created_at_us) ||
        !text_is_printable_ascii(bytes_of_text(parts[1])) || (count == 3 && !bytes_from_hex(rq->arena, parts[2], &place.serial)))
        return fail(rq, ERR_BAD_REQUEST, "the cursor is not one that a list has answered");
    place.id = parts[1];
    *ret_place = place;
    return OK;
}

/* ---- one account ---- */

static Pb__AcmeAccount *
read_account(struct arena *arena, const struct db_rows *rows, size_t row)
{
    Pb__AcmeAccount *account = arena_alloc(arena, sizeof *account);
    const char *const *contacts;

    pb__acme_account__init(account);
    account->id = db_text(rows, row, 0);
    account->status = db_text(rows, row, 1);
    account->policy = db_text(rows, row, 2);
    account->n_contacts = db_text_array(rows, row, 3, &contacts);
    account->contacts = (const char **)contacts;
    account->key_thumbprint = base64url_encode(arena, db_bytes(rows, row, 4));
    account->eab = db_text(rows, row, 5);
    account->eab_key_id = db_text(rows, row, 6);
    account->owner = db_text(rows, row, 7);
    account->principal = db_text(rows, row, 8);
    account->created_at_s = db_time_s(rows, row, 9);
    account->client_address = db_text(rows, row, 10);
    account->last_order_at_s = db_time_s(rows, row, 11);
    return account;
}

enum error
store_list_accounts(struct acme *acme, struct request *rq, const Pb__ListAcmeAccountsRequest *filter, const struct page_place *after, int most,
                    Pb__ListAcmeAccountsReply *ret_reply)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &list_accounts, &rows, DB_TIME_US(after->created_at_us), DB_TEXT(after->id), DB_TEXT(filter->policy),
                                DB_TEXT(filter->status), DB_TEXT(filter->eab), DB_TEXT(filter->contact), DB_INT(most + 1));
    if (error)
        return error;
    size_t count = db_count(rows) > (size_t)most ? (size_t)most : db_count(rows);
    ret_reply->accounts = arena_array(rq->arena, count, sizeof *ret_reply->accounts);
    for (size_t i = 0; i < count; i++)
        ret_reply->accounts[ret_reply->n_accounts++] = read_account(rq->arena, rows, i);
    if (db_count(rows) > count)
        ret_reply->next_cursor = arena_format(rq->arena, "%lld.%s", (long long)db_time_us(rows, count - 1, 9), db_text(rows, count - 1, 0));
    return OK;
}

enum error
store_show_account(struct acme *acme, struct request *rq, const char *id, Pb__ShowAcmeAccountReply *ret_reply)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &show_account, &rows, DB_TEXT(id));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no account %s", id);
    ret_reply->account = read_account(rq->arena, rows, 0);
    ret_reply->open_orders = (uint32_t)db_int(rows, 0, ADMIN_COLUMN_COUNT);
    ret_reply->orders_in_work = (uint32_t)db_int(rows, 0, ADMIN_COLUMN_COUNT + 1);
    ret_reply->former_keys = (uint32_t)db_int(rows, 0, ADMIN_COLUMN_COUNT + 2);
    return OK;
}

enum error
store_find_account_named(struct acme *acme, struct request *rq, const char *name, const char **ret_id)
{
    const char *slash = strrchr(name, '/');
    const char *last = slash == NULL ? name : slash + 1;
    struct bytes thumbprint = BYTES_NONE;
    struct db_rows *rows;

    bool is_id = strlen(last) == ACME_ID_LEN && text_is_printable_ascii(bytes_of_text(last));
    if (!is_id && (strlen(last) != THUMBPRINT_TEXT_LEN || !base64url_decode(rq->arena, bytes_of_text(last), &thumbprint)))
        return fail(rq, ERR_BAD_REQUEST, "an account is named by its URL, by the %d characters at the end of it, or by the thumbprint of its key",
                    ACME_ID_LEN);
    enum error error = DB_QUERY(acme->db, rq, &find_account_named, &rows, DB_TEXT(is_id ? last : NULL), DB_BYTES(thumbprint));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no account %s: see signetctl acme account list", last);
    *ret_id = db_text(rows, 0, 0);
    return OK;
}

/* ---- the end of accounts ---- */

static const char *
add_event(struct request *rq, struct db_columns *events, const struct account_end *end, const struct db_rows *rows, size_t row)
{
    Pb__AccountChanged event = PB__ACCOUNT_CHANGED__INIT;

    event.account = db_text(rows, row, 0);
    event.action = "revoked";
    event.policy = db_text(rows, row, 1);
    event.key_thumbprint = base64url_encode(rq->arena, db_bytes(rows, row, 2));
    event.eab = db_text(rows, row, 3);
    event.eab_key_id = db_text(rows, row, 4);
    event.operator_ = end->operator_name;
    event.caller = rq->caller;
    event.why = end->why;
    DB_ADD(events, ACCOUNT_EVENT_VALUES(rq->arena, &event));
    return event.account;
}

/* Of those that the statement before has revoked. */
static enum error
end_accounts(struct acme *within, struct request *rq, const struct db_rows *revoked, struct account_end *end)
{
    static const enum db_type types[] = {DB_IS_TEXT, DB_IS_BYTES};
    static const char detail[] = "the account was revoked by the operator of this server";
    struct db_columns *events = db_columns_new(rq->arena, types, 2);
    const char **ids = arena_array(rq->arena, db_count(revoked), sizeof *ids);
    struct db_rows *orders = NULL;
    struct db_value values[2];

    for (size_t i = 0; i < db_count(revoked); i++)
        ids[i] = add_event(rq, events, end, revoked, i);
    db_columns_take(events, values);
    enum error error = db_query(within->db, rq, &announce_accounts, values, 2, NULL);
    if (!error)
        error = DB_QUERY(within->db, rq, &store_end_orders, &orders, DB_TEXT_ARRAY(ids, db_count(revoked)),
                         DB_TEXT(problem_format(rq->arena, "unauthorized", detail)));
    if (error)
        return error;
    end->accounts = db_count(revoked);
    end->orders = db_affected(orders);
    return OK;
}

enum error
store_revoke_account(struct acme *within, struct request *rq, const char *id, struct account_end *end)
{
    struct db_rows *revoked;

    enum error error = DB_QUERY(within->db, rq, &revoke_account, &revoked, DB_TEXT(id));
    return error ? error : end_accounts(within, rq, revoked, end);
}

enum error
store_revoke_bound_accounts(struct acme *within, struct request *rq, const char *eab, struct account_end *end)
{
    struct db_rows *revoked;

    enum error error = DB_QUERY(within->db, rq, &revoke_bound_accounts, &revoked, DB_TEXT(eab), DB_INT(REVOKE_ACCOUNTS_MAX));
    return error ? error : end_accounts(within, rq, revoked, end);
}

enum error
store_is_bound_by(struct acme *acme, struct request *rq, const char *eab, bool *ret_is)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &is_bound_by, &rows, DB_TEXT(eab));
    if (!error)
        *ret_is = db_count(rows) > 0;
    return error;
}

/* ---- what an account has ---- */

static Pb__AcmeAccountCertificate *
read_certificate(struct arena *arena, const struct db_rows *rows, size_t row)
{
    Pb__AcmeAccountCertificate *certificate = arena_alloc(arena, sizeof *certificate);

    pb__acme_account_certificate__init(certificate);
    certificate->serial = message_data(db_bytes(rows, row, 0));
    certificate->issuer = db_text(rows, row, 1);
    certificate->not_after_s = db_time_s(rows, row, 2);
    certificate->name = name_from_column(arena, db_text(rows, row, 3)).value;
    certificate->name_count = (uint32_t)db_int(rows, row, 4);
    certificate->order = db_text(rows, row, 5);
    return certificate;
}

enum error
store_list_account_certificates(struct acme *acme, struct request *rq, const char *id, const struct page_place *after, int most,
                                Pb__ListAcmeAccountCertificatesReply *ret_reply)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &list_account_certificates, &rows, DB_TEXT(id), DB_TIME_US(after->created_at_us), DB_TEXT(after->id),
                                DB_BYTES(after->serial), DB_INT(serial_month_of(clock_now_s())), DB_INT(most + 1));
    if (error)
        return error;
    size_t count = db_count(rows) > (size_t)most ? (size_t)most : db_count(rows);
    ret_reply->certificates = arena_array(rq->arena, count, sizeof *ret_reply->certificates);
    for (size_t i = 0; i < count; i++)
        ret_reply->certificates[ret_reply->n_certificates++] = read_certificate(rq->arena, rows, i);
    if (db_count(rows) > count)
        ret_reply->next_cursor = arena_format(rq->arena, "%lld.%s.%s", (long long)db_time_us(rows, count - 1, 6), db_text(rows, count - 1, 5),
                                              bytes_hex(rq->arena, db_bytes(rows, count - 1, 0), 0));
    return OK;
}
