/*
 * Rate limits in the database. Spending is one statement on an unlogged table: it waits for no disk, and so nobody waits long for a row that many
 * share. What cannot be spent is left as it is; what could is spent even when something else stands in the way: who is refused has asked, too.
 */
#include "acme.h"

static const struct db_statement spend = {
    "spend", "WITH wanted AS (SELECT w.key, make_interval(secs => w.step_us / 1e6) AS step, make_interval(secs => w.period_s) AS period "
             "FROM unnest($1::text[], $2::bigint[], $3::int[]) AS w (key, step_us, period_s) ORDER BY w.key), "
             "spent AS (INSERT INTO acme.limit_state AS s (key, tat, period) SELECT key, now() + step, period FROM wanted ORDER BY key "
             "ON CONFLICT (key) DO UPDATE SET tat = greatest(s.tat, now()) + (excluded.tat - now()), period = excluded.period "
             "WHERE greatest(s.tat, now()) + (excluded.tat - now()) <= now() + excluded.period RETURNING s.key) "
             "SELECT w.key, ceil(extract(epoch FROM coalesce(greatest(s.tat, now()) - w.period, now()) + w.step - now()))::int FROM wanted w "
             "LEFT JOIN acme.limit_state s ON s.key = w.key WHERE w.key NOT IN (SELECT key FROM spent) ORDER BY 2 DESC LIMIT 1"};
static const struct db_statement find_spent = {
    "find_spent", "SELECT w.key, ceil(extract(epoch FROM s.tat - now()) - w.period_s + w.step_us / 1e6)::int FROM unnest($1::text[], $2::bigint[], "
                  "$3::int[]) AS w (key, step_us, period_s) JOIN acme.limit_state s ON s.key = w.key WHERE s.tat + make_interval(secs => "
                  "w.step_us / 1e6) > now() + make_interval(secs => w.period_s) ORDER BY 2 DESC LIMIT 1"};
static const struct db_statement find_failing = {
    "find_failing", "SELECT name, paused_at IS NOT NULL, ceil(extract(epoch FROM tat - now()))::int FROM acme.failing_name "
                    "WHERE account_id = $1 AND name = ANY ($2) AND (paused_at IS NOT NULL OR ($3 > 0 AND greatest(tat, now()) + "
                    "make_interval(secs => $4::float8 / greatest($3, 1)) > now() + make_interval(secs => $4))) ORDER BY 2 DESC, 3 DESC LIMIT 1"};
/* Counted no further than the larger quota. */
static const struct db_statement count_quotas = {
    "count_quotas",
    "SELECT (SELECT count(*) FROM (SELECT FROM acme.orders WHERE account_id = $1 AND status IN ('pending', 'ready', 'processing') "
    "AND expires_at > now() LIMIT greatest($2, $3)) AS open), (SELECT count(*) FROM (SELECT FROM acme.orders o JOIN ra.certificate_status c "
    "ON c.expiry_month = o.expiry_month AND c.serial = o.serial WHERE o.account_id = $1 AND o.status = 'valid' AND c.not_after > now() "
    "AND c.revoked_at IS NULL LIMIT $3) AS living)"};
static const struct db_statement sweep_state = {
    "sweep_limit_state", "DELETE FROM acme.limit_state WHERE key IN (SELECT key FROM acme.limit_state WHERE tat < now() LIMIT 10000 "
                         "FOR UPDATE SKIP LOCKED)"};
static const struct db_statement sweep_failing = {
    "sweep_failing_names", "DELETE FROM acme.failing_name WHERE (account_id, name) IN (SELECT account_id, name FROM acme.failing_name "
                           "WHERE paused_at IS NULL AND failed_at < now() - interval '30 days' LIMIT 10000 FOR UPDATE SKIP LOCKED)"};

#define LIMIT_COLUMNS                                                                                      \
    "name, new_accounts_per_address, new_accounts_period_s, new_orders_per_account, new_orders_period_s, " \
    "failed_authorizations_per_name, failed_authorizations_period_s, certificates_per_domain, certificates_period_s, failures_before_pause"
static const struct db_statement list_limits = {"list_limits",
                                                "SELECT " LIMIT_COLUMNS " FROM acme.limits WHERE $1 = '' OR name = $1 ORDER BY name COLLATE \"C\""};
static const struct db_statement write_limits = {
    "write_limits", "INSERT INTO acme.limits AS l (" LIMIT_COLUMNS ") VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) "
                    "ON CONFLICT (name) DO UPDATE SET (" LIMIT_COLUMNS ") = ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10) RETURNING l.xmax = 0"};
