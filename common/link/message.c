/*
 * Every body that comes from the bus passes message_unpack: requests in rpc_serve.c, replies in rpc_call.c, events in events.c.
 * Handlers may therefore rely on texts being UTF-8; they still check lengths and enum values.
 */
#include "link/message.h"

#include "base/text.h"

struct allowance {
    struct arena *arena;
    size_t left;
};

static void *
allowance_alloc(void *context, size_t size)
{
    struct allowance *allowance = context;
    if (size > allowance->left)
        return NULL;
    allowance->left -= size;
    return arena_alloc(allowance->arena, size);
}

static void
allowance_free(void *context, void *at)
{
    /* The arena frees. */
}

static bool accept_message(ProtobufCMessage *message);

static bool
accept_value(const ProtobufCFieldDescriptor *field, void *value)
{
    if (value == NULL)
        return true;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return accept_message(value);
    return text_is_utf8(bytes_of_text(value));
}

static bool
accept_field(ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    uint8_t *base = (uint8_t *)message;
    const void *member = base + field->offset;
    const void *quantifier = base + field->quantifier_offset;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        bool is_other_case = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(const uint32_t *)quantifier != field->id;
        return is_other_case || accept_value(field, *(void *const *)member);
    }
    size_t count = *(const size_t *)quantifier;
    void *const *values = *(void *const *const *)member;
    for (size_t i = 0; i < count; i++)
        if (!accept_value(field, values[i]))
            return false;
    return true;
}

/* Texts must be UTF-8. Fields of a later version are forgotten: protobuf-c would pack them again, in ways that it cannot read. */
static bool
accept_message(ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    message->n_unknown_fields = 0;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool has_texts = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
        if (has_texts && !accept_field(message, field))
            return false;
    }
    return true;
}

struct bytes
message_pack(struct arena *arena, const ProtobufCMessage *message)
{
    size_t size = protobuf_c_message_get_packed_size(message);
    uint8_t *at = arena_alloc(arena, size + 1); /* an empty message is no NULL */
    return BYTES(at, protobuf_c_message_pack(message, at));
}

const ProtobufCMessage *
message_unpack(struct arena *arena, const ProtobufCMessageDescriptor *type, struct bytes from)
{
    struct allowance allowance = {.arena = arena, .left = MESSAGE_UNPACKED_MAX};
    ProtobufCAllocator allocator = {.alloc = allowance_alloc, .free = allowance_free, .allocator_data = &allowance};
    ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, from.len, from.at);
    return message != NULL && accept_message(message) ? message : NULL;
}
