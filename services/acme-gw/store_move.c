/*
 * What moves an order on its way: a CSR claims it, ra's answer ends it, a verdict about a challenge makes it ready. Whatever comes at the same moment
 * is one transaction, a statement for each kind: one round trip, one wait for the disk. A row that is not as it should be by then is left as it is,
 * and its item is told; nothing here fails because of one item.
 */
#include "acme.h"

#include <assert.h>

#include "store.h"

#define COUNT_OF(array) (sizeof(array) / sizeof(array)[0])

/* Turns of limits: the place of the order in its part, and what store_limit.c has of a spending. */
static const enum db_type spent_types[] = {DB_IS_BIGINT, DB_IS_TEXT, DB_IS_BIGINT, DB_IS_INT};

/*
 * Of two claims of one order in one batch, UPDATE takes one. An order whose domains have had their share of certificates since it came is left as it
 * is. The certificate takes the turn, at its end: so there may be more than the limit by as many as are under way at one moment, and no more.
 */
static const enum db_type claim_types[] = {DB_IS_TEXT, DB_IS_TEXT, DB_IS_BYTES, DB_IS_TEXT, DB_IS_BYTES};
#define CLAIM_ORDERS(unless_late)                                                                                                                 \
    "UPDATE acme.orders o SET status = 'processing', csr = w.csr, finalized_at = now(), due_at = now(), attempts = 1, leased_until = now() + "    \
    "make_interval(secs => $6), lease_holder = $7 FROM unnest($1::text[], $2::text[], $3::bytea[], $4::text[], $5::bytea[]) WITH ORDINALITY "     \
    "AS w (id, account_id, csr, names, key_sha256, n) WHERE o.id = w.id AND o." ACCOUNT_IS "w.account_id AND o.status = 'ready' "                 \
    "AND o.expires_at > now() AND o.names = string_to_array(w.names, ' ') AND NOT EXISTS (SELECT FROM acme.authorization a "                      \
    "WHERE a.id = ANY (o.authorization_ids) AND (a.status <> 'valid' OR a.attested_key <> w.key_sha256)) " unless_late "RETURNING " ORDER_COLUMNS \
    ", NULL::bytea, w.n"
static const struct db_statement claim_orders = {"claim_orders", CLAIM_ORDERS("")};
static const struct db_statement claim_orders_with_turns = {
    "claim_orders_with_turns",
    "WITH late AS MATERIALIZED (SELECT w.n FROM unnest($8::bigint[], $9::text[], $10::bigint[], $11::int[]) AS w (n, key, step_us, period_s) "
    "WHERE (SELECT s.tat FROM acme.limit_state s WHERE s.key = w.key) + make_interval(secs => w.step_us / 1e6) > now() + make_interval(secs => "
    "w.period_s)) " CLAIM_ORDERS("AND (o.replaces IS NOT NULL OR w.n NOT IN (SELECT n FROM late)) ")};

static const enum db_type end_types[] = {DB_IS_TEXT, DB_IS_BYTES, DB_IS_INT, DB_IS_BYTES, DB_IS_TEXT};
#define END_ORDERS                                                                                                                 \
    "UPDATE acme.orders o SET status = 'valid', serial = w.serial, expiry_month = w.expiry_month, chain_sha256 = w.chain_sha256, " \
    "alternate_chains = string_to_array(w.alternate_chains, ' ')::bytea[], leased_until = NULL, lease_holder = NULL "              \
    "FROM unnest($1::text[], $2::bytea[], $3::int[], $4::bytea[], $5::text[]) WITH ORDINALITY AS w (id, serial, expiry_month, "    \
    "chain_sha256, alternate_chains, n) WHERE o.id = w.id AND o.lease_holder = $6 AND " STATUS_IS_STILL("processing") " RETURNING w.n"
static const struct db_statement end_orders = {"end_orders", END_ORDERS};
static const enum db_type chain_types[] = {DB_IS_BYTES, DB_IS_TEXT};
static const struct db_statement insert_chains = {
    "insert_chains", "INSERT INTO acme.chain (sha256, pem) SELECT DISTINCT ON (c.sha256) c.sha256, c.pem FROM unnest($1::bytea[], $2::text[]) AS c "
                     "(sha256, pem) ORDER BY c.sha256 ON CONFLICT (sha256) DO NOTHING"};

