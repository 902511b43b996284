/* From a committed row to the stream, with a real database and a real JetStream, over the bad days of both. */
#include "bus_fixture.h"

#include <stdatomic.h>

#include "kit/postgres_kit.h"
#include "kit/small_disk.h"
#include "link/db.h"
#include "link/events.h"
#include "link/outbox.h"
#include "link/rpc.h"
#include "signet/v1/event.pb-c.h"
#include "signet/v1/health.pb-c.h"

#define SUBJECT "signet.event.certificate.revoked"

static struct postgres_kit *postgres;
static struct request *process_rq;
static struct db *db;

static int64_t (*lag_of_service)(void *context);

/* The outbox's seam to the process. */
void
service_lag_from(struct service *service, int64_t (*lag)(void *context), void *context)
{
    lag_of_service = lag;
}

static int
start_servers(void **state)
{
    nats = nats_kit_start("");
    postgres = postgres_kit_start();
    postgres_kit_run(postgres, "CREATE SCHEMA ra; CREATE TABLE ra.outbox (id bigserial PRIMARY KEY, event_id text NOT NULL, subject text NOT NULL, "
                               "body bytea NOT NULL, created_at timestamptz NOT NULL DEFAULT now())");
    process_rq = request_new();
    struct db_options options = {.name = "test", .url = postgres_kit_url(postgres), .password_file = "", .connections = 4};
    return db_open(process_rq, &options, &db);
}

static int
stop_servers(void **state)
{
    db_close(db);
    request_free(process_rq);
    postgres_kit_stop(postgres);
    nats_kit_stop(nats);
    return 0;
}

static struct outbox *
open_outbox(struct bus *bus, struct request *rq)
{
    struct outbox *outbox = NULL;
    assert_int_equal(outbox_open(NULL, rq, bus, db, "ra", &outbox), OK);
    return outbox;
}

static jsCtx *
open_jetstream(struct bus *bus)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(bus);
    jsCtx *js = NULL;
    assert_int_equal(natsConnection_JetStream(&js, link->nats, NULL), NATS_OK);
    return js;
}

static void
delete_stream(struct bus *bus)
{
    AUTO(jsCtx, js) = open_jetstream(bus);
    (void)js_DeleteStream(js, EVENTS_STREAM, NULL, NULL);
}

static int
open_clean(void **state)
{
    open_fixture(state);
    struct fixture *fixture = *state;
    postgres_kit_run(postgres, "TRUNCATE ra.outbox");
    delete_stream(fixture->bus);
    return 0;
}

/* -1 while there is no stream, or nobody to ask. */
static int64_t
events_in_stream(struct bus *bus)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(bus);
    AUTO(jsCtx, js) = NULL;
    jsStreamInfo *info = NULL;
    if (!bus_link_is_up(link) || natsConnection_JetStream(&js, link->nats, NULL) != NATS_OK ||
        js_GetStreamInfo(&info, js, EVENTS_STREAM, NULL, NULL) != NATS_OK)
        return -1;
    int64_t count = (int64_t)info->State.Msgs;
    jsStreamInfo_Destroy(info);
    return count;
}

static bool
table_is_empty(void)
{
    AUTO_FREE char *count = postgres_kit_ask(postgres, "SELECT count(*) FROM ra.outbox");
    return strcmp(count, "0") == 0;
}

static enum error
commit_event(struct request *rq, struct outbox *outbox, const char *id)
{
    Pb__CertificateRevoked event = PB__CERTIFICATE_REVOKED__INIT;
    event.issuer = id;
    struct db_step steps[] = {outbox_step(outbox, rq, id, SUBJECT, &event.base)};
    return db_atomic(db, rq, steps, 1);
}

static void
insert_rows(const char *prefix, const char *subject, int count)
{
    char sql[300];
    snprintf(sql, sizeof(sql), "INSERT INTO ra.outbox (event_id, subject, body) SELECT '%s' || n, '%s', ''::bytea FROM generate_series(1, %d) AS n",
             prefix, subject, count);
    postgres_kit_run(postgres, sql);
}

