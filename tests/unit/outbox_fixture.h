/*
 * For services that announce changes of their configuration: the relay needs a bus, the row does not. Say before whose table it is:
 *
 *     #define OUTBOX_TABLE "acme.outbox"
 */
#ifndef SIGNET_TESTS_UNIT_OUTBOX_FIXTURE_H
#define SIGNET_TESTS_UNIT_OUTBOX_FIXTURE_H

#include <string.h>

#include "link/message.h"
#include "link/outbox.h"
#include "signet/v1/event.pb-c.h"

/* The last one: "acme policy intra changed by root as signetctl: caa: false → true; …" */
static char announced[2000];
static int announcements;

static inline void
put_announced(const char *text)
{
    size_t len = strlen(announced);
    (void)snprintf(announced + len, sizeof announced - len, "%s", text);
}

struct db_step
outbox_step(struct outbox *outbox, struct request *rq, const char *event_id, const char *subject, const ProtobufCMessage *event)
{
    static const struct db_statement insert = {"test_outbox", "INSERT INTO " OUTBOX_TABLE " (event_id, subject, body) VALUES ($1, $2, $3)"};
    const Pb__ConfigurationChanged *changed = (const Pb__ConfigurationChanged *)event;
    struct db_value *values = arena_array(rq->arena, 3, sizeof *values);

    (void)snprintf(announced, sizeof announced, "%s %s %s by %s as %s:", changed->what, changed->name, changed->action, changed->operator_,
                   changed->caller);
    for (size_t i = 0; i < changed->n_changes; i++) {
        put_announced(i == 0 ? " " : "; ");
        put_announced(changed->changes[i]);
    }
    if (changed->also[0] != '\0') {
        put_announced(" ");
        put_announced(changed->also);
    }
    announcements++;
    values[0] = DB_TEXT(event_id);
    values[1] = DB_TEXT(subject);
    values[2] = DB_BYTES(message_pack(rq->arena, event));
    return (struct db_step){.statement = &insert, .values = values, .value_count = 3};
}

void
outbox_wake(struct outbox *outbox)
{
    (void)outbox;
}

void
outbox_wake_soon(struct outbox *outbox)
{
    (void)outbox;
}

#endif