/* The limits of the domains that certificates were issued for. They were asked when the orders were claimed; nobody is refused any more, but whoever
 * comes next has to wait for at most one period. An order counts once: for who ends it, not for a holder whose lease ran out before. */
static const struct db_statement end_and_spend = {
    "end_and_spend",
    "WITH ended AS (" END_ORDERS "), spent AS (INSERT INTO acme.limit_state AS s (key, tat, period) SELECT w.key, now() + least(count(*) * "
    "make_interval(secs => max(w.step_us) / 1e6), make_interval(secs => max(w.period_s))), make_interval(secs => max(w.period_s)) "
    "FROM unnest($7::bigint[], $8::text[], $9::bigint[], $10::int[]) AS w (n, key, step_us, period_s) JOIN ended e ON e.n = w.n "
    "GROUP BY w.key ORDER BY w.key ON CONFLICT (key) DO UPDATE SET period = excluded.period, "
    "tat = least(greatest(s.tat, now()) + (excluded.tat - now()), now() + excluded.period)) SELECT n FROM ended"};

/*
 * Challenge, authorisation and order in one statement: no reader sees a valid authorisation of an order that is not ready yet. What is proven until
 * some time only is not relied upon later, in no order. `authorizations_left` is counted down on the order's newest version, whichever of two
 * validations comes second (READ COMMITTED looks again). A challenge that was proven before anybody has begun it has its type with it, and the
 * authorisation is locked before it is asked: one that is given up in this moment is not proven. RFC 8555 §7.1.6: one invalid authorisation makes
 * the order invalid.
 */
static const enum db_type verdict_types[] = {DB_IS_TEXT, DB_IS_TEXT, DB_IS_TEXT, DB_IS_BIGINT, DB_IS_BYTES, DB_IS_TEXT};
static const struct db_statement end_validations = {
    "end_validations",
    "WITH given AS (SELECT w.n, w.id, w.type, w.problem, CASE WHEN w.until_s > 0 THEN to_timestamp(w.until_s) END AS until, w.attested_key, "
    "w.attestation FROM unnest($1::text[], $2::text[], $3::text[], $4::bigint[], $5::bytea[], $6::text[]) WITH ORDINALITY AS w (id, type, problem, "
    "until_s, attested_key, attestation, n)), "
    "held AS (SELECT g.*, a.id AS authorization_id, a.status = 'pending' AND a.expires_at > now() AS is_open FROM given g JOIN acme.challenge c "
    "ON c.id = g.id JOIN acme.authorization a ON a.id = c.authorization_id ORDER BY a.id FOR NO KEY UPDATE OF a), "
    "ended AS (UPDATE acme.challenge c SET status = CASE WHEN h.problem IS NULL THEN 'valid' ELSE 'invalid' END, type = coalesce(c.type, h.type), "
    "problem = h.problem, validated_at = CASE WHEN h.problem IS NULL THEN now() END, response = NULL, leased_until = NULL, lease_holder = NULL "
    "FROM held h WHERE c.id = h.id AND ((c.status = 'processing' AND c.lease_holder = $7) "
    "OR (c.status = 'pending' AND h.type = ANY (c.offered) AND h.is_open)) "
    "RETURNING h.n, h.authorization_id, h.problem, h.until, h.attested_key, h.attestation, c.validated_at), "
    "decided AS (UPDATE acme.authorization a SET status = CASE WHEN e.problem IS NULL THEN 'valid' ELSE 'invalid' END, "
    "expires_at = least(a.expires_at, e.until), proof_ends_at = e.until, attested_key = e.attested_key, attestation = e.attestation FROM ended e "
    "WHERE a.id = "
    "e.authorization_id AND a.status = 'pending' "
    "RETURNING a.order_id, e.problem, e.until), "
    "summed AS (SELECT order_id, count(*) FILTER (WHERE problem IS NULL) AS proven, max(problem) AS problem, min(until) AS until FROM decided "
    "GROUP BY order_id), "
    "moved AS (UPDATE acme.orders o SET authorizations_left = o.authorizations_left - s.proven, expires_at = least(o.expires_at, s.until), "
    "problem = CASE WHEN o.status = 'pending' THEN coalesce(s.problem, o.problem) ELSE o.problem END, "
    "status = CASE WHEN o.status <> 'pending' THEN o.status WHEN s.problem IS NOT NULL THEN 'invalid' "
    "WHEN o.authorizations_left = s.proven THEN 'ready' ELSE o.status END FROM summed s WHERE o.id = s.order_id) "
    "SELECT n, validated_at FROM ended"};

