/* All SQL of est-gw: profiles and their users, which operators write, and what was delivered; of ra's certificates only a view is read. */
#include <assert.h>

#include "est.h"

#include "pki/name.h"
#include "pki/serial.h"

#define DELIVERED_LATELY_S 3600

#define PROFILE_COLUMNS                                                                                                                        \
    "name, description, disabled, template, issuer, validity_days, authentication, anchors, devices, names, proof_required, server_key_type, " \
    "approval, retry_after_s, csr_attributes, csr_key_type, csr_subject, csr_names, csr_extended_key_usage, csr_template, client_revocation"
#define PROFILE_COLUMN_COUNT 21
#define PROFILE_VALUES "$1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $19, $20, $21"

static const struct db_statement load_profiles = {"load_profiles", "SELECT " PROFILE_COLUMNS ", incarnation FROM est.profile ORDER BY name"};
static const struct db_statement insert_profile = {"insert_profile", "INSERT INTO est.profile (" PROFILE_COLUMNS ") VALUES (" PROFILE_VALUES
                                                                     ") ON CONFLICT (name) DO NOTHING"};
static const struct db_statement put_profile = {"put_profile", "INSERT INTO est.profile (" PROFILE_COLUMNS ") VALUES (" PROFILE_VALUES
                                                               ") ON CONFLICT (name) DO UPDATE SET "
                                                               "(" PROFILE_COLUMNS ", changed_at) = (" PROFILE_VALUES ", now()) RETURNING xmax = 0"};
static const struct db_statement delete_profile = {"delete_profile", "DELETE FROM est.profile WHERE name = $1"};
static const struct db_statement list_users = {"list_users", "SELECT profile, name FROM est.basic_user ORDER BY profile, name"};
static const struct db_statement put_user = {
    "put_user", "INSERT INTO est.basic_user (profile, name, password_hash) VALUES ($1, $2, $3) "
                "ON CONFLICT (profile, name) DO UPDATE SET password_hash = EXCLUDED.password_hash, changed_at = now() RETURNING xmax = 0"};
static const struct db_statement delete_user = {"delete_user", "DELETE FROM est.basic_user WHERE profile = $1 AND name = $2"};
static const struct db_statement find_users = {
    "find_users", "SELECT i.number, u.password_hash FROM unnest($1::text[], $2::text[]) WITH ORDINALITY AS i (profile, name, number) "
                  "JOIN est.basic_user u ON u.profile = i.profile AND u.name = i.name"};
static const struct db_statement find_enrolled = {"find_enrolled", "SELECT issuer, channel, certificate, revoked_at IS NOT NULL, idempotency_key "
                                                                   "FROM ra.enrolled_certificate WHERE expiry_month = $1 AND serial = $2"};
/* A row always, whatever of the two is there. */
static const struct db_statement find_past = {
    "find_past",
    "SELECT coalesce(c.serial IS NOT NULL AND c.revoked_at IS NULL AND (c.issued_at > l.lately OR d.generation = $2 AND (d.waits OR d.delivered_at > "
    "l.lately)), false), coalesce(d.generation, -1), coalesce(d.waits, false) FROM (SELECT now() - make_interval(secs => $3) AS lately) l "
    "LEFT JOIN est.delivery d ON d.request_sha256 = $1 LEFT JOIN ra.enrolled_certificate c ON c.expiry_month = $4 AND c.serial = $5"};
static const struct db_statement record_delivery = {
    "record_delivery", "INSERT INTO est.delivery AS d (request_sha256, generation, waits, likeness, csr) VALUES ($1, $2, $3, $4, $5) "
                       "ON CONFLICT (request_sha256) DO UPDATE SET (generation, waits, likeness, csr, delivered_at) = ($2, $3, $4, $5, now()) "
                       "WHERE d.generation < EXCLUDED.generation OR (d.generation = EXCLUDED.generation AND d.waits AND NOT EXCLUDED.waits)"};

static const struct db_statement find_waiting = {
    "find_waiting", "SELECT csr FROM est.delivery WHERE likeness = $1 AND (waits OR delivered_at > now() - make_interval(secs => $2)) "
                    "ORDER BY waits DESC, delivered_at DESC LIMIT 1"};
