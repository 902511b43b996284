/*
 * Orders that come at the same moment, counted by their rate limits and recorded by one statement: one round trip, one wait for the disk. What one of
 * them is refused stops that one alone. The rows of a limit that many orders share are locked until the disk has them; so few batches are under way
 * at once, and none waits for a row of the next. An order of a policy with quotas comes alone: the account's row is locked while it is counted.
 */
#include "acme.h"

#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "store.h"

#define UNLESS_ZERO(seconds) "CASE WHEN " seconds " <> 0 THEN to_timestamp(" seconds ") END"

/* RFC 9773 §5: an order that is not `invalid` stands in the way of others that would replace the same certificate. One that ran out of time is,
 * though nobody has written it down. */
static const struct db_statement release_replaced = {
    "release_replaced", "UPDATE acme.orders SET status = 'invalid' WHERE replaces = $1 AND status IN ('pending', 'ready') AND expires_at <= now()"};

/*
 * $1…$16: a column of the orders each; `n` is an order's place in them. An array that is taken apart by unnest costs more than a row, so those of the
 * orders are not. named: the names of all orders. keyed: the subjects of the limits, and how many turns of each are wanted.
 * spent: of each subject as many turns as are left; the first orders get them. Of those that are only asked for (turn 0) one must be left; the
 * certificate takes it (store_move.c). What could be spent is spent even when something else stands in the way: who is refused has asked, too.
 * chosen: names that the account has proven lately need no new proof (RFC 8555 §7.1.4); then the order lives as long as the oldest proof does.
 * Several names may have one proof, at a domain above them (RFC 9444); its first row makes it. A challenge has the id of its authorization. One that
 * is approved beforehand has a challenge, too, which is valid from the beginning: clients stumble over authorizations without any. Rows come out for
 * each order that was made, and for all that stands in the way of others; of that, what is last outweighs what is before it.
 */