static void
publishes_after_the_commit_with_id_and_body(void **state)
{
    struct fixture *fixture = *state;
    struct outbox *outbox = open_outbox(fixture->bus, fixture->rq);
    assert_int_equal(commit_event(fixture->rq, outbox, "event-1"), OK);
    outbox_wake(outbox);
    WAIT_FOR(events_in_stream(fixture->bus) == 1);
    WAIT_FOR(table_is_empty());
    AUTO(jsCtx, js) = open_jetstream(fixture->bus);
    AUTO(natsMsg, message) = NULL;
    assert_int_equal(js_GetMsg(&message, js, EVENTS_STREAM, 1, NULL, NULL), NATS_OK);
    assert_string_equal(natsMsg_GetSubject(message), SUBJECT);
    const char *id = NULL;
    assert_int_equal(natsMsgHeader_Get(message, "Nats-Msg-Id", &id), NATS_OK);
    assert_string_equal(id, "event-1");
    Pb__CertificateRevoked *event =
        pb__certificate_revoked__unpack(NULL, (size_t)natsMsg_GetDataLength(message), (const uint8_t *)natsMsg_GetData(message));
    assert_non_null(event);
    assert_string_equal(event->issuer, "event-1");
    pb__certificate_revoked__free_unpacked(event, NULL);
}

/* Events that nobody waits for leave by themselves, one turn after the other, and with the first that somebody does wait for. */
static void
events_that_nobody_waits_for_are_published_too(void **state)
{
    struct fixture *fixture = *state;
    struct outbox *outbox = open_outbox(fixture->bus, fixture->rq);
    for (int i = 1; i <= 3; i++) {
        assert_int_equal(commit_event(fixture->rq, outbox, arena_format(fixture->rq->arena, "soon-%d", i)), OK);
        outbox_wake_soon(outbox);
        WAIT_FOR(events_in_stream(fixture->bus) == i);
    }
    assert_int_equal(commit_event(fixture->rq, outbox, "later"), OK);
    outbox_wake_soon(outbox);
    assert_int_equal(commit_event(fixture->rq, outbox, "now"), OK);
    outbox_wake(outbox);
    WAIT_FOR(events_in_stream(fixture->bus) == 5);
    WAIT_FOR(table_is_empty());
}

static void
publishes_rows_that_nobody_announced(void **state)
{
    struct fixture *fixture = *state;
    open_outbox(fixture->bus, fixture->rq);
    WAIT_FOR(events_in_stream(fixture->bus) == 0);
    insert_rows("orphan-", SUBJECT, 3);
    WAIT_FOR(events_in_stream(fixture->bus) == 3);
    WAIT_FOR(table_is_empty());
}

static void
publishes_more_than_a_batch_at_once(void **state)
{
    struct fixture *fixture = *state;
    insert_rows("many-", SUBJECT, 1000);
    open_outbox(fixture->bus, fixture->rq);
    WAIT_FOR(table_is_empty());
    assert_int_equal(events_in_stream(fixture->bus), 1000);
}

static void
replicas_publish_every_event_once(void **state)
{
    struct fixture *fixture = *state;
    struct bus *other = open_bus(fixture->rq, "ra", nats_kit_url(nats));
    struct outbox *outboxes[2] = {open_outbox(fixture->bus, fixture->rq), open_outbox(other, fixture->rq)};
    for (int i = 0; i < 20; i++) {
        insert_rows(arena_format(fixture->rq->arena, "round-%d-", i), SUBJECT, 50);
        outbox_wake(outboxes[i % 2]);
        outbox_wake(outboxes[1 - i % 2]);
    }
    WAIT_FOR(table_is_empty());
    assert_int_equal(events_in_stream(fixture->bus), 1000);
    bus_close(other, 2000);
}

static void
an_id_that_was_published_before_is_not_stored_again(void **state)
{
    struct fixture *fixture = *state;
    struct outbox *outbox = open_outbox(fixture->bus, fixture->rq);
    assert_int_equal(commit_event(fixture->rq, outbox, "same"), OK);
    outbox_wake(outbox);
    WAIT_FOR(table_is_empty());
    /* As if the relay had died after publishing and before deleting. */
    assert_int_equal(commit_event(fixture->rq, outbox, "same"), OK);
    assert_int_equal(commit_event(fixture->rq, outbox, "other"), OK);
    outbox_wake(outbox);
    WAIT_FOR(table_is_empty());
    assert_int_equal(events_in_stream(fixture->bus), 2);
}

