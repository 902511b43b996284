/* Subjects and headers of calls. Used by both ends of all kinds of calls. */
#include "link/rpc_wire.h"

#include <ctype.h>
#include <stdlib.h>
#include <string.h>

#include "base/bytes.h"
#include "base/text.h"

char *
rpc_split_words(struct arena *arena, const char *camel_case, char separator)
{
    char *words = arena_alloc(arena, 2 * strlen(camel_case) + 1);
    char *to = words;
    for (const char *from = camel_case; *from != '\0'; from++) {
        if (isupper((unsigned char)*from) && from != camel_case)
            *to++ = separator;
        *to++ = (char)tolower((unsigned char)*from);
    }
    return words;
}

char *
rpc_subject_of_service(struct arena *arena, const ProtobufCServiceDescriptor *service, const char *suffix)
{
    return arena_format(arena, "signet.%s%s", rpc_split_words(arena, service->short_name, '-'), suffix == NULL ? "" : suffix);
}

char *
rpc_subject_of_method(struct arena *arena, const ProtobufCServiceDescriptor *service, const char *suffix, const char *method)
{
    return arena_format(arena, "%s.%s", rpc_subject_of_service(arena, service, suffix), rpc_split_words(arena, method, '_'));
}

char *
rpc_subject_of_call(struct arena *arena, const char *method_subject, const char *caller)
{
    return arena_format(arena, "%s.%s", method_subject, caller);
}

const char *
rpc_caller_of_subject(const char *subject)
{
    const char *dot = strrchr(subject, '.');
    return dot == NULL ? "" : dot + 1;
}

const ProtobufCMethodDescriptor *
rpc_method(const ProtobufCServiceDescriptor *service, const char *name)
{
    const ProtobufCMethodDescriptor *method = protobuf_c_service_descriptor_get_method_by_name(service, name);

    if (method == NULL)
        abort(); /* RPC_CALL named a method that the contract does not have */
    return method;
}

enum error
rpc_fail_as_told(struct request *rq, const char *error, const char *message, const char *layer, const char *reason, int retry_after_s)
{
    enum error kind = error_from_name(error);

    (void)fail(rq, kind == OK ? ERR_INTERNAL : kind, "%s", message);
    (void)fail_layer(rq, layer);
    (void)fail_reason(rq, reason);
    return fail_retry_after(rq, retry_after_s);
}

const char *
rpc_header(natsMsg *message, const char *name)
{
    const char *value = NULL;
    return natsMsgHeader_Get(message, name, &value) == NATS_OK && value != NULL ? value : "";
}

natsStatus
rpc_set_header(struct arena *arena, natsMsg *message, const char *name, const char *value)
{
    if (text_is_empty(value))
        return NATS_OK;
    char *line = NULL;
    for (size_t i = 0; value[i] != '\0'; i++) {
        if (!iscntrl((unsigned char)value[i]))
            continue;
        if (line == NULL)
            line = arena_text(arena, value);
        line[i] = ' ';
    }
    return natsMsgHeader_Set(message, name, line == NULL ? value : line);
}
