/* Following facts on a real JetStream: nothing is lost over absences, refusals and restarts. */
#include "bus_fixture.h"

#include <stdatomic.h>

#include "link/events.h"
#include "link/outbox.h"
#include "signet/v1/event.pb-c.h"

#define SUBJECT "signet.event.certificate.revoked"
#define HEARD_MAX 2000

/* What a follower's handler saw. */
struct hearer {
    pthread_mutex_t mutex;
    char ids[HEARD_MAX][24];
    char issuers[HEARD_MAX][24];
    size_t count;
    size_t largest_batch;
    int refuse_next;     /* calls to refuse */
    const char *hate_id; /* refuse every call with this one in it */
    atomic_int missed;
    atomic_int without_deadline;
};

static enum error
hear(void *context, struct request *rq, const struct event *events, size_t count)
{
    struct hearer *hearer = context;
    AUTO_LOCK(&hearer->mutex);
    if (rq->deadline_ms == 0)
        hearer->without_deadline++;
    if (count > hearer->largest_batch)
        hearer->largest_batch = count;
    if (hearer->refuse_next > 0) {
        hearer->refuse_next--;
        return fail(rq, ERR_UNAVAILABLE, "not now");
    }
    for (size_t i = 0; i < count; i++)
        if (hearer->hate_id != NULL && strcmp(events[i].id, hearer->hate_id) == 0)
            return fail(rq, ERR_INTERNAL, "not this one");
    for (size_t i = 0; i < count; i++) {
        const Pb__CertificateRevoked *event = (const Pb__CertificateRevoked *)events[i].message;
        assert_true(hearer->count < HEARD_MAX);
        snprintf(hearer->ids[hearer->count], sizeof(hearer->ids[0]), "%s", events[i].id);
        snprintf(hearer->issuers[hearer->count], sizeof(hearer->issuers[0]), "%s", event->issuer);
        hearer->count++;
    }
    return OK;
}

static void
miss(void *context)
{
    ((struct hearer *)context)->missed++;
}

static size_t
heard(struct hearer *hearer)
{
    AUTO_LOCK(&hearer->mutex);
    return hearer->count;
}

static bool
has_heard(struct hearer *hearer, const char *id)
{
    AUTO_LOCK(&hearer->mutex);
    for (size_t i = 0; i < hearer->count; i++)
        if (strcmp(hearer->ids[i], id) == 0)
            return true;
    return false;
}

static struct hearer *
new_hearer(struct request *rq)
{
    struct hearer *hearer = arena_alloc(rq->arena, sizeof(*hearer));
    pthread_mutex_init(&hearer->mutex, NULL);
    return hearer;
}

static void
begin_to_follow(struct bus *bus, struct request *rq, const char *durable, int batch, struct hearer *hearer)
{
    struct events_follower follower = {.durable = durable,
                                       .subject = SUBJECT,
                                       .type = &pb__certificate_revoked__descriptor,
                                       .handle = hear,
                                       .context = hearer,
                                       .batch = batch,
                                       .missed = durable == NULL ? miss : NULL};
    assert_int_equal(events_follow(bus, rq, &follower), OK);
}

static void
follow(struct bus *bus, struct request *rq, const char *durable, int batch, struct hearer *hearer)
{
    if (durable != NULL)
        assert_int_equal(events_ensure_consumer(bus, rq, durable, SUBJECT), OK);
    begin_to_follow(bus, rq, durable, batch, hearer);
}

static void
publish_bytes(struct bus *bus, const char *subject, const char *id, const void *at, size_t len)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(bus);
    AUTO(jsCtx, js) = NULL;
    jsPubOptions options;
    jsPubOptions_Init(&options);
    options.MsgId = id;
    assert_int_equal(natsConnection_JetStream(&js, link->nats, NULL), NATS_OK);
    assert_int_equal(js_Publish(NULL, js, subject, at, (int)len, &options, NULL), NATS_OK);
}

static void
publish(struct bus *bus, const char *id)
{
    Pb__CertificateRevoked event = PB__CERTIFICATE_REVOKED__INIT;
    uint8_t packed[100];
    event.issuer = "Issuing CA";
    publish_bytes(bus, SUBJECT, id, packed, pb__certificate_revoked__pack(&event, packed));
}

static void
publish_many(struct bus *bus, const char *prefix, int count)
{
    for (int i = 0; i < count; i++) {
        char id[24];
        snprintf(id, sizeof(id), "%s%d", prefix, i);
        publish(bus, id);
    }
}