static const struct db_statement end_waiting = {
    "end_waiting", "UPDATE est.delivery SET waits = false, likeness = NULL, csr = NULL WHERE request_sha256 = $1 AND waits"};

/* ---- profiles ---- */

static const char **
texts(const struct db_rows *rows, size_t row, size_t column, size_t *ret_count)
{
    const char *const *found = NULL;

    *ret_count = db_text_array(rows, row, column, &found);
    return (const char **)found;
}

static void
read_profile(const struct db_rows *rows, size_t row, Pb__EstProfile *profile)
{
    pb__est_profile__init(profile);
    profile->name = db_text(rows, row, 0);
    profile->description = db_text(rows, row, 1);
    profile->disabled = db_bool(rows, row, 2);
    profile->template_ = db_text(rows, row, 3);
    profile->issuer = db_text(rows, row, 4);
    profile->validity_days = (uint32_t)db_int(rows, row, 5);
    profile->authentication = authentication_of(db_text(rows, row, 6));
    profile->anchors = db_text(rows, row, 7);
    profile->devices = texts(rows, row, 8, &profile->n_devices);
    profile->names = texts(rows, row, 9, &profile->n_names);
    profile->proof_required = db_bool(rows, row, 10);
    profile->server_key_type = db_text(rows, row, 11);
    profile->approval = db_bool(rows, row, 12);
    profile->retry_after_s = (uint32_t)db_int(rows, row, 13);
    profile->csr_attributes = texts(rows, row, 14, &profile->n_csr_attributes);
    profile->csr_key_type = db_text(rows, row, 15);
    profile->csr_subject = texts(rows, row, 16, &profile->n_csr_subject);
    profile->csr_names = texts(rows, row, 17, &profile->n_csr_names);
    profile->csr_extended_key_usage = texts(rows, row, 18, &profile->n_csr_extended_key_usage);
    profile->csr_template = db_bool(rows, row, 19);
    profile->client_revocation = client_revocation_of(db_text(rows, row, 20));
}

enum error
store_load_profiles(struct db *db, struct request *rq, Pb__EstProfile ***ret_profiles, const char ***ret_incarnations, size_t *ret_count)
{
    struct db_rows *rows;
    enum error error = DB_QUERY0(db, rq, &load_profiles, &rows);

    if (error)
        return error;
    Pb__EstProfile **profiles = arena_array(rq->arena, db_count(rows), sizeof *profiles);
    for (size_t i = 0; i < db_count(rows); i++) {
        profiles[i] = arena_alloc(rq->arena, sizeof *profiles[i]);
        read_profile(rows, i, profiles[i]);
    }
    if (ret_incarnations != NULL) {
        *ret_incarnations = arena_array(rq->arena, db_count(rows), sizeof **ret_incarnations);
        for (size_t i = 0; i < db_count(rows); i++)
            (*ret_incarnations)[i] = db_text(rows, i, PROFILE_COLUMN_COUNT);
    }
    *ret_profiles = profiles;
    *ret_count = db_count(rows);
    return OK;
}

enum error
store_find_profile(struct est *est, struct request *rq, const char *name, const Pb__EstProfile **ret_profile)
{
    Pb__EstProfile **profiles;
    size_t count;

    enum error error = store_load_profiles(est->db, rq, &profiles, NULL, &count);
    if (error)
        return error;
    *ret_profile = NULL;
    for (size_t i = 0; i < count; i++)
        if (text_equal(profiles[i]->name, name))
            *ret_profile = profiles[i];
    return OK;
}

static struct db_value
text_array(char *const *at, size_t count)
{
    return DB_TEXT_ARRAY((const char *const *)at, count);
}

