/* JSON from and for clients, by jansson, which is strict; what it allocates is freed with the request. */
#include "acme.h"

#include <stdlib.h>

static void
release(void *json)
{
    json_decref(json);
}

const json_t *
json_parse_object(struct arena *arena, struct bytes text)
{
    json_t *json = json_loadb((const char *)text.at, text.len, JSON_REJECT_DUPLICATES, NULL);
    if (json == NULL)
        return NULL;
    arena_defer(arena, release, json);
    return json_is_object(json) ? json : NULL;
}

char *
json_format(struct arena *arena, const json_t *json)
{
    char *text = json_dumps(json, JSON_COMPACT);
    if (text == NULL)
        abort(); /* out of memory: what we format is UTF-8 */
    char *copy = arena_text(arena, text);
    free(text);
    return copy;
}

const char *
json_text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}