static const struct db_statement delete_limits = {"delete_limits", "DELETE FROM acme.limits WHERE name = $1"};
static const struct db_statement resume = {"resume_name", "DELETE FROM acme.failing_name WHERE name = $1 AND ($2 = '' OR account_id = $2)"};

/* ---- spending ---- */

static struct db_step
step_of_spendings(struct arena *arena, const struct db_statement *statement, const struct spending *spendings, size_t count,
                  struct db_rows **ret_rows)
{
    const char **keys = arena_array(arena, count, sizeof *keys);
    int64_t *steps_us = arena_array(arena, count, sizeof *steps_us);
    int32_t *periods_s = arena_array(arena, count, sizeof *periods_s);
    struct db_value *values = arena_array(arena, 3, sizeof *values);

    for (size_t i = 0; i < count; i++) {
        keys[i] = spendings[i].key;
        steps_us[i] = limit_step_us(spendings[i].limit);
        periods_s[i] = spendings[i].limit.period_s;
    }
    values[0] = DB_TEXT_ARRAY(keys, count);
    values[1] = DB_BIGINT_ARRAY(steps_us, count);
    values[2] = DB_INT_ARRAY(periods_s, count);
    return (struct db_step){.statement = statement, .values = values, .value_count = 3, .ret_rows = ret_rows};
}

struct obstacle
obstacle_of_turn(const struct spending *spendings, size_t count, const char *key, int wait_s)
{
    for (size_t i = 0; i < count; i++)
        if (text_equal(spendings[i].key, key))
            return (struct obstacle){.rule = spendings[i].rule, .subject = spendings[i].subject, .wait_s = wait_s > 0 ? wait_s : 1};
    return (struct obstacle){0};
}

static void
obstacle_of_spending(const struct db_rows *rows, const struct spending *spendings, size_t count, struct obstacle *ret_obstacle)
{
    if (rows != NULL && db_count(rows) == 1)
        *ret_obstacle = obstacle_of_turn(spendings, count, db_text(rows, 0, 0), (int)db_int(rows, 0, 1));
}

static enum error
look(struct acme *acme, struct request *rq, const struct db_statement *statement, const struct spending *spendings, size_t count,
     struct obstacle *ret_obstacle)
{
    struct db_rows *rows = NULL;
    struct db_step step = step_of_spendings(rq->arena, statement, spendings, count, &rows);

    enum error error = db_atomic(acme->db, rq, &step, 1);
    if (!error)
        obstacle_of_spending(rows, spendings, count, ret_obstacle);
    return error;
}

enum error
store_spend(struct acme *acme, struct request *rq, const struct spending *spendings, size_t count, struct obstacle *ret_obstacle)
{
    return look(acme, rq, &spend, spendings, count, ret_obstacle);
}

enum error
store_find_spent(struct acme *acme, struct request *rq, const struct spending *spendings, size_t count, struct obstacle *ret_obstacle)
{
    return look(acme, rq, &find_spent, spendings, count, ret_obstacle);
}

struct obstacle
obstacle_of_failure(struct arena *arena, const char *column, bool paused, int wait_s)
{
    return (struct obstacle){.rule = paused ? "paused-names" : "failed-authorizations-per-name",
                             .subject = name_from_column(arena, column).value,
                             .wait_s = wait_s > 0 ? wait_s : 1,
                             .paused = paused};
}

enum error
store_spend_authorization(struct acme *acme, struct request *rq, const struct policy *policy, const char *account_id, const struct identifier *name,
                          const struct spending *spending, struct obstacle *ret_obstacle)
{
    const struct limit *failures = &policy->limits->failed_authorizations;
    const char *column = name_to_column(rq->arena, name);
    struct db_rows *spent = NULL, *failing = NULL;
    struct db_step steps[2] = {
        DB_STEP(&find_failing, &failing, DB_TEXT(account_id), DB_TEXT_ARRAY(&column, 1), DB_INT(failures->count), DB_INT(failures->period_s)),
    };
    size_t count = spending->limit.count > 0;

    if (count > 0)
        steps[1] = step_of_spendings(rq->arena, &spend, spending, count, &spent);
    enum error error = db_atomic(acme->db, rq, steps, 1 + count);
    if (error)
        return error;
    obstacle_of_spending(spent, spending, count, ret_obstacle);
    if (db_count(failing) > 0)
        *ret_obstacle = obstacle_of_failure(rq->arena, db_text(failing, 0, 0), db_bool(failing, 0, 1), (int)db_int(failing, 0, 2));
    return OK;
}

/* Held until the transaction ends: of one account's orders with quotas, each is counted when the one before is there. */
static const struct db_statement lock_account = {"lock_account", "SELECT FROM acme.account WHERE id = $1 FOR NO KEY UPDATE"};

