/*
 * Authorisations and challenges in the database. What a validation found is written by store_move.c.
 */
#include "acme.h"

#include "base/base64.h"
#include "store.h"

#define KEYS_MAX 100 /* as many as the validator takes */

/* The type that was chosen, else all that are offered. */
#define CHALLENGE_COLUMNS "c.id, c.authorization_id, coalesce(c.type, array_to_string(c.offered, ' ')), c.token, c.status, c.validated_at, c.problem"

static const struct db_statement load_authorization = {
    "load_authorization",
    "SELECT " CHALLENGE_COLUMNS ", a.name, a.status, a.expires_at, a.subdomains FROM acme.authorization a JOIN acme.challenge c "
    "ON c.authorization_id = a.id WHERE a.id = $1 AND a.account_id = $2"};
static const struct db_statement load_challenge = {
    "load_challenge",
    "SELECT " CHALLENGE_COLUMNS ", a.name, a.subdomains FROM acme.challenge c JOIN acme.authorization a ON a.id = c.authorization_id "
    "WHERE c.id = $1 AND a.account_id = $2 AND $3 = coalesce(c.type, $3) AND $3 = ANY (c.offered)"};
static const struct db_statement begin_challenge = {
    "begin_challenge", "UPDATE acme.challenge c SET type = $5, response = $6, status = 'processing', due_at = now(), attempts = 1, "
                       "leased_until = now() + make_interval(secs => $3), lease_holder = $4 FROM acme.authorization a WHERE c.id = $1 AND "
                       "a.id = c.authorization_id AND a.account_id = $2 AND c.status = 'pending' AND $5 = ANY (c.offered) "
                       "AND a.status = 'pending' AND a.expires_at > now()"};
const struct db_statement store_take_validations = {
    "take_validations", "WITH due AS (SELECT id FROM acme.challenge WHERE status = 'processing' AND due_at <= now() "
                        "AND (leased_until IS NULL OR leased_until < now()) ORDER BY due_at LIMIT $1 FOR UPDATE SKIP LOCKED) "
                        "UPDATE acme.challenge c SET leased_until = now() + make_interval(secs => $2), lease_holder = $3, attempts = c.attempts + 1 "
                        "FROM due, acme.authorization a, acme.account k WHERE c.id = due.id AND a.id = c.authorization_id AND k.id = a.account_id "
                        "RETURNING c.id, a.account_id, c.type, c.token, a.name, k.key_thumbprint, c.attempts, k.policy, a.subdomains, c.response"};
/* draft-ietf-acme-dns-persist-02 §4.2: by the account as it is at this moment. */
static const struct db_statement load_thumbprints = {
    "load_thumbprints", "SELECT key.thumbprint FROM acme.account k, unnest(k.key_thumbprint || k.former_thumbprints) WITH ORDINALITY AS key "
                        "(thumbprint, n) WHERE k.id = $1 AND k.status = 'valid' ORDER BY key.n LIMIT $2"};
/* "dns:a.b" lies below "dns:b". By a proof for all names below, CAA was looked at for none of them yet. */
static const struct db_statement load_old_proofs = {
    "load_old_proofs",
    "SELECT DISTINCT ON (n.name) n.name, c.type FROM acme.orders o CROSS JOIN unnest(o.names) AS n (name) JOIN acme.authorization a "
    "ON a.id = ANY (o.authorization_ids) AND (a.name = n.name OR (a.subdomains AND right(n.name, length(a.name) - 3) = '.' || "
    "substr(a.name, 5))) JOIN acme.challenge c ON c.authorization_id = a.id AND c.status = 'valid' WHERE o.id = $1 "
    "AND n.name <> ALL (o.preapproved) AND (a.subdomains OR c.validated_at < now() - make_interval(secs => $2)) ORDER BY n.name"};
static const struct db_statement postpone_validation = {
    "postpone_validation", "UPDATE acme.challenge SET due_at = now() + make_interval(secs => $3), leased_until = NULL, lease_holder = NULL "
                           "WHERE id = $1 AND lease_holder = $2 AND " STATUS_IS_STILL("processing")};

const struct db_statement store_renew_validations = {
    "renew_validations", "UPDATE acme.challenge SET leased_until = now() + make_interval(secs => $2) WHERE id = ANY ($1) AND lease_holder = $3"};
const struct db_statement store_leave_validations = {
    "leave_validations", "UPDATE acme.challenge SET due_at = now() + make_interval(secs => power(2, least(attempts, 6) - 1)), leased_until = NULL, "
                         "lease_holder = NULL WHERE id = ANY ($1) AND lease_holder = $2 AND " STATUS_IS_STILL("processing")};
static const struct db_statement hasten_validation = {
    "hasten_validation",
    "UPDATE acme.challenge SET due_at = now() WHERE id = $1 AND " STATUS_IS_STILL("processing") " AND leased_until IS NULL AND due_at > now()"};

static const char *const challenge_statuses[] = {
    [CHALLENGE_PENDING] = "pending", [CHALLENGE_PROCESSING] = "processing", [CHALLENGE_VALID] = "valid", [CHALLENGE_INVALID] = "invalid", NULL,
};

static const char *const authorization_statuses[] = {
    [AUTHORIZATION_PENDING] = "pending",         [AUTHORIZATION_VALID] = "valid",     [AUTHORIZATION_INVALID] = "invalid",
    [AUTHORIZATION_DEACTIVATED] = "deactivated", [AUTHORIZATION_REVOKED] = "revoked", NULL,
};

