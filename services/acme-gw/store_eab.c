/* Credentials in the database. A use of one and the account that it makes are one transaction: neither is ever without the other. */
#include "acme.h"

#define USABLE "revoked_at IS NULL AND (expires_at IS NULL OR expires_at > now()) AND (use_limit = 0 OR uses < use_limit)"

static const struct db_statement load_eab_secret = {"load_eab_secret", "SELECT secret FROM acme.eab WHERE key_id = $1 AND policy = $2 AND " USABLE};
static const struct db_statement use_eab = {"use_eab",
                                            "UPDATE acme.eab SET uses = uses + 1 WHERE key_id = $1 AND policy = $2 AND " USABLE " RETURNING name"};
static const struct db_statement insert_bound_account = {
    "insert_bound_account",
    "WITH made AS (INSERT INTO acme.account (id, key_thumbprint, jwk, contacts, terms_agreed, client_address, policy, eab_key_id, eab_name, owner, "
    "principal, allowed_names, allowed_templates, external_account_binding) SELECT $1, $2, $3, $4, $5, $6, e.policy, e.key_id, e.name, e.owner, "
    "CASE WHEN e.principal = '' THEN e.name ELSE e.principal END, "
    "e.allowed_names, e.allowed_templates, $8 FROM acme.eab e WHERE e.key_id = $7 ON CONFLICT (key_thumbprint) DO NOTHING RETURNING "
    "id)" ANNOUNCE_ACCOUNT("made", "$9", "$10")};
static const struct db_statement insert_eab = {
    "insert_eab", "INSERT INTO acme.eab (key_id, name, secret, policy, use_limit, expires_at, owner, principal, allowed_names, allowed_templates, "
                  "created_by) SELECT $1, $2, $3, p.name, $5, $6, $7, $8, $9, $10, $11 FROM acme.policy p WHERE p.name = $4 AND p.eab <> 'none'"};
static const struct db_statement list_eabs_by_name = {
    "list_eabs", "SELECT name, key_id, policy, use_limit, uses, expires_at, CASE WHEN revoked_at IS NOT NULL THEN 'revoked' WHEN expires_at <= now() "
                 "THEN 'expired' WHEN use_limit > 0 AND uses >= use_limit THEN 'used-up' ELSE 'valid' END, owner, principal, allowed_names, "
                 "allowed_templates, created_by, created_at FROM acme.eab WHERE $1 = '' OR name = $1 ORDER BY name"};
static const struct db_statement delete_eab_by_name = {"delete_eab", "DELETE FROM acme.eab WHERE name = $1"};
static const struct db_statement revoke_eab_named = {"revoke_eab",
                                                     "UPDATE acme.eab SET revoked_at = coalesce(revoked_at, now()) WHERE name = $1 OR key_id = $1"};

enum error
store_load_eab_secret(struct acme *acme, struct request *rq, const char *key_id, const char *policy, struct bytes *ret_sealed)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_eab_secret, &rows, DB_TEXT(key_id), DB_TEXT(policy));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such credential");
    *ret_sealed = db_bytes(rows, 0, 0);
    return OK;
}

/* ---- an account with its credential ---- */

struct binding {
    const struct account *wanted;
    const char *key_id;
};

static enum error
bind_account(struct db *db, struct request *rq, void *context)
{
    const struct binding *binding = context;
    const struct account *wanted = binding->wanted;
    struct db_rows *used, *made;

    enum error error = DB_QUERY(db, rq, &use_eab, &used, DB_TEXT(binding->key_id), DB_TEXT(wanted->policy));
    if (error)
        return error;
    if (db_count(used) == 0)
        return refuse(rq, ERR_DENIED, "unauthorized", "the key id %.40s was used up, has expired or was revoked at this moment", binding->key_id);
    Pb__AccountChanged event = account_event(rq->arena, wanted, "created", wanted->client_address);
    event.contacts = (const char **)wanted->contacts;
    event.n_contacts = wanted->contact_count;
    event.eab = db_text(used, 0, 0);
    event.eab_key_id = binding->key_id;
    error = DB_QUERY(db, rq, &insert_bound_account, &made, DB_TEXT(wanted->id), DB_BYTES(BYTES(wanted->jwk.thumbprint, THUMBPRINT_LEN)),
                     DB_TEXT(wanted->jwk.canonical), DB_TEXT_ARRAY(wanted->contacts, wanted->contact_count), DB_BOOL(wanted->terms_agreed),
                     DB_TEXT(wanted->client_address), DB_TEXT(binding->key_id), DB_TEXT(wanted->binding), ACCOUNT_EVENT_VALUES(rq->arena, &event));
    if (error)
        return error;
    if (db_affected(made) == 0)
        return refuse(rq, ERR_CONFLICT, "malformed", "an account of this key was made at the same moment: ask again for it");
    return OK;
}

