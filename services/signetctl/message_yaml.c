/*
 * Messages of the contracts as YAML (templates, ACME policies), both ways, by their fields: a new field needs no line here.
 * Reading is strict: unknown or repeated keys and values of the wrong kind are refused by name, with the line.
 */
#include <stdlib.h>
#include <string.h>
#include <yaml.h>

#include "base/text.h"
#include "signetctl.h"

#define ELEMENTS_MAX 64

/* ---- writing ---- */

static int
append_output(void *data, unsigned char *octets, size_t len)
{
    buffer_append(data, octets, len);
    return 1;
}

/* libyaml fails for want of memory, and for texts that are not UTF-8: those do not come out of messages. Takes the event. */
static void
emit(yaml_emitter_t *emitter, yaml_event_t *event, int made)
{
    if (!made || !yaml_emitter_emit(emitter, event))
        abort();
}

static void
emit_scalar(yaml_emitter_t *emitter, const char *text, yaml_scalar_style_t style)
{
    yaml_event_t event;

    emit(emitter, &event, yaml_scalar_event_initialize(&event, NULL, NULL, (const yaml_char_t *)text, (int)strlen(text), 1, 1, style));
}

/* PEM stays PEM to the eye. Every other break of a line would come back as LF from a block. */
static bool
fits_block(const char *text)
{
    bool has_lines = false;

    for (; *text != '\0'; text++) {
        if (*text != '\n' && (*text < ' ' || *text > '~'))
            return false;
        has_lines |= *text == '\n';
    }
    return has_lines;
}

static void
emit_text(yaml_emitter_t *emitter, const char *text)
{
    emit_scalar(emitter, text, fits_block(text) ? YAML_LITERAL_SCALAR_STYLE : YAML_DOUBLE_QUOTED_SCALAR_STYLE);
}

static void
emit_value(yaml_emitter_t *emitter, struct arena *arena, const ProtobufCFieldDescriptor *field, const void *at)
{
    if (field->type == PROTOBUF_C_TYPE_STRING)
        emit_text(emitter, *(const char *const *)at);
    else if (field->type == PROTOBUF_C_TYPE_BOOL)
        emit_scalar(emitter, *(const protobuf_c_boolean *)at ? "true" : "false", YAML_PLAIN_SCALAR_STYLE);
    else if (field->type == PROTOBUF_C_TYPE_ENUM)
        emit_scalar(emitter, enum_short_name(arena, field->descriptor, *(const int *)at), YAML_PLAIN_SCALAR_STYLE);
    else if (field->type == PROTOBUF_C_TYPE_UINT32)
        emit_scalar(emitter, arena_format(arena, "%u", *(const uint32_t *)at), YAML_PLAIN_SCALAR_STYLE);
    else
        emit_scalar(emitter, arena_format(arena, "%d", *(const int32_t *)at), YAML_PLAIN_SCALAR_STYLE);
}

static void
emit_field(yaml_emitter_t *emitter, struct arena *arena, const ProtobufCMessage *message, const ProtobufCFieldDescriptor *field)
{
    const char *at = (const char *)message + field->offset;
    size_t size = field->type == PROTOBUF_C_TYPE_STRING ? sizeof(char *) : sizeof(int), count, i;
    yaml_event_t event;

    emit_scalar(emitter, field->name, YAML_PLAIN_SCALAR_STYLE);
    if (field->label != PROTOBUF_C_LABEL_REPEATED) {
        emit_value(emitter, arena, field, at);
        return;
    }
    count = *(const size_t *)((const char *)message + field->quantifier_offset);
    emit(emitter, &event, yaml_sequence_start_event_initialize(&event, NULL, NULL, 1, YAML_FLOW_SEQUENCE_STYLE));
    for (i = 0; i < count; i++)
        emit_value(emitter, arena, field, *(const char *const *)at + i * size);
    emit(emitter, &event, yaml_sequence_end_event_initialize(&event));
}

