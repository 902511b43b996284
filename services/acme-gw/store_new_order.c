/*
 * Orders that come at the same moment, counted by their rate limits and recorded by one statement: one round trip, one wait for the disk. What one of
 * them is refused stops that one alone. The rows of a limit that many orders share are locked until the disk has them; so few batches are under way
 * at once, and none waits for a row of the next. An order of a policy with quotas comes alone: the account's row is locked while it is counted.
 */
#include "acme.h"

#include "store.h"

#define UNLESS_ZERO(seconds) "CASE WHEN " seconds " <> 0 THEN to_timestamp(" seconds ") END"

/* RFC 9773 §5: an order that is not `invalid` stands in the way of others that would replace the same certificate. One that ran out of time is,
 * though nobody has written it down. */
static const struct db_statement release_replaced = {
    "release_replaced", "UPDATE acme.orders SET status = 'invalid' WHERE replaces = $1 AND status IN ('pending', 'ready') AND expires_at <= now()"};

/*
 * asked, named, counted: the orders, their names, the turns they take, each with `n`, the order's number in the batch.
 * spent: of each subject as many turns as are left; the first orders get them. Of those that are only asked for (`only_asked`) one must be left; the
 * certificate takes it (store_move.c). What could be spent is spent even when something else stands in the
 * way: who is refused has asked, too. chosen: names that the account has proven lately need no new proof (RFC 8555 §7.1.4); then the order lives as
 * long as the oldest proof does. Several names may have one proof, at a domain above them (RFC 9444); its first row makes it. Challenges: a name that
 * is approved beforehand has one, too, which is valid from the beginning: clients stumble over authorisations without any.
 */
