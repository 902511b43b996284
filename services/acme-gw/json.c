/* JSON from and for clients, by jansson, which is strict; what it allocates is freed with the request. */
#include "acme.h"

#include <stdlib.h>
#include <string.h>

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

/* Nearly all of them are short. */
char *
json_format(struct arena *arena, const json_t *json)
{
    char usual[2048];
    size_t len = json_dumpb(json, usual, sizeof usual, JSON_COMPACT);

    if (len == 0)
        abort(); /* out of memory: what we format is UTF-8 */
    char *text = arena_alloc(arena, len + 1);
    if (len <= sizeof usual)
        memcpy(text, usual, len);
    else
        (void)json_dumpb(json, text, len, JSON_COMPACT);
    text[len] = '\0';
    return text;
}

const char *
json_text(const json_t *object, const char *member)
{
    return json_string_value(json_object_get(object, member));
}