static void
an_event_that_no_stream_takes_stays_and_holds_up_nobody(void **state)
{
    struct fixture *fixture = *state;
    insert_rows("lost-", "nowhere.at.all", 1);
    insert_rows("fine-", SUBJECT, 5);
    struct outbox *outbox = open_outbox(fixture->bus, fixture->rq);
    WAIT_FOR(events_in_stream(fixture->bus) == 5);
    WAIT_FOR(outbox_lag(outbox) == 1);
}

static void
keeps_rows_while_the_bus_is_away(void **state)
{
    struct fixture *fixture = *state;
    struct outbox *outbox = open_outbox(fixture->bus, fixture->rq);
    WAIT_FOR(events_in_stream(fixture->bus) == 0);
    nats_kit_kill(nats);
    WAIT_FOR(!bus_is_ready(fixture->bus));
    for (int i = 0; i < 10; i++)
        assert_int_equal(commit_event(fixture->rq, outbox, arena_format(fixture->rq->arena, "away-%d", i)), OK);
    outbox_wake(outbox);
    assert_int_equal(outbox_lag(outbox), 10);
    nats_kit_start_again(nats);
    WAIT_FOR(table_is_empty());
    assert_int_equal(events_in_stream(fixture->bus), 10);
}

static void
a_server_killed_in_the_middle_costs_no_event(void **state)
{
    struct fixture *fixture = *state;
    struct outbox *outbox = open_outbox(fixture->bus, fixture->rq);
    WAIT_FOR(events_in_stream(fixture->bus) == 0);
    insert_rows("storm-", SUBJECT, 20000);
    outbox_wake(outbox);
    WAIT_FOR(events_in_stream(fixture->bus) > 0);
    nats_kit_kill(nats);
    nats_kit_start_again(nats);
    WAIT_FOR(table_is_empty());
    assert_int_equal(events_in_stream(fixture->bus), 20000);
}

static void
a_lost_stream_is_made_again(void **state)
{
    struct fixture *fixture = *state;
    struct outbox *outbox = open_outbox(fixture->bus, fixture->rq);
    assert_int_equal(commit_event(fixture->rq, outbox, "old"), OK);
    outbox_wake(outbox);
    WAIT_FOR(table_is_empty());
    delete_stream(fixture->bus);
    assert_int_equal(commit_event(fixture->rq, outbox, "new"), OK);
    outbox_wake(outbox);
    WAIT_FOR(events_in_stream(fixture->bus) == 1);
    WAIT_FOR(table_is_empty());
}

static void
survives_a_restart_of_the_database(void **state)
{
    struct fixture *fixture = *state;
    open_outbox(fixture->bus, fixture->rq);
    WAIT_FOR(events_in_stream(fixture->bus) == 0);
    postgres_kit_kill(postgres);
    postgres_kit_start_again(postgres);
    insert_rows("restart-", SUBJECT, 4);
    WAIT_FOR(table_is_empty());
    assert_int_equal(events_in_stream(fixture->bus), 4);
}

static void
publishes_what_is_left_when_the_bus_closes(void **state)
{
    struct fixture *fixture = *state;
    struct bus *bus = open_bus(fixture->rq, "ra", nats_kit_url(nats));
    open_outbox(bus, fixture->rq);
    WAIT_FOR(events_in_stream(fixture->bus) == 0);
    insert_rows("last-", SUBJECT, 600);
    bus_close(bus, 5000);
    assert_true(table_is_empty());
    assert_int_equal(events_in_stream(fixture->bus), 600);
}

static void
closes_without_ever_having_published(void **state)
{
    struct fixture *fixture = *state;
    struct bus *bus = open_bus(fixture->rq, "ra", nats_kit_url(nats));
    open_outbox(bus, fixture->rq);
    /* The relay has its JetStream context when it has made the stream. */
    WAIT_FOR(events_in_stream(fixture->bus) == 0);
    bus_close(bus, 5000);
    assert_true(table_is_empty());
}

