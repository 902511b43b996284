/*
 * What acme-gw has in the database, accounts first; orders are in store_order.c, authorisations and challenges in store_challenge.c. Every function
 * is one round trip. Whoever asks for a thing of another account is told that it does not exist.
 */
#include "acme.h"

#include "base/base64.h"
#include "base/clock.h"
#include "store.h"

#define ID_OCTETS 16
#define ACCOUNT_COLUMNS                                                                                                                    \
    "id, status, jwk, array_to_string(contacts, ' '), terms_agreed, created_at, client_address, policy, owner, principal, allowed_names, " \
    "allowed_templates, external_account_binding"

static const struct db_statement load_account = {"load_account", "SELECT " ACCOUNT_COLUMNS " FROM acme.account WHERE id = $1"};
static const struct db_statement find_account_by_key = {"find_account_by_key",
                                                        "SELECT " ACCOUNT_COLUMNS " FROM acme.account WHERE key_thumbprint = $1"};
static const struct db_statement insert_account = {
    "insert_account",
    "WITH made AS (INSERT INTO acme.account (id, key_thumbprint, jwk, contacts, terms_agreed, client_address, policy) "
    "VALUES ($1, $2, $3, $4, $5, $6, $7) ON CONFLICT (key_thumbprint) DO NOTHING RETURNING id)" ANNOUNCE_ACCOUNT("made", "$8", "$9")};
static const struct db_statement lock_account = {"lock_account", "SELECT " ACCOUNT_COLUMNS " FROM acme.account WHERE id = $1 FOR NO KEY UPDATE"};
static const struct db_statement update_contacts = {
    "update_contacts", "WITH changed AS (UPDATE acme.account SET contacts = $2 WHERE id = $1 RETURNING id)" ANNOUNCE_ACCOUNT("changed", "$3", "$4")};
static const struct db_statement deactivate_account = {
    "deactivate_account",
    "WITH ended AS (UPDATE acme.account SET status = 'deactivated' WHERE id = $1 AND status = 'valid' RETURNING id)" ANNOUNCE_ACCOUNT("ended", "$2",
                                                                                                                                      "$3")};
static const struct db_statement change_key = {
    "change_key", "WITH changed AS (UPDATE acme.account SET key_thumbprint = $3, jwk = $4 WHERE id = $1 AND key_thumbprint = $2 AND status = 'valid' "
                  "RETURNING id)" ANNOUNCE_ACCOUNT("changed", "$5", "$6")};

static const char *const account_statuses[] = {
    [ACCOUNT_VALID] = "valid",
    [ACCOUNT_DEACTIVATED] = "deactivated",
    [ACCOUNT_REVOKED] = "revoked",
    NULL,
};

char *
new_id(struct arena *arena)
{
    uint8_t octets[ID_OCTETS];

    random_bytes(octets, sizeof octets);
    return base64url_encode(arena, BYTES(octets, sizeof octets));
}

char *
new_id_by_time(struct arena *arena)
{
    uint8_t octets[ID_OCTETS];

    random_bytes_by_time(octets, sizeof octets);
    return base64url_encode(arena, BYTES(octets, sizeof octets));
}

int
store_status(const char *const *names, const char *name)
{
    int status = 1;

    while (!text_equal(names[status], name)) {
        status++;
        if (names[status] == NULL)
            abort(); /* the column's CHECK knows more than this build */
    }
    return status;
}

