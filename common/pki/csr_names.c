/* All that a certification request asks to be called: subjectAltName, and the common name where clients still put a host name there. */
#include "pki/csr.h"

#include <string.h>

#include "base/text.h"
#include "pki/name.h"
#include "pki/oid.h"

/* A common name like "Web Server" or "router7" is no host name that anybody has to prove. */
static bool
looks_like_identifier(struct arena *arena, const char *text, struct identifier *ret_identifier)
{
    if (identifier_read(arena, IDENTIFIER_IP, text, ret_identifier) == NULL)
        return true;
    return strchr(text, '.') != NULL && identifier_read(arena, IDENTIFIER_DNS, text, ret_identifier) == NULL;
}

/* The common name of a device is often its number, which need not be looked at as a host name. */
static bool
is_device(const struct csr *csr, const char *text)
{
    for (size_t i = 0; i < csr->name_count; i++)
        if (identifier_is_device(csr->names[i].type) && text_equal(csr->names[i].value, text))
            return true;
    return false;
}

enum error
csr_all_names(struct request *rq, const struct csr *csr, struct identifier **ret_names, size_t *ret_count)
{
    size_t value_count, count = csr->name_count;
    char **values = name_values(rq->arena, csr->subject, OID_COMMON_NAME, &value_count);
    struct identifier *names = arena_array(rq->arena, csr->name_count + value_count, sizeof *names);

    if (csr->name_count > 0)
        memcpy(names, csr->names, csr->name_count * sizeof *names);
    /* A subject may have several common names, and the last one must not slip by. */
    for (size_t i = 0; i < value_count; i++) {
        struct identifier name;
        size_t j = 0;
        if (is_device(csr, values[i]) || !looks_like_identifier(rq->arena, values[i], &name))
            continue;
        while (j < count && !identifier_equal(&names[j], &name))
            j++;
        if (j == count)
            names[count++] = name;
    }
    if (count > IDENTIFIERS_MAX)
        return fail(rq, ERR_BAD_NAME, "the certification request has more than %d names", IDENTIFIERS_MAX);
    *ret_names = names;
    *ret_count = count;
    return OK;
}
