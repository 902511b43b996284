/* The catalogue on a real PostgreSQL, under its own role and rights. Each case begins with empty tables. */
#ifndef SIGNET_TESTS_UNIT_INVENTORY_FIXTURE_H
#define SIGNET_TESTS_UNIT_INVENTORY_FIXTURE_H

#include "unit/kit.h"

#include <stdio.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "inventory.h"
#include "kit/pki_kit.h"
#include "kit/postgres_kit.h"
#include "pki/public_key.h"

#define DAY_S 86400
#define ISSUER "test-issuing"

static struct postgres_kit *postgres;

struct fixture {
    struct inventory inventory;
    struct request *rq;
};

static inline int
start_postgres(void **state)
{
    postgres = postgres_kit_start();
    postgres_kit_run_file(postgres, "services/inventory/sql/001_catalog.sql");
    postgres_kit_grant(postgres, "inventory");
    return 0;
}

static inline int
stop_postgres(void **state)
{
    postgres_kit_stop(postgres);
    return 0;
}

static inline int
open_fixture(void **state)
{
    struct fixture *fixture = calloc(1, sizeof *fixture);
    struct db_options options = {.name = "inventory", .url = postgres_kit_url_of_role(postgres, "inventory"), .password_file = "", .connections = 2};

    postgres_kit_run(postgres, "TRUNCATE inventory.certificate, inventory.certificate_name, inventory.revocation");
    fixture->rq = request_new();
    assert_int_equal(db_open(fixture->rq, &options, &fixture->inventory.db), OK);
    *state = fixture;
    return 0;
}

static inline int
close_fixture(void **state)
{
    struct fixture *fixture = *state;

    db_close(fixture->inventory.db);
    request_free(fixture->rq);
    free(fixture);
    return 0;
}

#define CASE(name) cmocka_unit_test_setup_teardown(name, open_fixture, close_fixture)

#define assert_ok(rq, call)                                                                                    \
    do {                                                                                                       \
        enum error assert_ok_error = (call);                                                                   \
        if (assert_ok_error != OK)                                                                             \
            fail_msg("%s: %s (%s)", error_name(assert_ok_error), (rq)->failure.message, (rq)->failure.detail); \
    } while (0)

static inline int64_t
ask_number(const char *sql)
{
    char *text = postgres_kit_ask(postgres, sql);
    int64_t number = strtoll(text, NULL, 10);

    free(text);
    return number;
}

static inline struct bytes
octets(struct arena *arena, size_t count, uint8_t octet)
{
    uint8_t *at = arena_alloc(arena, count);

    memset(at, octet, count);
    return BYTES(at, count);
}

/* A certificate as ra announces it, to be spoiled: number n has serial and fingerprint made of n, and the DNS names in `names`, with commas. */
static inline Pb__CertificateIssued *
issued(struct request *rq, uint8_t number, const char *names)
{
    Pb__CertificateIssued *event = arena_alloc(rq->arena, sizeof *event);
    size_t count;
    char **values = text_split(rq->arena, names, ',', &count);

    pb__certificate_issued__init(event);
    event->serial = message_data(octets(rq->arena, 17, number));
    event->sha256 = message_data(octets(rq->arena, 32, number));
    event->certificate = message_data(BYTES("\x30\x00", 2));
    event->issuer = ISSUER;
    event->subject = "CN=subject";
    event->names = arena_array(rq->arena, count, sizeof *event->names);
    event->n_names = count;
    for (size_t i = 0; i < count; i++) {
        event->names[i] = arena_alloc(rq->arena, sizeof(Pb__Name));
        pb__name__init(event->names[i]);
        event->names[i]->type = PB__NAME_TYPE__NAME_TYPE_DNS;
        event->names[i]->value = values[i];
    }
    event->not_before_s = clock_now_s() - DAY_S;
    event->not_after_s = clock_now_s() + 90 * DAY_S;
    event->template_ = "Web Server";
    event->channel = "acme";
    event->owner = "team-blue";
    event->key_type = "p256";
    event->issued_at_s = 1700000000;
    event->principal = arena_alloc(rq->arena, sizeof(Pb__Principal));
    pb__principal__init(event->principal);
    event->principal->kind = "acme-account";
    event->principal->id = "alice";
    return event;
}

static inline Pb__CertificateRevoked *
revoked(struct request *rq, uint8_t number, int64_t at_s, Pb__RevocationReason reason)
{
    Pb__CertificateRevoked *event = arena_alloc(rq->arena, sizeof *event);

    pb__certificate_revoked__init(event);
    event->serial = message_data(octets(rq->arena, 17, number));
    event->issuer = ISSUER;
    event->revoked_at_s = at_s;
    event->reason = reason;
    return event;
}

/* As the bus hands them over. */
static inline void
hear(struct fixture *fixture, events_handler *handle, const void *const *messages, size_t count)
{
    struct event *events = arena_array(fixture->rq->arena, count, sizeof *events);

    for (size_t i = 0; i < count; i++)
        events[i] = (struct event){.id = arena_format(fixture->rq->arena, "event-%zu", i), .message = messages[i]};
    assert_ok(fixture->rq, handle(&fixture->inventory, fixture->rq, events, count));
}
#define HEAR(fixture, handle, ...) \
    hear(fixture, handle, (const void *const[]){__VA_ARGS__}, sizeof((const void *const[]){__VA_ARGS__}) / sizeof(void *))

static inline Pb__FindCertificatesReply
search(struct fixture *fixture, const Pb__FindCertificatesRequest *request)
{
    Pb__FindCertificatesReply reply = PB__FIND_CERTIFICATES_REPLY__INIT;

    assert_ok(fixture->rq, find_certificates(&fixture->inventory, fixture->rq, request, &reply));
    return reply;
}

/* "3,1": the numbers of the certificates found, in their order. */
static inline const char *
numbers_of(struct request *rq, const Pb__FindCertificatesReply *reply)
{
    struct buffer list = buffer_in(rq->arena);

    for (size_t i = 0; i < reply->n_entries; i++)
        buffer_append_format(&list, "%s%u", i ? "," : "", reply->entries[i]->serial.data[0]);
    return buffer_text(&list);
}

#endif
