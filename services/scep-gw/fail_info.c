/* The only place that turns our kinds of error into the failInfo of RFC 8894 §3.2.1.4. */
#include "scep.h"

#include <stdarg.h>
#include <string.h>

#include "base/text.h"

/* The refusal's reason is "<failInfo>/<rule>". */
enum error
refuse(struct request *rq, enum error kind, enum fail_info info, const char *rule, const char *format, ...)
{
    va_list values;

    va_start(values, format);
    (void)fail(rq, kind, "%s", arena_vformat(rq->arena, format, values));
    va_end(values);
    return fail_reason(rq, arena_format(rq->arena, "%d/%s", (int)info, rule));
}

static bool
is_ours(const struct failure *failure)
{
    return failure->reason[0] >= '0' && failure->reason[0] <= '4' && failure->reason[1] == '/';
}

enum fail_info
fail_info_of(const struct failure *failure)
{
    if (is_ours(failure))
        return (enum fail_info)(failure->reason[0] - '0');
    switch (failure->kind) {
    case ERR_NOT_FOUND:
        return FAIL_BAD_CERT_ID;
    case ERR_UNAUTHENTICATED:
        return FAIL_BAD_MESSAGE_CHECK;
    case OK:
    case ERR_BAD_REQUEST:
    case ERR_BAD_CSR:
    case ERR_BAD_NAME:
    case ERR_DENIED:
    case ERR_CONFLICT:
    case ERR_TOO_LARGE:
    case ERR_RATE_LIMITED:
    case ERR_BUSY:
    case ERR_UNAVAILABLE:
    case ERR_TIMEOUT:
    case ERR_INTERNAL:
    case ERR_COUNT:
        break;
    }
    return FAIL_BAD_REQUEST;
}

const char *
fail_info_rule(const struct failure *failure)
{
    if (is_ours(failure))
        return failure->reason + 2;
    return failure->layer[0] != '\0' ? failure->layer : error_name(failure->kind);
}
