/* All SQL of scep-gw. */
#include <assert.h>
#include <string.h>

#include "base/text.h"
#include "pki/serial.h"
#include "scep.h"

#define MINUTES_DEFAULT 60
#define CHALLENGES_DEFAULT 1000
#define WAITING_MOST 1000 /* devices that nobody has vouched for, in a day */

/* ---- profiles ---- */

static enum error
read_profile(struct request *rq, const struct db_rows *rows, size_t row, struct profile *ret_profile)
{
    const Pb__ScepProfile *about = (const Pb__ScepProfile *)message_unpack(rq->arena, &pb__scep_profile__descriptor, db_bytes(rows, row, 0));

    if (about == NULL)
        return fail_privately(rq, ERR_INTERNAL, "internal error", "a profile cannot be read");
    enum error error = profile_check(rq, about, ret_profile);
    if (error != OK)
        return error;
    ret_profile->passphrase = db_bytes(rows, row, 1);
    ret_profile->admin_password = db_bytes(rows, row, 2);
    ret_profile->changed_at_s = db_time_s(rows, row, 3);
    ret_profile->incarnation = db_text(rows, row, 4);
    ret_profile->challenge_salt = db_bytes(rows, row, 5);
    ret_profile->ra = profile_ra(rq->arena, about->name, ret_profile->incarnation);
    return OK;
}

enum error
store_list_profiles(struct scep *scep, struct request *rq, struct profiles *ret_profiles)
{
    static const struct db_statement list_profiles = {
        "list_profiles",
        "SELECT settings, passphrase, admin_password, changed_at, incarnation, challenge_salt, name FROM scep.profile ORDER BY name"};
    struct profiles profiles = {0};
    struct db_rows *rows;

    enum error error = DB_QUERY0(scep->db, rq, &list_profiles, &rows);
    if (error != OK)
        return error;
    profiles.at = arena_array(rq->arena, db_count(rows), sizeof *profiles.at);
    for (size_t i = 0; i < db_count(rows); i++) {
        if (read_profile(rq, rows, i, &profiles.at[profiles.count]) == OK) {
            profiles.count++;
            continue;
        }
        /* Checked when it was written, and by another build: it keeps no other from its devices. */
        request_note(rq, "unreadable", "%s: %s%s", db_text(rows, i, 6), rq->failure.message, rq->failure.detail);
        failure_clear(rq);
    }
    *ret_profiles = profiles;
    return OK;
}

static const struct db_statement create_profile = {
    "create_profile", "INSERT INTO scep.profile (name, settings, ndes, incarnation) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO NOTHING"};
static const struct db_statement save_profile = {
    "save_profile",
    "INSERT INTO scep.profile AS p (name, settings, ndes, incarnation) VALUES ($1, $2, $3, $4) ON CONFLICT (name) DO UPDATE"
    " SET settings = excluded.settings, ndes = excluded.ndes, changed_at = now() WHERE p.settings IS DISTINCT FROM excluded.settings"};

enum error
store_save_profile(struct scep *scep, struct request *rq, const Pb__ScepProfile *profile, const char *incarnation, bool create, bool *ret_changed)
{
    struct bytes settings = message_pack(rq->arena, &profile->base);
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, create ? &create_profile : &save_profile, &rows, DB_TEXT(profile->name), DB_BYTES(settings),
                                DB_BOOL(profile->ndes), DB_TEXT(incarnation));
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        return fail(rq, ERR_CONFLICT, "another profile has the paths of NDES; one can have them");
    }
    if (error != OK)
        return error;
    *ret_changed = db_affected(rows) == 1;
    if (create && !*ret_changed)
        return fail(rq, ERR_CONFLICT, "there is a profile %s already", profile->name);
    return OK;
}