static enum error
report(void *context, struct request *rq, const Pb__ReportRequest *input, Pb__ReportReply *ret_reply)
{
    return OK;
}

RPC_HANDLER(Health, Report, report)
static Pb__Health_Service health = PB__HEALTH__INIT(serve_);

static enum error
ask_health(struct bus *bus)
{
    AUTO_STRUCT(request, rq) = request_new();
    Pb__ReportRequest request = PB__REPORT_REQUEST__INIT;
    const Pb__ReportReply *reply = NULL;
    rq->deadline_ms = clock_monotonic_ms() + 4000;
    return RPC_CALL(bus, rq, health, Report, &request, &reply);
}

static enum error
count_events(void *context, struct request *rq, const struct event *events, size_t count)
{
    atomic_fetch_add((atomic_size_t *)context, count);
    return OK;
}

/* The server stops reading from a connection that wants something of a stream without room, until it cuts it as stale. It does so only when
 * the stream has a file already: without one the events are refused in good order. */
static void
calls_go_on_while_the_stream_has_no_room(void **state)
{
    struct fixture *fixture = *state;
    struct nats_kit *small = nats_kit_start("");
    nats_kit_kill(small);
    if (!small_disk_mount(nats_kit_store(small), 8)) {
        nats_kit_stop(small);
        skip();
    }
    nats_kit_start_again(small);
    atomic_size_t heard = 0;
    struct bus *asker = open_bus(fixture->rq, "asker", nats_kit_url(small));
    struct bus *busy = open_bus(fixture->rq, "ra", nats_kit_url(small));
    struct outbox *outbox = open_outbox(busy, fixture->rq);
    struct events_follower follower = {
        .durable = "all", .subject = SUBJECT, .type = &pb__certificate_revoked__descriptor, .handle = count_events, .context = &heard};
    assert_int_equal(events_ensure_streams(busy, fixture->rq), OK);
    assert_int_equal(events_ensure_consumer(busy, fixture->rq, "all", SUBJECT), OK);
    assert_int_equal(events_follow(busy, fixture->rq, &follower), OK);
    struct rpc_options options = {.threads = 1, .queue_limit = 8};
    assert_int_equal(rpc_serve(busy, fixture->rq, &health.base, NULL, &options), OK);
    insert_rows("before-", SUBJECT, 1);
    WAIT_FOR(heard == 1);

    small_disk_fill(nats_kit_store(small));
    for (int i = 0; i < 50; i++) {
        insert_rows(arena_format(fixture->rq->arena, "full-%d-", i), SUBJECT, 10);
        outbox_wake(outbox);
        assert_int_equal(ask_health(asker), OK);
        assert_int_equal(ask_health(busy), OK);
        clock_sleep_ms(100);
    }
    assert_in_range(outbox_lag(outbox), 1, 500);
    assert_true(bus_is_ready(busy));

    small_disk_empty(nats_kit_store(small));
    nats_kit_kill(small);
    nats_kit_start_again(small);
    WAIT_FOR(table_is_empty());
    WAIT_FOR(heard >= 501);
    assert_int_equal(events_in_stream(busy), 501);
    bus_close(busy, 2000);
    bus_close(asker, 2000);
    nats_kit_stop(small);
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_clean, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(publishes_after_the_commit_with_id_and_body),
        CASE(events_that_nobody_waits_for_are_published_too),
        CASE(publishes_rows_that_nobody_announced),
        CASE(publishes_more_than_a_batch_at_once),
        CASE(replicas_publish_every_event_once),
        CASE(an_id_that_was_published_before_is_not_stored_again),
        CASE(an_event_that_no_stream_takes_stays_and_holds_up_nobody),
        CASE(keeps_rows_while_the_bus_is_away),
        CASE(a_server_killed_in_the_middle_costs_no_event),
        CASE(a_lost_stream_is_made_again),
        CASE(survives_a_restart_of_the_database),
        CASE(publishes_what_is_left_when_the_bus_closes),
        CASE(closes_without_ever_having_published),
        CASE(calls_go_on_while_the_stream_has_no_room),
    };
    return cmocka_run_group_tests_name("outbox", tests, start_servers, stop_servers);
}