enum error
store_put_profile(struct est *est, struct request *rq, const Pb__EstProfile *profile, bool create, bool *ret_created)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(
        est->db, rq, create ? &insert_profile : &put_profile, &rows, DB_TEXT(profile->name), DB_TEXT(profile->description),
        DB_BOOL(profile->disabled), DB_TEXT(profile->template_), DB_TEXT(profile->issuer), DB_INT(profile->validity_days),
        DB_TEXT(authentication_name(profile->authentication)), DB_TEXT(profile->anchors),
        text_array((char *const *)profile->devices, profile->n_devices), text_array((char *const *)profile->names, profile->n_names),
        DB_BOOL(profile->proof_required), DB_TEXT(profile->server_key_type), DB_BOOL(profile->approval), DB_INT(profile->retry_after_s),
        text_array((char *const *)profile->csr_attributes, profile->n_csr_attributes), DB_TEXT(profile->csr_key_type),
        text_array((char *const *)profile->csr_subject, profile->n_csr_subject), text_array((char *const *)profile->csr_names, profile->n_csr_names),
        text_array((char *const *)profile->csr_extended_key_usage, profile->n_csr_extended_key_usage), DB_BOOL(profile->csr_template),
        DB_TEXT(client_revocation_name(profile->client_revocation)));

    if (error)
        return error;
    if (create && db_affected(rows) == 0)
        return fail(rq, ERR_CONFLICT, "there is an EST profile named %s already", profile->name);
    *ret_created = create || db_bool(rows, 0, 0);
    return OK;
}

enum error
store_delete_profile(struct est *est, struct request *rq, const char *name)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(est->db, rq, &delete_profile, &rows, DB_TEXT(name));

    if (!error && db_affected(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no EST profile named \"%s\": see signetctl profile list --kind est", name);
    return error;
}

/* ---- users ---- */

enum error
store_list_users(struct est *est, struct request *rq, struct db_rows **ret_rows)
{
    return DB_QUERY0(est->db, rq, &list_users, ret_rows);
}

enum error
store_put_user(struct est *est, struct request *rq, const char *profile, const char *user, struct bytes hash, bool *ret_created)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(est->db, rq, &put_user, &rows, DB_TEXT(profile), DB_TEXT(user), DB_BYTES(hash));

    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        return fail(rq, ERR_NOT_FOUND, "there is no EST profile named \"%s\": see signetctl profile list --kind est", profile);
    }
    if (!error)
        *ret_created = db_bool(rows, 0, 0);
    return error;
}

enum error
store_delete_user(struct est *est, struct request *rq, const char *profile, const char *user)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(est->db, rq, &delete_user, &rows, DB_TEXT(profile), DB_TEXT(user));

    if (!error && db_affected(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no user \"%s\" of an EST profile named \"%s\": see signetctl profile list --kind est", user,
                    profile);
    return error;
}

enum error
store_find_users(void *context, struct request *rq, void *const *items, size_t count)
{
    const char *profiles[COMMIT_BATCH_MAX], *users[COMMIT_BATCH_MAX];
    struct est *est = context;
    struct db_rows *rows;

    assert(count <= COMMIT_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct login *login = items[i];
        profiles[i] = login->profile;
        users[i] = login->user;
    }
    enum error error = DB_QUERY(est->db, rq, &find_users, &rows, DB_TEXT_ARRAY(profiles, count), DB_TEXT_ARRAY(users, count));
    if (error)
        return error;
    for (size_t i = 0; i < db_count(rows); i++) {
        struct login *login = items[db_int(rows, i, 0) - 1];
        login->hash = bytes_copy(login->rq->arena, db_bytes(rows, i, 1));
    }
    return OK;
}

/* ---- CRLs of others ---- */

#define CLIENT_CRL_IDS "coalesce(string_agg(id::text, ',' ORDER BY id), '')"

static const struct db_statement find_client_crl_ids = {"find_client_crl_ids", "SELECT " CLIENT_CRL_IDS " FROM est.client_crl"};
static const struct db_statement load_client_crls = {"load_client_crls", "SELECT profile, issuer_id, crl FROM est.client_crl"};
static const struct db_statement list_client_crls = {
    "list_client_crls", "SELECT profile, issuer, number, this_update, next_update, entries FROM est.client_crl ORDER BY profile, issuer, issuer_id"};
static const struct db_statement find_client_crl = {
    "find_client_crl", "SELECT number, this_update, crl FROM est.client_crl WHERE profile = $1 AND issuer_id = $2 FOR UPDATE"};