enum error
store_lock_account(struct acme *acme, struct request *rq, const char *account_id)
{
    return DB_QUERY(acme->db, rq, &lock_account, NULL, DB_TEXT(account_id));
}

enum error
store_check_quotas(struct acme *acme, struct request *rq, const struct policy *policy, const char *account_id, struct obstacle *ret_obstacle)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &count_quotas, &rows, DB_TEXT(account_id), DB_INT(policy->orders_per_account),
                                DB_INT(policy->certificates_per_account));
    if (error)
        return error;
    if (policy->orders_per_account > 0 && db_int(rows, 0, 0) >= policy->orders_per_account)
        *ret_obstacle = (struct obstacle){.rule = "orders-per-account"};
    /* What is under way is a certificate soon: else all of one moment would find room for themselves. */
    if (policy->certificates_per_account > 0 && db_int(rows, 0, 0) + db_int(rows, 0, 1) >= policy->certificates_per_account)
        *ret_obstacle = (struct obstacle){.rule = "certificates-per-account"};
    return OK;
}

enum error
store_sweep_limits(struct acme *acme, struct request *rq)
{
    enum error error = DB_QUERY0(acme->db, rq, &sweep_state, NULL);
    return error ? error : DB_QUERY0(acme->db, rq, &sweep_failing, NULL);
}

/* ---- operators ---- */

static Pb__AcmeLimits *
read_limits(struct arena *arena, const struct db_rows *rows, size_t row)
{
    Pb__AcmeLimits *limits = arena_alloc(arena, sizeof *limits);

    pb__acme_limits__init(limits);
    limits->name = db_text(rows, row, 0);
    limits->new_accounts_per_address = (uint32_t)db_int(rows, row, 1);
    limits->new_accounts_period_s = (uint32_t)db_int(rows, row, 2);
    limits->new_orders_per_account = (uint32_t)db_int(rows, row, 3);
    limits->new_orders_period_s = (uint32_t)db_int(rows, row, 4);
    limits->failed_authorizations_per_name = (uint32_t)db_int(rows, row, 5);
    limits->failed_authorizations_period_s = (uint32_t)db_int(rows, row, 6);
    limits->certificates_per_domain = (uint32_t)db_int(rows, row, 7);
    limits->certificates_period_s = (uint32_t)db_int(rows, row, 8);
    limits->failures_before_pause = (uint32_t)db_int(rows, row, 9);
    return limits;
}

enum error
store_list_limits(struct acme *acme, struct request *rq, const char *name, Pb__AcmeLimits ***ret_limits, size_t *ret_count)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &list_limits, &rows, DB_TEXT(name));
    if (error)
        return error;
    size_t count = db_count(rows);
    Pb__AcmeLimits **limits = arena_array(rq->arena, count, sizeof(Pb__AcmeLimits *));
    for (size_t i = 0; i < count; i++)
        limits[i] = read_limits(rq->arena, rows, i);
    *ret_limits = limits;
    *ret_count = count;
    return OK;
}

enum error
store_write_limits(struct acme *acme, struct request *rq, const Pb__AcmeLimits *limits, bool *ret_created)
{
    struct db_rows *rows;

    enum error error =
        DB_QUERY(acme->db, rq, &write_limits, &rows, DB_TEXT(limits->name), DB_INT(limits->new_accounts_per_address),
                 DB_INT(limits->new_accounts_period_s), DB_INT(limits->new_orders_per_account), DB_INT(limits->new_orders_period_s),
                 DB_INT(limits->failed_authorizations_per_name), DB_INT(limits->failed_authorizations_period_s),
                 DB_INT(limits->certificates_per_domain), DB_INT(limits->certificates_period_s), DB_INT(limits->failures_before_pause));
    if (!error)
        *ret_created = db_bool(rows, 0, 0);
    return error;
}

enum error
store_delete_limits(struct acme *acme, struct request *rq, const char *name)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &delete_limits, &rows, DB_TEXT(name));
    if (error == ERR_CONFLICT) {
        failure_clear(rq);
        return fail(rq, ERR_CONFLICT, "a policy names the limits \"%s\"", name);
    }
    if (error)
        return error;
    return db_affected(rows) == 1 ? OK : fail(rq, ERR_NOT_FOUND, "there are no limits \"%s\": see signetctl acme limits list", name);
}

enum error
store_resume_name(struct acme *acme, struct request *rq, const char *name, const char *account_id, size_t *ret_resumed)
{
    struct db_rows *rows;

    enum error error = DB_QUERY(acme->db, rq, &resume, &rows, DB_TEXT(name), DB_TEXT(account_id));
    if (!error)
        *ret_resumed = db_affected(rows);
    return error;
}