/* ---- a batch ---- */

enum { STEPS_MAX = 4 };

/* Those of one kind, in the order in which their statement numbers them. */
struct part {
    struct order_move *moves[COMMIT_BATCH_MAX];
    size_t count;
};

struct batch {
    struct acme *acme;
    struct request *rq;
    struct db_step steps[STEPS_MAX];
    size_t step_count;
    struct bytes *chains; /* that it stores */
    size_t chain_count;
};

static struct part
part_of(void *const *items, size_t count, enum move_kind kind)
{
    struct part part = {.count = 0};

    assert(count <= COMMIT_BATCH_MAX);
    for (size_t i = 0; i < count; i++) {
        struct order_move *move = items[i];
        if (move->kind == kind)
            part.moves[part.count++] = move;
    }
    return part;
}

static struct db_value *
add_step(struct batch *batch, const struct db_statement *statement, size_t value_count, struct db_rows **ret_rows)
{
    struct db_value *values = arena_array(batch->rq->arena, value_count, sizeof *values);

    assert(batch->step_count < STEPS_MAX);
    batch->steps[batch->step_count++] = (struct db_step){.statement = statement, .values = values, .value_count = value_count, .ret_rows = ret_rows};
    return values;
}

static struct order_move *
move_of_row(const struct part *part, const struct db_rows *rows, size_t row, size_t column)
{
    int64_t n = db_int(rows, row, column);

    assert(n >= 1 && n <= (int64_t)part->count);
    return part->moves[n - 1];
}

static void
mark_done(const struct part *part, const struct db_rows *rows)
{
    for (size_t row = 0; part->count > 0 && row < db_count(rows); row++)
        move_of_row(part, rows, row, 0)->done = true;
}

/* ---- claims ---- */

static size_t
add_spendings(struct db_columns *spent, size_t place, const struct spending *spendings, size_t count)
{
    for (size_t i = 0; i < count; i++)
        DB_ADD(spent, DB_BIGINT((int64_t)place + 1), DB_TEXT(spendings[i].key), DB_BIGINT(limit_step_us(spendings[i].limit)),
               DB_INT(spendings[i].limit.period_s));
    return count;
}

/* An array of arrays is none of unnest's: they come apart again by string_to_array. */
static const char *
join(struct arena *arena, const char *const *names, size_t count)
{
    struct buffer joined = buffer_in(arena);

    for (size_t i = 0; i < count; i++)
        buffer_append_format(&joined, "%s%s", i == 0 ? "" : " ", names[i]);
    return buffer_text(&joined);
}

static void
add_claims(struct batch *batch, const struct part *part, struct db_rows **ret_claimed)
{
    struct db_columns *columns = db_columns_new(batch->rq->arena, claim_types, COUNT_OF(claim_types));
    struct db_columns *spent = db_columns_new(batch->rq->arena, spent_types, COUNT_OF(spent_types));
    size_t width = COUNT_OF(claim_types), spendings = 0;

    if (part->count == 0)
        return;
    for (size_t i = 0; i < part->count; i++) {
        const struct order_move *move = part->moves[i];
        DB_ADD(columns, DB_TEXT(move->id), DB_TEXT(move->account_id), DB_BYTES(move->claim->csr),
               DB_TEXT(join(batch->rq->arena, move->claim->names, move->claim->name_count)), DB_BYTES(move->claim->key_sha256));
        spendings += add_spendings(spent, i, move->claim->spendings, move->claim->spending_count);
    }
    struct db_value *values = spendings == 0 ? add_step(batch, &claim_orders, width + 2, ret_claimed)
                                             : add_step(batch, &claim_orders_with_turns, width + 2 + COUNT_OF(spent_types), ret_claimed);
    db_columns_take(columns, values);
    values[width] = DB_INT(LEASE_S);
    values[width + 1] = DB_TEXT(lease_holder(batch->acme->finalizations));
    if (spendings > 0)
        db_columns_take(spent, values + width + 2);
}