static const struct db_statement put_client_crl = {
    "put_client_crl", "INSERT INTO est.client_crl (profile, issuer_id, issuer, number, this_update, next_update, entries, crl) "
                      "VALUES ($1, $2, $3, $4, $5, $6, $7, $8) ON CONFLICT (profile, issuer_id) DO UPDATE SET "
                      "(id, issuer, number, this_update, next_update, entries, crl) = (EXCLUDED.id, $3, $4, $5, $6, $7, $8)"};
static const struct db_statement keep_client_crls = {"keep_client_crls",
                                                     "DELETE FROM est.client_crl WHERE profile = $1 AND issuer_id <> ALL ($2::bytea[])"};
static const struct db_statement delete_client_crls = {"delete_client_crls", "DELETE FROM est.client_crl WHERE profile = $1"};

enum error
store_find_client_crl_ids(struct db *db, struct request *rq, const char **ret_ids)
{
    struct db_rows *rows;
    enum error error = DB_QUERY0(db, rq, &find_client_crl_ids, &rows);

    if (!error)
        *ret_ids = db_text(rows, 0, 0);
    return error;
}

enum error
store_load_client_crls(struct db *db, struct request *rq, struct db_rows **ret_rows)
{
    return DB_QUERY0(db, rq, &load_client_crls, ret_rows);
}

enum error
store_list_client_crls(struct est *est, struct request *rq, struct db_rows **ret_rows)
{
    return DB_QUERY0(est->db, rq, &list_client_crls, ret_rows);
}

/* In a transaction: operators' changes come one after the other. */
enum error
store_put_client_crl(struct est *est, struct request *rq, const struct client_crl *crl, bool *ret_changed)
{
    const struct crl *list = &crl->list;
    struct bytes issuer_id = BYTES(crl->issuer_id, sizeof crl->issuer_id), number = list->number.len > 0 ? list->number : BYTES("", 0);
    struct db_rows *rows;

    enum error error = DB_QUERY(est->db, rq, &find_client_crl, &rows, DB_TEXT(crl->profile), DB_BYTES(issuer_id));
    if (error)
        return error;
    *ret_changed = db_count(rows) == 0 || !bytes_equal(db_bytes(rows, 0, 2), list->der);
    if (!*ret_changed)
        return OK;
    if (db_count(rows) > 0) {
        error = client_crl_check_newer(rq, crl, db_bytes(rows, 0, 0), db_time_s(rows, 0, 1));
        if (error)
            return error;
    }
    return DB_QUERY(est->db, rq, &put_client_crl, NULL, DB_TEXT(crl->profile), DB_BYTES(issuer_id), DB_TEXT(name_format(rq->arena, list->issuer)),
                    DB_BYTES(number), DB_TIME_S(list->this_update_s), DB_TIME_S(list->next_update_s), DB_INT(list->entry_count), DB_BYTES(list->der));
}

enum error
store_keep_client_crls(struct est *est, struct request *rq, const char *profile, const struct bytes *issuer_ids, size_t count)
{
    return DB_QUERY(est->db, rq, &keep_client_crls, NULL, DB_TEXT(profile), DB_BYTES_ARRAY(issuer_ids, count));
}

/* ---- and their parts ---- */

static const struct db_statement forget_old_parts = {"forget_old_parts", "DELETE FROM est.client_crl_part WHERE came_at < now() - interval '1 hour'"};
static const struct db_statement put_crl_part = {
    "put_crl_part", "INSERT INTO est.client_crl_part (upload, part, octets) VALUES ($1, $2, $3) ON CONFLICT (upload, part) DO NOTHING"};
static const struct db_statement load_crl_parts = {"load_crl_parts",
                                                   "SELECT octets FROM est.client_crl_part WHERE upload = $1 AND part < $2 ORDER BY part"};
static const struct db_statement forget_crl_parts = {"forget_crl_parts", "DELETE FROM est.client_crl_part WHERE upload = $1"};

enum error
store_put_crl_part(struct est *est, struct request *rq, const char *upload, uint32_t part, struct bytes octets)
{
    const struct db_step steps[] = {
        {.statement = &forget_old_parts},
        DB_STEP(&put_crl_part, NULL, DB_TEXT(upload), DB_INT(part), DB_BYTES(octets)),
    };

    return db_atomic(est->db, rq, steps, 2);
}