static const struct db_statement insert_orders = {
    "insert_orders",
    "WITH asked AS (SELECT * FROM unnest($1::text[], $2::text[], $3::text[], $4::timestamptz[], $5::bigint[], $6::bigint[], $7::text[], $8::text[], "
    "$9::text[], $10::text[], $11::text[], $12::int[], $13::int[], $14::text[]) WITH ORDINALITY AS a (id, account_id, client_address, expires_at, "
    "not_before_s, "
    "not_after_s, profile, replaces, policy, owner, principal, failures, failure_period_s, auto_renewal, n)), "
    "named AS (SELECT * FROM unnest($15::bigint[], $16::text[], $17::text[], $18::text[], $19::text[], $20::text[], $21::int[], $22::text[], "
    "$23::int[], "
    "$24::text[]) WITH ORDINALITY AS w (n, name, id, challenge_id, offered, token, preapproved, proof, subdomains, covers, place)), "
    "counted AS (SELECT c.n, c.key, make_interval(secs => c.step_us / 1e6) AS step, make_interval(secs => c.period_s) AS period, "
    "c.only_asked = 1 AS only_asked, row_number() OVER (PARTITION BY c.key ORDER BY c.n) AS turn FROM unnest($25::bigint[], $26::text[], "
    "$27::bigint[], "
    "$28::int[], $29::int[]) AS c (n, key, step_us, period_s, only_asked)), "
    "wanted AS (SELECT key, max(step) AS step, max(period) AS period, acme.turns(max(period), max(step), count(*)::int) AS turns FROM counted "
    "WHERE NOT only_asked GROUP BY key), "
    "spent AS (INSERT INTO acme.limit_state AS s (key, tat, period, granted) SELECT key, now() + turns * step, period, turns FROM wanted ORDER BY "
    "key "
    "ON CONFLICT (key) DO UPDATE SET period = excluded.period, "
    "granted = acme.turns(now() + excluded.period - greatest(s.tat, now()), (excluded.tat - now()) / excluded.granted, excluded.granted), "
    "tat = greatest(s.tat, now()) + acme.turns(now() + excluded.period - greatest(s.tat, now()), (excluded.tat - now()) / excluded.granted, "
    "excluded.granted) * ((excluded.tat - now()) / excluded.granted) "
    "WHERE greatest(s.tat, now()) + (excluded.tat - now()) / excluded.granted <= now() + excluded.period RETURNING s.key, s.tat, s.granted), "
    "refused AS (SELECT DISTINCT ON (c.n) c.n, c.key, ceil(extract(epoch FROM coalesce(s.tat, greatest(old.tat, now())) - c.period + c.step - now()))"
    "::int AS wait_s FROM counted c LEFT JOIN spent s ON s.key = c.key LEFT JOIN acme.limit_state old ON old.key = c.key "
    "WHERE CASE WHEN c.only_asked THEN greatest(old.tat, now()) + c.step > now() + c.period ELSE c.turn > coalesce(s.granted, 0) END "
    "ORDER BY c.n, wait_s DESC), "
    "failing AS (SELECT DISTINCT ON (a.n) a.n, f.name, f.paused_at IS NOT NULL AS paused, ceil(extract(epoch FROM f.tat - now()))::int AS wait_s "
    "FROM asked a JOIN named w ON w.n = a.n JOIN acme.failing_name f ON f.account_id = a.account_id AND f.name = ANY (ARRAY[w.name, w.proof]) "
    "WHERE f.paused_at IS NOT NULL OR (a.failures > 0 AND greatest(f.tat, now()) + make_interval(secs => a.failure_period_s::float8 / "
    "greatest(a.failures, 1)) > now() + make_interval(secs => a.failure_period_s)) ORDER BY a.n, paused DESC, wait_s DESC), "
    "accepted AS (SELECT * FROM asked WHERE n NOT IN (SELECT n FROM refused) AND n NOT IN (SELECT n FROM failing)), "
    "chosen AS (SELECT w.n, w.place, w.name, w.proof, w.subdomains = 1 AS subdomains, w.preapproved = 1 AS preapproved, w.challenge_id, w.offered, "
    "w.token, "
    "coalesce(v.id, w.id) AS id, v.id IS NULL AS is_new, v.expires_at, row_number() OVER (PARTITION BY w.n, coalesce(v.id, w.id) ORDER BY w.place) = "
    "1 "
    "AS is_first FROM accepted o JOIN named w ON w.n = o.n LEFT JOIN LATERAL (SELECT a.id, a.expires_at "
    "FROM acme.authorization a WHERE a.account_id = o.account_id AND " COVERS_IT " AND w.preapproved = 0 AND " IS_PROVEN " "
    "AND a.expires_at > now() + interval '" AUTHORIZATION_REST "' ORDER BY a.expires_at DESC LIMIT 1) v ON true), "
    "gathered AS (SELECT n, array_agg(name ORDER BY place) AS names, array_agg(id ORDER BY place) FILTER (WHERE is_first) AS ids, "
    "count(*) FILTER (WHERE is_first AND is_new AND NOT preapproved) AS authorizations_left, min(expires_at) AS expires_at, "
    "array_agg(name ORDER BY place) FILTER (WHERE preapproved) AS preapproved FROM chosen GROUP BY n), "
    "inserted AS (INSERT INTO acme.orders (id, account_id, names, authorization_ids, authorizations_left, status, client_address, expires_at, "
    "not_before, not_after, profile, replaces, policy, preapproved, owner, principal, auto_renewal) "
    "SELECT o.id, o.account_id, g.names, g.ids, g.authorizations_left, CASE WHEN g.authorizations_left > 0 THEN 'pending' ELSE 'ready' END, "
    "o.client_address, least(o.expires_at, g.expires_at), " UNLESS_ZERO("o.not_before_s") ", " UNLESS_ZERO(
        "o.not_after_s") ", o.profile, o.replaces, "
                         "o.policy, coalesce(g.preapproved, '{}'), o.owner, o.principal, o.auto_renewal FROM accepted o JOIN gathered g ON g.n = o.n "
                         "RETURNING id, status, authorization_ids, expires_at), "
                         "authorized AS (INSERT INTO acme.authorization (id, account_id, order_id, name, expires_at, subdomains, status) "
                         "SELECT c.id, o.account_id, o.id, c.proof, o.expires_at, c.subdomains, CASE WHEN c.preapproved THEN 'valid' ELSE 'pending' "
                         "END "
                         "FROM chosen c JOIN accepted o ON o.n = c.n WHERE c.is_new AND c.is_first), "
                         "challenged AS (INSERT INTO acme.challenge (id, authorization_id, offered, token, status, type, validated_at) "
                         "SELECT c.challenge_id, c.id, string_to_array(c.offered, ' '), c.token, CASE WHEN c.preapproved THEN 'valid' ELSE 'pending' "
                         "END, "
                         "CASE WHEN c.preapproved THEN split_part(c.offered, ' ', 1) END, CASE WHEN c.preapproved THEN now() END FROM chosen c WHERE "
                         "c.is_new AND c.is_first) "
                         "SELECT i.status, array_to_string(i.authorization_ids, ' '), i.expires_at, r.key, r.wait_s, f.name, f.paused, f.wait_s FROM "
                         "asked a "
                         "LEFT JOIN inserted i ON i.id = a.id LEFT JOIN refused r ON r.n = a.n LEFT JOIN failing f ON f.n = a.n ORDER BY a.n"};

