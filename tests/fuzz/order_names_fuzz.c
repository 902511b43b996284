/* The identifiers of an order: what is accepted survives its way through a column, and sorting loses nothing but duplicates. */
#include <stdlib.h>
#include <string.h>

#include "acme.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check_column(struct request *rq, const struct identifier *name)
{
    const char *column = name_to_column(rq->arena, name);
    struct identifier again = name_from_column(rq->arena, column);

    /* Columns are joined by blanks. */
    if (strpbrk(column, " \t\r\n") != NULL || !identifier_equal(name, &again))
        abort();
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    AUTO_STRUCT(request, rq) = request_new();
    struct identifier names[IDENTIFIERS_MAX];
    size_t count = 0;

    const json_t *list = json_object_get(size > ACME_BODY_MAX ? NULL : json_parse_object(rq->arena, BYTES(data, size)), "identifiers");
    for (size_t i = 0; i < json_array_size(list) && count < IDENTIFIERS_MAX; i++) {
        if (name_from_json(rq, json_array_get(list, i), &names[count]) == OK)
            check_column(rq, &names[count++]);
        failure_clear(rq);
    }
    names_sort(names, &count);
    for (size_t i = 1; i < count; i++)
        if (identifier_equal(&names[i - 1], &names[i]))
            abort();
    return 0;
}