enum error
store_join_crl_parts(struct est *est, struct request *rq, const char *upload, uint32_t count, struct buffer *joined)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(est->db, rq, &load_crl_parts, &rows, DB_TEXT(upload), DB_INT(count));

    if (error)
        return error;
    if (db_count(rows) != count)
        return fail(rq, ERR_BAD_REQUEST, "%zu parts of the CRL came before the last one, which is part %u", db_count(rows), count);
    for (size_t i = 0; i < count; i++)
        buffer_append(joined, db_bytes(rows, i, 0).at, db_bytes(rows, i, 0).len);
    return OK;
}

enum error
store_forget_crl_parts(struct est *est, struct request *rq, const char *upload)
{
    return DB_QUERY(est->db, rq, &forget_crl_parts, NULL, DB_TEXT(upload));
}

enum error
store_delete_client_crls(struct est *est, struct request *rq, const char *profile, size_t *ret_deleted)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(est->db, rq, &delete_client_crls, &rows, DB_TEXT(profile));

    if (!error)
        *ret_deleted = db_affected(rows);
    return error;
}

/* ---- certificates ---- */

enum error
store_find_enrolled(struct est *est, struct request *rq, struct bytes serial, int expiry_month, const struct enrolled **ret_enrolled)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(est->db, rq, &find_enrolled, &rows, DB_INT(expiry_month), DB_BYTES(serial));

    if (error)
        return error;
    struct enrolled *enrolled = NULL;
    if (db_count(rows) > 0) {
        enrolled = arena_alloc(rq->arena, sizeof *enrolled);
        *enrolled = (struct enrolled){.issuer = db_text(rows, 0, 0),
                                      .channel = db_text(rows, 0, 1),
                                      .certificate = db_bytes(rows, 0, 2),
                                      .revoked = db_bool(rows, 0, 3),
                                      .key = db_text(rows, 0, 4)};
    }
    *ret_enrolled = enrolled;
    return OK;
}

enum error
store_find_past(struct est *est, struct request *rq, const struct delivery *delivery, struct bytes serial, struct past *ret_past)
{
    struct db_rows *rows;
    int month = 0;

    if (serial.len > 0 && !serial_parse(serial, &month))
        return fail_privately(rq, ERR_INTERNAL, "the certificate was issued, but cannot be delivered", "ra: serial number of another form");
    enum error error = DB_QUERY(est->db, rq, &find_past, &rows, DB_BYTES(delivery->request_sha256), DB_INT(delivery->generation),
                                DB_INT(DELIVERED_LATELY_S), DB_INT(month), DB_BYTES(serial));
    if (!error)
        *ret_past = (struct past){.is_good = db_bool(rows, 0, 0), .generation = (int)db_int(rows, 0, 1), .waits = db_bool(rows, 0, 2)};
    return error;
}

enum error
store_record_delivery(struct est *est, struct request *rq, const struct delivery *delivery, const struct waiting *waiting, bool waits)
{
    bool is_known_again = waiting->likeness_sha256.len > 0;

    return DB_QUERY(est->db, rq, &record_delivery, NULL, DB_BYTES(delivery->request_sha256), DB_INT(delivery->generation), DB_BOOL(waits),
                    DB_BYTES(waiting->likeness_sha256), is_known_again ? DB_BYTES(waiting->csr) : DB_NULL);
}

enum error
store_find_waiting(struct est *est, struct request *rq, struct bytes likeness_sha256, struct bytes *ret_csr)
{
    struct db_rows *rows;
    enum error error = DB_QUERY(est->db, rq, &find_waiting, &rows, DB_BYTES(likeness_sha256), DB_INT(DELIVERED_LATELY_S));

    if (!error && db_count(rows) > 0)
        *ret_csr = db_bytes(rows, 0, 0);
    return error;
}

enum error
store_end_waiting(struct est *est, struct request *rq, const struct delivery *delivery)
{
    return DB_QUERY(est->db, rq, &end_waiting, NULL, DB_BYTES(delivery->request_sha256));
}

/* Not of those that still wait for a person. */
const struct db_statement store_forget_deliveries = {"forget_deliveries",
                                                     PRUNE_ROWS("est.delivery", "NOT waits AND delivered_at < now() - make_interval(days => $1)")};