void
message_to_yaml(struct arena *arena, const ProtobufCMessage *message, struct buffer *to)
{
    yaml_emitter_t emitter;
    yaml_event_t event;
    unsigned i;

    if (!yaml_emitter_initialize(&emitter))
        abort();
    yaml_emitter_set_output(&emitter, append_output, to);
    yaml_emitter_set_unicode(&emitter, 1);
    yaml_emitter_set_width(&emitter, 150);
    emit(&emitter, &event, yaml_stream_start_event_initialize(&event, YAML_UTF8_ENCODING));
    emit(&emitter, &event, yaml_document_start_event_initialize(&event, NULL, NULL, NULL, 1));
    emit(&emitter, &event, yaml_mapping_start_event_initialize(&event, NULL, NULL, 1, YAML_BLOCK_MAPPING_STYLE));
    for (i = 0; i < message->descriptor->n_fields; i++)
        emit_field(&emitter, arena, message, &message->descriptor->fields[i]);
    emit(&emitter, &event, yaml_mapping_end_event_initialize(&event));
    emit(&emitter, &event, yaml_document_end_event_initialize(&event, 1));
    emit(&emitter, &event, yaml_stream_end_event_initialize(&event));
    yaml_emitter_delete(&emitter);
}

/* ---- reading ---- */

static enum error
wrong(struct request *rq, const yaml_node_t *node, const char *key, const char *what)
{
    return fail(rq, ERR_BAD_REQUEST, "line %zu: %s %s", node->start_mark.line + 1, key, what);
}

const char *
field_from_text(struct arena *arena, const ProtobufCFieldDescriptor *field, const char *text, void *to)
{
    bool is_signed = field->type == PROTOBUF_C_TYPE_INT32;
    int64_t number;

    if (field->type == PROTOBUF_C_TYPE_STRING) {
        *(const char **)to = text;
    } else if (field->type == PROTOBUF_C_TYPE_BOOL) {
        if (!text_equal(text, "true") && !text_equal(text, "false"))
            return "is true or false";
        *(protobuf_c_boolean *)to = text[0] == 't';
    } else if (field->type == PROTOBUF_C_TYPE_ENUM) {
        if (!enum_from_short_name(arena, field->descriptor, text, to))
            return "has a value that is not known";
    } else {
        if (!text_parse_number(text, is_signed ? -1 : 0, INT32_MAX, &number))
            return is_signed ? "is a number, -1 for none" : "is a number, 0 or more";
        *(int32_t *)to = (int32_t)number;
    }
    return NULL;
}

static enum error
set_value(struct request *rq, const ProtobufCFieldDescriptor *field, const yaml_node_t *node, void *to)
{
    const char *text;

    if (node->type != YAML_SCALAR_NODE)
        return wrong(rq, node, field->name, "takes a single value");
    text = arena_text_n(rq->arena, (const char *)node->data.scalar.value, node->data.scalar.length);
    if (strlen(text) != node->data.scalar.length)
        return wrong(rq, node, field->name, "has a zero octet in it");
    const char *why = field_from_text(rq->arena, field, text, to);
    return why != NULL ? wrong(rq, node, field->name, why) : OK;
}

static enum error
set_list(struct request *rq, yaml_document_t *document, const ProtobufCFieldDescriptor *field, const yaml_node_t *node, ProtobufCMessage *message)
{
    size_t size = field->type == PROTOBUF_C_TYPE_STRING ? sizeof(char *) : sizeof(int), count, i;
    char *elements;

    if (node->type != YAML_SEQUENCE_NODE)
        return wrong(rq, node, field->name, "takes a list");
    count = (size_t)(node->data.sequence.items.top - node->data.sequence.items.start);
    if (count > ELEMENTS_MAX)
        return wrong(rq, node, field->name, "has too many elements");
    elements = arena_array(rq->arena, count, size);
    for (i = 0; i < count; i++) {
        enum error error = set_value(rq, field, yaml_document_get_node(document, node->data.sequence.items.start[i]), elements + i * size);
        if (error)
            return error;
    }
    *(char **)((char *)message + field->offset) = elements;
    *(size_t *)((char *)message + field->quantifier_offset) = count;
    return OK;
}

