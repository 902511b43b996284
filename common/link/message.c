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

static bool texts_are_utf8(const ProtobufCMessage *message);

static bool
value_is_utf8(const ProtobufCFieldDescriptor *field, const void *value)
{
    if (value == NULL)
        return true;
    if (field->type == PROTOBUF_C_TYPE_MESSAGE)
        return texts_are_utf8(value);
    return text_is_utf8(bytes_of_text(value));
}

static bool
field_is_utf8(const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const uint8_t *base = (const uint8_t *)message;
    const void *member = base + field->offset;
    const void *quantifier = base + field->quantifier_offset;
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        bool is_other_case = (field->flags & PROTOBUF_C_FIELD_FLAG_ONEOF) && *(const uint32_t *)quantifier != field->id;
        return is_other_case || value_is_utf8(field, *(const void *const *)member);
    }
    size_t count = *(const size_t *)quantifier;
    const void *const *values = *(const void *const *const *)member;
    for (size_t i = 0; i < count; i++)
        if (!value_is_utf8(field, values[i]))
            return false;
    return true;
}

static bool
texts_are_utf8(const ProtobufCMessage *message)
{
    const ProtobufCMessageDescriptor *type = message->descriptor;
    for (unsigned i = 0; i < type->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &type->fields[i];
        bool has_texts = field->type == PROTOBUF_C_TYPE_STRING || field->type == PROTOBUF_C_TYPE_MESSAGE;
        if (has_texts && !field_is_utf8(message, field))
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
    const ProtobufCMessage *message = protobuf_c_message_unpack(type, &allocator, from.len, from.at);
    return message != NULL && texts_are_utf8(message) ? message : NULL;
}