enum error
store_insert_bound_account(struct acme *acme, struct request *rq, const struct account *wanted, const char *key_id)
{
    struct binding binding = {wanted, key_id};

    return db_transaction(acme->db, rq, bind_account, &binding);
}

/* ---- operators ---- */

static struct db_value
time_or_null(int64_t time_s)
{
    if (time_s == 0)
        return DB_NULL;
    return DB_TIME_S(time_s);
}

enum error
store_insert_eab(struct acme *acme, struct request *rq, const Pb__EabCredential *credential, const char *key_id, struct bytes sealed)
{
    struct db_rows *rows;

    enum error error =
        DB_QUERY(acme->db, rq, &insert_eab, &rows, DB_TEXT(key_id), DB_TEXT(credential->name), DB_BYTES(sealed), DB_TEXT(credential->policy),
                 DB_INT(credential->use_limit), time_or_null(credential->expires_at_s), DB_TEXT(credential->owner), DB_TEXT(credential->principal),
                 DB_TEXT_ARRAY((const char *const *)credential->allowed_names, credential->n_allowed_names),
                 DB_TEXT_ARRAY((const char *const *)credential->allowed_templates, credential->n_allowed_templates), DB_TEXT(credential->created_by));
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        return fail(rq, ERR_CONFLICT, "there is a credential \"%s\" already", credential->name);
    }
    if (error)
        return error;
    return db_affected(rows) == 1
               ? OK
               : fail(rq, ERR_NOT_FOUND, "there is no policy \"%s\" whose eab is optional or required: see signetctl acme policy list",
                      credential->policy);
}

static size_t
read_texts(const struct db_rows *rows, size_t row, size_t column, const char ***ret_texts)
{
    const char *const *texts;
    size_t count = db_text_array(rows, row, column, &texts);

    *ret_texts = (const char **)texts;
    return count;
}

static Pb__EabCredential *
read_credential(struct arena *arena, const struct db_rows *rows, size_t row)
{
    Pb__EabCredential *credential = arena_alloc(arena, sizeof *credential);

    pb__eab_credential__init(credential);
    credential->name = db_text(rows, row, 0);
    credential->key_id = db_text(rows, row, 1);
    credential->policy = db_text(rows, row, 2);
    credential->use_limit = (uint32_t)db_int(rows, row, 3);
    credential->uses = (uint32_t)db_int(rows, row, 4);
    credential->expires_at_s = db_time_s(rows, row, 5);
    credential->status = db_text(rows, row, 6);
    credential->owner = db_text(rows, row, 7);
    credential->principal = db_text(rows, row, 8);
    credential->n_allowed_names = read_texts(rows, row, 9, &credential->allowed_names);
    credential->n_allowed_templates = read_texts(rows, row, 10, &credential->allowed_templates);
    credential->created_by = db_text(rows, row, 11);
    credential->created_at_s = db_time_s(rows, row, 12);
    return credential;
}

enum error
store_list_eabs(struct acme *acme, struct request *rq, const char *name, Pb__EabCredential ***ret_credentials, size_t *ret_count)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &list_eabs_by_name, &rows, DB_TEXT(name));
    if (error)
        return error;
    size_t count = db_count(rows);
    Pb__EabCredential **credentials = arena_array(rq->arena, count, sizeof(Pb__EabCredential *));
    for (size_t i = 0; i < count; i++)
        credentials[i] = read_credential(rq->arena, rows, i);
    *ret_credentials = credentials;
    *ret_count = count;
    return OK;
}

enum error
store_delete_eab(struct acme *acme, struct request *rq, const char *name)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &delete_eab_by_name, &rows, DB_TEXT(name));
    if (error)
        return error;
    return db_affected(rows) == 1 ? OK : fail(rq, ERR_NOT_FOUND, "there is no credential \"%s\": see signetctl acme eab list", name);
}

enum error
store_revoke_eab(struct acme *acme, struct request *rq, const char *name, bool *ret_found)
{
    struct db_rows *revoked;

    enum error error = DB_QUERY(acme->db, rq, &revoke_eab_named, &revoked, DB_TEXT(name));
    if (!error)
        *ret_found = db_affected(revoked) > 0;
    return error;
}
