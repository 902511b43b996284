/* From a row that an operator changed to the event that says what: the difference of two messages, as text, field by field. */
#include "link/configuration.h"

#include <inttypes.h>
#include <string.h>

#include <openssl/sha.h>

#include "base/clock.h"
#include "base/text.h"
#include "link/message.h"
#include "signet/v1/event.pb-c.h"

#define SUBJECT "signet.event.configuration.changed"
#define EVENT_ID_OCTETS 16
/* Operators' changes come one after the other: what a record says of the time before is what this very change found. */
static const struct db_statement lock_configuration = {"lock_configuration", "SELECT pg_advisory_xact_lock(hashtext('signet.configuration'))"};

#define VALUE_MAX 120 /* octets of a value; what is longer is shown as its digest */

/* ---- one field as text ---- */

static const char *
enum_name(const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    return found == NULL ? "?" : found->name;
}

/* One value, or one element of a list. */
static void
put_value(struct arena *arena, struct buffer *to, const ProtobufCFieldDescriptor *field, const void *at)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_STRING:
        buffer_append_text(to, *(const char *const *)at);
        return;
    case PROTOBUF_C_TYPE_BOOL:
        buffer_append_text(to, *(const protobuf_c_boolean *)at ? "true" : "false");
        return;
    case PROTOBUF_C_TYPE_ENUM:
        buffer_append_text(to, enum_name(field->descriptor, *(const int *)at));
        return;
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        buffer_append_format(to, "%" PRId32, *(const int32_t *)at);
        return;
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        buffer_append_format(to, "%" PRIu32, *(const uint32_t *)at);
        return;
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        buffer_append_format(to, "%" PRId64, *(const int64_t *)at);
        return;
    case PROTOBUF_C_TYPE_BYTES:
        buffer_append_text(to, bytes_hex(arena, message_bytes(*(const ProtobufCBinaryData *)at), 0));
        return;
    case PROTOBUF_C_TYPE_MESSAGE:
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        buffer_append_text(to, "?"); /* what operators change has none */
        return;
    }
}

/* Of what lists have: texts, and words of a contract. */
static size_t
element_size(const ProtobufCFieldDescriptor *field)
{
    return field->type == PROTOBUF_C_TYPE_STRING ? sizeof(char *) : field->type == PROTOBUF_C_TYPE_ENUM ? sizeof(int) : 0;
}

static const char *
field_text(struct arena *arena, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    struct buffer text = buffer_in(arena);
    const char *at = (const char *)message;

    if (field->label == PROTOBUF_C_LABEL_REPEATED) {
        size_t count = *(const size_t *)(at + field->quantifier_offset);
        const char *elements = *(const char *const *)(at + field->offset);
        for (size_t i = 0; element_size(field) > 0 && i < count; i++) {
            buffer_append_text(&text, i > 0 ? "," : "");
            put_value(arena, &text, field, elements + i * element_size(field));
        }
    } else {
        put_value(arena, &text, field, at + field->offset);
    }
    return buffer_text(&text);
}

static const char *
shortened(struct arena *arena, const char *text)
{
    uint8_t digest[SHA256_DIGEST_LENGTH];

    if (strlen(text) <= VALUE_MAX)
        return text[0] == '\0' ? "\"\"" : text;
    (void)SHA256((const uint8_t *)text, strlen(text), digest);
    return arena_format(arena, "sha256:%s", bytes_hex(arena, BYTES(digest, sizeof digest), 0));
}

static const ProtobufCMessage *
or_blank(struct arena *arena, const ProtobufCMessage *message, const ProtobufCMessageDescriptor *type)
{
    if (message != NULL)
        return message;
    ProtobufCMessage *blank = arena_alloc(arena, type->sizeof_message);
    type->message_init(blank);
    return blank;
}

size_t
configuration_compare(struct arena *arena, const ProtobufCMessage *before, const ProtobufCMessage *after, char ***ret_texts)
{
    const ProtobufCMessageDescriptor *type = after != NULL ? after->descriptor : before != NULL ? before->descriptor : NULL;
    size_t count = 0;

    if (type == NULL)
        return 0;
    before = or_blank(arena, before, type);
    after = or_blank(arena, after, type);
    char **texts = arena_array(arena, type->n_fields, sizeof *texts);
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        const char *was = field_text(arena, before, field), *is = field_text(arena, after, field);
        if (!text_equal(was, is))
            texts[count++] = arena_format(arena, "%s: %s → %s", field->name, shortened(arena, was), shortened(arena, is));
    }
    *ret_texts = texts;
    return count;
}

enum error
configuration_check_read(struct request *rq, const struct configuration_change *change, const ProtobufCMessage *read, const ProtobufCMessage *now)
{
    struct buffer what = buffer_in(rq->arena);
    char **texts;

    if (read == NULL)
        return OK;
    if (now == NULL)
        return fail(rq, ERR_CONFLICT, "the %s \"%s\" was deleted since you read it, and nothing is changed: look and try again", change->what,
                    change->name);
    size_t count = configuration_compare(rq->arena, read, now, &texts);
    for (size_t i = 0; i < count; i++)
        buffer_append_format(&what, "%s%s", i > 0 ? "; " : "", texts[i]);
    if (count == 0)
        return OK;
    return fail(rq, ERR_CONFLICT,
                "the %s \"%s\" was changed since you read it (%s), and nothing of yours is written: look and try again; signetctl "
                "audit show --action configuration says who it was",
                change->what, change->name, buffer_text(&what));
}

/* ---- the event ---- */

struct writing {
    struct outbox *outbox;
    configuration_writer *write;
    void *context;
    struct configuration_change *change;
};

static enum error
announce(struct outbox *outbox, struct db *db, struct request *rq, const struct configuration_change *change)
{
    Pb__ConfigurationChanged event = PB__CONFIGURATION_CHANGED__INIT;
    uint8_t id[EVENT_ID_OCTETS];

    random_bytes(id, sizeof id);
    event.what = change->what;
    event.name = change->name;
    event.action = change->action;
    event.operator_ = change->by;
    event.caller = rq->caller;
    event.also = change->also == NULL ? "" : change->also;
    event.n_changes = configuration_compare(rq->arena, change->before, change->after, (char ***)&event.changes);
    struct db_step step = outbox_step(outbox, rq, bytes_hex(rq->arena, BYTES(id, sizeof id), 0), SUBJECT, &event.base);
    return db_query(db, rq, step.statement, step.values, step.value_count, NULL);
}

static enum error
write_and_announce(struct db *db, struct request *rq, void *context)
{
    const struct writing *writing = context;

    writing->change->action = NULL;
    enum error error = DB_QUERY0(db, rq, &lock_configuration, NULL);
    if (!error)
        error = writing->write(db, rq, writing->context, writing->change);
    if (error || writing->change->action == NULL)
        return error;
    return announce(writing->outbox, db, rq, writing->change);
}

enum error
configuration_write(struct outbox *outbox, struct db *db, struct request *rq, configuration_writer *write, void *context,
                    struct configuration_change *change)
{
    struct writing writing = {outbox, write, context, change};

    enum error error = db_transaction(db, rq, write_and_announce, &writing);
    if (!error && change->action != NULL)
        outbox_wake(outbox);
    return error;
}