static struct challenge
challenge_of_row(const struct db_rows *rows, size_t row)
{
    return (struct challenge){
        .id = db_text(rows, row, 0),
        .authorization_id = db_text(rows, row, 1),
        .type = db_text(rows, row, 2),
        .token = db_text(rows, row, 3),
        .status = (enum challenge_status)store_status(challenge_statuses, db_text(rows, row, 4)),
        .validated_at_s = db_time_s(rows, row, 5),
        .problem = db_text(rows, row, 6),
    };
}

enum error
store_load_authorization(struct acme *acme, struct request *rq, const char *account_id, const char *id, struct authorization *ret_authorization)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_authorization, &rows, DB_TEXT(id), DB_TEXT(account_id));
    if (error)
        return error;
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such authorization of this account");
    size_t count;
    char **types = text_split(rq->arena, db_text(rows, 0, 2), ' ', &count);
    struct challenge *challenges = arena_array(rq->arena, count, sizeof *challenges);
    for (size_t i = 0; i < count; i++) {
        challenges[i] = challenge_of_row(rows, 0);
        challenges[i].account_id = account_id;
        challenges[i].type = types[i];
    }
    *ret_authorization = (struct authorization){
        .id = db_text(rows, 0, 1),
        .name = name_from_column(rq->arena, db_text(rows, 0, 7)),
        .status = (enum authorization_status)store_status(authorization_statuses, db_text(rows, 0, 8)),
        .expires_at_s = db_time_s(rows, 0, 9),
        .subdomains = db_bool(rows, 0, 10),
        .challenges = challenges,
        .challenge_count = count,
    };
    return OK;
}

static enum error
challenge_of_rows(struct request *rq, const struct db_rows *rows, const char *account_id, const char *type, struct challenge *ret_challenge)
{
    if (db_count(rows) == 0)
        return fail(rq, ERR_NOT_FOUND, "there is no such challenge of this account");
    *ret_challenge = challenge_of_row(rows, 0);
    ret_challenge->account_id = account_id;
    ret_challenge->type = type;
    ret_challenge->name = name_from_column(rq->arena, db_text(rows, 0, 7));
    ret_challenge->subdomains = db_bool(rows, 0, 8);
    return OK;
}

enum error
store_load_challenge(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *type, struct challenge *ret_challenge)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_challenge, &rows, DB_TEXT(id), DB_TEXT(account_id), DB_TEXT(type));
    return error ? error : challenge_of_rows(rq, rows, account_id, type, ret_challenge);
}

enum error
store_begin_challenge(struct acme *acme, struct request *rq, const char *account_id, const char *id, const char *type, struct bytes response,
                      struct challenge *ret_challenge, bool *ret_begun)
{
    struct db_rows *begun = NULL, *found = NULL;
    struct db_step steps[] = {
        DB_STEP(&begin_challenge, &begun, DB_TEXT(id), DB_TEXT(account_id), DB_INT(LEASE_S), DB_TEXT(lease_holder(acme->validations)), DB_TEXT(type),
                DB_BYTES(response)),
        DB_STEP(&load_challenge, &found, DB_TEXT(id), DB_TEXT(account_id), DB_TEXT(type)),
    };

    enum error error = db_atomic(acme->db, rq, steps, 2);
    if (!error)
        error = challenge_of_rows(rq, found, account_id, type, ret_challenge);
    if (!error)
        *ret_begun = db_affected(begun) == 1;
    return error;
}

struct validation
store_validation_of_row(struct arena *arena, const struct db_rows *rows, size_t row)
{
    return (struct validation){
        .challenge_id = db_text(rows, row, 0),
        .account_id = db_text(rows, row, 1),
        .type = db_text(rows, row, 2),
        .token = db_text(rows, row, 3),
        .name = name_from_column(arena, db_text(rows, row, 4)),
        .thumbprint = db_bytes(rows, row, 5),
        .attempts = (int)db_int(rows, row, 6),
        .policy = db_text(rows, row, 7),
        .subdomains = db_bool(rows, row, 8),
        .response = db_bytes(rows, row, 9),
    };
}

enum error
store_postpone_validation(struct acme *acme, struct request *rq, const char *challenge_id, int seconds)
{
    return DB_QUERY(acme->db, rq, &postpone_validation, NULL, DB_TEXT(challenge_id), DB_TEXT(lease_holder(acme->validations)), DB_INT(seconds));
}

enum error
store_hasten_validation(struct acme *acme, struct request *rq, const char *challenge_id)
{
    return DB_QUERY(acme->db, rq, &hasten_validation, NULL, DB_TEXT(challenge_id));
}

enum error
store_load_thumbprints(struct acme *acme, struct request *rq, const char *account_id, const char ***ret_thumbprints, size_t *ret_count)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_thumbprints, &rows, DB_TEXT(account_id), DB_INT(KEYS_MAX));
    if (error)
        return error;
    size_t count = db_count(rows);
    if (count == 0)
        return refuse(rq, ERR_DENIED, "accountDeactivated", "the account is not valid any more");
    const char **thumbprints = arena_array(rq->arena, count, sizeof *thumbprints);
    for (size_t i = 0; i < count; i++)
        thumbprints[i] = base64url_encode(rq->arena, db_bytes(rows, i, 0));
    *ret_thumbprints = thumbprints;
    *ret_count = count;
    return OK;
}

enum error
store_load_old_proofs(struct acme *acme, struct request *rq, const struct order *order, int age_s, struct proven_name **ret_names, size_t *ret_count)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &load_old_proofs, &rows, DB_TEXT(order->id), DB_INT(age_s));
    if (error)
        return error;
    struct proven_name *names = arena_array(rq->arena, db_count(rows), sizeof *names);
    for (size_t i = 0; i < db_count(rows); i++)
        names[i] = (struct proven_name){.name = name_from_column(rq->arena, db_text(rows, i, 0)), .method = db_text(rows, i, 1)};
    *ret_names = names;
    *ret_count = db_count(rows);
    return OK;
}