enum error
store_delete_profile(struct scep *scep, struct request *rq, const char *name, const char *operator_)
{
    static const struct db_statement delete_profile = {
        "delete_profile",
        "WITH gone AS (DELETE FROM scep.profile WHERE name = $1 RETURNING name, incarnation) INSERT INTO scep.retired_ra (name, operator)"
        " SELECT concat_ws('.', name, nullif(incarnation, '')), $2 FROM gone ON CONFLICT (name) DO UPDATE SET due_at = now()"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &delete_profile, &rows, DB_TEXT(name), DB_TEXT(operator_));
    if (error == OK && db_affected(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no SCEP profile named \"%.60s\": see signetctl profile list --kind scep", name);
    return error;
}

enum error
store_set_passphrase(struct scep *scep, struct request *rq, const char *profile, struct bytes hash, bool *ret_found)
{
    static const struct db_statement set_passphrase = {"set_passphrase",
                                                       "UPDATE scep.profile SET passphrase = $2, changed_at = now() WHERE name = $1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &set_passphrase, &rows, DB_TEXT(profile), DB_BYTES(hash));
    if (error == OK)
        *ret_found = db_affected(rows) == 1;
    return error;
}

enum error
store_set_admin_password(struct scep *scep, struct request *rq, const char *profile, struct bytes hash, bool *ret_found)
{
    static const struct db_statement set_admin_password = {"set_admin_password",
                                                           "UPDATE scep.profile SET admin_password = $2, changed_at = now() WHERE name = $1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &set_admin_password, &rows, DB_TEXT(profile), DB_BYTES(hash));
    if (error == OK)
        *ret_found = db_affected(rows) == 1;
    return error;
}

/* ---- pulls of revocations ---- */

enum error
store_set_pull(struct scep *scep, struct request *rq, const char *profile, int minutes)
{
    static const struct db_statement stop_pull = {"stop_pull", "DELETE FROM scep.revocation_pull WHERE profile = $1 AND $2 = 0"};
    static const struct db_statement set_pull = {"set_pull",
                                                 "INSERT INTO scep.revocation_pull (profile, every_minutes) VALUES ($1, $2)"
                                                 " ON CONFLICT (profile) DO UPDATE SET every_minutes = excluded.every_minutes, due_at = now()"};

    return DB_QUERY(scep->db, rq, minutes == 0 ? &stop_pull : &set_pull, NULL, DB_TEXT(profile), DB_INT(minutes));
}

const struct db_statement store_take_pulls = {
    "take_pulls",
    "UPDATE scep.revocation_pull p SET leased_until = now() + make_interval(secs => $2), lease_holder = $3, attempts = p.attempts + 1"
    " WHERE profile IN (SELECT profile FROM scep.revocation_pull WHERE due_at <= now() AND (leased_until IS NULL OR leased_until < now())"
    " ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING profile, lease_holder, every_minutes"};

enum error
store_end_pull(struct scep *scep, struct request *rq, const char *profile, const char *holder, int minutes)
{
    static const struct db_statement end_pull = {
        "end_pull",
        "UPDATE scep.revocation_pull SET due_at = now() + $3 * interval '1 minute', leased_until = NULL, lease_holder = NULL, attempts = 0"
        " WHERE profile = $1 AND lease_holder = $2"};

    return DB_QUERY(scep->db, rq, &end_pull, NULL, DB_TEXT(profile), DB_TEXT(holder), DB_INT(minutes));
}

/* ---- RAs of profiles that were deleted ---- */

enum error
store_find_incarnation(struct scep *scep, struct request *rq, const char *profile, const char **ret_incarnation)
{
    static const struct db_statement find_incarnation = {"find_incarnation", "SELECT incarnation FROM scep.profile WHERE name = $1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &find_incarnation, &rows, DB_TEXT(profile));
    if (error == OK)
        *ret_incarnation = db_count(rows) > 0 ? db_text(rows, 0, 0) : NULL;
    return error;
}

enum error
store_announce_ra(struct scep *scep, struct request *rq, const char *name, const char *operator_, int seconds)
{
    static const struct db_statement announce_ra = {
        "announce_ra", "INSERT INTO scep.retired_ra (name, operator, due_at) VALUES ($1, $2, now() + make_interval(secs => $3))"};

    return DB_QUERY(scep->db, rq, &announce_ra, NULL, DB_TEXT(name), DB_TEXT(operator_), DB_INT(seconds));
}

enum error
store_keep_ra(struct scep *scep, struct request *rq, const char *name)
{
    static const struct db_statement keep_ra = {"keep_ra", "DELETE FROM scep.retired_ra WHERE name = $1 AND lease_holder IS NULL"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &keep_ra, &rows, DB_TEXT(name));
    if (error == OK && db_affected(rows) == 0)
        return fail(rq, ERR_UNAVAILABLE, "making the profile took too long; do it again");
    return error;
}

const struct db_statement store_take_retired_ras = {
    "take_retired_ras", "UPDATE scep.retired_ra r SET leased_until = now() + make_interval(secs => $2), lease_holder = $3, attempts = r.attempts + 1"
                        " WHERE name IN (SELECT name FROM scep.retired_ra WHERE due_at <= now() AND (leased_until IS NULL OR leased_until < now())"
                        " ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) RETURNING name, operator, lease_holder, attempts"};

enum error
store_forget_retired_ra(struct scep *scep, struct request *rq, const char *name, const char *holder)
{
    static const struct db_statement forget_retired_ra = {"forget_retired_ra", "DELETE FROM scep.retired_ra WHERE name = $1 AND lease_holder = $2"};

    return DB_QUERY(scep->db, rq, &forget_retired_ra, NULL, DB_TEXT(name), DB_TEXT(holder));
}

enum error
store_delay_retired_ra(struct scep *scep, struct request *rq, const char *name, const char *holder, int seconds)
{
    static const struct db_statement delay_retired_ra = {
        "delay_retired_ra", "UPDATE scep.retired_ra SET due_at = now() + make_interval(secs => $3), leased_until = NULL, lease_holder = NULL"
                            " WHERE name = $1 AND lease_holder = $2"};

    return DB_QUERY(scep->db, rq, &delay_retired_ra, NULL, DB_TEXT(name), DB_TEXT(holder), DB_INT(seconds));
}

/* ---- challenges ---- */

static const struct db_statement forget_challenges = {"forget_challenges",
                                                      "DELETE FROM scep.challenge WHERE profile = $1 AND expires_at < now() - interval '7 days'"};
/* Of many visits at one moment each counts what those before it have added. */
static const struct db_statement lock_challenges = {"lock_challenges", "SELECT 1 FROM scep.profile WHERE name = $1 FOR NO KEY UPDATE"};
static const struct db_statement add_challenge = {
    "add_challenge", "INSERT INTO scep.challenge (profile, mac, expires_at) SELECT $1, $2, now() + $3 * interval '1 minute'"
                     " WHERE (SELECT count(*) FROM scep.challenge WHERE profile = $1 AND used_at IS NULL AND expires_at > now()) < $4"};

enum error
store_add_challenge(struct scep *scep, struct request *rq, const struct profile *profile, struct bytes mac, bool *ret_added)
{
    const Pb__ScepProfile *about = profile->about;
    int minutes = about->challenge_minutes > 0 ? (int)about->challenge_minutes : MINUTES_DEFAULT;
    int most = about->challenges_most > 0 ? (int)about->challenges_most : CHALLENGES_DEFAULT;
    struct db_rows *rows = NULL;
    const struct db_step steps[] = {
        DB_STEP(&lock_challenges, NULL, DB_TEXT(about->name)),
        DB_STEP(&forget_challenges, NULL, DB_TEXT(about->name)),
        DB_STEP(&add_challenge, &rows, DB_TEXT(about->name), DB_BYTES(mac), DB_INT(minutes), DB_INT(most)),
    };

    enum error error = db_atomic(scep->db, rq, steps, sizeof steps / sizeof steps[0]);
    if (error == OK)
        *ret_added = db_affected(rows) == 1;
    return error;
}

/* ---- transactions ---- */

#define TRANSACTION_COLUMNS "csr, request_sha256, signer_key_sha256, round, principal_kind, principal_id, needs_approval, notified"

static bool
read_transaction(const struct db_rows *rows, struct transaction *transaction)
{
    if (db_count(rows) == 0)
        return false;
    transaction->csr = db_bytes(rows, 0, 0);
    memcpy(transaction->request_sha256, db_bytes(rows, 0, 1).at, sizeof transaction->request_sha256);
    memcpy(transaction->signer_key_sha256, db_bytes(rows, 0, 2).at, sizeof transaction->signer_key_sha256);
    transaction->round = (int)db_int(rows, 0, 3);
    transaction->principal_kind = db_text(rows, 0, 4);
    transaction->principal_id = db_text(rows, 0, 5);
    transaction->needs_approval = db_bool(rows, 0, 6);
    transaction->notified = db_bool(rows, 0, 7);
    return true;
}

enum error
store_find_transaction(struct scep *scep, struct request *rq, const char *profile, struct transaction *transaction, bool *ret_found)
{
    static const struct db_statement find_transaction = {"find_transaction",
                                                         "SELECT " TRANSACTION_COLUMNS
                                                         " FROM scep.transaction WHERE profile = $1 AND transaction_id = $2 AND request_sha256 = $3"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &find_transaction, &rows, DB_TEXT(profile), DB_TEXT(transaction->transaction_id),
                                DB_BYTES(BYTES(transaction->request_sha256, 32)));
    if (error == OK)
        *ret_found = read_transaction(rows, transaction);
    return error;
}

enum error
store_find_polled(struct scep *scep, struct request *rq, const char *profile, struct transaction *transaction, bool *ret_found)
{
    static const struct db_statement find_polled = {
        "find_polled", "SELECT " TRANSACTION_COLUMNS " FROM scep.transaction WHERE profile = $1 AND transaction_id = $2 AND signer_key_sha256 = $3"
                       " ORDER BY created_at DESC LIMIT 1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &find_polled, &rows, DB_TEXT(profile), DB_TEXT(transaction->transaction_id),
                                DB_BYTES(BYTES(transaction->signer_key_sha256, 32)));
    if (error == OK)
        *ret_found = read_transaction(rows, transaction);
    return error;
}

#define ADD_TRANSACTION_VALUES "$1, $2, $3, $4, $5, $6, $7, $8, $9"
#define ADD_TRANSACTION_COLUMNS "profile, transaction_id, request_sha256, round, csr, signer_key_sha256, principal_kind, principal_id, needs_approval"
/* The same request after its certificate has ended: one more round. */
#define NEXT_ROUND                                                                                                                           \
    " ON CONFLICT (profile, transaction_id, request_sha256) DO UPDATE SET round = excluded.round, principal_kind = excluded.principal_kind," \
    " principal_id = excluded.principal_id, notified = false, created_at = now() WHERE t.round < excluded.round"

static const struct db_statement add_waiting = {"add_waiting",
                                                "INSERT INTO scep.transaction AS t (" ADD_TRANSACTION_COLUMNS ") SELECT " ADD_TRANSACTION_VALUES
                                                " WHERE (SELECT count(*) FROM scep.transaction WHERE profile = $1 AND needs_approval AND created_at "
                                                "> now() - interval '1 day') < $10" NEXT_ROUND};
/* Of many that come at one moment, and which nobody waits for a person to agree to. */
static const struct db_statement add_transactions = {
    "add_transactions",
    "INSERT INTO scep.transaction AS t (" ADD_TRANSACTION_COLUMNS ") SELECT DISTINCT ON (1, 2, 3) i.*, false FROM"
    " unnest($1::text[], $2::text[], $3::bytea[], $4::int[], $5::bytea[], $6::bytea[], $7::text[], $8::text[]) AS i ORDER BY 1, 2, 3" NEXT_ROUND
    " RETURNING profile, transaction_id, request_sha256, round"};
/* Of two that come with one challenge at one moment, the second waits for the first's commit and then finds it used. */
static const struct db_statement use_challenge = {
    "use_challenge",
    "WITH used AS (UPDATE scep.challenge SET used_at = now() WHERE profile = $1 AND mac = $10 AND used_at IS NULL AND expires_at > now()"
    " RETURNING profile) INSERT INTO scep.transaction AS t (" ADD_TRANSACTION_COLUMNS ") SELECT " ADD_TRANSACTION_VALUES " FROM used" NEXT_ROUND};

enum error
store_add_transaction(struct scep *scep, struct request *rq, const char *profile, const struct transaction *transaction, struct bytes challenge,
                      bool *ret_added)
{
    const struct db_value values[] = {
        DB_TEXT(profile),
        DB_TEXT(transaction->transaction_id),
        DB_BYTES(BYTES(transaction->request_sha256, 32)),
        DB_INT(transaction->round),
        DB_BYTES(transaction->csr),
        DB_BYTES(BYTES(transaction->signer_key_sha256, 32)),
        DB_TEXT(transaction->principal_kind),
        DB_TEXT(transaction->principal_id),
        DB_BOOL(transaction->needs_approval),
        challenge.len > 0 ? DB_BYTES(challenge) : DB_INT(WAITING_MOST),
    };
    struct admission admission = {.profile = profile, .transaction = transaction};
    struct db_rows *rows;

    if (challenge.len == 0 && !transaction->needs_approval) {
        enum error error = commit_queue_run(scep->admissions, rq, &admission);
        *ret_added = admission.added;
        return error;
    }
    enum error error =
        challenge.len > 0 ? db_query(scep->db, rq, &use_challenge, values, 10, &rows) : db_query(scep->db, rq, &add_waiting, values, 10, &rows);
    if (error == OK)
        *ret_added = db_affected(rows) == 1;
    return error;
}

struct transaction_columns {
    const char *profiles[COMMIT_BATCH_MAX], *ids[COMMIT_BATCH_MAX], *kinds[COMMIT_BATCH_MAX], *principals[COMMIT_BATCH_MAX];
    struct bytes requests[COMMIT_BATCH_MAX], csrs[COMMIT_BATCH_MAX], keys[COMMIT_BATCH_MAX];
    int32_t rounds[COMMIT_BATCH_MAX];
};

static bool
holds_transaction(const struct db_rows *rows, const struct admission *admission)
{
    const struct transaction *transaction = admission->transaction;

    for (size_t i = 0; i < db_count(rows); i++)
        if (text_equal(db_text(rows, i, 0), admission->profile) && text_equal(db_text(rows, i, 1), transaction->transaction_id) &&
            bytes_equal(db_bytes(rows, i, 2), BYTES(transaction->request_sha256, 32)) && db_int(rows, i, 3) == transaction->round)
            return true;
    return false;
}

enum error
store_add_transactions(void *context, struct request *rq, void *const *items, size_t count)
{
    struct scep *scep = context;
    struct transaction_columns *c = arena_alloc(rq->arena, sizeof *c);
    struct db_rows *rows;

    assert(count <= COMMIT_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        const struct admission *admission = items[i];
        const struct transaction *transaction = admission->transaction;
        c->profiles[i] = admission->profile;
        c->ids[i] = transaction->transaction_id;
        c->requests[i] = BYTES(transaction->request_sha256, 32);
        c->rounds[i] = transaction->round;
        c->csrs[i] = transaction->csr;
        c->keys[i] = BYTES(transaction->signer_key_sha256, 32);
        c->kinds[i] = transaction->principal_kind;
        c->principals[i] = transaction->principal_id;
    }
    enum error error = DB_QUERY(scep->db, rq, &add_transactions, &rows, DB_TEXT_ARRAY(c->profiles, count), DB_TEXT_ARRAY(c->ids, count),
                                DB_BYTES_ARRAY(c->requests, count), DB_INT_ARRAY(c->rounds, count), DB_BYTES_ARRAY(c->csrs, count),
                                DB_BYTES_ARRAY(c->keys, count), DB_TEXT_ARRAY(c->kinds, count), DB_TEXT_ARRAY(c->principals, count));
    if (error != OK)
        return error;
    for (size_t i = 0; i < count; i++)
        ((struct admission *)items[i])->added = holds_transaction(rows, items[i]);
    return OK;
}

enum error
store_next_round(struct scep *scep, struct request *rq, const char *profile, const struct transaction *transaction)
{
    static const struct db_statement next_round = {"next_round", "UPDATE scep.transaction SET round = $4 WHERE profile = $1 AND transaction_id = $2"
                                                                 " AND request_sha256 = $3 AND round < $4"};

    return DB_QUERY(scep->db, rq, &next_round, NULL, DB_TEXT(profile), DB_TEXT(transaction->transaction_id),
                    DB_BYTES(BYTES(transaction->request_sha256, 32)), DB_INT(transaction->round));
}

/* What a device has begun and nobody has asked for since. A device that still waits for a person begins anew. */
const struct db_statement store_forget_transactions = {"forget_transactions",
                                                       PRUNE_ROWS("scep.transaction", "created_at < now() - make_interval(days => $1)")};

enum error
store_set_notified(struct scep *scep, struct request *rq, const char *profile, const struct transaction *transaction)
{
    static const struct db_statement set_notified = {
        "set_notified",
        "UPDATE scep.transaction SET notified = true WHERE profile = $1 AND transaction_id = $2 AND request_sha256 = $3 AND round = $4"};

    return DB_QUERY(scep->db, rq, &set_notified, NULL, DB_TEXT(profile), DB_TEXT(transaction->transaction_id),
                    DB_BYTES(BYTES(transaction->request_sha256, 32)), DB_INT(transaction->round));
}

/* ---- what others keep ---- */

enum error
store_find_certificate(struct scep *scep, struct request *rq, const struct profile *profile, const char *issuer, struct bytes serial,
                       struct enrolled *ret_enrolled)
{
    static const struct db_statement find_certificate = {"find_certificate",
                                                         "SELECT certificate, channel, revoked_at, idempotency_key FROM ra.enrolled_certificate "
                                                         "WHERE expiry_month = $1 AND serial = $2 AND issuer = $3"};
    struct enrolled enrolled = {0};
    struct db_rows *rows;
    int month;

    *ret_enrolled = enrolled;
    if (!serial_parse(serial, &month))
        return OK;
    enum error error = DB_QUERY(scep->db, rq, &find_certificate, &rows, DB_INT(month), DB_BYTES(serial), DB_TEXT(issuer));
    if (error != OK || db_count(rows) == 0)
        return error;
    ret_enrolled->certificate = db_bytes(rows, 0, 0);
    ret_enrolled->is_of_profile = text_equal(db_text(rows, 0, 1), arena_format(rq->arena, "scep/%s", profile->about->name)) &&
                                  incarnation_has(profile->incarnation, db_text(rows, 0, 3));
    ret_enrolled->is_revoked = !db_is_null(rows, 0, 2);
    return OK;
}

enum error
store_find_issued(struct scep *scep, struct request *rq, struct bytes serial, struct issued *ret_issued)
{
    static const struct db_statement find_issued = {"find_issued",
                                                    "SELECT issuer, channel FROM ra.enrolled_certificate WHERE expiry_month = $1 AND serial = $2"};
    struct db_rows *rows;
    int month;

    *ret_issued = (struct issued){0};
    if (!serial_parse(serial, &month))
        return OK;
    enum error error = DB_QUERY(scep->db, rq, &find_issued, &rows, DB_INT(month), DB_BYTES(serial));
    if (error == OK && db_count(rows) > 0)
        *ret_issued = (struct issued){.issuer = db_text(rows, 0, 0), .channel = db_text(rows, 0, 1)};
    return error;
}

/* One that is larger than `most` octets stays where it is: devices that nobody knows ask for these. A length of 0: there is none. */
enum error
store_find_crl(struct scep *scep, struct request *rq, const char *issuer, int most, int64_t *ret_len, struct bytes *ret_crl)
{
    static const struct db_statement find_crl = {
        "find_crl", "SELECT octet_length(der), CASE WHEN octet_length(der) <= $2 THEN der END FROM crl.current_crl WHERE issuer = $1"};
    struct db_rows *rows;

    enum error error = DB_QUERY(scep->db, rq, &find_crl, &rows, DB_TEXT(issuer), DB_INT(most));
    if (error != OK)
        return error;
    *ret_len = db_count(rows) > 0 ? db_int(rows, 0, 0) : 0;
    *ret_crl = *ret_len > 0 && *ret_len <= most ? db_bytes(rows, 0, 1) : BYTES_NONE;
    return OK;
}
