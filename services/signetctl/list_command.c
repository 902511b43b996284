/* What every `list` and `show` has in common: the list of a reply as a table, and a name that nothing is listed under. */
#include "base/text.h"
#include "signetctl.h"

void
list_print(struct request *rq, const struct listing *listing, const void *const *elements, size_t count)
{
    size_t columns = 0, i;

    while (listing->heads[columns] != NULL)
        columns++;
    struct table *table = table_new(rq->arena, listing->heads, columns);
    for (i = 0; i < count; i++)
        listing->add_row(rq, table, elements[i]);
    table_print(table, stdout);
}

enum error
list_check_found(struct request *rq, const char *name, size_t count, const char *noun, const char *see)
{
    if (name[0] == '\0' || count > 0)
        return OK;
    return fail(rq, ERR_NOT_FOUND, "there is no %s named \"%s\": see signetctl %s", noun, name, see);
}

const char *
list_joined(struct arena *arena, const char *const *texts, size_t count)
{
    struct buffer list = buffer_in(arena);
    size_t i;

    for (i = 0; i < count; i++)
        buffer_append_format(&list, "%s%s", i ? "," : "", texts[i]);
    return buffer_text(&list);
}