static void
take_claims(const struct part *part, const struct db_rows *rows)
{
    for (size_t row = 0; part->count > 0 && row < db_count(rows); row++) {
        struct order_move *move = move_of_row(part, rows, row, ORDER_COLUMN_COUNT + 1);
        move->order = store_order_of_row(move->rq->arena, rows, row);
        move->order.csr = move->claim->csr;
        move->done = true;
    }
}

/* ---- ends ---- */

/* Nearly all certificates have a chain that is stored already. */
static void
add_chains(struct batch *batch, const struct part *part)
{
    struct db_columns *columns = db_columns_new(batch->rq->arena, chain_types, COUNT_OF(chain_types));
    size_t most = 0;

    for (size_t i = 0; i < part->count; i++)
        most += part->moves[i]->issued->chain_count;
    batch->chains = arena_array(batch->rq->arena, most, sizeof *batch->chains);
    for (size_t i = 0; i < part->count; i++) {
        const struct issued *issued = part->moves[i]->issued;
        for (size_t c = 0; c < issued->chain_count; c++) {
            if (stored_chains_have(batch->acme->stored_chains, issued->chain_sha256[c]))
                continue;
            DB_ADD(columns, DB_BYTES(issued->chain_sha256[c]), DB_TEXT(issued->chain_pem[c]));
            batch->chains[batch->chain_count++] = issued->chain_sha256[c];
        }
    }
    if (batch->chain_count > 0)
        db_columns_take(columns, add_step(batch, &insert_chains, COUNT_OF(chain_types), NULL));
}

/* "\x… \x…", in their order; a column of unnest's cannot be arrays. */
static const char *
alternates_text(struct arena *arena, const struct issued *issued)
{
    struct buffer text = buffer_in(arena);

    for (size_t c = 1; c < issued->chain_count; c++)
        buffer_append_format(&text, "%s\\x%s", c == 1 ? "" : " ", bytes_hex(arena, issued->chain_sha256[c], 0));
    return buffer_text(&text);
}

static void
add_ends(struct batch *batch, const struct part *part, struct db_rows **ret_ended)
{
    struct db_columns *ends = db_columns_new(batch->rq->arena, end_types, COUNT_OF(end_types));
    struct db_columns *spent = db_columns_new(batch->rq->arena, spent_types, COUNT_OF(spent_types));
    size_t width = COUNT_OF(end_types), spendings = 0;

    if (part->count == 0)
        return;
    add_chains(batch, part);
    for (size_t i = 0; i < part->count; i++) {
        const struct issued *issued = part->moves[i]->issued;
        DB_ADD(ends, DB_TEXT(part->moves[i]->id), DB_BYTES(issued->serial), DB_INT(issued->expiry_month), DB_BYTES(issued->chain_sha256[0]),
               DB_TEXT(alternates_text(batch->rq->arena, issued)));
        spendings += add_spendings(spent, i, issued->spendings, issued->spending_count);
    }
    struct db_value *values = spendings == 0 ? add_step(batch, &end_orders, width + 1, ret_ended)
                                             : add_step(batch, &end_and_spend, width + 1 + COUNT_OF(spent_types), ret_ended);
    db_columns_take(ends, values);
    values[width] = DB_TEXT(lease_holder(batch->acme->finalizations));
    if (spendings > 0)
        db_columns_take(spent, values + width + 1);
}