/* One mapping on its way into a message. */
struct reading {
    ProtobufCMessage *message;
    const char *noun; /* "a template" */
    uint64_t seen;    /* field numbers: there are fewer than 64 */
};

static enum error
set_field(struct request *rq, yaml_document_t *document, const yaml_node_t *key, const yaml_node_t *value, struct reading *reading)
{
    const char *name = key->type == YAML_SCALAR_NODE ? (const char *)key->data.scalar.value : "";
    bool whole = key->type == YAML_SCALAR_NODE && strlen(name) == key->data.scalar.length;
    const ProtobufCFieldDescriptor *field = protobuf_c_message_descriptor_get_field_by_name(reading->message->descriptor, name);

    if (field == NULL || !whole)
        return wrong(rq, key, arena_format(rq->arena, "\"%.60s\"", name), arena_format(rq->arena, "is not a field of %s", reading->noun));
    if (reading->seen & (1ULL << field->id))
        return wrong(rq, key, name, "stands twice");
    reading->seen |= 1ULL << field->id;
    if (field->label == PROTOBUF_C_LABEL_REPEATED)
        return set_list(rq, document, field, value, reading->message);
    return set_value(rq, field, value, (char *)reading->message + field->offset);
}

static enum error
read_document(struct request *rq, yaml_document_t *document, struct reading *reading)
{
    const yaml_node_t *root = yaml_document_get_root_node(document);
    const yaml_node_pair_t *pair;

    if (root == NULL || root->type != YAML_MAPPING_NODE)
        return fail(rq, ERR_BAD_REQUEST, "%s is a YAML mapping of field names to values: export one to see", reading->noun);
    for (pair = root->data.mapping.pairs.start; pair < root->data.mapping.pairs.top; pair++) {
        enum error error =
            set_field(rq, document, yaml_document_get_node(document, pair->key), yaml_document_get_node(document, pair->value), reading);
        if (error)
            return error;
    }
    const ProtobufCFieldDescriptor *name = protobuf_c_message_descriptor_get_field_by_name(reading->message->descriptor, "name");
    if (name != NULL && text_is_empty(*(const char *const *)((const char *)reading->message + name->offset)))
        return fail(rq, ERR_BAD_REQUEST, "there is no name: %s has one", reading->noun);
    return OK;
}

static enum error
not_yaml(struct request *rq, const yaml_parser_t *parser)
{
    return fail(rq, ERR_BAD_REQUEST, "line %zu: not YAML: %s", parser->problem_mark.line + 1,
                parser->problem != NULL ? parser->problem : "unreadable");
}

/* A second document would be passed over in silence. */
static enum error
check_end(struct request *rq, yaml_parser_t *parser)
{
    yaml_document_t document;
    bool more;

    if (!yaml_parser_load(parser, &document))
        return not_yaml(rq, parser);
    more = yaml_document_get_root_node(&document) != NULL;
    yaml_document_delete(&document);
    return more ? fail(rq, ERR_BAD_REQUEST, "more than one YAML document: a file holds one thing") : OK;
}

enum error
message_from_yaml(struct request *rq, struct bytes yaml, const char *noun, ProtobufCMessage *message)
{
    struct reading reading = {.message = message, .noun = noun};
    yaml_document_t document;
    yaml_parser_t parser;
    enum error error;

    if (!yaml_parser_initialize(&parser))
        abort();
    /* libyaml asserts that there is a text, even of no octets. */
    yaml_parser_set_input_string(&parser, yaml.len > 0 ? yaml.at : (const uint8_t *)"", yaml.len);
    if (!yaml_parser_load(&parser, &document)) {
        error = not_yaml(rq, &parser);
        yaml_parser_delete(&parser);
        return error;
    }
    error = read_document(rq, &document, &reading);
    yaml_document_delete(&document);
    if (!error)
        error = check_end(rq, &parser);
    yaml_parser_delete(&parser);
    return error;
}