/* As the statement's unnest lists take them. */
static const enum db_type order_types[] = {DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_TIME, DB_IS_BIGINT, DB_IS_BIGINT, DB_IS_TEXT,
                                           DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_INT,    DB_IS_INT,    DB_IS_TEXT};
static const enum db_type name_types[] = {DB_IS_BIGINT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT,
                                          DB_IS_TEXT,   DB_IS_INT,  DB_IS_TEXT, DB_IS_INT,  DB_IS_TEXT};
static const enum db_type turn_types[] = {DB_IS_BIGINT, DB_IS_TEXT, DB_IS_BIGINT, DB_IS_INT, DB_IS_INT};
#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

static bool
is_preapproved(const struct order *order, const char *name)
{
    for (size_t i = 0; i < order->preapproved_count; i++)
        if (text_equal(order->preapproved[i], name))
            return true;
    return false;
}

static void
add_names(struct arena *arena, struct db_columns *names, int64_t n, const struct new_order *new)
{
    const struct order *order = new->order;
    const char **covers = subdomain_covers(arena, order->names, order->name_count, new->subdomains_count);

    for (size_t i = 0; i < order->name_count; i++) {
        const struct challenge *challenge = &new->challenges[i];
        const char *name = name_to_column(arena, &order->names[i]);
        DB_ADD(names, DB_BIGINT(n), DB_TEXT(name), DB_TEXT(challenge->authorization_id), DB_TEXT(challenge->id), DB_TEXT(challenge->type),
               DB_TEXT(challenge->token), DB_INT(is_preapproved(order, name)), DB_TEXT(name_to_column(arena, &challenge->name)),
               DB_INT(challenge->subdomains), DB_TEXT(covers[i]));
    }
}

static void
add_turns(struct db_columns *turns, int64_t n, const struct new_order *new)
{
    for (size_t i = 0; i < new->spending_count; i++) {
        const struct spending *spending = &new->spendings[i];
        DB_ADD(turns, DB_BIGINT(n), DB_TEXT(spending->key), DB_BIGINT(limit_step_us(spending->limit)), DB_INT(spending->limit.period_s),
               DB_INT(spending->only_asked));
    }
}

static void
add_order(struct arena *arena, struct db_columns *orders, const struct new_order *new)
{
    const struct order *order = new->order;

    DB_ADD(orders, DB_TEXT(order->id), DB_TEXT(order->account_id), DB_TEXT(order->client_address), DB_TIME_S(order->expires_at_s),
           DB_BIGINT(order->not_before_s), DB_BIGINT(order->not_after_s), DB_TEXT(order->profile), DB_TEXT(order->replaces), DB_TEXT(order->policy),
           DB_TEXT(order->owner), DB_TEXT(order->principal), DB_INT(new->failures.count), DB_INT(new->failures.period_s),
           DB_TEXT(star_text(arena, order->star)));
}