static void
take_ends(const struct batch *batch, const struct part *part, const struct db_rows *rows)
{
    mark_done(part, rows);
    for (size_t i = 0; i < batch->chain_count; i++)
        stored_chains_add(batch->acme->stored_chains, batch->chains[i]);
}

/* ---- verdicts ---- */

static void
add_verdicts(struct batch *batch, const struct part *part, struct db_rows **ret_ended)
{
    struct db_columns *columns = db_columns_new(batch->rq->arena, verdict_types, COUNT_OF(verdict_types));

    if (part->count == 0)
        return;
    for (size_t i = 0; i < part->count; i++) {
        const struct order_move *move = part->moves[i];
        const struct finding *finding = move->finding;
        /* Nothing attested is NULL: an empty key would be one that no CSR has. */
        struct bytes attested_key = finding->attested_key.len > 0 ? finding->attested_key : BYTES_NONE;
        if (finding->holds)
            DB_ADD(columns, DB_TEXT(move->id), DB_TEXT(move->type), DB_TEXT(NULL), DB_BIGINT(finding->valid_until_s), DB_BYTES(attested_key),
                   DB_TEXT(finding->attestation));
        else
            DB_ADD(columns, DB_TEXT(move->id), DB_TEXT(move->type), DB_TEXT(move->problem), DB_BIGINT(0), DB_BYTES(BYTES_NONE), DB_TEXT(NULL));
    }
    struct db_value *values = add_step(batch, &end_validations, COUNT_OF(verdict_types) + 1, ret_ended);
    db_columns_take(columns, values);
    values[COUNT_OF(verdict_types)] = DB_TEXT(lease_holder(batch->acme->validations));
}

static void
take_verdicts(const struct part *part, const struct db_rows *rows)
{
    mark_done(part, rows);
    for (size_t row = 0; part->count > 0 && row < db_count(rows); row++)
        move_of_row(part, rows, row, 0)->validated_at_s = db_time_s(rows, row, 1);
}

/* ---- all of them ---- */

enum error
store_move_batch(void *context, struct request *rq, void *const *items, size_t count)
{
    struct batch batch = {.acme = context, .rq = rq};
    struct part claims = part_of(items, count, MOVE_CLAIM), ends = part_of(items, count, MOVE_END), verdicts = part_of(items, count, MOVE_VERDICT);
    struct db_rows *claimed = NULL, *ended = NULL, *decided = NULL;

    add_claims(&batch, &claims, &claimed);
    add_ends(&batch, &ends, &ended);
    add_verdicts(&batch, &verdicts, &decided);
    enum error error = db_atomic(batch.acme->db, rq, batch.steps, batch.step_count);
    if (error)
        return error;
    take_claims(&claims, claimed);
    take_ends(&batch, &ends, ended);
    take_verdicts(&verdicts, decided);
    return OK;
}

/* ---- one of them ---- */

enum error
store_end_order(struct acme *acme, struct request *rq, const char *id, const struct issued *issued)
{
    struct order_move move = {.kind = MOVE_END, .rq = rq, .id = id, .issued = issued};

    enum error error = commit_queue_run(acme->moves, rq, &move);
    if (error)
        return error;
    /* The lease ran out meanwhile; its next holder gets the same certificate. */
    return move.done ? OK : fail(rq, ERR_BUSY, "the order is being finished elsewhere");
}

enum error
store_end_validation(struct acme *acme, struct request *rq, const char *challenge_id, const struct finding *finding, const char *problem)
{
    struct order_move move = {.kind = MOVE_VERDICT, .rq = rq, .id = challenge_id, .finding = finding, .problem = problem};

    return commit_queue_run(acme->moves, rq, &move);
}

enum error
store_prove_challenge(struct acme *acme, struct request *rq, const char *challenge_id, const char *type, const struct finding *finding,
                      int64_t *ret_validated_at_s)
{
    struct order_move move = {.kind = MOVE_VERDICT, .rq = rq, .id = challenge_id, .finding = finding, .type = type};

    enum error error = commit_queue_run(acme->moves, rq, &move);
    if (!error)
        *ret_validated_at_s = move.validated_at_s;
    return error;
}