/* `count` events in one message, put together from parts as services do in SQL. */
static void
publish_bundle(struct bus *bus, const char *prefix, int count)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct buffer body = buffer_in(rq->arena);
    Pb__CertificateRevoked event = PB__CERTIFICATE_REVOKED__INIT;
    event.issuer = "Issuing CA";
    for (int i = 0; i < count; i++) {
        struct bytes part = outbox_bundle_part(rq->arena, arena_format(rq->arena, "%s%d", prefix, i), &event.base);
        buffer_append(&body, part.at, part.len);
    }
    publish_bytes(bus, SUBJECT, arena_format(rq->arena, "%s%s", EVENTS_BUNDLE_PREFIX, prefix), body.at, body.len);
}

static void
delete_stream(struct bus *bus)
{
    AUTO_STRUCT(bus_link, link) = bus_hold(bus);
    AUTO(jsCtx, js) = NULL;
    assert_int_equal(natsConnection_JetStream(&js, link->nats, NULL), NATS_OK);
    (void)js_DeleteStream(js, EVENTS_STREAM, NULL, NULL);
}

static int
open_fresh_stream(void **state)
{
    open_fixture(state);
    struct fixture *fixture = *state;
    delete_stream(fixture->bus);
    return events_ensure_streams(fixture->bus, fixture->rq);
}

static bool
stream_is_there(struct bus *bus)
{
    AUTO_STRUCT(request, rq) = request_new();
    return events_ensure_streams(bus, rq) == OK;
}

static void
durable_follower_hears_events_in_order_with_their_ids(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    follow(fixture->bus, fixture->rq, "inventory-a", 10, hearer);
    publish_many(fixture->bus, "in-order-", 30);
    WAIT_FOR(heard(hearer) >= 30);
    for (int i = 0; i < 30; i++) {
        assert_string_equal(hearer->ids[i], arena_format(fixture->rq->arena, "in-order-%d", i));
        assert_string_equal(hearer->issuers[i], "Issuing CA");
    }
    assert_int_equal(hearer->without_deadline, 0);
    WAIT_FOR(events_lag(fixture->bus) == 0);
}

static void
durable_follower_hears_events_of_its_absence_once(void **state)
{
    struct fixture *fixture = *state;
    publish_many(fixture->bus, "before-", 3); /* there was no such follower yet */
    for (int visit = 0; visit < 2; visit++) {
        struct hearer *hearer = new_hearer(fixture->rq);
        struct bus *bus = open_bus(fixture->rq, "inventory", nats_kit_url(nats));
        follow(bus, fixture->rq, "inventory-b", 10, hearer);
        WAIT_FOR(heard(hearer) >= 3 && events_lag(bus) == 0);
        bus_close(bus, 2000);
        assert_int_equal(heard(hearer), 3);
        assert_true(has_heard(hearer, visit == 0 ? "before-2" : "absent-2"));
        publish_many(fixture->bus, "absent-", 3);
    }
}

static void
refused_events_come_again(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    hearer->refuse_next = 1;
    follow(fixture->bus, fixture->rq, "inventory-c", 10, hearer);
    publish(fixture->bus, "again");
    WAIT_FOR(heard(hearer) == 1);
    assert_int_equal(hearer->refuse_next, 0);
    assert_true(has_heard(hearer, "again"));
}

static void
a_bad_event_does_not_hold_up_its_neighbours(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    hearer->hate_id = "good-and-bad-2";
    publish_many(fixture->bus, "good-and-bad-", 5);
    follow(fixture->bus, fixture->rq, "inventory-d", 10, hearer);
    WAIT_FOR(heard(hearer) == 4);
    assert_false(has_heard(hearer, "good-and-bad-2"));
    WAIT_FOR(events_lag(fixture->bus) == 1);
}

static void
an_event_that_cannot_be_read_does_not_hold_up_its_neighbours(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    publish_bytes(fixture->bus, SUBJECT, "unreadable", "\x0a\x7fx", 3);
    publish_bytes(fixture->bus, SUBJECT, "no-utf8", "\x12\x01\xff", 3);
    publish(fixture->bus, "readable");
    follow(fixture->bus, fixture->rq, "inventory-e", 10, hearer);
    WAIT_FOR(heard(hearer) == 1);
    assert_true(has_heard(hearer, "readable"));
}

static void
waiting_events_are_handled_in_batches(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    publish_many(fixture->bus, "batch-", 100);
    follow(fixture->bus, fixture->rq, "inventory-f", 40, hearer);
    WAIT_FOR(heard(hearer) == 100);
    assert_int_equal(hearer->largest_batch, 40);
}