static enum error
account_of_row(struct request *rq, const struct db_rows *rows, struct account *ret_account)
{
    struct account account = {0};

    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such account");
    account.id = db_text(rows, 0, 0);
    account.status = (enum account_status)store_status(account_statuses, db_text(rows, 0, 1));
    account.contacts = (const char *const *)text_split(rq->arena, db_text(rows, 0, 3), ' ', &account.contact_count);
    account.terms_agreed = db_bool(rows, 0, 4);
    account.created_at_s = db_time_s(rows, 0, 5);
    account.client_address = db_text(rows, 0, 6);
    account.policy = db_text(rows, 0, 7);
    account.owner = db_text(rows, 0, 8);
    account.principal = db_text(rows, 0, 9);
    account.allowed_name_count = db_text_array(rows, 0, 10, &account.allowed_names);
    account.allowed_template_count = db_text_array(rows, 0, 11, &account.allowed_templates);
    account.binding = db_text(rows, 0, 12);
    enum error error = jwk_parse(rq, json_parse_object(rq->arena, bytes_of_text(db_text(rows, 0, 2))), &account.jwk);
    if (!error)
        *ret_account = account;
    return error;
}

enum error
store_load_account(struct acme *acme, struct request *rq, const char *id, struct account *ret_account)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_account, &rows, DB_TEXT(id));
    return error ? error : account_of_row(rq, rows, ret_account);
}

enum error
store_find_account_by_key(struct acme *acme, struct request *rq, const struct jwk *jwk, struct account *ret_account)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &find_account_by_key, &rows, DB_BYTES(BYTES(jwk->thumbprint, THUMBPRINT_LEN)));
    return error ? error : account_of_row(rq, rows, ret_account);
}

enum error
store_insert_account(struct acme *acme, struct request *rq, const struct account *wanted, struct account *ret_account, bool *ret_created)
{
    struct db_rows *inserted = NULL, *found = NULL;
    struct bytes thumbprint = BYTES(wanted->jwk.thumbprint, THUMBPRINT_LEN);
    Pb__AccountChanged event = account_event(rq->arena, wanted, "created", wanted->client_address);
    event.contacts = (const char **)wanted->contacts;
    event.n_contacts = wanted->contact_count;
    struct db_step steps[] = {
        DB_STEP(&insert_account, &inserted, DB_TEXT(wanted->id), DB_BYTES(thumbprint), DB_TEXT(wanted->jwk.canonical),
                DB_TEXT_ARRAY(wanted->contacts, wanted->contact_count), DB_BOOL(wanted->terms_agreed), DB_TEXT(wanted->client_address),
                DB_TEXT(wanted->policy), ACCOUNT_EVENT_VALUES(rq->arena, &event)),
        DB_STEP(&find_account_by_key, &found, DB_BYTES(thumbprint)),
    };

    enum error error = db_atomic(acme->db, rq, steps, 2);
    if (!error)
        error = account_of_row(rq, found, ret_account);
    if (!error)
        *ret_created = db_affected(inserted) == 1;
    return error;
}

/* ---- contacts ---- */

struct new_contacts {
    const char *id;
    const char *const *contacts;
    size_t count;
    const char *client_address;
    struct account before;
};

static bool
are_equal(const char *const *some, size_t count, const char *const *others, size_t other_count)
{
    if (count != other_count)
        return false;
    for (size_t i = 0; i < count; i++)
        if (!text_equal(some[i], others[i]))
            return false;
    return true;
}

/* What the record says of the contacts before is what this very change found. */
static enum error
write_contacts(struct db *db, struct request *rq, void *context)
{
    struct new_contacts *new = context;
    const struct account *before = &new->before;
    struct db_rows *rows = NULL;

    enum error error = DB_QUERY(db, rq, &lock_account, &rows, DB_TEXT(new->id));
    if (!error)
        error = account_of_row(rq, rows, &new->before);
    if (error)
        return error;
    if (before->status != ACCOUNT_VALID)
        return refuse(rq, ERR_DENIED, "accountDeactivated", "the account is not valid any more");
    if (are_equal(before->contacts, before->contact_count, new->contacts, new->count))
        return OK;
    Pb__AccountChanged event = account_event(rq->arena, before, "contacts-changed", new->client_address);
    event.contacts = (const char **)new->contacts;
    event.n_contacts = new->count;
    event.former_contacts = (const char **)before->contacts;
    event.n_former_contacts = before->contact_count;
    return DB_QUERY(db, rq, &update_contacts, NULL, DB_TEXT(new->id), DB_TEXT_ARRAY(new->contacts, new->count),
                    ACCOUNT_EVENT_VALUES(rq->arena, &event));
}