static const struct db_statement insert_orders = {
    "insert_orders",
    "WITH named AS (SELECT * FROM unnest($17::bigint[], $18::text[], $19::text[], $20::text[], $21::text[], $22::int[], $23::text[], $24::int[], "
    "$25::text[]) WITH ORDINALITY AS w (n, name, id, offered, token, preapproved, proof, subdomains, covers, place)), "
    "keyed AS (SELECT k, key, make_interval(secs => ($27::bigint[])[k] / 1e6) AS step, make_interval(secs => ($28::int[])[k]) AS period, "
    "($29::int[])[k] AS wanted FROM unnest($26::text[]) WITH ORDINALITY AS u (key, k)), "
    "spent AS (INSERT INTO acme.limit_state AS s (key, tat, period, granted) SELECT key, now() + turns * step, period, turns FROM (SELECT key, step, "
    "period, acme.turns(period, step, wanted) AS turns FROM keyed WHERE wanted > 0) AS w "
    "ON CONFLICT (key) DO UPDATE SET period = excluded.period, "
    "granted = acme.turns(now() + excluded.period - greatest(s.tat, now()), (excluded.tat - now()) / excluded.granted, excluded.granted), "
    "tat = greatest(s.tat, now()) + acme.turns(now() + excluded.period - greatest(s.tat, now()), (excluded.tat - now()) / excluded.granted, "
    "excluded.granted) * ((excluded.tat - now()) / excluded.granted) "
    "WHERE greatest(s.tat, now()) + (excluded.tat - now()) / excluded.granted <= now() + excluded.period RETURNING s.key, s.tat, s.granted), "
    "refused AS (SELECT c.n, w.key, ceil(extract(epoch FROM coalesce(s.tat, greatest(old.tat, now())) - w.period + w.step - now()))::int AS wait_s "
    "FROM keyed w LEFT JOIN spent s ON s.key = w.key LEFT JOIN acme.limit_state old ON old.key = w.key "
    "JOIN unnest($30::bigint[], $31::bigint[], $32::int[]) AS c (n, k, turn) ON c.k = w.k "
    "WHERE CASE WHEN c.turn = 0 THEN greatest(old.tat, now()) + w.step > now() + w.period ELSE c.turn > coalesce(s.granted, 0) END), "
    "failing AS (SELECT w.n, f.name, f.paused_at IS NOT NULL AS paused, ceil(extract(epoch FROM f.tat - now()))::int AS wait_s "
    "FROM named w JOIN acme.failing_name f ON f.account_id = ($2::text[])[w.n] AND f.name = ANY (ARRAY[w.name, w.proof]) "
    "WHERE f.paused_at IS NOT NULL OR (($12::int[])[w.n] > 0 AND greatest(f.tat, now()) + make_interval(secs => ($13::int[])[w.n]::float8 / "
    "greatest(($12::int[])[w.n], 1)) > now() + make_interval(secs => ($13::int[])[w.n]))), "
    "chosen AS (SELECT w.n, w.place, w.proof, w.subdomains = 1 AS subdomains, w.preapproved = 1 AS preapproved, w.offered, w.token, "
    "coalesce(v.id, w.id) AS id, v.id IS NULL AS is_new, v.expires_at, "
    "row_number() OVER (PARTITION BY w.n, coalesce(v.id, w.id) ORDER BY w.place) = 1 AS is_first "
    "FROM named w LEFT JOIN LATERAL (SELECT a.id, a.expires_at "
    "FROM acme.authorization a WHERE a.account_id = ($2::text[])[w.n] AND " COVERS_IT " AND w.preapproved = 0 AND " IS_PROVEN " "
    "AND a.expires_at > now() + interval '" AUTHORIZATION_REST "' ORDER BY a.expires_at DESC LIMIT 1) v ON true "
    "WHERE w.n NOT IN (SELECT n FROM refused UNION ALL SELECT n FROM failing)), "
    "gathered AS (SELECT n, array_agg(id) FILTER (WHERE is_first) AS ids, count(*) FILTER (WHERE is_first AND is_new AND NOT preapproved) AS open, "
    "min(expires_at) AS expires_at FROM (SELECT * FROM chosen ORDER BY n, place) AS c GROUP BY n), "
    "inserted AS (INSERT INTO acme.orders (id, account_id, client_address, expires_at, not_before, not_after, profile, replaces, policy, owner, "
    "principal, auto_renewal, names, preapproved, authorization_ids, authorizations_left, status) "
    "SELECT ($1::text[])[n], ($2::text[])[n], ($3::text[])[n], least(($4::timestamptz[])[n], expires_at), " UNLESS_ZERO(
        "($5::bigint[])[n]") ", " UNLESS_ZERO("($6::bigint[])[n]") ", ($7::text[])[n], ($8::text[])[n], ($9::text[])[n], ($10::text[])[n], "
                                                                   "($11::text[])[n], ($14::text[])[n], string_to_array(($15::text[])[n], ' '), "
                                                                   "string_to_array(($16::text[])[n], ' '), ids, open, "
                                                                   "CASE WHEN open > 0 THEN 'pending' ELSE 'ready' END FROM gathered RETURNING id, "
                                                                   "status, authorization_ids, expires_at), "
                                                                   "authorized AS (INSERT INTO acme.authorization (id, account_id, order_id, name, "
                                                                   "expires_at, subdomains, status) "
                                                                   "SELECT id, ($2::text[])[n], ($1::text[])[n], proof, ($4::timestamptz[])[n], "
                                                                   "subdomains, CASE WHEN preapproved THEN 'valid' ELSE 'pending' END "
                                                                   "FROM chosen WHERE is_new AND is_first), "
                                                                   "challenged AS (INSERT INTO acme.challenge (id, authorization_id, offered, token, "
                                                                   "status, type, validated_at) "
                                                                   "SELECT id, id, string_to_array(offered, ' '), token, CASE WHEN preapproved THEN "
                                                                   "'valid' ELSE 'pending' END, "
                                                                   "CASE WHEN preapproved THEN split_part(offered, ' ', 1) END, CASE WHEN "
                                                                   "preapproved THEN now() END FROM chosen WHERE is_new AND is_first) "
                                                                   "SELECT NULL::bigint AS n, id, status, array_to_string(authorization_ids, ' '), "
                                                                   "expires_at, NULL::text, NULL::boolean AS paused, "
                                                                   "NULL::int AS wait_s FROM inserted "
                                                                   "UNION ALL SELECT n, NULL, NULL, NULL, NULL, key, NULL, wait_s FROM refused "
                                                                   "UNION ALL SELECT n, NULL, NULL, NULL, NULL, name, paused, wait_s FROM failing "
                                                                   "ORDER BY paused NULLS FIRST, wait_s"};
