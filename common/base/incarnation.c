/* Which of the profiles that had one name made a request: the beginning of its idempotency key. */
#include "base/incarnation.h"

#include <assert.h>
#include <string.h>

const char *
incarnation_key(struct arena *arena, const char *incarnation, const char *key)
{
    size_t len = strlen(incarnation);

    assert(len == 0 || len == INCARNATION_LEN);
    assert(strcspn(key, "/") > INCARNATION_LEN);
    return len == 0 ? key : arena_format(arena, "%s/%s", incarnation, key);
}

bool
incarnation_has(const char *incarnation, const char *key)
{
    bool said = key != NULL && strcspn(key, "/") == INCARNATION_LEN && key[INCARNATION_LEN] == '/';

    return said ? strncmp(incarnation, key, INCARNATION_LEN) == 0 : incarnation[0] == '\0';
}
