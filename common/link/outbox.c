/*
 * From the row that a transaction left in <schema>.outbox to the stream. A thread, woken after each commit, and each second for the rows of replicas
 * that died. follow_durable.c and follow_live.c are the other end. When the bus closes, what the last handlers committed is still published.
 *
 * A batch is one database transaction around the publishing: the rows are locked against the other replicas' relays, published with their event ids,
 * and deleted when the stream has acknowledged them. Whoever dies in between leaves them to be published again under the same ids: the stream drops
 * repeats of the last minutes, and hearers are idempotent.
 */
#include "link/outbox.h"

#include <stdlib.h>
#include <string.h>

#include "base/clock.h"
#include "link/bus_nats.h"
#include "link/events.h"
#include "link/message.h"
#include "signet/v1/event.pb-c.h"

#define BATCH 256
#define GATHER_MS 200 /* after a turn, for events that nobody waits for: what a turn costs hardly depends on how many it has */
#define SWEEP_MS 1000
#define TURN_MS 10000
#define ACK_WAIT_MS 3000
#define LAG_MOST 100000
#define LAG_WAIT_MS 1000

enum publish_state { PUBLISH_SENT, PUBLISH_STORED, PUBLISH_REFUSED };

struct publish {
    natsMsg *message; /* nats.c's, until it calls back: only compared */
    enum publish_state state;
};

struct outbox {
    struct arena *arena;
    struct bus *bus;
    struct db *db;
    struct db_statement insert, take, drop, count;
    const char *step; /* for the log */
    pthread_t thread;
    /* The thread's own. */
    struct bus_link *link; /* held between batches, with js; NULL after trouble */
    jsCtx *js;
    size_t taken, stored; /* rows of the last batch */
    int64_t gather_until_ms;

    pthread_mutex_t mutex; /* for what follows */
    pthread_cond_t woken;
    bool wanted; /* a commit happened */
    bool urgent; /* and somebody waits for its event */
    bool stopping;
    pthread_cond_t acknowledged;
    struct publish publishes[BATCH];
    size_t count_sent;
    size_t count_open; /* sent and not yet answered */
};

/* ---- publishing ---- */

/* On nats.c's thread. Answers come in the order of sending, nearly always. */
static void
on_ack(jsCtx *js, natsMsg *message, jsPubAck *ack, jsPubAckErr *refusal, void *context)
{
    struct outbox *outbox = context;
    pthread_mutex_lock(&outbox->mutex);
    size_t first = outbox->count_sent - outbox->count_open;
    for (size_t i = 0; i < outbox->count_sent; i++) {
        struct publish *publish = &outbox->publishes[(first + i) % outbox->count_sent];
        if (publish->message != message || publish->state != PUBLISH_SENT)
            continue;
        publish->state = ack != NULL ? PUBLISH_STORED : PUBLISH_REFUSED;
        if (--outbox->count_open == 0)
            pthread_cond_signal(&outbox->acknowledged);
        break;
    }
    pthread_mutex_unlock(&outbox->mutex);
    bus_bin_take(bus_bin(outbox->bus), message);
}

static bool
has_unanswered(struct outbox *outbox)
{
    AUTO_LOCK(&outbox->mutex);
    return outbox->count_open > 0;
}

static void
disconnect(struct outbox *outbox)
{
    natsMsgList unanswered = {0};
    /* Only then: nats.c crashes when it is asked before the first message was published. */
    if (outbox->js != NULL && has_unanswered(outbox) && js_PublishAsyncGetPendingList(&unanswered, outbox->js) == NATS_OK)
        natsMsgList_Destroy(&unanswered);
    jsCtx_Destroy(TAKE(outbox->js));
    struct bus_link *link = TAKE(outbox->link);
    if (link != NULL)
        bus_link_release(link);
}

static enum error
connect(struct outbox *outbox, struct request *rq)
{
    if (outbox->js != NULL && bus_link_is_up(outbox->link))
        return OK;
    disconnect(outbox);
    enum error error = events_ensure_streams(outbox->bus, rq);
    if (error)
        return error;
    jsOptions options;
    jsOptions_Init(&options);
    options.PublishAsync.AckHandler = on_ack;
    options.PublishAsync.AckHandlerClosure = outbox;
    outbox->link = bus_hold_streams(outbox->bus);
    natsStatus status = natsConnection_JetStream(&outbox->js, outbox->link->nats, &options);
    if (status == NATS_OK)
        return OK;
    disconnect(outbox);
    return fail_privately(rq, ERR_UNAVAILABLE, "events cannot be published now", "JetStream: %s", natsStatus_GetText(status));
}

/* The slot is there before the message is sent: the answer may be faster than the return. */
static struct publish *
open_slot(struct outbox *outbox, natsMsg *message)
{
    AUTO_LOCK(&outbox->mutex);
    struct publish *slot = &outbox->publishes[outbox->count_sent++];
    *slot = (struct publish){.message = message, .state = message == NULL ? PUBLISH_REFUSED : PUBLISH_SENT};
    if (message != NULL)
        outbox->count_open++;
    return slot;
}