enum { COLUMN_N, COLUMN_ID, COLUMN_STATUS, COLUMN_AUTHORIZATIONS, COLUMN_EXPIRES, COLUMN_OBSTACLE, COLUMN_PAUSED, COLUMN_WAIT };

/* As the statement takes them. */
static const enum db_type order_types[] = {DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_TIME, DB_IS_BIGINT, DB_IS_BIGINT, DB_IS_TEXT, DB_IS_TEXT,
                                           DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_INT,  DB_IS_INT,    DB_IS_TEXT,   DB_IS_TEXT, DB_IS_TEXT};
static const enum db_type name_types[] = {DB_IS_BIGINT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_INT, DB_IS_TEXT, DB_IS_INT, DB_IS_TEXT};
static const enum db_type key_types[] = {DB_IS_TEXT, DB_IS_BIGINT, DB_IS_INT, DB_IS_INT};
static const enum db_type turn_types[] = {DB_IS_BIGINT, DB_IS_BIGINT, DB_IS_INT};
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
        assert(text_equal(challenge->id, challenge->authorization_id));
        DB_ADD(names, DB_BIGINT(n), DB_TEXT(name), DB_TEXT(challenge->id), DB_TEXT(challenge->type), DB_TEXT(challenge->token),
               DB_INT(is_preapproved(order, name)), DB_TEXT(name_to_column(arena, &challenge->name)), DB_INT(challenge->subdomains),
               DB_TEXT(covers[i]));
    }
}

/* A turn that the order with the number `n` wants. */
struct turn {
    const struct spending *spending;
    int64_t n;
};

static int
compare_turns(const void *one, const void *other)
{
    const struct turn *a = one, *b = other;
    int by_key = strcmp(a->spending->key, b->spending->key);

    return by_key != 0 ? by_key : (a->n > b->n) - (a->n < b->n);
}

/* By subject, so that two batches of two replicas do not wait for each other's rows; those of one subject in the order of the orders. */
static struct turn *
sort_turns(struct arena *arena, void *const *items, size_t count, size_t *ret_count)
{
    size_t most = 0, turn_count = 0;

    for (size_t i = 0; i < count; i++)
        most += ((const struct new_order *)items[i])->spending_count;
    struct turn *turns = arena_array(arena, most, sizeof *turns);
    for (size_t i = 0; i < count; i++) {
        const struct new_order *new = items[i];
        for (size_t k = 0; k < new->spending_count; k++)
            turns[turn_count++] = (struct turn){.spending = &new->spendings[k], .n = (int64_t)i + 1};
    }
    if (turn_count > 0)
        qsort(turns, turn_count, sizeof *turns, compare_turns);
    *ret_count = turn_count;
    return turns;
}

static void
add_turns(struct arena *arena, struct db_columns *keys, struct db_columns *turns, void *const *items, size_t count)
{
    size_t turn_count;
    const struct turn *sorted = sort_turns(arena, items, count, &turn_count);
    int64_t k = 0;

    for (size_t from = 0, to; from < turn_count; from = to) {
        const struct spending *subject = sorted[from].spending;
        int wanted = 0;
        k++;
        for (to = from; to < turn_count && text_equal(sorted[to].spending->key, subject->key); to++) {
            wanted += subject->only_asked ? 0 : 1;
            DB_ADD(turns, DB_BIGINT(sorted[to].n), DB_BIGINT(k), DB_INT(wanted));
        }
        DB_ADD(keys, DB_TEXT(subject->key), DB_BIGINT(limit_step_us(subject->limit)), DB_INT(subject->limit.period_s), DB_INT(wanted));
    }
}

static const char *
names_text(struct arena *arena, const struct order *order, bool preapproved_only)
{
    struct buffer text = buffer_in(arena);

    for (size_t i = 0; i < order->name_count; i++) {
        const char *name = name_to_column(arena, &order->names[i]);
        if (!preapproved_only || is_preapproved(order, name))
            buffer_append_format(&text, "%s%s", text.len == 0 ? "" : " ", name);
    }
    return buffer_text(&text);
}