static void
events_of_a_bundle_come_with_their_own_ids(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    publish(fixture->bus, "alone");
    publish_bundle(fixture->bus, "bundled-", 7);
    publish_bundle(fixture->bus, "more-", 2);
    follow(fixture->bus, fixture->rq, "inventory-m", 10, hearer);
    WAIT_FOR(heard(hearer) >= 10 && events_lag(fixture->bus) == 0);
    assert_int_equal(heard(hearer), 10);
    assert_string_equal(hearer->ids[0], "alone");
    for (int i = 0; i < 7; i++)
        assert_string_equal(hearer->ids[1 + i], arena_format(fixture->rq->arena, "bundled-%d", i));
    assert_true(has_heard(hearer, "more-1"));
    assert_string_equal(hearer->issuers[9], "Issuing CA");
    assert_int_equal(hearer->largest_batch, 10);
}

static void
bundles_share_a_call_while_they_fit(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    publish_bundle(fixture->bus, "one-", 6);
    publish_bundle(fixture->bus, "two-", 6);
    publish_bundle(fixture->bus, "large-", 25);
    follow(fixture->bus, fixture->rq, "inventory-n", 10, hearer);
    WAIT_FOR(heard(hearer) == 37);
    assert_int_equal(hearer->largest_batch, 25);
}

static void
a_bad_event_does_not_hold_up_the_others_of_its_bundle(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    hearer->hate_id = "mixed-2";
    publish_bundle(fixture->bus, "mixed-", 5);
    follow(fixture->bus, fixture->rq, "inventory-o", 10, hearer);
    WAIT_FOR(has_heard(hearer, "mixed-4"));
    for (int i = 0; i < 5; i++)
        assert_int_equal(has_heard(hearer, arena_format(fixture->rq->arena, "mixed-%d", i)), i != 2);
    WAIT_FOR(events_lag(fixture->bus) == 1); /* it is not given up */
}

static void
replicas_share_the_events(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    struct bus *other = open_bus(fixture->rq, "inventory", nats_kit_url(nats));
    follow(fixture->bus, fixture->rq, "inventory-g", 5, hearer);
    follow(other, fixture->rq, "inventory-g", 5, hearer);
    publish_many(fixture->bus, "shared-", 200);
    WAIT_FOR(heard(hearer) >= 200);
    WAIT_FOR(events_lag(fixture->bus) == 0 && events_lag(other) == 0);
    assert_int_equal(heard(hearer), 200);
    bus_close(other, 2000);
}

static void
hears_other_subjects_not_at_all(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    follow(fixture->bus, fixture->rq, "inventory-h", 5, hearer);
    publish_bytes(fixture->bus, "signet.event.certificate.issued", "other", "", 0);
    publish(fixture->bus, "mine");
    WAIT_FOR(heard(hearer) == 1);
    assert_true(has_heard(hearer, "mine"));
}

static void
durable_follower_survives_a_restart_of_the_server(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    follow(fixture->bus, fixture->rq, "inventory-i", 10, hearer);
    publish(fixture->bus, "before-restart");
    WAIT_FOR(heard(hearer) == 1);
    nats_kit_kill(nats);
    WAIT_FOR(!bus_is_ready(fixture->bus));
    nats_kit_start_again(nats);
    WAIT_FOR(bus_is_ready(fixture->bus));
    publish(fixture->bus, "after-restart");
    WAIT_FOR(has_heard(hearer, "after-restart"));
}

static void
durable_follower_survives_the_loss_of_consumer_and_stream(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    follow(fixture->bus, fixture->rq, "inventory-j", 10, hearer);
    publish(fixture->bus, "first");
    WAIT_FOR(heard(hearer) == 1);
    {
        AUTO_STRUCT(bus_link, link) = bus_hold(fixture->bus);
        AUTO(jsCtx, js) = NULL;
        assert_int_equal(natsConnection_JetStream(&js, link->nats, NULL), NATS_OK);
        assert_int_equal(js_DeleteConsumer(js, EVENTS_STREAM, "inventory-j", NULL, NULL), NATS_OK);
    }
    publish(fixture->bus, "without-consumer");
    assert_int_equal(events_ensure_consumer(fixture->bus, fixture->rq, "inventory-j", SUBJECT), OK); /* an operator's signetctl migrate */
    WAIT_FOR(has_heard(hearer, "without-consumer"));
    delete_stream(fixture->bus);
    clock_sleep_ms(100);
    assert_int_equal(events_ensure_streams(fixture->bus, fixture->rq), OK);
    assert_int_equal(events_ensure_consumer(fixture->bus, fixture->rq, "inventory-j", SUBJECT), OK);
    publish(fixture->bus, "new-stream");
    WAIT_FOR(has_heard(hearer, "new-stream"));
}

