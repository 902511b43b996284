/* Fields of a contract's message from options of the command line: "--validity-days 30" is the field validity_days. */
#include <string.h>

#include "base/text.h"
#include "signetctl.h"

/* Lists are written with commas; an empty text empties them. */
static enum error
set_list(struct request *rq, ProtobufCMessage *message, const ProtobufCFieldDescriptor *field, const char *option, const char *text)
{
    size_t count, i;
    char **parts = text_split(rq->arena, text, ',', &count);
    const char **elements = arena_array(rq->arena, count, sizeof(*elements));

    for (i = 0; i < count; i++) {
        const char *why = field_from_text(rq->arena, field, parts[i], &elements[i]);
        if (why != NULL)
            return argument_refused(rq, "--%s %s", option, why);
    }
    *(const char ***)((char *)message + field->offset) = elements;
    *(size_t *)((char *)message + field->quantifier_offset) = count;
    return OK;
}

enum error
message_from_options(struct ctl *ctl, struct request *rq, ProtobufCMessage *message)
{
    enum error error = OK;
    unsigned i;

    for (i = 0; !error && i < message->descriptor->n_fields; i++) {
        const ProtobufCFieldDescriptor *field = &message->descriptor->fields[i];
        char *option = arena_text(rq->arena, field->name), *at;
        while ((at = strchr(option, '_')) != NULL)
            *at = '-';
        const char *text = argument(ctl, option);
        if (text == NULL)
            continue;
        if (field->label == PROTOBUF_C_LABEL_REPEATED) {
            error = set_list(rq, message, field, option, text);
            continue;
        }
        const char *why = field_from_text(rq->arena, field, text, (char *)message + field->offset);
        if (why != NULL)
            error = argument_refused(rq, "--%s %s", option, why);
    }
    return error;
}
