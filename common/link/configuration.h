/*
 * What operators change goes on record: each change is announced in its own transaction (outbox.h), and ra puts it into the audit log.
 *
 *     static enum error
 *     write(struct db *db, struct request *rq, void *context, struct configuration_change *change)
 *     {
 *         …                                         // look at the row, change it, with this db only
 *         change->action = "changed";               // untouched when nothing was changed: then nothing is announced
 *         change->before = …, change->after = …;    // messages without secrets, NULL when there was or is none
 *     }
 *
 *     struct configuration_change change = {.what = "acme policy", .name = name, .by = input->operator_};
 *     return configuration_write(outbox, db, rq, write, context, &change);
 *
 * Who changes what he has read sends that, too; a `write` that finds the row otherwise refuses by configuration_check_read.
 *
 * Errors: those of `write` and of the database; nothing is changed without its record, and nothing recorded that was not changed. Threads: any.
 */
#ifndef SIGNET_LINK_CONFIGURATION_H
#define SIGNET_LINK_CONFIGURATION_H

#include "link/outbox.h"

struct configuration_change {
    const char *what;   /* "acme policy" */
    const char *name;   /* of the thing */
    const char *by;     /* who sits at the keyboard, as his command says */
    const char *action; /* "created", "changed", "deleted", …; NULL: nothing was changed */
    const ProtobufCMessage *before, *after;
    const char *also; /* NULL, or what the messages do not say: "3 accounts" */
};

typedef enum error configuration_writer(struct db *db, struct request *rq, void *context, struct configuration_change *change);

/* `write` may run more than once, as in db_transaction. */
enum error configuration_write(struct outbox *outbox, struct db *db, struct request *rq, configuration_writer *write, void *context,
                               struct configuration_change *change) MUST_CHECK;

/* Of two operators at one moment the second is told what the first has changed, and takes nothing back: ERR_CONFLICT. NULL: nothing was read before.
 */
enum error configuration_check_read(struct request *rq, const struct configuration_change *change, const ProtobufCMessage *read,
                                    const ProtobufCMessage *now) MUST_CHECK;

/* "validity_days: 30 → 90" for each field that differs; NULL is a message with nothing in it. What is long is named by its digest. Returns how many.
 */
size_t configuration_compare(struct arena *arena, const ProtobufCMessage *before, const ProtobufCMessage *after, char ***ret_texts);

#endif