static void
a_follower_waits_for_server_stream_and_consumer(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    delete_stream(fixture->bus);
    nats_kit_kill(nats);
    struct bus *early = open_bus(fixture->rq, "early", nats_kit_url(nats));
    begin_to_follow(early, fixture->rq, "inventory-k", 10, hearer);
    assert_int_equal(events_lag(early), -1);
    nats_kit_start_again(nats);
    WAIT_FOR(bus_is_ready(early));
    WAIT_FOR(stream_is_there(early));
    assert_int_equal(events_ensure_consumer(early, fixture->rq, "inventory-k", SUBJECT), OK);
    publish(early, "at-last");
    WAIT_FOR(has_heard(hearer, "at-last"));
    bus_close(early, 2000);
}

static void
every_live_follower_hears_every_event(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearers[2] = {new_hearer(fixture->rq), new_hearer(fixture->rq)};
    struct bus *other = open_bus(fixture->rq, "ocsp-responder", nats_kit_url(nats));
    publish(fixture->bus, "too-early");
    follow(fixture->bus, fixture->rq, NULL, 10, hearers[0]);
    follow(other, fixture->rq, NULL, 10, hearers[1]);
    WAIT_FOR(hearers[0]->missed == 1 && hearers[1]->missed == 1);
    publish_many(fixture->bus, "live-", 50);
    for (int i = 0; i < 2; i++) {
        WAIT_FOR(heard(hearers[i]) == 50);
        assert_false(has_heard(hearers[i], "too-early"));
        assert_int_equal(hearers[i]->missed, 1);
    }
    bus_close(other, 2000);
}

static void
live_follower_is_told_what_it_may_have_missed(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    follow(fixture->bus, fixture->rq, NULL, 10, hearer);
    WAIT_FOR(hearer->missed == 1);
    nats_kit_kill(nats);
    WAIT_FOR(!bus_is_ready(fixture->bus));
    nats_kit_start_again(nats);
    WAIT_FOR(hearer->missed == 2);
    publish(fixture->bus, "after");
    WAIT_FOR(has_heard(hearer, "after"));
    hearer->refuse_next = 1;
    publish(fixture->bus, "refused");
    WAIT_FOR(hearer->missed == 3);
}

static void
live_followers_hear_bundles_too(void **state)
{
    struct fixture *fixture = *state;
    struct hearer *hearer = new_hearer(fixture->rq);
    follow(fixture->bus, fixture->rq, NULL, 4, hearer);
    WAIT_FOR(hearer->missed > 0);
    publish_bundle(fixture->bus, "live-", 9);
    WAIT_FOR(heard(hearer) == 9);
    assert_true(has_heard(hearer, "live-8"));
}

static void
making_the_stream_twice_is_no_error(void **state)
{
    struct fixture *fixture = *state;
    publish(fixture->bus, "kept");
    assert_int_equal(events_ensure_streams(fixture->bus, fixture->rq), OK);
    struct hearer *hearer = new_hearer(fixture->rq);
    follow(fixture->bus, fixture->rq, "inventory-l", 10, hearer);
    WAIT_FOR(has_heard(hearer, "kept"));
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fresh_stream, close_fixture)

int
main(void)
{
    const struct CMUnitTest tests[] = {
        CASE(durable_follower_hears_events_in_order_with_their_ids),
        CASE(durable_follower_hears_events_of_its_absence_once),
        CASE(refused_events_come_again),
        CASE(a_bad_event_does_not_hold_up_its_neighbours),
        CASE(an_event_that_cannot_be_read_does_not_hold_up_its_neighbours),
        CASE(waiting_events_are_handled_in_batches),
        CASE(events_of_a_bundle_come_with_their_own_ids),
        CASE(bundles_share_a_call_while_they_fit),
        CASE(a_bad_event_does_not_hold_up_the_others_of_its_bundle),
        CASE(live_followers_hear_bundles_too),
        CASE(replicas_share_the_events),
        CASE(hears_other_subjects_not_at_all),
        CASE(durable_follower_survives_a_restart_of_the_server),
        CASE(durable_follower_survives_the_loss_of_consumer_and_stream),
        CASE(a_follower_waits_for_server_stream_and_consumer),
        CASE(every_live_follower_hears_every_event),
        CASE(live_follower_is_told_what_it_may_have_missed),
        CASE(making_the_stream_twice_is_no_error),
    };
    return cmocka_run_group_tests_name("events", tests, start_nats, stop_nats);
}