static void
refuse_slot(struct outbox *outbox, struct publish *slot)
{
    AUTO_LOCK(&outbox->mutex);
    slot->state = PUBLISH_REFUSED;
    outbox->count_open--;
}

static void
publish(struct outbox *outbox, const char *event_id, const char *subject, struct bytes body)
{
    AUTO(natsMsg, message) = NULL;
    (void)natsMsg_Create(&message, subject, NULL, (const char *)body.at, (int)body.len);
    struct publish *slot = open_slot(outbox, message);
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MsgId = event_id;
    if (message == NULL || js_PublishMsgAsync(outbox->js, &message, &options) != NATS_OK)
        refuse_slot(outbox, slot);
}

static void
wait_for_acks(struct outbox *outbox)
{
    int64_t until_ms = clock_monotonic_ms() + ACK_WAIT_MS;
    AUTO_LOCK(&outbox->mutex);
    while (outbox->count_open > 0)
        if (!clock_wait(&outbox->acknowledged, &outbox->mutex, until_ms))
            return;
}

/* ---- one batch ---- */

/* The ids of the rows whose events are in the stream now. */
static struct db_value
stored_ids(struct outbox *outbox, struct request *rq, const struct db_rows *rows)
{
    AUTO_LOCK(&outbox->mutex);
    int64_t *ids = arena_array(rq->arena, outbox->count_sent, sizeof(*ids));
    outbox->stored = 0;
    for (size_t i = 0; i < outbox->count_sent; i++)
        if (outbox->publishes[i].state == PUBLISH_STORED)
            ids[outbox->stored++] = db_int(rows, i, 0);
    return DB_BIGINT_ARRAY(ids, outbox->stored);
}

static void
forget_publishes(struct outbox *outbox)
{
    AUTO_LOCK(&outbox->mutex);
    outbox->count_sent = outbox->count_open = 0;
}

/* May run twice for the same rows (a serialisation failure): the stream stores a repeated id once. */
static enum error
relay_batch(struct db *db, struct request *rq, void *context)
{
    struct outbox *outbox = context;
    struct db_rows *rows;
    outbox->taken = outbox->stored = 0;
    enum error error = DB_QUERY(db, rq, &outbox->take, &rows, DB_INT(BATCH));
    if (error || db_count(rows) == 0)
        return error;
    outbox->taken = db_count(rows);
    forget_publishes(outbox);
    for (size_t i = 0; i < outbox->taken; i++)
        publish(outbox, db_text(rows, i, 1), db_text(rows, i, 2), db_bytes(rows, i, 3));
    wait_for_acks(outbox);
    struct db_value ids = stored_ids(outbox, rq, rows);
    if (outbox->stored == 0)
        return OK;
    return DB_QUERY(db, rq, &outbox->drop, NULL, ids);
}

static enum error
relay(struct outbox *outbox, struct request *rq)
{
    enum error error = connect(outbox, rq);
    if (error)
        return error;
    error = db_transaction(outbox->db, rq, relay_batch, outbox);
    if (error || outbox->stored == outbox->taken)
        return error;
    disconnect(outbox);
    return fail_privately(rq, ERR_UNAVAILABLE, "events wait to be published", "%zu of %zu were not acknowledged", outbox->taken - outbox->stored,
                          outbox->taken);
}

/* One batch; true when the next should follow at once. Without a bus the rows simply stay; the bus says itself that it is away. */
static bool
turn(struct outbox *outbox)
{
    AUTO_STRUCT(bus_link, link) = bus_hold_streams(outbox->bus);
    outbox->taken = 0;
    if (!bus_link_is_up(link))
        return false;
    struct request rq;
    request_begin(&rq, "outbox", outbox->step, NULL);
    rq.deadline_ms = clock_monotonic_ms() + TURN_MS;
    enum error error = relay(outbox, &rq);
    if (error == OK)
        request_drop(&rq); /* each event had its line where it was committed, and has one where it is heard */
    else
        request_end(&rq, error);
    return error == OK && outbox->taken == BATCH;
}

/* ---- the outbox's life ---- */

/* False when the outbox is stopping. */
static bool
wait_for_commit(struct outbox *outbox)
{
    int64_t sweep_ms = clock_monotonic_ms() + SWEEP_MS;
    AUTO_LOCK(&outbox->mutex);
    while (!outbox->urgent && !outbox->stopping)
        if (!clock_wait(&outbox->woken, &outbox->mutex, outbox->wanted ? outbox->gather_until_ms : sweep_ms))
            break;
    outbox->wanted = outbox->urgent = false;
    return !outbox->stopping;
}