/* What became of one of them, in its own arena: the batch's ends before. */
static void
take_result(const struct db_rows *rows, size_t row, struct new_order *new)
{
    struct arena *arena = new->rq->arena;
    struct order *order = new->order;

    if (!db_is_null(rows, row, 3))
        new->obstacle = obstacle_of_turn(new->spendings, new->spending_count, db_text(rows, row, 3), (int)db_int(rows, row, 4));
    if (!db_is_null(rows, row, 5))
        new->obstacle = obstacle_of_failure(arena, db_text(rows, row, 5), db_bool(rows, row, 6), (int)db_int(rows, row, 7));
    if (db_is_null(rows, row, 0))
        return;
    order->status = store_order_status(db_text(rows, row, 0));
    order->authorization_ids = (const char *const *)text_split(arena, db_text(rows, row, 1), ' ', &order->authorization_count);
    order->expires_at_s = db_time_s(rows, row, 2);
}

enum error
store_insert_orders(void *context, struct request *rq, void *const *items, size_t count)
{
    struct acme *acme = context;
    struct db_columns *orders = db_columns_new(rq->arena, order_types, COUNT_OF(order_types));
    struct db_columns *names = db_columns_new(rq->arena, name_types, COUNT_OF(name_types));
    struct db_columns *turns = db_columns_new(rq->arena, turn_types, COUNT_OF(turn_types));
    struct db_value values[COUNT_OF(order_types) + COUNT_OF(name_types) + COUNT_OF(turn_types)];
    struct db_rows *rows = NULL;

    for (size_t i = 0; i < count; i++) {
        add_order(rq->arena, orders, items[i]);
        add_names(rq->arena, names, (int64_t)i + 1, items[i]);
        add_turns(turns, (int64_t)i + 1, items[i]);
    }
    db_columns_take(orders, values);
    db_columns_take(names, values + COUNT_OF(order_types));
    db_columns_take(turns, values + COUNT_OF(order_types) + COUNT_OF(name_types));
    enum error error = db_query(acme->db, rq, &insert_orders, values, COUNT_OF(values), &rows);
    for (size_t i = 0; !error && i < count; i++)
        take_result(rows, i, items[i]);
    return error;
}

struct counted_order {
    const struct acme *acme;
    struct new_order *new;
};

static enum error
count_and_insert(struct db *db, struct request *rq, void *context)
{
    const struct counted_order *counted = context;
    struct new_order *new = counted->new;
    struct acme within = acme_within(counted->acme, db);
    void *item = new;

    new->obstacle = (struct obstacle){0};
    enum error error = store_lock_account(&within, rq, new->order->account_id);
    if (!error)
        error = store_check_quotas(&within, rq, new->quotas_of, new->order->account_id, &new->obstacle);
    if (error || new->obstacle.rule != NULL)
        return error;
    return store_insert_orders(&within, rq, &item, 1);
}

/* Where the certificate that it replaces decides whether it may be, the others do not wait for that. */
static enum error
insert_replacement(struct acme *acme, struct request *rq, struct new_order *new)
{
    void *item = new;

    enum error error = DB_QUERY(acme->db, rq, &release_replaced, NULL, DB_TEXT(new->order->replaces));
    if (!error)
        error = store_insert_orders(acme, rq, &item, 1);
    if (error != ERR_CONFLICT || !text_equal(rq->failure.reason, "orders_replaces"))
        return error;
    failure_clear(rq);
    return refuse(rq, ERR_CONFLICT, "alreadyReplaced", "another order replaces the certificate %s already", new->order->replaces);
}

enum error
store_insert_order(struct acme *acme, struct request *rq, struct new_order *new)
{
    new->rq = rq;
    if (new->order->replaces != NULL)
        return insert_replacement(acme, rq, new);
    if (new->quotas_of != NULL)
        return db_transaction(acme->db, rq, count_and_insert, &(struct counted_order){acme, new});
    return commit_queue_run(acme->new_orders, rq, new);
}
