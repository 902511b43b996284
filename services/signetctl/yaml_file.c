/* `show`, `export` and `import` of what is kept as YAML: what is shown is what can be imported, one form to learn. */
#include "signetctl.h"

enum error
yaml_show(const struct ctl *ctl, struct request *rq, const ProtobufCMessage *stored, const ProtobufCMessage *message)
{
    struct buffer yaml = buffer_in(rq->arena);

    if (answer_json(ctl, rq, stored))
        return OK;
    message_to_yaml(rq->arena, message, &yaml);
    fputs(buffer_text(&yaml), stdout);
    return OK;
}

enum error
yaml_import(const struct ctl *ctl, struct request *rq, size_t most, const char *noun, ProtobufCMessage *message)
{
    struct bytes yaml;
    enum error error = file_read(rq, ctl->arguments.words[0], most, &yaml);

    return error ? error : message_from_yaml(rq, yaml, noun, message);
}
