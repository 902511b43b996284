/* Any message of the contracts as JSON, by its descriptor, so that --json shows a new field without a line of code here. */
#include <ctype.h>
#include <string.h>

#include "base/clock.h"
#include "base/text.h"
#include "signetctl.h"

const char *
enum_short_name(struct arena *arena, const ProtobufCEnumDescriptor *type, int value)
{
    const ProtobufCEnumValue *found = protobuf_c_enum_descriptor_get_value(type, value);
    size_t prefix = 0;
    const char *at;

    if (found == NULL)
        return arena_format(arena, "%d", value);
    /* "NameType" is NAME_TYPE_ in front of its values. */
    for (at = type->short_name; *at != '\0'; at++)
        prefix += 1 + (at != type->short_name && isupper((unsigned char)*at));
    prefix++;
    return text_lower(arena, strlen(found->name) > prefix ? found->name + prefix : found->name);
}

bool
enum_from_short_name(struct arena *arena, const ProtobufCEnumDescriptor *type, const char *name, int *ret_value)
{
    char *underscored = arena_text(arena, name), *at;
    unsigned i;

    /* "permanent-identifier", as protocols write it. */
    while ((at = strchr(underscored, '-')) != NULL)
        *at = '_';
    for (i = 0; i < type->n_values; i++) {
        if (type->values[i].value != 0 && text_equal_nocase(enum_short_name(arena, type, type->values[i].value), underscored)) {
            *ret_value = type->values[i].value;
            return true;
        }
    }
    return false;
}

static json_t *
number_json(struct arena *arena, const char *name, int64_t number)
{
    if (text_ends_with(name, "_s") && (text_ends_with(name, "_at_s") || text_ends_with(name, "not_before_s") || text_ends_with(name, "not_after_s")))
        return number == 0 ? json_null() : json_string(clock_format_rfc3339(arena, number));
    return json_integer(number);
}

static json_t *
value_json(struct arena *arena, const ProtobufCFieldDescriptor *field, const void *at)
{
    const ProtobufCBinaryData *bytes = at;

    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return json_boolean(*(const protobuf_c_boolean *)at);
    case PROTOBUF_C_TYPE_ENUM:
        return json_string(enum_short_name(arena, field->descriptor, *(const int *)at));
    case PROTOBUF_C_TYPE_STRING:
        return json_string(*(const char *const *)at);
    case PROTOBUF_C_TYPE_BYTES:
        return json_string(bytes_hex(arena, BYTES(bytes->data, bytes->len), 0));
    case PROTOBUF_C_TYPE_MESSAGE:
        return *(ProtobufCMessage *const *)at == NULL ? json_null() : message_json(arena, *(ProtobufCMessage *const *)at);
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
        return number_json(arena, field->name, *(const int32_t *)at);
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
        return number_json(arena, field->name, *(const uint32_t *)at);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
        return number_json(arena, field->name, *(const int64_t *)at);
    case PROTOBUF_C_TYPE_FLOAT:
    case PROTOBUF_C_TYPE_DOUBLE:
        break; /* the contracts have none */
    }
    return json_null();
}

static size_t
element_size(const ProtobufCFieldDescriptor *field)
{
    switch (field->type) {
    case PROTOBUF_C_TYPE_BOOL:
        return sizeof(protobuf_c_boolean);
    case PROTOBUF_C_TYPE_BYTES:
        return sizeof(ProtobufCBinaryData);
    case PROTOBUF_C_TYPE_STRING:
    case PROTOBUF_C_TYPE_MESSAGE:
        return sizeof(void *);
    case PROTOBUF_C_TYPE_INT64:
    case PROTOBUF_C_TYPE_SINT64:
    case PROTOBUF_C_TYPE_SFIXED64:
    case PROTOBUF_C_TYPE_UINT64:
    case PROTOBUF_C_TYPE_FIXED64:
    case PROTOBUF_C_TYPE_DOUBLE:
        return sizeof(int64_t);
    case PROTOBUF_C_TYPE_ENUM:
    case PROTOBUF_C_TYPE_INT32:
    case PROTOBUF_C_TYPE_SINT32:
    case PROTOBUF_C_TYPE_SFIXED32:
    case PROTOBUF_C_TYPE_UINT32:
    case PROTOBUF_C_TYPE_FIXED32:
    case PROTOBUF_C_TYPE_FLOAT:
        break;
    }
    return sizeof(int32_t);
}

json_t *
message_json(struct arena *arena, const ProtobufCMessage *message)
{
    json_t *object = json_object();
    unsigned i;

    for (i = 0; i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        const char *at = (const char *)message + field->offset;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            size_t count = *(const size_t *)((const char *)message + field->quantifier_offset), k;
            const char *elements = *(const char *const *)at;
            json_t *array = json_array();
            for (k = 0; k < count; k++)
                json_array_append_new(array, value_json(arena, field, elements + k * element_size(field)));
            json_object_set_new(object, field->name, array);
        } else {
            json_object_set_new(object, field->name, value_json(arena, field, at));
        }
    }
    return object;
}

void
json_print_to(FILE *to, json_t *take)
{
    json_dumpf(take, to, JSON_INDENT(2));
    fputc('\n', to);
    json_decref(take);
}

void
json_print(json_t *take)
{
    json_print_to(stdout, take);
}
