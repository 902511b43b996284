/* The end of most commands: a program reads the reply itself (--json), a person one line that says what was done. */
#include <stdarg.h>

#include "signetctl.h"

bool
answer_json(const struct ctl *ctl, struct request *rq, const ProtobufCMessage *reply)
{
    if (ctl->json)
        json_print(message_json(rq->arena, reply));
    return ctl->json;
}

const char *
put_word(bool created, bool changed)
{
    return created ? "created" : changed ? "changed" : "unchanged";
}

enum error
answer(const struct ctl *ctl, struct request *rq, const ProtobufCMessage *reply, const char *format, ...)
{
    va_list values;

    if (answer_json(ctl, rq, reply))
        return OK;
    va_start(values, format);
    (void)vprintf(format, values);
    va_end(values);
    return OK;
}