static void *
run(void *context)
{
    struct outbox *outbox = context;
    do {
        while (turn(outbox))
            ;
        outbox->gather_until_ms = outbox->taken > 0 ? clock_monotonic_ms() + GATHER_MS : 0;
    } while (wait_for_commit(outbox));
    while (turn(outbox))
        ;
    disconnect(outbox);
    nats_ReleaseThreadMemory();
    return NULL;
}

static void
stop(void *context, int most_ms)
{
    struct outbox *outbox = context;
    pthread_mutex_lock(&outbox->mutex);
    outbox->stopping = true;
    pthread_cond_signal(&outbox->woken);
    pthread_mutex_unlock(&outbox->mutex);
    pthread_join(outbox->thread, NULL);
}

static void
free_outbox(void *context)
{
    struct outbox *outbox = context;
    pthread_cond_destroy(&outbox->acknowledged);
    pthread_cond_destroy(&outbox->woken);
    pthread_mutex_destroy(&outbox->mutex);
    arena_free(outbox->arena);
}

static struct db_statement
statement(struct arena *arena, const char *name, const char *schema, const char *sql)
{
    return (struct db_statement){.name = arena_format(arena, "outbox_%s_%s", schema, name), .sql = sql};
}

static void
name_statements(struct outbox *outbox, const char *schema)
{
    struct arena *arena = outbox->arena;
    outbox->insert =
        statement(arena, "insert", schema, arena_format(arena, "INSERT INTO %s.outbox (event_id, subject, body) VALUES ($1, $2, $3)", schema));
    outbox->take =
        statement(arena, "take", schema,
                  arena_format(arena, "SELECT id, event_id, subject, body FROM %s.outbox ORDER BY id LIMIT $1 FOR UPDATE SKIP LOCKED", schema));
    outbox->drop = statement(arena, "drop", schema, arena_format(arena, "DELETE FROM %s.outbox WHERE id = ANY ($1)", schema));
    outbox->count = statement(arena, "count", schema,
                              arena_format(arena, "SELECT count(*) FROM (SELECT 1 FROM %s.outbox LIMIT %d) AS waiting", schema, LAG_MOST));
}

enum error
outbox_open(struct service *service, struct request *rq, struct bus *bus, struct db *db, const char *schema, struct outbox **ret_outbox)
{
    struct arena *arena = arena_new();
    struct outbox *outbox = arena_alloc(arena, sizeof(*outbox));
    outbox->arena = arena;
    outbox->bus = bus;
    outbox->db = db;
    outbox->step = arena_format(arena, "relay %s.outbox", schema);
    name_statements(outbox, schema);
    pthread_mutex_init(&outbox->mutex, NULL);
    pthread_cond_init(&outbox->acknowledged, NULL);
    pthread_cond_init(&outbox->woken, NULL);
    if (pthread_create(&outbox->thread, NULL, run, outbox) != 0)
        abort();
    bus_add_part(bus, &(struct bus_part){.stop = stop, .free = free_outbox, .context = outbox});
    service_lag_from(service, outbox_lag, outbox);
    *ret_outbox = outbox;
    return OK;
}

struct db_step
outbox_step(struct outbox *outbox, struct request *rq, const char *event_id, const char *subject, const ProtobufCMessage *event)
{
    struct db_value *values = arena_array(rq->arena, 3, sizeof(*values));
    values[0] = DB_TEXT(event_id);
    values[1] = DB_TEXT(subject);
    values[2] = DB_BYTES(message_pack(rq->arena, event));
    return (struct db_step){.statement = &outbox->insert, .values = values, .value_count = 3};
}

struct bytes
outbox_bundle_part(struct arena *arena, const char *event_id, const ProtobufCMessage *event)
{
    Pb__EventBundle bundle = PB__EVENT_BUNDLE__INIT;
    Pb__BundledEvent one = PB__BUNDLED_EVENT__INIT, *parts[] = {&one};
    one.id = event_id;
    one.body = message_data(message_pack(arena, event));
    bundle.events = parts;
    bundle.n_events = 1;
    return message_pack(arena, &bundle.base);
}

static void
wake(struct outbox *outbox, bool urgent)
{
    AUTO_LOCK(&outbox->mutex);
    if ((urgent && outbox->urgent) || (!urgent && outbox->wanted))
        return; /* it knows */
    outbox->wanted = true;
    outbox->urgent = outbox->urgent || urgent;
    pthread_cond_signal(&outbox->woken);
}

void
outbox_wake(struct outbox *outbox)
{
    wake(outbox, true);
}

void
outbox_wake_soon(struct outbox *outbox)
{
    wake(outbox, false);
}

int64_t
outbox_lag(void *context)
{
    struct outbox *outbox = context;
    AUTO_STRUCT(request, rq) = request_new();
    rq->deadline_ms = clock_monotonic_ms() + LAG_WAIT_MS;
    struct db_rows *rows;
    return DB_QUERY0(outbox->db, rq, &outbox->count, &rows) == OK ? db_int(rows, 0, 0) : -1;
}
