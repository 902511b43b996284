/*
 * A profile of devices that is deleted and made again under its name is another one: what the first has issued it does not renew. Each has an
 * incarnation, drawn by the database, which begins the idempotency key of every request that is made through it.
 *
 *     input.idempotency_key = incarnation_key(arena, profile->incarnation, key);
 *     …
 *     if (!incarnation_has(profile->incarnation, enrolled.key))
 *
 * Profiles from before this rule have the incarnation "", and keys that say nothing of one.
 */
#ifndef SIGNET_BASE_INCARNATION_H
#define SIGNET_BASE_INCARNATION_H

#include <stdbool.h>

#include "base/arena.h"

#define INCARNATION_LEN 16

/* `key` begins with more than so many octets that are no '/'. */
const char *incarnation_key(struct arena *arena, const char *incarnation, const char *key);
/* NULL: a key that is kept no more, as those from before. */
bool incarnation_has(const char *incarnation, const char *key);

#endif