static void
add_order(struct arena *arena, struct db_columns *orders, const struct new_order *new)
{
    const struct order *order = new->order;

    DB_ADD(orders, DB_TEXT(order->id), DB_TEXT(order->account_id), DB_TEXT(order->client_address), DB_TIME_S(order->expires_at_s),
           DB_BIGINT(order->not_before_s), DB_BIGINT(order->not_after_s), DB_TEXT(order->profile), DB_TEXT(order->replaces), DB_TEXT(order->policy),
           DB_TEXT(order->owner), DB_TEXT(order->principal), DB_INT(new->failures.count), DB_INT(new->failures.period_s),
           DB_TEXT(star_text(arena, order->star)), DB_TEXT(names_text(arena, order, false)), DB_TEXT(names_text(arena, order, true)));
}

static struct new_order *
find_by_id(void *const *items, size_t count, const char *id)
{
    for (size_t i = 0; i < count; i++) {
        struct new_order *new = items[i];
        if (text_equal(new->order->id, id))
            return new;
    }
    assert(!"an order that nobody has asked for");
    return NULL;
}

/* In its own arena: the batch's ends before. */
static void
take_order(const struct db_rows *rows, size_t row, struct new_order *new)
{
    struct order *order = new->order;

    order->status = store_order_status(db_text(rows, row, COLUMN_STATUS));
    order->authorization_ids =
        (const char *const *)text_split(new->rq->arena, db_text(rows, row, COLUMN_AUTHORIZATIONS), ' ', &order->authorization_count);
    order->expires_at_s = db_time_s(rows, row, COLUMN_EXPIRES);
}

static void
take_obstacle(const struct db_rows *rows, size_t row, struct new_order *new)
{
    const char *what = db_text(rows, row, COLUMN_OBSTACLE);
    int wait_s = (int)db_int(rows, row, COLUMN_WAIT);

    if (db_is_null(rows, row, COLUMN_PAUSED))
        new->obstacle = obstacle_of_turn(new->spendings, new->spending_count, what, wait_s);
    else
        new->obstacle = obstacle_of_failure(new->rq->arena, what, db_bool(rows, row, COLUMN_PAUSED), wait_s);
}

static void
take_results(const struct db_rows *rows, void *const *items, size_t count)
{
    for (size_t row = 0; row < db_count(rows); row++) {
        int64_t n = db_int(rows, row, COLUMN_N); /* 0: none */
        assert(n >= 0 && n <= (int64_t)count);
        if (n == 0)
            take_order(rows, row, find_by_id(items, count, db_text(rows, row, COLUMN_ID)));
        else
            take_obstacle(rows, row, items[n - 1]);
    }
}

enum error
store_insert_orders(void *context, struct request *rq, void *const *items, size_t count)
{
    struct acme *acme = context;
    struct db_columns *orders = db_columns_new(rq->arena, order_types, COUNT_OF(order_types));
    struct db_columns *names = db_columns_new(rq->arena, name_types, COUNT_OF(name_types));
    struct db_columns *keys = db_columns_new(rq->arena, key_types, COUNT_OF(key_types));
    struct db_columns *turns = db_columns_new(rq->arena, turn_types, COUNT_OF(turn_types));
    struct db_value values[COUNT_OF(order_types) + COUNT_OF(name_types) + COUNT_OF(key_types) + COUNT_OF(turn_types)];
    struct db_rows *rows = NULL;

    for (size_t i = 0; i < count; i++) {
        add_order(rq->arena, orders, items[i]);
        add_names(rq->arena, names, (int64_t)i + 1, items[i]);
    }
    add_turns(rq->arena, keys, turns, items, count);
    db_columns_take(orders, values);
    db_columns_take(names, values + COUNT_OF(order_types));
    db_columns_take(keys, values + COUNT_OF(order_types) + COUNT_OF(name_types));
    db_columns_take(turns, values + COUNT_OF(order_types) + COUNT_OF(name_types) + COUNT_OF(key_types));
    enum error error = db_query(acme->db, rq, &insert_orders, values, COUNT_OF(values), &rows);
    if (!error)
        take_results(rows, items, count);
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
    if (new->order->replaces != NULL)
        return insert_replacement(acme, rq, new);
    if (new->quotas_of != NULL)
        return db_transaction(acme->db, rq, count_and_insert, &(struct counted_order){acme, new});
    return commit_queue_run(acme->new_orders, rq, new);
}