enum error
store_update_contacts(struct acme *acme, struct request *rq, const char *id, const char *const *contacts, size_t count, const char *client_address,
                      struct account *ret_account)
{
    struct new_contacts new = {.id = id, .contacts = contacts, .count = count, .client_address = client_address};

    enum error error = db_transaction(acme->db, rq, write_contacts, &new);
    if (error)
        return error;
    *ret_account = new.before;
    ret_account->contacts = contacts;
    ret_account->contact_count = count;
    return OK;
}

/* ---- its end, and another key ---- */

enum error
store_deactivate_account(struct acme *acme, struct request *rq, const struct account *account, const char *client_address)
{
    Pb__AccountChanged event = account_event(rq->arena, account, "deactivated", client_address);
    const char *problem = problem_format(rq->arena, "unauthorized", "the account was deactivated");
    /* RFC 8555 §7.3.6: the server SHOULD cancel any pending operations authorized by the account's key. */
    const struct db_step steps[] = {
        DB_STEP(&deactivate_account, NULL, DB_TEXT(account->id), ACCOUNT_EVENT_VALUES(rq->arena, &event)),
        DB_STEP(&store_end_orders, NULL, DB_TEXT_ARRAY(&account->id, 1), DB_TEXT(problem)),
    };

    return db_atomic(acme->db, rq, steps, 2);
}

enum error
store_change_key(struct acme *acme, struct request *rq, const struct account *account, const struct jwk *key, const char *client_address,
                 bool *ret_in_use)
{
    struct db_rows *changed = NULL;
    struct bytes old_thumbprint = BYTES(account->jwk.thumbprint, THUMBPRINT_LEN), thumbprint = BYTES(key->thumbprint, THUMBPRINT_LEN);
    Pb__AccountChanged event = account_event(rq->arena, account, "key-changed", client_address);
    event.former_thumbprint = event.key_thumbprint;
    event.key_thumbprint = base64url_encode(rq->arena, thumbprint);

    enum error error = DB_QUERY(acme->db, rq, &change_key, &changed, DB_TEXT(account->id), DB_BYTES(old_thumbprint), DB_BYTES(thumbprint),
                                DB_TEXT(key->canonical), ACCOUNT_EVENT_VALUES(rq->arena, &event));
    /* The thumbprint is unique: of two accounts that want the same key, one gets it. */
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        *ret_in_use = true;
        return OK;
    }
    if (error || db_affected(changed) == 1)
        return error;
    return refuse(rq, ERR_DENIED, "unauthorized", "the account has another key by now, or is not valid any more");
}

/* ---- what came to nothing ---- */

enum error
store_prune(struct acme *acme, struct request *rq, int keep_days, int pages, int64_t *ret_orders, int64_t *ret_authorizations)
{
    static const struct db_statement prune = {"prune", "SELECT orders_gone, authorizations_gone FROM acme.prune($1, $2)"};
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &prune, &rows, DB_INT(keep_days), DB_INT(pages));
    if (error)
        return error;
    *ret_orders = db_count(rows) == 0 ? 0 : db_int(rows, 0, 0);
    *ret_authorizations = db_count(rows) == 0 ? 0 : db_int(rows, 0, 1);
    return OK;
}

enum error
store_prune_windows(struct acme *acme, struct request *rq, int keep_days, int most, int64_t *ret_windows)
{
    static const struct db_statement prune = {"prune_windows", "SELECT acme.prune_windows($1, $2)"};
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &prune, &rows, DB_INT(keep_days), DB_INT(most));
    if (!error)
        *ret_windows = db_int(rows, 0, 0);
    return error;
}
